"""Which snapshot says who is who: the one in force at a record's Kafka time, so that live, replay and hunt agree."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from enrichers.identity import entities
from enrichers.who import NOTHING, Resolved, Snapshot
from schemas.event import Event
from schemas.identity import short_hash
from schemas.who import Who


class Identities:
    """All snapshots that are kept, by the Kafka time from which each counts."""

    def __init__(self, snapshots: Sequence[Snapshot] = ()) -> None:
        ordered = sorted(snapshots, key=lambda each: each.since)
        # One that says the same as the one before it changes nothing.
        self.snapshots = [now for at, now in enumerate(ordered) if not at or now.revision != ordered[at - 1].revision]
        self._since = [each.since for each in self.snapshots]
        self.revision = short_hash("identities", *(part for s in self.snapshots for part in (s.since, s.revision)))

    def at(self, kafka_ms: int) -> Snapshot | None:
        """The snapshot in force at Kafka's time of a record; None before the first."""
        place = bisect_right(self._since, kafka_ms)
        return self.snapshots[place - 1] if place else None

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
        return None if snapshot is None else Who(snapshot=snapshot.revision, asset=snapshot.concerned(entities))


NO_IDENTITIES: Final = Identities()
