"""What a detector remembers of one group: one state machine a kind, fed in the order of time.

`detectors.behaviour.fold` feeds it twice: once finally, with what is settled, and once ahead of that, with a copy.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, Self

from detectors.behaviour.detector import Detector

#: Before all times.
NEVER = -(1 << 62)


class Said(NamedTuple):
    """An episode that begins ("final") or is over ("closed"). `first`: identity of its first contribution."""

    state: Literal["final", "closed"]
    first: int
    first_time: int
    until: int
    records: int


class Episode(NamedTuple):
    """An episode that may go on."""

    first: int
    first_time: int
    until: int
    records: int

    def begun(self) -> Said:
        """It begins."""
        return Said("final", *self)

    def closed(self) -> Said:
        """It is over."""
        return Said("closed", *self)


class Memory(Protocol):
    """One group's state. Nothing that it says depends on how often `passed` is called.

    evicted   what went for want of room since it was looked at last
    due       when `passed` has something to do, at the latest when the group may be forgotten
    entries   values or counts held, beside the few numbers that every group has
    """

    evicted: int

    def __init__(self, rule: Detector) -> None: ...
    @property
    def due(self) -> int: ...
    @property
    def entries(self) -> int: ...
    @property
    def firsts(self) -> Sequence[int]:
        """Identities of settled contributions with which results begin that more may be said of."""

    def ahead(self) -> Self:
        """A copy to run ahead with; may look into this one's state as long as that grows in order."""

    def quiet(self, time: int, value: int, size: int) -> bool:
        """A quick look: True where the newest of `size` contributions can begin nothing, whatever the others are."""

    def take(self, time: int, identity: int, value: int) -> Sequence[Said]:
        """Take in the next contribution, in the order of time, of equal ones in that of their names."""

    def passed(self, until: int) -> Sequence[Said]:
        """No contribution at or before `until` will come."""

    def finish(self) -> Sequence[Said]:
        """Nothing will come, and no time passes: what is open is closed."""

    def over(self, until: int) -> bool:
        """Whether nothing is left to remember at `until`."""

    def dump(self) -> array[int]: ...
    def restore(self, numbers: array[int]) -> None: ...


def packed_episode(episode: Episode | None) -> list[int]:
    """For `dump`: always four numbers."""
    return list(episode) if episode is not None else [-1, 0, 0, 0]


def unpacked_episode(numbers: Sequence[int]) -> Episode | None:
    """From `restore`."""
    return Episode(*numbers) if numbers[0] >= 0 else None
