"""Commands of an indicator's life: `qorgan indicators add`, `import`, `list`, `show`, `release`, `expire`, `stats`."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.screen import AsJson, note, show
from schemas.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.submitting import Verdicts
    from schemas.indicator_record import Gated

indicators = typer.Typer(no_args_is_help=True, help="Indicators of compromise, and what becomes of them.")

#: How many are named one by one, where there may be a million.
NAMED = 20

Seconds = Annotated[float, typer.Option(min=1, help="how long to wait for the verdicts")]
Source = Annotated[str, typer.Option(help="whose: needed where several sources have this id")]
By = Annotated[str, typer.Option(help="who says so; it stands beside the indicator for ever")]
Reason = Annotated[str, typer.Option(help="why; likewise")]


class State(StrEnum):
    """What became of an indicator."""

    active = "active"
    held = "held"
    waiting = "waiting"
    released = "released"
    expired = "expired"
    revoked = "revoked"


class Of(StrEnum):
    """What a row of the statistics is about."""

    indicator = "indicator"
    source = "source"
    type = "type"


class Format(StrEnum):
    """Who is to read sightings."""

    stix = "stix"
    misp = "misp"


@indicators.command("add")
def add(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="STIX 2.1, MISP, CSV or lists")],
    source: Annotated[str, typer.Option(help="whose they are; none: as each file says, or its name")] = "",
    seconds: Seconds = 60.0,
    as_json: AsJson = False,
) -> None:
    """Submit files of indicators, and say what the gate made of them: in force at once, or held and why.

    Exit code 0: some were taken in; 1: all were known already.
    """
    from pipeline.settings import load
    from pipeline.submitting import add as submit

    _tell(submit(load(), files, source, seconds=seconds), as_json)


@indicators.command("import")
def import_now(
    feed: Annotated[str, typer.Option(help="its name in QORGAN_FEEDS, or `files`; none: all")] = "",
    seconds: Seconds = 600.0,
    as_json: AsJson = False,
) -> None:
    """Have feeds polled now, and say what the gate made of what is new.

    Exit code 0: something was new; 1: nothing was; 4: a feed could not be polled, or nobody answers.
    """
    from pipeline.settings import load
    from pipeline.submitting import import_now as submit

    _tell(submit(load(), feed, seconds=seconds), as_json)


@indicators.command("release")
def release(
    ident: Annotated[str, typer.Argument(metavar="ID", help="the held indicator")],
    by: By,
    reason: Reason,
    source: Source = "",
    seconds: Seconds = 60.0,
    as_json: AsJson = False,
) -> None:
    """Release an indicator that the gate holds, or one that was expired: it is matched from now on.

    It holds for the values that it has now. Exit code 1: nothing changed.
    """
    _command("release", ident, source, by, reason, seconds, as_json)


@indicators.command("expire")
def expire(
    ident: Annotated[str, typer.Argument(metavar="ID", help="the indicator")],
    by: By,
    reason: Reason,
    source: Source = "",
    seconds: Seconds = 60.0,
    as_json: AsJson = False,
) -> None:
    """End an indicator: it is not matched from now on, whatever its feed goes on saying, until it is released.

    Exit code 1: nothing changed.
    """
    _command("expire", ident, source, by, reason, seconds, as_json)


@indicators.command("list")
def list_them(
    state: Annotated[State | None, typer.Option(help="in this state")] = None,
    source: Annotated[str, typer.Option(help="of this source")] = "",
    kind: Annotated[str, typer.Option("--type", help="with a value of this type")] = "",
    text: Annotated[str, typer.Option(help="with this in id, title or a value")] = "",
    limit: Annotated[int, typer.Option(min=0, help="at most, the newest first; 0: all")] = 50,
    as_json: AsJson = False,
) -> None:
    """List indicators at their last revision, as stored, the newest first. Exit code 1: there is none."""
    from pipeline.indicatorlist import COLUMNS, listed
    from pipeline.settings import load

    rows = listed(load(), state=state.value if state else "", source=source, kind=kind, text=text, limit=limit)
    if not show(rows, COLUMNS, as_json, "Indicators"):
        note("No indicators.")
        raise typer.Exit(Exit.FOUND_NOTHING)


@indicators.command("show")
def show_one(
    ident: Annotated[str, typer.Argument(metavar="ID", help="its id")],
    source: Annotated[str, typer.Option(help="of this source alone")] = "",
    as_json: AsJson = False,
) -> None:
    """Show an indicator whole: its values, what the gate found, who said what of it. Exit code 1: there is none."""
    from pipeline.indicatorlist import facts, named
    from pipeline.settings import load

    found = named(load(), ident, source)
    if not found:
        note(f"There is no indicator {ident}.")
        raise typer.Exit(Exit.FOUND_NOTHING)
    if as_json:
        show((one.model_dump(mode="json") for one in found), (), as_json)
        return
    for one in found:
        show(facts(one), ("what", "is"), as_json, one.document.title or one.id)


@indicators.command("stats")
def stats(
    of: Annotated[Of, typer.Option("--of", help="a row for each of these")] = Of.indicator,
    verdicts: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="detections, each with `verdict` and, where false, `wrong`"),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="rows; 0: all")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show what indicators found, and with verdicts (true-positive, false-positive) how precise they are, the least
    precise first. One under its feed's floor is proposed to be expired; nothing is switched off by itself.
    """
    from pipeline.feeds import load_feeds
    from pipeline.indicatorstats import COLUMNS
    from pipeline.indicatorstats import stats as worth
    from pipeline.settings import load
    from pipeline.verdicts import read

    settings = load()
    told = read(verdicts or (), "indicator")
    rows = worth(settings, told, {feed.name: feed.floor for feed in load_feeds(settings)}, of.value)
    show(rows[: limit or None], COLUMNS, as_json, "Indicators, the least precise first")
    proposed = sum(bool(row["proposal"]) for row in rows)
    if proposed:
        note(f"{proposed:,} are under their feed's floor: `qorgan indicators expire ID` ends one.")


@indicators.command("sightings")
def sightings(
    form: Annotated[Format, typer.Option("--format", help="who is to read them")] = Format.stix,
    source: Annotated[str, typer.Option(help="of this source's indicators alone")] = "",
    since: Annotated[str, typer.Option(metavar="SPAN", help="how far back: 36h, 92d, 13w")] = "7d",
    organisation: Annotated[str, typer.Option(help="misp: who has seen them")] = "",
) -> None:
    """Write what was seen of indicators, for whom gave them: a STIX 2.1 bundle, or a line for MISP's /sightings/add
    each. TLP:CLEAR and GREEN leave, stricter colours stay. Exit code 1: nothing was seen that may be told.
    """
    import time

    from pipeline import sightings as telling
    from pipeline.cli.hunt import span
    from pipeline.settings import load

    found, kept = telling.seen(load(), source, int((time.time() - span(since)) * 1000))
    if found:
        show(telling.misp(found, organisation) if form is Format.misp else [telling.stix(found)], (), as_json=True)
    if kept:
        note(f"{kept:,} seen indicators may not be told: their colour is stricter than TLP:GREEN.")
    raise typer.Exit(Exit.OK if found else Exit.FOUND_NOTHING)


def _command(kind: Any, ident: str, source: str, by: str, reason: str, seconds: float, as_json: bool) -> None:
    import time

    from pipeline.indicatorlist import source_of
    from pipeline.settings import load
    from pipeline.submitting import NOBODY, submit
    from schemas.indicator_record import Command

    settings = load()
    whose = source or source_of(settings, ident)
    said = Command(kind=kind, source=whose, id=ident, by=by, reason=reason, at=int(time.time() * 1000))
    _tell(submit(settings, [said], NOBODY, seconds=seconds), as_json)


def _tell(done: Verdicts, as_json: bool) -> None:
    """Print the verdicts: all as JSON, for people those that are not in force."""
    from pipeline.indicatorlist import line

    told = done.changed if as_json else [one for one in done.changed if one.state != "active"][:NAMED]
    if told:
        columns = ("state", "source", "id", "values", "reasons", "hosts")
        show(map(line, told), columns, as_json, "Not in force by themselves")
    for fault in done.faults[:NAMED]:
        note(f"not used: {fault.where}: {fault.why}")
    note(_sum(done.changed, done.unchanged, len(done.faults)))
    failed = {feed: why for feed, why in done.polls.items() if why}
    for feed, why in failed.items():
        note(f"{feed} was not polled: {why}")
    if failed:
        raise typer.Exit(Exit.UNREACHABLE)
    raise typer.Exit(Exit.OK if done.changed else Exit.FOUND_NOTHING)


def _sum(changed: Sequence[Gated], unchanged: int, refused: int) -> str:
    states = Counter(str(one.state) for one in changed)
    words = [f"{count:,} {state}" for state, count in sorted(states.items())]
    reasons = Counter(rule for one in changed for rule in {reason.rule for reason in one.reasons})
    why = f" (held for {', '.join(f'{rule} {count:,}' for rule, count in sorted(reasons.items()))})" if reasons else ""
    return f"{', '.join(words) or 'nothing changed'}{why}, {unchanged:,} known already, {refused:,} refused."
