"""ingest: raw topics → `detections`, `contributions`, `dead-letters`, and the store.

A batch is judged in slices, so that no stretch of work holds the event loop for long; it is acknowledged when the
broker has acknowledged its detections and dead letters, while the next one is judged already. Storing has a cursor of
its own (`pipeline.storing`): it may be behind or away, and nothing here waits for it longer than `Storing.room` allows.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.contributing import TOPIC, Contributing
from pipeline.delivery import Delivery, Outgoing
from pipeline.joining import pieces, told
from pipeline.suppressions import Report
from schemas.dead_letter import DeadLetter
from schemas.detection import Detection
from schemas.event import RecordBatch
from schemas.identity import Origin, short_hash

if TYPE_CHECKING:
    from detectors.audit.piece import Piece
    from detectors.correlation.contribution import Contribution
    from detectors.correlation.resolve import Correlations
    from pipeline.detecting import Hidden, Judgement
    from pipeline.metrics import Metrics
    from pipeline.parsers import Reader, Reading
    from pipeline.storing import Storing
    from pipeline.trial import Detects

#: Few enough that what is parsed of them stays in the processor's cache, enough for one scan to serve many.
SLICE_RECORDS = 128
SLICE_BYTES = 1 << 20

#: Batches judged whose results are still on their way to the broker.
ON_THEIR_WAY = 4

#: A dead letter larger than this travels shortened; whole it lies in the table `dead_letters`.
DEAD_LETTER_WHOLE = 512 << 10
DEAD_LETTER_HEAD = 64 << 10


class RawToDetections:
    """Judges batches of raw records."""

    def __init__(
        self,
        reader: Reader,
        rules: Detects,
        storing: Storing,
        delivery: Delivery,
        metrics: Metrics,
        contributing: Contributing,
    ) -> None:
        self._rules = rules
        self._contributing = contributing
        self._reader = reader
        self._storing = storing
        self._delivery = delivery
        self._metrics = metrics
        self._suppressed = Report(metrics)
        self._room = asyncio.Semaphore(ON_THEIR_WAY)
        self._sending: set[asyncio.Task[None]] = set()

    async def handle(self, batch: RecordBatch, ack: Callable[[], None]) -> None:
        """Judge one batch; `ack` is called when its outcome is durable, perhaps after this has returned.

        Raises UnreachableError when this batch's outcome, or an earlier one's, cannot be made durable: stop.
        """
        self.check()
        await self._storing.room()
        detections: list[Detection] = []
        hidden: list[Hidden] = []
        shared: list[tuple[Correlations, list[Contribution]]] = []
        letters: list[Outgoing] = []
        audit: list[Piece] = []
        size = 0
        flight = self._contributing.began(batch)
        for part in slices(batch):
            size += part.size
            rules = self._rules.correlations
            found, contributions, joining, dead = self._judge(part)
            audit += joining
            detections += found.detections
            hidden += found.hidden
            if contributions:
                if not shared or shared[-1][0] is not rules:  # rules may change between two slices
                    shared.append((rules, []))
                shared[-1][1].extend(contributions)
            letters += dead
            await asyncio.sleep(0)
        self._count_batch(batch, size, detections)
        if hidden:
            self._suppressed.hidden(hidden)
        outcome = {
            "detections": [outgoing(found) for found in detections],
            TOPIC: [
                *(parcel for made in shared for parcel in self._contributing.parcels(*made)),
                *(self._contributing.joins(told(audit, self._rules.joins)) if audit else ()),
            ],
            "dead-letters": letters,
        }

        def durable() -> None:
            flight.delivered = True
            ack()

        if not any(outcome.values()):
            durable()
            return
        await self._room.acquire()
        self._sending.add(asyncio.create_task(self._deliver(outcome, durable)))

    def use(self, rules: Detects) -> None:
        """Judge by this set from the next slice on."""
        self._rules = rules

    @property
    def correlations(self) -> Correlations:
        """Those in force."""
        return self._rules.correlations

    @property
    def joins(self) -> bool:
        """Whether audit records are joined for rules in force."""
        return bool(self._rules.joins)

    def look(self, now_ms: float) -> None:
        """Say which suppressions are in force at `now_ms`, and which have expired."""
        self._suppressed.look(self._rules.suppressions, now_ms)

    def check(self) -> None:
        """Raise what an earlier delivery failed of. Called by the worker too, so that an idle one stops as well."""
        for task in [task for task in self._sending if task.done()]:
            task.result()  # a failed one stays, so that whoever asks next is told as well
            self._sending.discard(task)

    async def drain(self) -> None:
        """Wait until everything judged is delivered and acknowledged. Raises as `handle` does."""
        if self._sending:
            await asyncio.wait(self._sending)
        self.check()

    def _judge(self, part: RecordBatch) -> tuple[Judgement, Sequence[Contribution], Sequence[Piece], list[Outgoing]]:
        """Parse and match one slice and offer its rows. Its events are gone when this returns: two slices at once
        would not fit into the processor's cache."""
        started = time.perf_counter()
        reading = self._reader.read(part)
        parsed = time.perf_counter()
        found = self._rules.judge(part.log, part.topic, part.partition, reading.events)
        matched = time.perf_counter()
        stage = self._metrics["stage_seconds_total"]
        stage.labels(stage="parse").inc(parsed - started)
        stage.labels(stage="match").inc(matched - parsed)
        self._count_reading(part.topic, reading)
        self._storing.offer(part, reading)
        lane = f"{part.log}/{part.topic}/{part.partition}"
        made = pieces(lane, reading.events) if self._rules.joins else ()
        shared, joining = self._contributing.read(part, found.contributions, made)
        if found.dropped:
            self._contributing.dropped(found.dropped)
        late = {one.offset for one in shared if one.late}
        if late:  # for a hunt that evaluates them again
            told = [one.model_copy(update={"late": True}) if one.offset in late else one for one in found.detections]
            found = found._replace(detections=told)
        return found, shared, joining, [dead_letter(part, dead) for dead in reading.dead]

    async def _deliver(self, outcome: dict[str, list[Outgoing]], ack: Callable[[], None]) -> None:
        started = time.perf_counter()
        try:
            await asyncio.gather(
                *(self._delivery.send(topic, records) for topic, records in outcome.items() if records)
            )
        finally:
            self._room.release()
        ack()
        self._metrics["stage_seconds_total"].labels(stage="deliver").inc(time.perf_counter() - started)

    def _count_reading(self, topic: str, reading: Reading) -> None:
        late = sum(1 for event in reading.events if event.late)
        doubtful = sum(1 for event in reading.events if event.doubtful)
        if late:
            self._metrics["late_total"].labels(topic=topic).inc(late)
        if doubtful:
            self._metrics["doubtful_time_total"].labels(topic=topic).inc(doubtful)
        for reason, count in Counter(dead.reason for dead in reading.dead).items():
            self._metrics["dead_letters_total"].labels(topic=topic, reason=reason).inc(count)

    def _count_batch(self, batch: RecordBatch, size: int, detections: list[Detection]) -> None:
        self._metrics["records_total"].labels(topic=batch.topic).inc(len(batch.records))
        self._metrics["record_bytes_total"].labels(topic=batch.topic).inc(size)
        self._metrics["batch_records"].labels(topic=batch.topic).observe(len(batch.records))
        for (kind, level), count in Counter((found.kind, found.level) for found in detections).items():
            self._metrics["detections_total"].labels(kind=kind, level=level).inc(count)
        for level, count in Counter(found.level for found in detections if found.stage == "shadow").items():
            self._metrics["shadow_detections_total"].labels(level=level).inc(count)


def slices(batch: RecordBatch) -> Iterator[RecordBatch]:
    """Cut a batch into contiguous parts of at most SLICE_RECORDS records and about SLICE_BYTES bytes.

    The parts' positions meet: each `first` is the `next` before it, the last `next` is the batch's own.
    """
    records, first, start, held = batch.records, batch.first, 0, 0
    for index, record in enumerate(records):
        held += len(record.value or b"")
        if index + 1 - start < SLICE_RECORDS and held < SLICE_BYTES and index + 1 < len(records):
            continue
        position = record.offset + 1 if index + 1 < len(records) else batch.next
        yield RecordBatch(batch.log, batch.topic, batch.partition, first, position, records[start : index + 1])
        first, start, held = position, index + 1, 0
    if not records:
        yield batch


def outgoing(found: Detection) -> Outgoing:
    """A detection as a record: keyed by its finding, so that one finding's detections stay in order."""
    return Outgoing((found.finding.id if found.finding else short_hash(found.subject)).encode(), found.to_bytes())


def dead_letter(part: RecordBatch, dead: DeadLetter) -> Outgoing:
    """A dead letter as a record: the original bytes, everything else in headers."""
    origin = Origin(part.log, part.topic, part.partition, dead.offset)
    raw = dead.raw or b""
    headers = {
        "reason": dead.reason,
        "log": part.log,
        "topic": part.topic,
        "partition": str(part.partition),
        "offset": str(dead.offset),
        "time": str(dead.kafka_ms),
        "null": str(int(dead.raw is None)),
        "length": str(len(raw)),
        "sha256": hashlib.sha256(raw).hexdigest(),
    }
    key = "-".join(map(str, origin)).encode()
    value = raw if len(raw) <= DEAD_LETTER_WHOLE else raw[:DEAD_LETTER_HEAD]
    return Outgoing(key, value, tuple((name, text.encode()) for name, text in headers.items()))
