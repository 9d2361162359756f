"""Commands for who is who: `qorgan identities import|check|list|show|resolve`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.screen import AsJson, note, show
from schemas.errors import Exit

if TYPE_CHECKING:
    from enrichers.who import Snapshot
    from pipeline.identities.build import Built

identities = typer.Typer(no_args_is_help=True, help="Who is who: people, hosts, leases, from the bank's exports.")

Folder = Annotated[Path | None, typer.Option("--in", metavar="DIR", help="the folder; else QORGAN_IDENTITIES")]
At = Annotated[str, typer.Option(metavar="TIME", help="ISO 8601, with its offset; none: now")]
COUNTS = ("people", "accounts", "assets", "processes", "dhcp", "vpn", "hubs", "faulty")


@identities.command("import")
def import_identities(
    plan: Annotated[Path, typer.Argument(metavar="FILE.yml", help="what a snapshot is made of")],
    folder: Folder = None,
    effective: Annotated[
        str, typer.Option(metavar="TIME", help="Kafka time from which it counts; none: in ten minutes")
    ] = "",
    shrunk: Annotated[bool, typer.Option("--shrunk", help="it may be less than half of the one before")] = False,
    as_json: AsJson = False,
) -> None:
    """Read the exports that a plan names, check them, and keep them as a version. Running workers take it by itself.

    Rows that cannot be used are named and left out. Exit code 3: nothing was kept.
    """
    from pipeline.identities import versions
    from pipeline.identities.plan import read_plan
    from pipeline.settings import load

    settings = load()
    now, read = datetime.now(UTC), read_plan(plan)
    built = _built(plan)
    since = _time(effective) or read.effective_from
    kept = versions.keep(built, _folder(folder), now, since, settings.events_days + 7, shrunk=shrunk)
    show([versions.row(kept, now=False)], ("version", "since", *COUNTS), as_json, "Kept")


@identities.command("check")
def check_identities(
    plan: Annotated[Path, typer.Argument(metavar="FILE.yml", help="what a snapshot is made of")],
    as_json: AsJson = False,
) -> None:
    """Do all that `import` does, and keep nothing. Exit code 3: some rows cannot be used."""
    built = _built(plan)
    faulty = sum(built.gathered.faulty.values())
    show([{"revision": built.revision, **built.counts, "faulty": faulty}], ("revision", *COUNTS), as_json)
    raise typer.Exit(Exit.REFUSED if faulty else Exit.OK)


@identities.command("list")
def list_identities(folder: Folder = None, as_json: AsJson = False) -> None:
    """The versions that are kept, the newest last. Exit code 1: there is none."""
    from pipeline.identities.versions import in_force, read_versions, row

    versions = read_versions(_folder(folder))
    now = in_force(versions, datetime.now(UTC).timestamp() * 1_000)
    rows = [row(each, now=each is now) for each in versions]
    show(rows, ("version", "since", "state", "due", *COUNTS), as_json, "Versions")
    raise typer.Exit(Exit.OK if rows else Exit.FOUND_NOTHING)


@identities.command("show")
def show_identity(
    name: Annotated[str, typer.Argument(metavar="NAME", help="a person, a host or a business process")],
    at: At = "",
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """What the snapshot says of a person, a host or a business process. Exit code 1: nothing."""
    import orjson

    snapshot, _ = _snapshot(folder, at)
    person, host = snapshot.user(name).entity, snapshot.host(name, 0).entity
    found = {
        "person": (person, snapshot.lookups.people.get("d" + person)),
        "host": (host, snapshot.lookups.assets.get("d" + host)),
        "process": (name, snapshot.lookups.assets.get("p" + name)),
    }
    rows = [
        {"what": what, "entity": entity, "key": key, "value": value}
        for what, (entity, text) in found.items()
        if entity and text is not None
        for key, value in orjson.loads(text).items()
    ]
    show(rows, ("what", "entity", "key", "value"), as_json)
    raise typer.Exit(Exit.OK if rows else Exit.FOUND_NOTHING)


@identities.command("resolve")
def resolve_identity(
    value: Annotated[str, typer.Argument(metavar="VALUE", help="a user, a host or an address as an event has it")],
    at: At = "",
    on: Annotated[str, typer.Option(metavar="HOST", help="where the event is from, for numbers of accounts")] = "",
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Who or what a value is: as a user, as a host, and as a source address. Exit code 1: no part knows it."""
    from schemas.who import HOW

    snapshot, time_ms = _snapshot(folder, at)
    resolved = {
        "user": snapshot.resolve(on, value, "", time_ms, bool(on)),
        "host": snapshot.resolve(value, "", "", time_ms),
        "src": snapshot.resolve("", "", value, time_ms),
    }
    rows: list[dict[str, Any]] = []
    for what, found in resolved.items():
        said = getattr(found, what)
        if said.how == "nobody" and not said.also:
            continue
        asset = snapshot.lookups.concerned(found.entities) if what != "user" else None
        rows.append(
            {
                "as": what,
                "entities": found.entities,
                "how": said.how,
                "confidence": HOW[said.how],
                "criticality": asset.criticality if asset else None,
                "owner": asset.owner if asset else None,
                "snapshot": snapshot.revision,
            }
        )
    show(rows, ("as", "entities", "how", "confidence", "criticality", "owner"), as_json)
    known = any(each["how"] not in ("unknown", "ambiguous") for each in rows)
    raise typer.Exit(Exit.OK if known else Exit.FOUND_NOTHING)


def _built(plan: Path) -> Built:
    from pipeline.identities.build import build
    from pipeline.identities.plan import read_plan

    built = build(read_plan(plan), plan.parent)
    for fault in built.gathered.faults:
        note(f"{fault.where}: {fault.why}")
    more = sum(built.gathered.faulty.values()) - len(built.gathered.faults)
    if more > 0:
        note(f"and {more:,} rows more")
    return built


def _folder(said: Path | None) -> Path:
    from pipeline.settings import load
    from schemas.errors import RefusedError

    folder = said or load().identities
    if folder is None:
        raise RefusedError("There is no folder of identities: set QORGAN_IDENTITIES, or give --in DIR.")
    return folder


def _snapshot(said: Path | None, at: str) -> tuple[Snapshot, int]:
    from pipeline.identities.versions import load_identities
    from schemas.errors import RefusedError

    time_ms = int((_time(at) or datetime.now(UTC)).timestamp() * 1_000)
    snapshot = load_identities(_folder(said)).at(time_ms)
    if snapshot is None:
        raise RefusedError("No snapshot was in force then: see `qorgan identities list`.")
    return snapshot, time_ms


def _time(text: str) -> datetime | None:
    from schemas.errors import RefusedError

    if not text:
        return None
    try:
        said = datetime.fromisoformat(text)
    except ValueError:
        said = None
    if said is None or said.tzinfo is None:
        raise RefusedError(f"{text} is no time with its offset, such as 2026-03-01T08:00:00+05:00.")
    return said
