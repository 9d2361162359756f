"""Detectors of ours for tests: a builder for each, and the plain evaluator that the engine must equal.

The evaluator sees all contributions that are not late, sorted, and looks back over all of them for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from detectors.behaviour.detector import Detector, memory_of
from detectors.correlation.contribution import Contribution
from detectors.correlation.correlation import UNIT
from schemas.place import Place, apart
from schemas.severity import Severity
from tests.correlation import DAY, HOUR, MINUTE, Episode

ALMATY = Place(43.24, 76.89, 20).number
ASTANA = Place(51.13, 71.43, 20).number
LONDON = Place(51.51, -0.13, 20).number
LAGOS = Place(6.45, 3.39, 20).number
PLACES = (ALMATY, ASTANA, LONDON, LAGOS)


def detector(kind: Any, **other: Any) -> Detector:
    """A detector over rule a, grouped by host, with times short enough for tests."""
    said: dict[str, Any] = {
        "id": "corr",
        "name": "",
        "title": "A detector",
        "level": Severity.LOW,
        "tags": (),
        "status": "",
        "revision": "r1",
        "file": "test.yml",
        "line": 1,
        "kind": kind,
        "rules": () if kind == "silence" else ("a",),
        "group_by": ("host",),
        "aliases": (),
        "timespan": 0,
        "bounds": (),
    }
    own: dict[str, dict[str, Any]] = {
        "first_seen": {"fields": ("v",), "learning": HOUR, "memory": 4 * HOUR},
        "rate": {
            "bucket": 10 * MINUTE,
            "baseline": 2 * HOUR,
            "season": 10 * MINUTE,
            "learning": HOUR,
            "memory": 2 * HOUR,
            "factor": 2 * UNIT,
            "fewest": 3,
            "timespan": 10 * MINUTE,
        },
        "travel": {"fields": ("ip",), "speed": 900, "distance": 500, "memory": memory_of(900)},
        "silence": {"after": 5 * MINUTE, "learning": HOUR, "memory": 4 * HOUR, "factor": 2 * UNIT},
    }
    return Detector(**said | own[kind] | other)


Row = tuple[int, tuple[str, int], int]


def plainly(rule: Detector, contributions: Iterable[Contribution], now: int) -> list[Episode]:
    """The plain evaluator; `now`: the time up to which a source can have been silent."""
    groups: dict[str, set[Row]] = {}
    for one in contributions:
        if one.correlation == rule.id and not one.late:
            groups.setdefault(one.group, set()).add((one.time, (one.lane, one.offset), one.value))
    find: Callable[[Detector, str, list[Row], int], list[Episode]] = {
        "first_seen": _new,
        "rate": _many,
        "travel": _far,
        "silence": _silent,
    }[rule.kind]
    return sorted(one for group, held in groups.items() for one in find(rule, group, sorted(held), now))


def _life(rows: Sequence[Row], at: int, gone: Callable[[int, int], bool]) -> int:
    """When the life began in which row `at` lies: after the last gap in which all was forgotten."""
    while at and not gone(rows[at - 1][0], rows[at][0]):
        at -= 1
    return rows[at][0]


def _new(rule: Detector, group: str, rows: list[Row], now: int) -> list[Episode]:
    found = []
    for at, (time, name, value) in enumerate(rows):
        known = any(v == value and t > time - rule.memory for t, _, v in rows[:at])
        life = _life(rows, at, lambda before, after: after - before >= rule.memory)
        if not known and time - life >= rule.learning:
            found.append(Episode(rule.id, group, name, time, time, 1))
    return found


def _many(rule: Detector, group: str, rows: list[Row], now: int) -> list[Episode]:
    width, reach = rule.bucket, rule.baseline // rule.bucket
    found: list[Episode] = []
    held_last = None
    for number in sorted({time // width for time, _, _ in rows}):
        inside = [row for row in rows if row[0] // width == number]
        life = _life(rows, rows.index(inside[0]), lambda a, b: b // width - a // width > reach)
        compared = range(number - reach, number, 1)
        compared_to = [
            sum(row[0] // width == other for row in rows)
            for other in compared
            if (number - other) % (rule.season // width) == 0 and other >= life // width
        ]
        if not compared_to or number * width - life < rule.learning:
            continue
        mean = Fraction(sum(compared_to), len(compared_to))
        need = next(n for n in range(1, 10_000) if n >= rule.fewest and n >= Fraction(rule.factor, UNIT) * mean)
        if len(inside) < need:
            continue
        crossing = inside[need - 1][0]
        if held_last == number - 1 and crossing - found[-1].first_time < rule.longest:
            last = found.pop()
            found.append(last._replace(until=inside[-1][0], records=last.records + len(inside)))
        else:
            found.append(Episode(rule.id, group, inside[0][1], inside[0][0], inside[-1][0], len(inside)))
        held_last = number
    return found


def _far(rule: Detector, group: str, rows: list[Row], now: int) -> list[Episode]:
    found: list[Episode] = []
    going_on = False
    for (before, _, here), (time, name, there) in pairwise(rows):
        far = apart(here, there)
        hours = Fraction(time - before, HOUR)
        if far < rule.distance or far <= rule.speed * hours:
            going_on = False
        elif going_on and time - found[-1].first_time < DAY:
            last = found.pop()
            found.append(last._replace(until=time, records=last.records + 1))
        else:
            found.append(Episode(rule.id, group, name, time, time, 2))
            going_on = True
    return found


def _silent(rule: Detector, group: str, rows: list[Row], now: int) -> list[Episode]:
    found: list[Episode] = []
    signs = [row for at, row in enumerate(rows) if not at or row[0] > rows[at - 1][0]]
    life, pause = signs[0][0], 0
    for (time, name, _), after in zip(signs, [*signs[1:], None], strict=True):
        until = after[0] if after else now + 1
        ends = time + max(rule.after, Fraction(rule.factor, UNIT) * pause)
        forgotten = time + rule.memory
        silent = time - life >= rule.learning and ends < min(until, forgotten)
        if silent:
            over = min(until, forgotten) if after or now >= forgotten else int(ends)
            found.append(Episode(rule.id, group, name, time, over, 1))
        elif after:
            pause = max(pause, after[0] - time)
        if after and after[0] >= forgotten:
            life, pause = after[0], 0
    return found
