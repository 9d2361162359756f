"""`qorgan rules suppressions`: what is hidden by whom, why and until when; over recordings also how often and where."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.screen import AsJson, counting, note, show
from schemas.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detectors.sigma.rule import Refusal
    from detectors.sigma.suppress import Suppression
    from pipeline.rules import LoadedRules
    from pipeline.settings import Settings
    from pipeline.tuning import Change

COLUMNS = ("state", "kind", "id", "owner", "reason", "expires", "approval", "rules", "file", "line")
#: What recordings add for people; programs get the samples themselves.
COUNTED = ("hidden", "first")


def suppressions(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="records, one a line: count what is hidden of them")
    ] = None,
    rules: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", help="Sigma rules and filters; none: QORGAN_RULES")
    ] = None,
    topic: Annotated[str, typer.Option(help="judge as records of this raw topic: its format and log source")] = "file",
    as_json: AsJson = False,
) -> None:
    """List filters, disabled rules and placeholders: who answers for each, why, until when, approved by whom.

    With files, their records are judged and each suppression says how many matches it hid, with some places. Exit code
    0: all are in force; 3: at least one is refused or has expired.
    """
    from pipeline import offline
    from pipeline.settings import load

    named = {"rules": tuple(rules)} if rules else {}
    settings = load(state_dir=offline.CACHE, indicators=(), **named)
    loaded, found = _judged(settings, files, topic) if files else (_checked(settings), {})
    now_ms = int(time.time() * 1000)
    rows = [_row(each, now_ms) | found.get(each.id, {}) for each in loaded.suppressions.all]
    rows += [_refused(each) for each in loaded.suppressions.refused]
    rows += [_change(each) for each in loaded.changes]
    if files:
        rows = [{"hidden": 0, "by_rule": {}, "samples": []} | row for row in rows]
    shown = rows if as_json else [_short(row) for row in rows]
    show(shown, (*COLUMNS, *COUNTED) if files else COLUMNS, as_json, "Suppressions")
    states = [row["state"] for row in rows if row["kind"] != "placeholder"]
    wrong = len(states) - states.count("in force")
    note(f"{states.count('in force'):,} suppressions in force, {wrong:,} expired or refused.")
    raise typer.Exit(Exit.REFUSED if wrong else Exit.OK)


def _checked(settings: Settings) -> LoadedRules:
    from zoneinfo import ZoneInfo

    from pipeline.rules import check_rules
    from pipeline.tuning import read_tuning

    return check_rules(settings.rules, settings.state_dir / "cache", ZoneInfo(settings.timezone), read_tuning(settings))


def _judged(settings: Settings, files: list[str], topic: str) -> tuple[LoadedRules, dict[str, dict[str, Any]]]:
    """The rules, and suppression → how often it hid which rule in these files, with some places."""
    from pipeline import loading, offline
    from pipeline.joining import Joining
    from pipeline.suppressions import HiddenTally

    loaded = loading.load(settings)
    tally = HiddenTally()
    samples: dict[str, list[dict[str, Any]]] = {}
    with counting("judged", "lines") as progress:
        parts = offline.detect(offline.Judge(settings, loaded.decide, topic), files, offline.processes(files))
        for part in offline.joined(parts, Joining.of(loaded.decide), topic):
            progress(part.lines)
            for one in tally.add(part.hidden):
                place = {"file": part.file, "line": one.origin.offset, "time": offline.iso(one.time_ms)}
                samples.setdefault(one.suppression, []).append({"rule": one.rule, **place})
    counted = {}
    for each in loaded.rules.suppressions.all:
        by_rule = tally.of(each.id)
        counted[each.id] = {
            "hidden": sum(by_rule.values()),
            "by_rule": by_rule,
            "samples": samples.get(each.id, []),
        }
    return loaded.rules, counted


def _row(said: Suppression, now_ms: int) -> dict[str, Any]:
    return {
        "state": "in force" if said.in_force(now_ms) else "expired",
        "kind": said.kind,
        "id": said.id,
        "title": said.title,
        **said.account._asdict(),
        "rules": said.rules,
        "revision": said.revision,
        "file": said.file,
        "line": said.line,
    }


def _refused(said: Refusal) -> dict[str, Any]:
    return {
        "state": "refused",
        "kind": "",
        "id": "",
        "reason": said.reason,
        "do": said.todo,
        "rules": (),
        "file": said.file,
        "line": said.line or None,
    }


def _change(said: Change) -> dict[str, Any]:
    made = said.placeholder
    return {
        "state": "in force",
        "kind": "placeholder",
        "id": f"%{made.name}%",
        "owner": made.owner,
        "reason": made.reason,
        "values": len(made.values),
        "rules": said.rules,
        "file": made.file,
        "line": made.line or None,
    }


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """For people: how many rules, and the first place."""
    first = next(iter(_places(row)), "")
    ids = row["rules"]
    return row | {"rules": ids[0] if len(ids) == 1 else f"{len(ids):,}", "first": first}


def _places(row: dict[str, Any]) -> Iterator[str]:
    for sample in row.get("samples", ()):
        yield f"{sample['file']}:{sample['line']}"
