"""A source that sent steadily and sends no more.

A source's *life* begins with a sign of life before which there was none for `memory`. Its *pause* is the longest time
between two signs of its life that was no silence. It is silent when `after`, and `factor` times its pause, have passed
since its last sign, which came when its life was at least `learning` old; of what is forgotten before, nothing is
said. The silence ends with the next sign, or when
the source is forgotten.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from detectors.behaviour.detector import Detector
from detectors.behaviour.memory import NEVER, Episode, Said, packed_episode, unpacked_episode
from detectors.correlation.correlation import UNIT


class Silence:
    """When one source was heard last, and how long it was quiet at most."""

    __slots__ = ("_began", "_episode", "_identity", "_last", "_pause", "_rule", "evicted")

    def __init__(self, rule: Detector) -> None:
        self.evicted = 0
        self._rule = rule
        self._began = self._last = NEVER
        self._identity = self._pause = 0
        self._episode: Episode | None = None

    @property
    def due(self) -> int:
        forgotten = self._last + self._rule.memory
        learnt = self._last - self._began >= self._rule.learning
        return min(forgotten, self._last + self._patience()) if learnt and self._episode is None else forgotten

    @property
    def entries(self) -> int:
        return 0

    @property
    def firsts(self) -> Sequence[int]:
        return (self._identity,)

    def ahead(self) -> Silence:
        copy = Silence(self._rule)
        copy.restore(self.dump())
        return copy

    def quiet(self, time: int, value: int, size: int) -> bool:
        return True

    def take(self, time: int, identity: int, value: int) -> Sequence[Said]:
        since = time - self._last
        if not since:
            return ()  # of the signs at one time the first is the last one heard
        if since >= self._rule.memory:
            said = (*self.passed(time), *self.finish())
            self._began, self._pause = time, 0
        else:
            said = (*self.passed(time - 1), *self._heard(time))
        self._last, self._identity = time, identity
        return said

    def passed(self, until: int) -> Sequence[Said]:
        said: list[Said] = []
        ends, forgotten = self._last + self._patience(), self._last + self._rule.memory
        learnt = self._last - self._began >= self._rule.learning
        if self._episode is None and learnt and ends <= until and ends < forgotten:
            self._episode = Episode(self._identity, self._last, ends, 1)
            said.append(self._episode.begun())
        if self._episode is not None and until >= forgotten:
            self._episode = self._episode._replace(until=forgotten)
            said += self.finish()
        if until >= forgotten:
            self._began = self._last  # nothing more is said of this life
        return said

    def finish(self) -> Sequence[Said]:
        over, self._episode = self._episode, None
        return (over.closed(),) if over is not None else ()

    def over(self, until: int) -> bool:
        return until >= self._last + self._rule.memory

    def dump(self) -> array[int]:
        own = (self._began, self._last, self._identity, self._pause)
        return array("q", (*own, *packed_episode(self._episode)))

    def restore(self, numbers: array[int]) -> None:
        self._began, self._last, self._identity, self._pause = numbers[:4]
        self._episode = unpacked_episode(numbers[4:])

    def _patience(self) -> int:
        return max(self._rule.after, self._rule.factor * self._pause // UNIT)

    def _heard(self, time: int) -> Sequence[Said]:
        """It was silent, or this was a pause."""
        if self._episode is None:
            self._pause = max(self._pause, time - self._last)
            return ()
        self._episode = self._episode._replace(until=time)
        return self.finish()
