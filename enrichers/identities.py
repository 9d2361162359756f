"""Which snapshot says who is who: the one in force at a record's Kafka time, so that live, replay and hunt agree."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Final, NamedTuple

from enrichers.identity import entities
from enrichers.lookups import NOTHING
from enrichers.who import Resolved, Snapshot
from schemas.event import Event
from schemas.identity import short_hash
from schemas.who import Who

#: Snapshots that are open at once: the stream needs two, a hunt goes through them one after the other.
_OPEN: Final = 4
_NEVER: Final = 1 << 63


class Kept(NamedTuple):
    """A snapshot that may be opened, which takes a moment and may raise what `open` raises."""

    since: int
    revision: str
    open: Callable[[], Snapshot]


class Identities:
    """All snapshots that are kept, by the Kafka time from which each counts. The last two are opened at once."""

    def __init__(self, kept: Sequence[Kept] = ()) -> None:
        ordered = sorted(kept, key=lambda each: each.since)
        # One that says the same as the one before it changes nothing.
        self._kept = [now for at, now in enumerate(ordered) if not at or now.revision != ordered[at - 1].revision]
        self._since = [each.since for each in self._kept]
        self._snapshot = lru_cache(_OPEN)(partial(_opened, self._kept))
        self.revision = short_hash("identities", *(part for each in self._kept for part in each[:2]))
        last = [self._snapshot(place) for place in range(max(0, len(self._kept) - 2), len(self._kept))]
        self._newest = self._since[-1] if last else _NEVER
        self._last = last[-1] if last else None

    @classmethod
    def of_snapshots(cls, *snapshots: Snapshot) -> Identities:
        """Of snapshots that are open."""
        return cls([Kept(each.since, each.revision, partial(_same, each)) for each in snapshots])

    def at(self, kafka_ms: int) -> Snapshot | None:
        """The snapshot in force at Kafka's time of a record; None before the first."""
        if kafka_ms >= self._newest:  # nearly every record is of now
            return self._last
        place = bisect_right(self._since, kafka_ms)
        return self._snapshot(place - 1) if place else None

    def of(self, event: Event) -> Resolved:
        """The entities of an event; folded alone where no snapshot is in force."""
        snapshot = self.at(event.kafka_ms)
        if snapshot is None:
            return Resolved(entities(event.host, event.user, event.src_ip), NOTHING, NOTHING, NOTHING)
        user, product = event.user, event.source.product
        if product == "windows" and user:
            user = snapshot.named(user, event.fields)
        return snapshot.resolve(event.host, user, event.src_ip, event.time_ms, product == "linux")

    def concerned(self, entities: Sequence[str], time_ms: int) -> Who | None:
        """What is told of entities that were resolved before: the asset. By the events' time, which is near Kafka's."""
        snapshot = self.at(time_ms)
        return None if snapshot is None else Who(snapshot=snapshot.revision, asset=snapshot.lookups.concerned(entities))


def _opened(kept: Sequence[Kept], place: int) -> Snapshot:
    return kept[place].open()


def _same(snapshot: Snapshot) -> Snapshot:
    return snapshot


NO_IDENTITIES: Final = Identities()
