"""How far each owned partition of the raw topics is read, in Kafka's time: what correlations wait for.

A partition's mark is the largest timestamp read that is not too far ahead of our clock. It is told when everything up
to there is delivered, contributions included. Where nothing is left to read, the mark is our clock at a fetch after
which another found nothing either, less a margin for clocks that differ.

What a topic with shippers' timestamps holds behind its own mark is *late* by the same measure as an event that is
behind Kafka's time; so is what is far ahead of our clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, Protocol, Self, TypeVar

from detectors.correlation.parcels import lane
from pipeline.transport_cursor import CursorStatus
from schemas.event import RecordBatch

#: A record's time may be so far ahead of our clock, milliseconds; beyond it it moves no mark.
AHEAD_MS: Final = 300_000
#: Clocks of broker and reader may differ by so much where a mark rests on the reader's.
MARGIN_MS: Final = 10_000
_NONE: Final = -(1 << 62)


class Made(Protocol):
    """What is made of a record and must not be later than its lane's mark allows: contributions, audit records."""

    @property
    def offset(self) -> int: ...
    @property
    def time(self) -> int: ...
    @property
    def late(self) -> bool: ...
    def _replace(self, *, late: bool) -> Self: ...


Of = TypeVar("Of", bound=Made)


@dataclass(slots=True)
class Flight:
    """A batch under way, and the mark that stands when it is delivered."""

    mark: int
    delivered: bool = False


@dataclass(slots=True)
class _Lane:
    log: str
    read: int = _NONE
    """The largest timestamp read."""
    ready: int = _NONE
    """The mark that may be told."""
    told: int = _NONE
    flights: deque[Flight] = field(default_factory=deque)


class Marks:
    """The marks of one process. `clock`: the wall clock, milliseconds UTC; `lateness`: milliseconds, by topic."""

    def __init__(self, clock: Callable[[], int], lateness: Callable[[str], int]) -> None:
        self._clock = clock
        self._lateness = lateness
        self._lanes: dict[tuple[str, int], _Lane] = {}

    def began(self, batch: RecordBatch) -> Flight:
        """A batch is being judged; `flight.delivered` is to be set when its outcome is durable."""
        held = self._lane(batch)
        flight = Flight(held.read)
        held.flights.append(flight)
        return flight

    def read(self, part: RecordBatch, made: Sequence[Of]) -> Sequence[Of]:
        """A part of that batch is read: what is made of it, late where the partition's mark says so."""
        held, limit = self._lane(part), self._clock() + AHEAD_MS
        before = held.read
        times = [record.timestamp for record in part.records if record.timestamp <= limit]
        held.read = max([before, *times])
        if held.flights:
            held.flights[-1].mark = held.read
        return list(self._judged(part, made, before, limit)) if made else ()

    def at(self, part: RecordBatch) -> int:
        """The mark of that batch's partition: how far it is read."""
        return self._lane(part).read

    def look(self, cursors: Iterable[CursorStatus]) -> None:
        """Which partitions are owned, and which of them have nothing left to read."""
        owned = {(cursor.tp.topic, cursor.tp.partition): cursor for cursor in cursors}
        self._lanes = {at: held for at, held in self._lanes.items() if at in owned and held.log == owned[at].log}
        for at, cursor in owned.items():
            held = self._lanes.setdefault(at, _Lane(cursor.log))
            while held.flights and held.flights[0].delivered:
                held.ready = max(held.ready, held.flights.popleft().mark)
            if cursor.idle_ms is not None and not held.flights:
                held.ready = max(held.ready, cursor.idle_ms - MARGIN_MS)

    def due(self) -> dict[str, int]:
        """The marks that have moved since they were told; they count as told from now on."""
        moved = {}
        for (topic, partition), held in self._lanes.items():
            if held.ready > held.told:
                held.told = moved[lane(held.log, topic, partition)] = held.ready
        return moved

    def again(self) -> None:
        """Tell every mark at the next turn: those told did not arrive, or who reads them is new."""
        for held in self._lanes.values():
            held.told = _NONE

    def _judged(self, part: RecordBatch, made: Sequence[Of], before: int, limit: int) -> Iterable[Of]:
        lateness = self._lateness(part.topic)
        times = [record.timestamp for record in part.records]
        marks = accumulate((time if time <= limit else _NONE for time in times), max, initial=before)
        asked = {one.offset for one in made}
        said = {
            record.offset: (mark, record.timestamp)
            for record, mark in zip(part.records, marks, strict=False)
            if record.offset in asked
        }
        for one in made:
            mark, time = said[one.offset]
            late = one.late or time > limit or one.time < mark - lateness
            yield one._replace(late=True) if late and not one.late else one

    def _lane(self, batch: RecordBatch) -> _Lane:
        at = (batch.topic, batch.partition)
        held = self._lanes.get(at)
        if held is None or held.log != batch.log:
            held = self._lanes[at] = _Lane(batch.log)
        return held
