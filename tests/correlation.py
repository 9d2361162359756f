"""Correlations for tests: a builder, and the plain evaluator that the engine must equal.

The evaluator sees all contributions that are not late, sorted, and does nothing clever: for every time at which there
is a contribution it takes the window's contributions and asks the condition; overlapping windows that hold are joined.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from detectors.correlation.contribution import Contribution
from detectors.correlation.correlation import Bound, Condition, Correlation
from detectors.correlation.episodes import Verdict
from detectors.correlation.resolve import Correlations, resolve
from detectors.sigma.load import load
from detectors.sigma.rule import LogSource, Refusal, Rule
from schemas.severity import Severity

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
T0 = 1_773_118_800_000


def correlation(kind: Any, *bounds: tuple[str, int], **other: Any) -> Correlation:
    """A correlation over one rule (temporal ones: over a, b, c) within a minute, grouped by host."""
    rules = ("a", "b", "c") if kind.startswith("temporal") else ("a",)
    said: dict[str, Any] = {
        "id": "corr",
        "name": "",
        "title": "A correlation",
        "level": Severity.HIGH,
        "tags": (),
        "status": "",
        "revision": "r1",
        "file": "test.yml",
        "line": 1,
        "kind": kind,
        "rules": rules,
        "group_by": ("host",),
        "aliases": (),
        "timespan": MINUTE,
        "bounds": tuple(Bound(*bound) for bound in bounds),
    }
    return Correlation(**said | other)


def rules_named(*ids: str) -> list[Rule]:
    """Rules of these ids, for correlations to name."""
    return [Rule(id_, id_, Severity.LOW, (), LogSource("windows"), "", "r", "test.yml", b"[]") for id_ in ids]


def in_force(*correlations: Correlation) -> Correlations:
    """Correlations resolved over rules a, b and c; none may be refused."""
    found, refused = resolve(rules_named("a", "b", "c"), correlations)
    assert not refused, refused
    return found


def loaded(text: str) -> tuple[Correlations, list[Refusal]]:
    """What a file's text gives: its correlations resolved over its rules, and all refusals."""
    file = load("test.yml", text.encode())
    found, refused = resolve(file.rules, file.correlations)
    return found, [*file.refused, *refused]


def at(time: int, offset: int, value: int = 0, **other: Any) -> Contribution:
    """A contribution `time` milliseconds after T0, record `offset` of one lane, in the group of host h."""
    said: dict[str, Any] = {"correlation": "corr", "group": "h", "lane": "log/raw/0"}
    return Contribution(**said | {"time": T0 + time, "offset": offset, "value": value} | other)


class Episode(NamedTuple):
    """An episode as it is finally told."""

    correlation: str
    group: str
    first: tuple[str, int]
    first_time: int
    until: int
    records: int


def episodes(verdicts: Iterable[Verdict]) -> list[Episode]:
    """The whole episodes told, sorted; each must have been told finally once, when it began."""
    verdicts = list(verdicts)
    final = sorted((v.correlation, v.group, v.first) for v in verdicts if v.state == "final")
    closed = [v for v in verdicts if v.state == "closed"]
    assert final == sorted((v.correlation, v.group, v.first) for v in closed)
    return sorted(Episode(v.correlation, v.group, v.first, v.first_time, v.until, v.records) for v in closed)


def plainly(rule: Correlation, contributions: Iterable[Contribution]) -> list[Episode]:
    """The plain evaluator."""
    groups: dict[str, set[tuple[int, tuple[str, int], int]]] = {}
    for one in contributions:
        if one.correlation == rule.id and not one.late:
            groups.setdefault(one.group, set()).add((one.time, (one.lane, one.offset), one.value))
    found: list[Episode] = []
    for group, held in groups.items():
        inside: Episode | None = None
        for time in sorted({each[0] for each in held}):
            window = sorted(each for each in held if time - rule.timespan < each[0] <= time)
            if not _holds(rule, window):
                continue
            if (
                inside
                and time - rule.timespan < inside.until
                and time - inside.first_time < max(DAY, 4 * rule.timespan)
            ):
                more = sum(inside.until < each[0] <= time for each in held)
                inside = inside._replace(until=time, records=inside.records + more)
            else:
                found += [inside] if inside else []
                inside = Episode(rule.id, group, window[0][1], window[0][0], time, len(window))
        found += [inside] if inside else []
    return sorted(found)


def _holds(rule: Correlation, window: Sequence[tuple[int, tuple[str, int], int]]) -> bool:
    values = [each[2] for each in window]
    there = {bit for value in values for bit in range(8) if value >> bit & 1}
    if rule.kind == "temporal_ordered":
        return _follow(rule, window)
    if rule.condition is not None:
        return _true(rule.condition, there)
    measured: Fraction | int
    if rule.kind == "event_count":
        measured = len(values)
    elif rule.kind == "value_count":
        measured = len(set(values))
    elif rule.kind == "temporal":
        measured = len(there)
    elif rule.kind == "value_sum":
        measured = sum(values)
    elif rule.kind == "value_avg":
        measured = Fraction(sum(values), len(values))
    else:
        measured = _ranked(sorted(values), rule.percentile)
    tests = {
        "gt": lambda bound: measured > bound,
        "gte": lambda bound: measured >= bound,
        "lt": lambda bound: measured < bound,
        "lte": lambda bound: measured <= bound,
        "eq": lambda bound: measured == bound,
        "neq": lambda bound: measured != bound,
    }
    return all(tests[operator](number) for operator, number in rule.bounds)


def _ranked(values: list[int], percentile: int) -> Fraction:
    rank = Fraction((len(values) - 1) * percentile, 100)
    low = int(rank)
    high = min(low + 1, len(values) - 1)
    return values[low] + (rank - low) * (values[high] - values[low])


def _true(condition: Condition, there: set[int]) -> bool:
    if isinstance(condition, int):
        return condition in there
    word, *parts = condition
    if word == "not":
        return not _true(parts[0], there)
    return (all if word == "and" else any)(_true(part, there) for part in parts)


def _follow(rule: Correlation, window: Sequence[tuple[int, tuple[str, int], int]]) -> bool:
    """Rules one after the other: each at the earliest time that is not before the one before it."""
    condition = rule.condition if rule.condition is not None else ["and", *range(len(rule.rules))]
    parts = condition[1:] if isinstance(condition, list) and condition[0] == "and" else [condition]
    now = 0
    for part in parts:
        absent = isinstance(part, list) and part[0] == "not"
        wanted = part[1] if absent and isinstance(part, list) else part
        bits = wanted[1:] if isinstance(wanted, list) else [wanted]
        times = [time for time, _, value in window if any(value >> bit & 1 for bit in bits)]
        if absent:
            if times:
                return False
            continue
        later = [time for time in times if time >= now]
        if not later:
            return False
        now = min(later)
    return True
