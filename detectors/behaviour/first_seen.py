"""A value that a group was never seen with, or not for long.

A group's *life* begins with a contribution before which there was none for `memory`. A value is new at time t when no
contribution in (t - memory, t) bears it and the group's life began at t - learning or before.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Final

from detectors.behaviour.detector import Detector
from detectors.behaviour.memory import NEVER, Said

#: Values of one group. Beyond them the longest unseen half goes and the group learns anew: it falls silent, not loud.
MAX_VALUES: Final = 20_000


class FirstSeen:
    """The values of one group and when each was seen last."""

    __slots__ = ("_began", "_known", "_last", "_purge", "_rule", "_under", "evicted")

    def __init__(self, rule: Detector) -> None:
        self.evicted = 0
        self._rule = rule
        self._began = self._last = NEVER
        self._known: dict[int, int] = {}
        self._under: dict[int, int] = {}
        """Of a copy that runs ahead: what it was copied from."""
        self._purge = 64

    @property
    def due(self) -> int:
        return self._last + self._rule.memory

    @property
    def entries(self) -> int:
        return len(self._known)

    @property
    def firsts(self) -> Sequence[int]:
        return ()

    def ahead(self) -> FirstSeen:
        copy = FirstSeen(self._rule)
        copy._began, copy._last, copy._under, copy._purge = self._began, self._last, self._known, 1 << 62
        return copy

    def quiet(self, time: int, value: int, size: int) -> bool:
        seen = self._known.get(value)
        return seen is not None and time - seen < self._rule.memory

    def take(self, time: int, identity: int, value: int) -> Sequence[Said]:
        memory = self._rule.memory
        if time - self._last >= memory:
            self._began, self._known, self._under = time, {}, {}
        seen = self._known.get(value)
        if seen is None:
            seen = self._under.get(value, NEVER)
        self._known[value] = self._last = time
        if len(self._known) > self._purge:
            self._forget(time)
        if time - seen < memory or time - self._began < self._rule.learning:
            return ()
        return (Said("final", identity, time, time, 1), Said("closed", identity, time, time, 1))

    def passed(self, until: int) -> Sequence[Said]:
        return ()

    def finish(self) -> Sequence[Said]:
        return ()

    def over(self, until: int) -> bool:
        return until >= self._last + self._rule.memory

    def dump(self) -> array[int]:
        return array("q", chain((self._began, self._last), chain.from_iterable(self._known.items())))

    def restore(self, numbers: array[int]) -> None:
        self._began, self._last = numbers[:2]
        self._known = dict(zip(numbers[2::2], numbers[3::2], strict=True))
        self._purge = min(max(64, 2 * len(self._known)), MAX_VALUES)

    def _forget(self, time: int) -> None:
        """Let go what is forgotten; if that is not enough, the half that was not seen longest."""
        edge = time - self._rule.memory
        known = {value: seen for value, seen in self._known.items() if seen > edge}
        if len(known) > MAX_VALUES:
            latest = sorted(known, key=known.__getitem__)[-(MAX_VALUES // 2) :]
            self.evicted += len(known) - len(latest)
            known = {value: known[value] for value in latest}
            self._began = time
        # The same dictionary: a copy that runs ahead looks into it.
        for value in self._known.keys() - known.keys():
            del self._known[value]
        self._purge = min(max(64, 2 * len(known)), MAX_VALUES)
