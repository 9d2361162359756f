"""More contributions in a bucket of time than the buckets before it led to expect.

Buckets are counted from 1970 UTC. A bucket *holds* when it has at least `fewest` contributions and `factor` times the
mean of its baseline: of the buckets one `season` apart, back to `baseline` and to the bucket in which the group's life
began, empty ones included. A life begins with a contribution before which no bucket of the baseline has one; nothing
holds before it is `learning` old. Buckets that hold and follow one another are one episode.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain

from detectors.behaviour.detector import Detector
from detectors.behaviour.memory import NEVER, Episode, Said, packed_episode, unpacked_episode
from detectors.correlation.correlation import UNIT


class Rate:
    """The counts of one group's buckets. Of the bucket that is filling: its count, first contribution, and need."""

    __slots__ = (
        "_began",
        "_bucket",
        "_count",
        "_counts",
        "_episode",
        "_first",
        "_first_time",
        "_held",
        "_need",
        "_rule",
        "evicted",
    )

    def __init__(self, rule: Detector) -> None:
        self.evicted = 0
        self._rule = rule
        self._began = NEVER
        self._bucket = NEVER
        self._count = self._first = self._first_time = 0
        self._need = -1
        """Contributions at which the bucket holds; -1: it is too early to say."""
        self._held = NEVER
        """The last bucket that held."""
        self._counts: dict[int, int] = {}
        self._episode: Episode | None = None

    @property
    def due(self) -> int:
        width = self._rule.bucket
        forgotten = (self._bucket + self._rule.baseline // width + 1) * width - 1
        return min(forgotten, (self._held + 2) * width - 1) if self._episode is not None else forgotten

    @property
    def entries(self) -> int:
        return len(self._counts)

    @property
    def firsts(self) -> Sequence[int]:
        return (self._episode.first,) if self._episode is not None else ()

    def ahead(self) -> Rate:
        copy = Rate(self._rule)
        copy.restore(self.dump())
        return copy

    def quiet(self, time: int, value: int, size: int) -> bool:
        if time // self._rule.bucket != self._bucket:
            return size < self._rule.fewest
        return self._need < 0 or self._count + size < self._need

    def take(self, time: int, identity: int, value: int) -> Sequence[Said]:
        said: list[Said] = []
        number = time // self._rule.bucket
        if number != self._bucket:
            said += self.passed(number * self._rule.bucket - 1)
            self._turn(number, time)
        if not self._count:
            self._first, self._first_time = identity, time
        self._count += 1
        if 0 <= self._need <= self._count:
            said += self._hold(time)
        return said

    def passed(self, until: int) -> Sequence[Said]:
        """An episode is over when a whole bucket after it did not hold."""
        if self._episode is None or until < (self._held + 2) * self._rule.bucket - 1:
            return ()
        return self.finish()

    def finish(self) -> Sequence[Said]:
        over, self._episode = self._episode, None
        return (over.closed(),) if over is not None else ()

    def over(self, until: int) -> bool:
        return until >= (self._bucket + self._rule.baseline // self._rule.bucket + 1) * self._rule.bucket - 1

    def dump(self) -> array[int]:
        own = (self._began, self._bucket, self._count, self._first, self._first_time, self._need, self._held)
        return array("q", chain(own, packed_episode(self._episode), chain.from_iterable(self._counts.items())))

    def restore(self, numbers: array[int]) -> None:
        self._began, self._bucket, self._count, self._first, self._first_time, self._need, self._held = numbers[:7]
        self._episode = unpacked_episode(numbers[7:11])
        self._counts = dict(zip(numbers[11::2], numbers[12::2], strict=True))

    def _turn(self, number: int, time: int) -> None:
        """A bucket begins; the one before it is history."""
        rule = self._rule
        reach = rule.baseline // rule.bucket
        if number - self._bucket > reach:
            self._began, self._counts = time, {}
        else:
            self._counts[self._bucket] = self._count
            # In the order of time: the oldest stand first.
            while (oldest := next(iter(self._counts))) < number - reach:
                del self._counts[oldest]
        self._bucket, self._count = number, 0
        self._need = self._needed(number)

    def _needed(self, number: int) -> int:
        rule = self._rule
        stride = rule.season // rule.bucket
        many = min(rule.baseline // rule.season, (number - self._began // rule.bucket) // stride)
        if many < 1 or number * rule.bucket - self._began < rule.learning:
            return -1
        total = sum(count for bucket, count in self._counts.items() if not (number - bucket) % stride)
        return max(rule.fewest, -(-rule.factor * total // (many * UNIT)))

    def _hold(self, time: int) -> Sequence[Said]:
        """The bucket holds, with the contribution at `time`."""
        episode = self._episode
        if episode is not None and self._held == self._bucket:
            self._episode = episode._replace(until=time, records=episode.records + 1)
            return ()
        if episode is not None and time - episode.first_time < self._rule.longest:
            self._episode = episode._replace(until=time, records=episode.records + self._count)
            self._held = self._bucket
            return ()
        closed = self.finish()
        self._episode = Episode(self._first, self._first_time, time, self._count)
        self._held = self._bucket
        return (*closed, self._episode.begun())
