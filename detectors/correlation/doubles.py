"""One activity that several providers of a host tell is one contribution, whatever the order in which they came.

Windows can write a program's start twice, as Sysmon 1 and as Security 4688. Of sightings of one activity at most
`schemas.activity.SPAN_MS` apart the fullest provider's count. So a contribution that came first may have to be taken
back when a fuller one comes; who calls settles nothing before that can no longer happen.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from detectors.correlation.correlation import Correlation
from schemas.activity import SPAN_MS

#: What is remembered of one correlation; beyond it the oldest goes, and a double of it counts.
MAX_SIGHTINGS: Final = 200_000
#: Where a double would count twice. To the others it adds nothing: a set of values, or of rules that were there.
_COUNTING: Final = ("event_count", "value_sum", "value_avg", "value_percentile", "value_median", "rate")


class Sighting(NamedTuple):
    """A contribution with an activity, as the fold knows it; `provider` 0 tells most."""

    time: int
    provider: int
    group: str
    identity: int


@dataclass(slots=True)
class _Told:
    """What one provider told of one activity: the times, sorted, and those sightings that count, sorted."""

    times: list[int] = field(default_factory=list)
    counting: list[Sighting] = field(default_factory=list)


class Doubles:
    """The sightings of one correlation's activities that others may still join."""

    def __init__(self) -> None:
        self._known: dict[str, dict[int, _Told]] = {}
        self._order: deque[tuple[str, Sighting]] = deque()

    def __len__(self) -> int:
        return len(self._order)

    def take(self, activity: str, new: Sighting) -> tuple[bool, list[Sighting]]:
        """Whether the new one counts, and those that counted so far and do no longer, because of it."""
        by_provider = self._known.setdefault(activity, {})
        told = by_provider.setdefault(new.provider, _Told())
        insort(told.times, new.time)
        self._order.append((activity, new))
        counts = True
        gone: list[Sighting] = []
        for provider, other in by_provider.items():
            if provider < new.provider:
                counts = counts and not _within(other.times, new.time)
            elif provider > new.provider:
                gone += _cut(other.counting, new.time)
        if counts:
            insort(told.counting, new)
        if len(self._order) > MAX_SIGHTINGS:
            self._forget(*self._order.popleft())
        return counts, gone

    def forget(self, settled: int) -> None:
        """Nothing more comes at or before `settled`: what none of those to come can double goes."""
        edge = settled - SPAN_MS
        while self._order and self._order[0][1].time < edge:
            self._forget(*self._order.popleft())

    def dump(self) -> list[Any]:
        """What JSON can carry: the sightings in their order."""
        return [[activity, *sighting] for activity, sighting in self._order]

    def restore(self, said: Iterable[Any]) -> None:
        """What was dumped, taken in again: which of them count follows."""
        for activity, *sighting in said:
            self.take(activity, Sighting(*sighting))

    def _forget(self, activity: str, old: Sighting) -> None:
        by_provider = self._known[activity]
        told = by_provider[old.provider]
        del told.times[bisect_left(told.times, old.time)]
        at = bisect_left(told.counting, old)
        if at < len(told.counting) and told.counting[at] == old:
            del told.counting[at]
        if not told.times:
            del by_provider[old.provider]
            if not by_provider:
                del self._known[activity]


def counts_doubles(rule: Correlation) -> bool:
    """Whether one activity told twice would count twice."""
    return rule.kind in _COUNTING


def _within(times: list[int], time: int) -> bool:
    at = bisect_left(times, time - SPAN_MS)
    return at < len(times) and times[at] <= time + SPAN_MS


def _cut(counting: list[Sighting], time: int) -> list[Sighting]:
    """Take out and return those near this time."""
    low = bisect_left(counting, time - SPAN_MS, key=_time)
    high = bisect_right(counting, time + SPAN_MS, key=_time)
    near = counting[low:high]
    del counting[low:high]
    return near


def _time(sighting: Sighting) -> int:
    return sighting.time
