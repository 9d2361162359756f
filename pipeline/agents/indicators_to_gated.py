"""curate: `indicators` and feeds → gate → `indicators.gated`.

    documents, commands ── which are new? ── where were their values seen? ── fold and gate ── catalogue ── published
                                                                                              (one transaction)

The store is asked before the catalogue is touched, so a slow sweep of one feed does not keep another's word waiting.
A batch is acknowledged when what it changed is published; it is not folded twice, since the catalogue holds the
position. While the store is away new indicators are published as `waiting`, and tried again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
from pydantic import ValidationError

from detectors.ioc import life
from pipeline import submissions
from pipeline.agents.detections_to_intake import INTAKE_KEY
from pipeline.catalogue import Catalogue, Place, Row
from pipeline.delivery import Delivery, Outgoing
from pipeline.gated import TOPIC, GatedReader
from pipeline.gatekeeping import NOTHING, Gatekeeper, Sight
from schemas.event import Observable, RecordBatch
from schemas.indicator_record import (
    SETTLED_KEY,
    Command,
    Document,
    Gated,
    Pair,
    Poll,
    Word,
    record_key,
    settled,
)
from schemas.intake import MOST_REVOKED, Revocation, Revocations

if TYPE_CHECKING:
    from pipeline.metrics import Metrics

SUBMISSIONS: Final = "indicators"
#: Entries folded, gated, written and published together: a tenth of a second.
TOGETHER: Final = 1_000

log = structlog.get_logger("curate")


class Logs(Protocol):
    """What is asked of `pipeline.logs.Logs`."""

    async def current(self, topic: str) -> str: ...


class IndicatorsToGated:
    """The agent. `reserved`: names of our feeds, whose indicators nobody else may submit. `wall`: milliseconds UTC.

    `on_poll` is called for a request to poll. `release` lets go of the catalogue: another process may have it then.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        keeper: Gatekeeper,
        logs: Logs,
        delivery: Delivery,
        metrics: Metrics,
        *,
        reserved: frozenset[str] = frozenset(),
        on_poll: Callable[[Poll], None] = lambda _: None,
        reader: Callable[[int], GatedReader] | None = None,
        wall: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._catalogue, self._keeper, self._logs = catalogue, keeper, logs
        self._delivery, self._metrics, self._reserved = delivery, metrics, reserved
        self._on_poll, self._reader, self._wall = on_poll, reader, wall
        self._lock, self._handling = asyncio.Lock(), asyncio.Lock()
        self._held = False
        self.done: Counter[str] = Counter()
        """What became of the entries that changed, by state, since the start."""

    async def handle(self, batch: RecordBatch, ack: Callable[[], None]) -> None:
        """Take in a batch of `indicators`. Raises UnreachableError or another QorganError: stop, and start again."""
        async with self._handling:
            await self._handle(batch)
            ack()

    async def _handle(self, batch: RecordBatch) -> None:
        await self.take_over()
        place = await asyncio.to_thread(self._catalogue.place, SUBMISSIONS)
        known = place.position if place is not None and place.log == batch.log else 0
        said, letters = await asyncio.to_thread(submissions.read, batch, known, self._reserved)
        if letters:
            await self._delivery.send("dead-letters", letters)
        self._count(batch, len(letters))
        await self.take([one for one in said if not isinstance(one, Poll)])
        await self._at({SUBMISSIONS: Place(batch.log, max(known, batch.next))})
        for one in said:
            if isinstance(one, Poll):
                self._on_poll(one)

    async def take(self, said: Sequence[Document | Command], *, feed: str = "", poll: int = 0) -> None:
        """Fold these, gate what is new, publish what changed. `feed`, `poll`: that they came by.

        What is said twice changes nothing, so a part of them may be taken in again.
        """
        await self.take_over()
        values = await self._ungated(said)
        sight = await self._keeper.look(values)
        for piece in _pieces(said):
            async with self._lock:
                changed = await asyncio.to_thread(self._folded, piece, sight, feed, poll)
                await self._publish(changed)

    async def again(self) -> None:
        """Ask the store for what waits, and end what is over."""
        await self.take_over()
        after: Pair = ("", "")
        while waiting := await asyncio.to_thread(self._catalogue.unasked, 20 * TOGETHER, after):
            sight = await self._keeper.look([value for one in waiting for value in one.document.observables()])
            if not sight.asked:
                break
            after = waiting[-1].key
            for piece in _pieces(waiting):
                await self._renew([one.key for one in piece], sight)
        while over := await asyncio.to_thread(self._catalogue.ended, self._wall(), TOGETHER):
            await self._renew([one.key for one in over], NOTHING)

    async def withdraw(self, feed: str, poll: int) -> None:
        """Revoke, in their source's name, what a feed had and the poll of this number did not."""
        while gone := await asyncio.to_thread(self._catalogue.missing, feed, poll, TOGETHER):
            now = self._wall()
            said = [
                Command(
                    kind="revoke",
                    source=one.source,
                    id=one.id,
                    by=feed,
                    reason="its source no longer has it",
                    at=max(now, one.document.at),
                )
                for one in gone
            ]
            await self.take(said, feed=feed, poll=poll)

    async def settle(self, about: Mapping[str, object]) -> None:
        """Say on the topic that everything held stands before this; `about` the feeds goes with it."""
        counts = await asyncio.to_thread(self._catalogue.counts)
        value = settled(self._wall(), sum(counts.values()), {"counts": counts, **about})
        await self._delivery.send(TOPIC, [Outgoing(SETTLED_KEY, value)])

    async def release(self) -> None:
        """Let go of the catalogue. Safe to call at any time."""
        async with self._handling, self._lock:
            self._held = False
            await asyncio.to_thread(self._catalogue.close)

    async def take_over(self) -> None:
        """Take the catalogue, bring it and the topic to one state. Raises UnreachableError."""
        async with self._lock:
            if self._held:
                return
            started = time.monotonic()
            await asyncio.to_thread(self._catalogue.open)
            now = await self._logs.current(TOPIC)
            place = await asyncio.to_thread(self._catalogue.place, TOPIC)
            if place is None or place.log != now:
                await asyncio.to_thread(self._catalogue.forget_sent)
                place = Place(now, 0)
            await asyncio.to_thread(self._learn, place)
            while unsent := await asyncio.to_thread(self._catalogue.unsent, TOGETHER):
                await self._publish(unsent)
            self._held = True
            counts = await asyncio.to_thread(self._catalogue.counts)
            log.info("holds the catalogue of indicators", seconds=round(time.monotonic() - started, 1), **counts)

    def _learn(self, place: Place) -> None:
        """Take in what another process has published: of two revisions the higher stands."""
        if self._reader is None:
            return
        reader = self._reader(place.position)
        try:
            end = False
            while not end:
                got = reader.read()
                end = got.end
                self._merge([value for key, value in got.records if key != SETTLED_KEY])
                place = Place(place.log, got.position)
        finally:
            reader.close()
        self._catalogue.put([], {TOPIC: place})

    def _merge(self, values: Sequence[bytes]) -> None:
        told: dict[Pair, Gated] = {}
        for value in values:
            try:
                entry = Gated.from_bytes(value)
            except ValidationError:
                log.warning("a record of indicators.gated cannot be read: somebody else writes there")
                continue
            told[entry.key] = entry
        known = self._catalogue.get(told)
        rows = []
        for key, entry in told.items():
            row = known.get(key)
            newer = row is None or row.entry.revision < entry.revision
            kept = entry if newer or row is None else row.entry
            rows.append(Row(kept, max(entry.revision, row.sent if row else 0), row.poll if row else 0))
        self._catalogue.put(rows)

    async def _ungated(self, said: Sequence[Document | Command]) -> list[Observable]:
        """The values that the store is yet to be asked for."""
        found: dict[Observable, None] = {}
        documents = [one for one in said if isinstance(one, Document)]
        for piece in _pieces(documents):
            async with self._lock:
                known = await asyncio.to_thread(self._catalogue.get, {one.key for one in piece})
            for one in piece:
                row = known.get(one.key)
                if row is None or not row.entry.asked or row.entry.document.values != one.values:
                    found |= dict.fromkeys(one.observables())
        return list(found)

    async def _renew(self, keys: Iterable[Pair], sight: Sight) -> None:
        """State these anew."""
        async with self._lock:
            known = await asyncio.to_thread(self._catalogue.get, keys)
            entries = {key: row.entry for key, row in known.items()}
            changed = await asyncio.to_thread(self._stated, entries, known, sight, {})
            await self._publish(changed)

    def _folded(self, said: Sequence[Document | Command], sight: Sight, feed: str, poll: int) -> list[Gated]:
        known = self._catalogue.get(dict.fromkeys(one.key for one in said))
        entries: dict[Pair, Gated] = {}
        for one in said:
            before = entries.get(one.key) or (known[one.key].entry if one.key in known else None)
            if isinstance(one, Document):
                entries[one.key] = life.submitted(before, one, feed=feed)
            elif before is not None:
                entries[one.key] = life.told(before, one)
            elif one.kind != "revoke":  # feeds withdraw what they never gave
                log.warning("a command is about an indicator that there is not", kind=one.kind)
        polls = {one.key: poll for one in said if poll and isinstance(one, Document)}
        return self._stated(entries, known, sight, polls)

    def _stated(
        self,
        entries: Mapping[Pair, Gated],
        known: Mapping[Pair, Row],
        sight: Sight,
        polls: Mapping[Pair, int],
    ) -> list[Gated]:
        """Gate and write the entries; those that changed visibly."""
        now = self._wall()
        rows, changed, same = [], [], []
        for key, entry in entries.items():
            row = known.get(key)
            stated = life.stated(self._gate(entry, sight), row.entry if row else None, now)
            # Only a word that came after a revocation needs its time remembered.
            if row is not None and stated.revision == row.entry.revision and stated.revoked is None:
                same.append(key)
                continue
            rows.append(Row(stated, row.sent if row else 0, polls.get(key, row.poll if row else 0)))
            if row is None or stated.revision != row.entry.revision:
                changed.append(stated)
        self._catalogue.put(rows)
        if polls and same:
            self._catalogue.touch(same, max(polls.values()))
        return changed

    def _gate(self, entry: Gated, sight: Sight) -> Gated:
        """The entry gated, where that is yet to be done: by what the store answered, or by all but it."""
        if entry.asked:
            return entry
        values = entry.document.observables()
        asked = sight.of(values)
        seen = [sight.seen[value] for value in values if value in sight.seen] if asked else []
        return life.gated(entry, self._keeper.gate.reasons(values, sight.seen if asked else {}), seen, asked=asked)

    async def _publish(self, entries: Sequence[Gated]) -> None:
        if not entries:
            return
        # Triage first: a crash between the two says it twice, which adds nothing.
        for piece in _pieces([revocation(one) for one in entries if one.state == "revoked"], MOST_REVOKED):
            await self._delivery.send("intake", [Outgoing(INTAKE_KEY, Revocations(revoked=tuple(piece)).to_bytes())])
        await self._delivery.send(TOPIC, [Outgoing(record_key(*one.key), one.to_bytes()) for one in entries])
        await asyncio.to_thread(self._catalogue.confirmed, entries)
        for state, count in Counter(one.state for one in entries).items():
            self.done[state] += count
            self._metrics["indicator_revisions_total"].labels(state=state).inc(count)

    async def _at(self, places: Mapping[str, Place]) -> None:
        async with self._lock:
            await asyncio.to_thread(self._catalogue.put, [], places)

    def _count(self, batch: RecordBatch, bad: int) -> None:
        self._metrics["records_total"].labels(topic=batch.topic).inc(len(batch.records))
        self._metrics["record_bytes_total"].labels(topic=batch.topic).inc(batch.size)
        self._metrics["batch_records"].labels(topic=batch.topic).observe(len(batch.records))
        if bad:
            self._metrics["dead_letters_total"].labels(topic=batch.topic, reason="shape").inc(bad)
            log.error("records are no indicators and no commands", topic=batch.topic, records=bad)


def revocation(entry: Gated) -> Revocation:
    """What triage is told of an indicator that its source took back."""
    word = entry.revoked or Word()
    return Revocation(source=entry.source, indicator=entry.id, by=word.by, reason=word.reason, at=word.at)


def _pieces(some: Sequence[Any], most: int = TOGETHER) -> Iterator[list[Any]]:
    rest = iter(some)
    while piece := list(islice(rest, most)):
        yield piece
