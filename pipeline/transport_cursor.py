"""How far one partition has come, and where it starts. Pure: the rules of committing, testable without Kafka.

A cursor counts *positions*, not record offsets: control records and compaction leave holes in the offsets that are no
holes in the log. Every batch begins where the one before it ended; what may be committed is the unbroken run of
acknowledged batches from the start, and nothing else.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple, Protocol

from schemas.errors import QorganError

#: What nobody has, so that "no offset" and "offset 0" are never the same.
UNKNOWN_LOG = ""


class Partition(NamedTuple):
    """A topic's partition, as Faust's `TP` is: equal to it and hashed alike."""

    topic: str
    partition: int


class Acknowledgeable(Protocol):
    """A Faust message. `tracked`: the agent has taken it from its queue; `acked`: the agent has acknowledged it."""

    acked: bool
    tracked: bool


class BrokenRunError(QorganError):
    """A batch does not begin where the last one ended. A bug of ours: committing on would skip records."""


class Flight(NamedTuple):
    """One batch that was handed out and not yet counted: positions, bytes, monotonic time of the fetch."""

    first: int
    next: int
    size: int
    since: float
    message: Acknowledgeable


@dataclass(slots=True)
class Cursor:
    """One partition's run of batches. `done` is the position up to which all are acknowledged."""

    log: str
    start: int
    committed: int | None = None
    done: int = field(init=False)
    expected: int = field(init=False)
    held_bytes: int = 0
    _flights: deque[Flight] = field(default_factory=deque)
    _uncommitted: deque[tuple[int, float]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.done = self.expected = self.start

    @property
    def waiting(self) -> int:
        """Batches handed out that the agent has not taken yet. It takes them in order."""
        return len(list(takewhile(lambda flight: not flight.message.tracked, reversed(self._flights))))

    def admit(self, flight: Flight) -> None:
        """Count a batch as handed out. Raises BrokenRunError where it leaves a hole or repeats."""
        if flight.first != self.expected or flight.next <= flight.first:
            raise BrokenRunError(
                f"A batch from {flight.first} to {flight.next} came where {self.expected} was due. "
                "Nothing after the last whole batch was committed; the restart reads it again."
            )
        self.expected = flight.next
        self.held_bytes += flight.size
        self._flights.append(flight)

    def advance(self) -> None:
        """Move `done` over the acknowledged batches at the head, releasing them."""
        while self._flights and self._flights[0].message.acked:
            flight = self._flights.popleft()
            self.done = flight.next
            self.held_bytes -= flight.size
            self._uncommitted.append((flight.next, flight.since))

    def committable(self) -> int | None:
        """The position to commit, or None. A partition that has no offset yet commits its start."""
        return self.done if self.committed is None or self.done > self.committed else None

    def confirm(self, position: int) -> None:
        """The broker has this position now. Only called when it said so."""
        self.committed = position
        while self._uncommitted and self._uncommitted[0][0] <= position:
            self._uncommitted.popleft()

    def oldest(self) -> float | None:
        """When the oldest batch that is not committed was fetched (monotonic), or None."""
        if self._uncommitted:
            return self._uncommitted[0][1]
        return self._flights[0].since if self._flights else None


class CursorStatus(NamedTuple):
    """For metrics. `position` is where the acknowledged run ends; lag is `highwater - position`.

    `committed` is None until this process has committed or found an offset that counts, `highwater` until the first
    fetch. `oldest_uncommitted_monotonic` is when the oldest uncommitted batch was fetched, None without one.
    """

    tp: Partition
    log: str
    position: int
    committed: int | None
    highwater: int | None
    oldest_uncommitted_monotonic: float | None
    idle_ms: int | None = None
    """A time, milliseconds UTC by our clock: all that was appended before it is acknowledged. None: something waits."""

    @property
    def lag(self) -> int:
        """Records (at most: holes count too) between the acknowledged run and the log's end."""
        return max(0, (self.highwater or 0) - self.position)


class Found(NamedTuple):
    """What the broker knows of one partition at assignment.

    `end` is None where it cannot be believed (the embedded broker). `committed_log` is the commit's metadata, or
    what the ledger says; `vouched` is true when nobody can say and nobody was to be asked.
    """

    first: int
    end: int | None
    committed: int | None
    committed_log: str
    vouched: bool = False


class Start(NamedTuple):
    """Where reading begins. `committed` is the group's offset where it counts; `gap` that records left unjudged."""

    position: int
    committed: int | None
    gap: bool = False


def start_of(log: str, found: Found) -> Start:
    """Where to read a partition of `log` from.

    The committed offset, if it is tied to this log and lies in it; else the log's first position. Offset 0 counts.
    Behind the first position, records have left the log unjudged: a gap. Beyond the end, the log lost its tail, all
    of it judged: no gap, but what took its place must be read.
    """
    if found.committed is None or not (found.vouched or found.committed_log == log):
        return Start(found.first, None)
    if found.committed < found.first:
        return Start(found.first, None, gap=True)
    if found.end is not None and found.committed > found.end:
        return Start(found.first, None)
    return Start(found.committed, found.committed)
