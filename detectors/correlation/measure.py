"""What stands in a window, kept while it slides: one measure per kind of correlation, with `add`, `remove`, `holds`.

A value is one whole number: the bits of the rules that matched, a hash of a value, or a number in millionths.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from operator import eq, ge, gt, le, lt, ne
from typing import Final, Protocol

from detectors.correlation.correlation import Bound, Condition, Correlation

_COMPARE: Final[dict[str, Callable[[int, int], bool]]] = {
    "gt": gt,
    "gte": ge,
    "lt": lt,
    "lte": le,
    "eq": eq,
    "neq": ne,
}


class Measure(Protocol):
    """A window's content. Contributions are added in the order of time and removed in the same order."""

    def add(self, time: int, value: int) -> None: ...
    def remove(self, value: int) -> None: ...
    def holds(self, after: int) -> bool:
        """Whether the condition holds in the window (after, latest time added]."""


def measure_of(rule: Correlation) -> Measure:
    """An empty window of this correlation."""
    if rule.kind == "temporal_ordered":
        return _Ordered(*steps_of(rule))
    if rule.kind == "temporal":
        return _Present(rule)
    if rule.kind in ("event_count", "value_count"):
        return _Count(rule.bounds) if rule.kind == "event_count" else _Distinct(rule.bounds)
    if rule.kind in ("value_sum", "value_avg"):
        return _Sum(rule.bounds, average=rule.kind == "value_avg")
    return _Rank(rule.bounds, rule.percentile)


def _all(bounds: tuple[Bound, ...], measured: int, scale: int = 1) -> bool:
    return all(_COMPARE[operator](measured, number * scale) for operator, number in bounds)


class _Count:
    """How many contributions."""

    def __init__(self, bounds: tuple[Bound, ...]) -> None:
        self._bounds, self._count = bounds, 0

    def add(self, time: int, value: int) -> None:
        self._count += 1

    def remove(self, value: int) -> None:
        self._count -= 1

    def holds(self, after: int) -> bool:
        return _all(self._bounds, self._count)


class _Distinct:
    """How many different values."""

    def __init__(self, bounds: tuple[Bound, ...]) -> None:
        self._bounds = bounds
        self._times: dict[int, int] = {}

    def add(self, time: int, value: int) -> None:
        self._times[value] = self._times.get(value, 0) + 1

    def remove(self, value: int) -> None:
        left = self._times[value] - 1
        if left:
            self._times[value] = left
        else:
            del self._times[value]

    def holds(self, after: int) -> bool:
        return _all(self._bounds, len(self._times))


class _Sum:
    """The sum, or the mean: compared without dividing, so exactly."""

    def __init__(self, bounds: tuple[Bound, ...], *, average: bool) -> None:
        self._bounds, self._average = bounds, average
        self._sum = self._count = 0

    def add(self, time: int, value: int) -> None:
        self._sum += value
        self._count += 1

    def remove(self, value: int) -> None:
        self._sum -= value
        self._count -= 1

    def holds(self, after: int) -> bool:
        return _all(self._bounds, self._sum, self._count if self._average else 1)


class _Rank:
    """A percentile: linear between the two nearest ranks, as spreadsheets do (50 is the median). Exact."""

    def __init__(self, bounds: tuple[Bound, ...], percentile: int) -> None:
        self._bounds, self._percentile = bounds, percentile
        self._values: list[int] = []

    def add(self, time: int, value: int) -> None:
        insort(self._values, value)

    def remove(self, value: int) -> None:
        del self._values[bisect_left(self._values, value)]

    def holds(self, after: int) -> bool:
        whole, rest = divmod((len(self._values) - 1) * self._percentile, 100)
        low = self._values[whole]
        high = self._values[min(whole + 1, len(self._values) - 1)]
        return _all(self._bounds, low * (100 - rest) + high * rest, 100)


class _Present:
    """Which rules are there: how many of them, or what a boolean condition says of them."""

    def __init__(self, rule: Correlation) -> None:
        self._rule = rule
        self._times = [0] * len(rule.rules)
        self._there = 0

    def add(self, time: int, value: int) -> None:
        for bit in _bits(value):
            self._times[bit] += 1
        self._there |= value

    def remove(self, value: int) -> None:
        for bit in _bits(value):
            self._times[bit] -= 1
            if not self._times[bit]:
                self._there &= ~(1 << bit)

    def holds(self, after: int) -> bool:
        if self._rule.condition is not None:
            return true(self._rule.condition, self._there)
        return _all(self._rule.bounds, self._there.bit_count())


class _Ordered:
    """Whether the steps follow one another: for each step the latest time at which a run of all up to it began."""

    def __init__(self, steps: tuple[int, ...], absent: int) -> None:
        self._steps, self._absent = steps, absent
        self._began: list[int | None] = [None] * len(steps)
        self._time = self._tie = 0
        self._strangers = 0

    def add(self, time: int, value: int) -> None:
        if value & self._absent:
            self._strangers += 1
        # What bears one time counts in any order, so all of it is looked at again with each that comes.
        self._tie = value if time != self._time else self._tie | value
        self._time = time
        began: int | None = time
        for number, step in enumerate(self._steps):
            known = self._began[number]
            if self._tie & step and began is not None and (known is None or began > known):
                self._began[number] = known = began
            began = known

    def remove(self, value: int) -> None:
        if value & self._absent:
            self._strangers -= 1

    def holds(self, after: int) -> bool:
        began = self._began[-1]
        return began is not None and began > after and not self._strangers


def true(condition: Condition, there: int) -> bool:
    """A boolean condition over the rules that are there, as bits."""
    if isinstance(condition, int):
        return bool(there >> condition & 1)
    word, *parts = condition
    if word == "not":
        return not true(parts[0], there)
    return (all if word == "and" else any)(true(part, there) for part in parts)


class UnorderedError(ValueError):
    """A boolean condition that says no order."""


def steps_of(rule: Correlation) -> tuple[tuple[int, ...], int]:
    """The steps of an ordered correlation, each the bits of its alternatives; and the bits that must be absent.

    Raises UnorderedError for a condition that is no sequence.
    """
    if rule.condition is None:
        return tuple(1 << place for place in range(len(rule.rules))), 0
    condition = rule.condition
    parts = condition[1:] if isinstance(condition, list) and condition[0] == "and" else [condition]
    steps, absent = [], 0
    for part in parts:
        if isinstance(part, list) and part[0] == "not":
            absent |= _alternatives(part[1])
        else:
            steps.append(_alternatives(part))
    if not steps:
        raise UnorderedError("it names no rule that must be there")
    return tuple(steps), absent


def _alternatives(part: Condition) -> int:
    if isinstance(part, int):
        return 1 << part
    if part[0] != "or" or not all(isinstance(each, int) for each in part[1:]):
        raise UnorderedError("a step of it is more than one rule or alternatives")
    return sum(1 << each for each in part[1:])


def _bits(value: int) -> Iterator[int]:
    while value:
        low = value & -value
        yield low.bit_length() - 1
        value ^= low
