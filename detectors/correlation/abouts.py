"""What is known of the records whose contributions are held: an episode is told with host and user of its first.

Few hosts and users share many records, so a record costs 20 bytes here: its place in its lane, its time, and a number
for what is known of it. A lane's records come in the order of their offsets, but for those that come again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from detectors.correlation.contribution import About
from detectors.correlation.episodes import MAX_OFFSET, OFFSET_BITS
from schemas.event import Source

#: What is known of so many more records than are held makes the numbers be given anew.
SLACK: Final = 1_024


class _Lane:
    """The records of one lane, by offset."""

    __slots__ = ("abouts", "offsets", "times")

    def __init__(self) -> None:
        self.offsets, self.times, self.abouts = array("q"), array("q"), array("l")

    def cut(self, until: int) -> int:
        """Let the first `until` records go; how many these were."""
        del self.offsets[:until], self.times[:until], self.abouts[:until]
        return until


class Abouts:
    """What is known of the records of one correlation. `most`: records kept; of a lane those that came first go."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lanes: dict[int, _Lane] = {}
        self._firsts: dict[int, About] = {}
        self._numbers: dict[About, int] = {}
        self._known: list[About] = []
        self._kept = 0

    def __len__(self) -> int:
        return self._kept + len(self._firsts)

    def keep(self, identity: int, time: int, about: About) -> None:
        """Keep what is known of a record; what is known already stays."""
        lane = self._lanes.get(identity >> OFFSET_BITS)
        if lane is None:
            lane = self._lanes[identity >> OFFSET_BITS] = _Lane()
        number = self._numbers.get(about)
        if number is None:
            number = self._numbers[about] = len(self._known)
            self._known.append(about)
        offset, offsets = identity & MAX_OFFSET, lane.offsets
        if not offsets or offset > offsets[-1]:
            offsets.append(offset)
            lane.times.append(time)
            lane.abouts.append(number)
        else:
            at = bisect_left(offsets, offset)
            if offsets[at] == offset:
                return
            offsets.insert(at, offset)
            lane.times.insert(at, time)
            lane.abouts.insert(at, number)
        self._kept += 1
        if self._kept > self._most:
            self._kept -= lane.cut(1 + len(offsets) // 8)

    def of(self, identity: int) -> About | None:
        """What is known of it."""
        lane = self._lanes.get(identity >> OFFSET_BITS)
        if lane is not None:
            offset = identity & MAX_OFFSET
            at = bisect_left(lane.offsets, offset)
            if at < len(lane.offsets) and lane.offsets[at] == offset:
                return self._known[lane.abouts[at]]
        return self._firsts.get(identity)

    def forget(self, edge: int, firsts: Iterable[int]) -> None:
        """Let records go whose time is not after `edge`, but for those with which open episodes begin."""
        if not self._kept and not self._firsts:
            return
        self._firsts = {identity: about for identity in firsts if (about := self.of(identity)) is not None}
        for number, lane in list(self._lanes.items()):
            gone = next((at for at, time in enumerate(lane.times) if time > edge), len(lane.times))
            if gone:
                self._kept -= lane.cut(gone)
            if not lane.offsets:
                del self._lanes[number]
        if len(self._known) > 2 * self._kept + SLACK:
            self._number_anew()

    def dump(self) -> list[Any]:
        """What JSON can carry."""
        lanes = [
            [number, lane.offsets.tolist(), lane.times.tolist(), lane.abouts.tolist()]
            for number, lane in self._lanes.items()
        ]
        firsts = [[identity, said(about)] for identity, about in self._firsts.items()]
        return [[said(about) for about in self._known], lanes, firsts]

    def restore(self, dumped: Any) -> None:
        """What was dumped, into an empty one."""
        known, lanes, firsts = dumped
        self._known = [about_of(about) for about in known]
        self._numbers = {about: number for number, about in enumerate(self._known)}
        for number, offsets, times, abouts in lanes:
            lane = self._lanes[number] = _Lane()
            lane.offsets.extend(offsets)
            lane.times.extend(times)
            lane.abouts.extend(abouts)
            self._kept += len(offsets)
        self._firsts = {identity: about_of(about) for identity, about in firsts}

    def _number_anew(self) -> None:
        old, self._known, self._numbers = self._known, [], {}
        for lane in self._lanes.values():
            for at, number in enumerate(lane.abouts):
                about = old[number]
                new = self._numbers.get(about)
                if new is None:
                    new = self._numbers[about] = len(self._known)
                    self._known.append(about)
                lane.abouts[at] = new


def said(about: About) -> list[Any]:
    """As JSON can carry it."""
    return [*about[:4], list(about.source), about.format]


def about_of(carried: Any) -> About:
    """From what JSON carried."""
    host, user, src_ip, entities, source, form = carried
    return About(host, user, src_ip, tuple(entities), _source(*source), form)


@lru_cache(maxsize=4_096)
def _source(product: str, category: str, service: str, event_id: int) -> Source:
    """One object for a source that many records share."""
    return Source(product, category, service, event_id)
