"""The windows of one group that hold, found by sliding one measure over its contributions."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from detectors.correlation.correlation import Correlation
from detectors.correlation.measure import measure_of, true

#: Numbers of one contribution in a group's array: time, identity, value.
STRIDE: Final = 3


class Held(NamedTuple):
    """A window in which the condition holds: the time it ends at, and the places [start, stop) of what is in it."""

    time: int
    start: int
    stop: int


def holding(rule: Correlation, entries: array[int], after: int, until: int) -> Iterator[Held]:
    """The windows that end at a contribution's time in (after, until] and hold. `entries`: sorted by time.

    Places count contributions. Costs one step per contribution in the windows.
    """
    first = place(entries, after)
    total = len(entries) // STRIDE
    if first == total or entries[first * STRIDE] > until:
        return
    timespan, measure = rule.timespan, measure_of(rule)
    start = stop = place(entries, entries[first * STRIDE] - timespan)
    while stop < total:
        time = entries[stop * STRIDE]
        if time > until:
            return
        while stop < total and entries[stop * STRIDE] == time:
            measure.add(time, entries[stop * STRIDE + 2])
            stop += 1
        edge = time - timespan
        while entries[start * STRIDE] <= edge:
            measure.remove(entries[start * STRIDE + 2])
            start += 1
        if time > after and measure.holds(edge):
            yield Held(time, start, stop)


def possible(rule: Correlation) -> Callable[[array[int]], bool]:
    """A quick look, for conditions that only become truer: False where no window over these entries can hold.

    What all of them together do not meet, no window of them does. A sum's entries must not be negative.
    """
    if not rule.growing:
        return lambda entries: True
    least = rule.least * STRIDE
    if rule.kind == "event_count":
        return lambda entries: len(entries) >= least
    low = max([number + (operator == "gt") for operator, number in rule.bounds], default=0)
    if rule.kind == "value_count":
        return lambda entries: len(entries) >= least and len(set(entries[2::STRIDE])) >= low
    if rule.kind == "value_sum":
        return lambda entries: sum(values := entries[2::STRIDE]) >= low or min(values) < 0
    if rule.condition is None:
        return lambda entries: _union(entries).bit_count() >= low
    condition = rule.condition
    return lambda entries: true(condition, _union(entries))


def _union(entries: array[int]) -> int:
    there = 0
    for value in entries[2::STRIDE]:
        there |= value
    return there


def place(entries: array[int], time: int) -> int:
    """The place of the first contribution later than `time`."""
    low, high = 0, len(entries) // STRIDE
    while low < high:
        middle = (low + high) // 2
        if entries[middle * STRIDE] > time:
            high = middle
        else:
            low = middle + 1
    return low
