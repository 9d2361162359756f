"""Two places, one after the other, that nobody gets from one to the other in that time.

Of a group's contributions in the order of time, an *arrival* is impossible when it is at least `distance` from the one
before it, by the least that both places allow, and faster than `speed`. Impossible arrivals that follow one another
are one episode, cut as any.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from detectors.behaviour.detector import HOUR_MS, Detector
from detectors.behaviour.memory import NEVER, Episode, Said, packed_episode, unpacked_episode
from schemas.place import apart


class Travel:
    """Where one group was last."""

    __slots__ = ("_episode", "_last", "_place", "_rule", "evicted")

    def __init__(self, rule: Detector) -> None:
        self.evicted = 0
        self._rule = rule
        self._last, self._place = NEVER, 0
        self._episode: Episode | None = None

    @property
    def due(self) -> int:
        return self._last + self._rule.memory

    @property
    def entries(self) -> int:
        return 0

    @property
    def firsts(self) -> Sequence[int]:
        return (self._episode.first,) if self._episode is not None else ()

    def ahead(self) -> Travel:
        copy = Travel(self._rule)
        copy.restore(self.dump())
        return copy

    def quiet(self, time: int, value: int, size: int) -> bool:
        return size == 1 and (value == self._place or time - self._last >= self._rule.memory)

    def take(self, time: int, identity: int, value: int) -> Sequence[Said]:
        rule, since = self._rule, time - self._last
        self._last, place = time, self._place
        self._place = value
        if since >= rule.memory or place == value:
            return self.finish()
        far = apart(place, value)
        if far < rule.distance or far * HOUR_MS <= rule.speed * since:
            return self.finish()
        episode = self._episode
        if episode is not None and time - episode.first_time < rule.longest:
            self._episode = episode._replace(until=time, records=episode.records + 1)
            return ()
        closed = self.finish()
        self._episode = Episode(identity, time, time, 2)
        return (*closed, self._episode.begun())

    def passed(self, until: int) -> Sequence[Said]:
        return self.finish() if self.over(until) else ()

    def finish(self) -> Sequence[Said]:
        over, self._episode = self._episode, None
        return (over.closed(),) if over is not None else ()

    def over(self, until: int) -> bool:
        return until >= self._last + self._rule.memory

    def dump(self) -> array[int]:
        return array("q", (self._last, self._place, *packed_episode(self._episode)))

    def restore(self, numbers: array[int]) -> None:
        self._last, self._place = numbers[:2]
        self._episode = unpacked_episode(numbers[2:])
