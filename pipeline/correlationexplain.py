"""`rules explain` of a correlation: which records of a file count in it, in which groups, and what they come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

from detectors.correlation.correlation import UNIT, Condition, Correlation
from detectors.sigma.engine import Engine
from pipeline import recordings
from pipeline.correlated import Gathered, below
from pipeline.offline import iso, near_ms, read
from pipeline.parsers import Reader
from pipeline.rules import LoadedRules
from pipeline.settings import Settings

#: Groups and episodes that are shown.
SHOWN: Final = 5
_SIGNS: Final = {"gt": ">", "gte": "≥", "lt": "<", "lte": "≤", "eq": "=", "neq": "≠"}


@dataclass(slots=True)
class _Group:
    first: int
    last: int
    line: int
    count: int = 0


def explain(settings: Settings, rule: Correlation, loaded: LoadedRules, record: str, topic: str) -> dict[str, Any]:
    """What a correlation makes of all records of a file.

    Returns rule_id, title, file, matches (it tells an episode), says, records, named (of each rule how many records it
    finds), dropped (by what they lack), the largest groups and the episodes.
    """
    rules = below(loaded.correlations, [rule.id])
    engine = Engine([each for each in loaded.rules if each.id in rules.members], ZoneInfo(settings.timezone))
    gathered, groups, found, seen = Gathered(rules), dict[str, _Group](), Counter[str](), 0
    reader, near = Reader(settings), near_ms(record)
    for lines in recordings.read(record):
        events = read(reader, topic, lines, near).events
        seen += len(lines.numbers)
        matches = engine.match(events)
        found.update(match.rule.id for match in matches)
        for made in gathered.take(record, events, matches):
            if made.correlation == rule.id:
                group = groups.setdefault(made.group, _Group(made.time, made.time, made.offset))
                if made.time < group.first:
                    group.first, group.line = made.time, made.offset
                group.last, group.count = max(group.last, made.time), group.count + 1
    told = gathered.told()
    titles = {one.id: one.title for one in loaded.rules} | {one.id: one.title for one in rules.ordered}
    chained = {one.id for one in rules.ordered}
    largest = sorted(groups.items(), key=lambda pair: (-pair[1].count, pair[0]))[:SHOWN]
    return {
        "rule_id": rule.id,
        "title": rule.title,
        "file": rule.file,
        "matches": bool(told),
        "says": said(rule),
        "records": seen,
        "named": [
            {"rule_id": ref, "title": titles[ref], "records": found[ref], "correlation": ref in chained}
            for ref in rule.rules
        ],
        "dropped": {what: count for (of, what), count in sorted(gathered.dropped.items()) if of == rule.id},
        "groups": [
            {"group": rule.group_values(name), "events": each.count, "line": each.line}
            | {"first": iso(each.first), "last": iso(each.last)}
            for name, each in largest
        ],
        "episodes": [
            {"group": one.group, "line": one.line, "events": one.events}
            | {"first": iso(one.first_time), "until": iso(one.until)}
            for one in told[:SHOWN]
        ],
    }


def text(explained: dict[str, Any]) -> Iterator[str]:
    """The same for people, line by line."""
    verdict = "matches" if explained["matches"] else "does not match"
    yield f"{explained['title']} ({explained['rule_id']}): {verdict}"
    yield f"it demands {explained['says']}"
    for one in explained["named"]:
        found = f"in {one['records']:,} of {explained['records']:,} records"
        mark = "*" if one["correlation"] else "+" if one["records"] else "-"
        yield f"{mark} {one['title']}: {'a correlation itself' if one['correlation'] else found}"
    for what, count in explained["dropped"].items():
        yield f"{count:,} matches lack a value to {'group by' if what == 'group' else 'measure'} and do not count"
    for one in explained["groups"]:
        times = f"{one['first']} to {one['last']}"
        yield f"group {_named(one['group'])}: {one['events']:,} count, from line {one['line']}, {times}"
    for one in explained["episodes"]:
        times = f"{one['first']} to {one['until']}"
        yield f"told of {_named(one['group'])}: {one['events']:,} events from line {one['line']}, {times}"


def said(rule: Correlation) -> str:
    """What it demands, in one line."""
    what = rule.kind + (f" of {', '.join(rule.fields)}" if rule.fields else "")
    if rule.condition is not None:
        what += f" {_words(rule.condition)}"
    elif not rule.kind.startswith("temporal"):
        scale = 1 if rule.kind in ("event_count", "value_count") else UNIT
        what += "".join(f" {_SIGNS[operator]} {number / scale:,.15g}" for operator, number in rule.bounds)
    by = f" by {', '.join(rule.group_by)}" if rule.group_by else ""
    return f"{what} within {rule.timespan // 1000:,} s{by}"


def _words(condition: Condition) -> str:
    """A boolean condition, its rules by their number."""
    if isinstance(condition, int):
        return f"rule {condition + 1}"
    word, *parts = condition
    return f"not {_words(parts[0])}" if word == "not" else f"({f' {word} '.join(map(_words, parts))})"


def _named(group: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in group.items()) or "all"
