"""respond: `intake` → journal → `incidents`. One process is active, by holding the partition of `intake`.

Fold, decide, append, publish, acknowledge, in this order. Whatever a crash cuts off is read again: entries that are in
the journal are not decided twice (facts follow from what the state lacks), revisions that may not have been published
are published again, the same under the same number.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from pydantic import ValidationError

from detectors.triage.desk import Desk, Judged, Waiting
from pipeline.agents.raw_to_detections import dead_letter
from pipeline.delivery import Delivery, Outgoing
from pipeline.journal import Journal
from schemas.dead_letter import DeadLetter
from schemas.errors import RefusedError
from schemas.event import RecordBatch
from schemas.event_list import EventList
from schemas.incident import Incident
from schemas.intake import FindingUpdate, Revocations, intake_item
from schemas.journal import Intake, Sealed, chained

if TYPE_CHECKING:
    from pipeline.metrics import Metrics

#: Updates judged, journaled and published together: the event loop is not held longer than some 100 ms.
TOGETHER = 500
#: A broker that forgot `intake` may also have lost revisions that no one stored: those of this time are sent again.
FORGOTTEN_MS = 86_400_000

log = structlog.get_logger("respond")


class IntakeToIncidents:
    """The agent. Call `tick` about every 100 ms, `release` when the partition is given up or the worker stops.

    `clock` is monotonic, seconds; `wall` the wall clock, milliseconds UTC; `zone` the bank's, for incident numbers.
    """

    def __init__(
        self,
        journal: Journal,
        event_list: EventList,
        delivery: Delivery,
        metrics: Metrics,
        zone: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._journal = journal
        self._event_list = event_list
        self._delivery = delivery
        self._metrics = metrics
        self._zone = _zone(zone)
        self._clock = clock
        self._wall = wall
        self._lock = asyncio.Lock()
        self._desk: Desk | None = None
        self._epoch = 0
        self._republished = False
        self._turn = 0
        self._open: deque[tuple[Intake, Callable[[], None]]] = deque()

    @property
    def active(self) -> bool:
        """Whether this process holds the journal."""
        return self._desk is not None

    def use(self, event_list: EventList) -> None:
        """Decide by another revision of the event list from now on; what it decided before stays."""
        self._event_list = event_list
        if self._desk is not None:
            self._desk.event_list = event_list

    async def take_over(self) -> None:
        """Take the journal and fold it, if that is not done. `handle` does it by itself; earlier is quicker.

        May wait for the writer before us, bounded. Raises RefusedError (a broken journal) or UnreachableError.
        """
        async with self._lock:
            await self._take_over()

    async def handle(self, batch: RecordBatch, ack: Callable[[], None]) -> None:
        """Take in a batch; `ack` is called once every record of it is answered, up to a second after this returns.

        A batch that waited while the partition was given up is left to whoever reads it again: taking the journal for
        it would keep the new owner out. Raises UnreachableError or another QorganError when the outcome cannot be made
        durable: stop, and start again.
        """
        turn = self._turn
        async with self._lock:
            if turn != self._turn:
                return
            desk = await self._take_over()
            await self._publish_again(desk, batch)
            taken = read_intake(batch)
            self._count(batch, len(taken.letters))
            if taken.letters:
                await self._delivery.send("dead-letters", taken.letters)
            self._open.append((Intake(log=batch.log, offset=batch.next), ack))
            desk.take(taken.waiting)
            # What was found before an indicator was taken back is in its incident first.
            await self._work(desk, everything=bool(taken.revoked))
            await self._revoke(desk, taken.revoked)

    async def tick(self) -> None:
        """Judge what has waited its second."""
        async with self._lock:
            if self._desk is not None and self._desk.waiting:
                await self._work(self._desk)

    async def release(self) -> None:
        """Finish what waits, then let the next process have the journal. Safe to call at any time."""
        self._turn += 1
        async with self._lock:
            try:
                if self._desk is not None:
                    await self._work(self._desk, everything=True)
            finally:
                await self._let_go()

    async def _take_over(self) -> Desk:
        if self._desk is not None:
            return self._desk
        started = self._clock()
        desk = Desk(self._event_list, self._year)
        await self._journal.take(lambda sealed: desk.incidents.apply(sealed.entry))
        self._epoch = self._journal.head.epoch + 1
        self._desk, self._republished = desk, False
        log.info(
            "holds the journal",
            entries=self._journal.head.seq,
            incidents=len(desk.incidents.cases),
            epoch=self._epoch,
            seconds=round(self._clock() - started, 3),
        )
        return desk

    async def _publish_again(self, desk: Desk, batch: RecordBatch) -> None:
        if not self._republished:
            await self._publish(desk.since(batch.log, batch.first, self._wall() - FORGOTTEN_MS))
            self._republished = True

    async def _work(self, desk: Desk, *, everything: bool = False) -> None:
        """Judge what is due. A failure leaves decisions that are in no journal: they are forgotten with the desk."""
        try:
            while True:
                judged = desk.work(self._wall(), self._clock(), most=TOGETHER, everything=everything)
                await self._make_durable(desk, judged)
                if not judged.updates:
                    break
        except BaseException:
            await self._let_go()
            raise
        self._acknowledge(desk)

    async def _revoke(self, desk: Desk, revoked: list[tuple[Revocations, Intake]]) -> None:
        for said, intake in revoked:
            try:
                await self._make_durable(desk, desk.revoke(said.revoked, intake, self._wall()))
            except BaseException:
                await self._let_go()
                raise

    async def _make_durable(self, desk: Desk, judged: Judged) -> None:
        if not judged.facts:
            return
        entries = chained(self._journal.head, self._epoch, judged.facts)
        await self._journal.append(entries)
        await self._publish([desk.incidents.incident(incident) for incident in judged.incidents])
        self._count_judged(entries, judged, desk)

    async def _publish(self, incidents: list[Incident]) -> None:
        if incidents:
            await self._delivery.send("incidents", [Outgoing(one.id.encode(), one.to_bytes()) for one in incidents])
            self._metrics["incident_revisions_total"].inc(len(incidents))

    def _acknowledge(self, desk: Desk) -> None:
        waiting = {(member.intake.log, member.intake.offset) for member in desk.waiting}
        oldest = min((offset for _, offset in waiting), default=None)
        while self._open and (oldest is None or self._open[0][0].offset <= oldest):
            self._open.popleft()[1]()

    async def _let_go(self) -> None:
        self._desk = None
        self._open.clear()
        await self._journal.close()

    def _year(self, at: int) -> int:
        return datetime.fromtimestamp(at / 1000, UTC).astimezone(self._zone).year

    def _count(self, batch: RecordBatch, bad: int) -> None:
        self._metrics["records_total"].labels(topic=batch.topic).inc(len(batch.records))
        self._metrics["record_bytes_total"].labels(topic=batch.topic).inc(batch.size)
        self._metrics["batch_records"].labels(topic=batch.topic).observe(len(batch.records))
        if bad:
            self._metrics["dead_letters_total"].labels(topic=batch.topic, reason="shape").inc(bad)
            log.error("records are no updates of findings", topic=batch.topic, records=bad)

    def _count_judged(self, entries: list[Sealed], judged: Judged, desk: Desk) -> None:
        kinds = Counter(sealed.entry.body.kind for sealed in entries)
        for kind, count in kinds.items():
            self._metrics["journal_entries_total"].labels(kind=kind).inc(count)
        for incident in {sealed.entry.incident for sealed in entries if sealed.entry.body.kind == "registered"}:
            self._metrics["incidents_total"].labels(priority=desk.incidents.cases[incident].lead.priority).inc()
        for item, count in Counter(judged.opened).items():
            self._metrics["findings_total"].labels(item=item).inc(count)
        now = self._wall()
        for update in judged.updates:
            if not update.retrospective:
                self._metrics["incident_seconds"].observe(max(0, now - update.kafka_time) / 1000)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise RefusedError(f"There is no time zone {name}: set QORGAN_TIMEZONE, e.g. to Asia/Almaty.") from None


class Taken(NamedTuple):
    """What a batch of `intake` says, each with its place."""

    waiting: list[Waiting]
    revoked: list[tuple[Revocations, Intake]]
    letters: list[Outgoing]
    """What is none of these, as dead letters."""


def read_intake(batch: RecordBatch) -> Taken:
    """Read the records of a batch. Marks of indicators say nothing to triage: a hunt will ask for them."""
    taken = Taken([], [], [])
    for record in batch.records:
        place = Intake(log=batch.log, offset=record.offset)
        try:
            said = intake_item(record.value or b"")
        except ValidationError:
            letter = DeadLetter(record.offset, record.timestamp, "shape", record.key, record.value)
            taken.letters.append(dead_letter(batch, letter))
            continue
        if isinstance(said, FindingUpdate):
            taken.waiting.append(Waiting(said, place))
        elif isinstance(said, Revocations):
            taken.revoked.append((said, place))
    return taken
