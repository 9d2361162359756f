"""correlate: `detections` → `intake`: repeated ids dropped, the rest collapsed by finding.

The first detection of a finding, and every higher level or new rule, goes on at once; else a finding sends at most one
record a second. A batch is acknowledged when all that it contributed to was delivered, so a crash loses nothing that
waited; it only repeats, and repetition adds nothing (`schemas.intake`).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError

from detectors.triage.tactics import in_order, tactics_of, techniques_of
from pipeline.agents.raw_to_detections import dead_letter
from pipeline.delivery import Delivery, Outgoing
from schemas.dead_letter import DeadLetter
from schemas.detection import Detection, FindingRef
from schemas.event import RecordBatch
from schemas.intake import COUNTED_PER_FINDING, MOST_NAMES, Evidence, FindingUpdate
from schemas.severity import Severity

if TYPE_CHECKING:
    from pipeline.metrics import Metrics

#: Everything on `intake` has one key: the topic has one partition, and order is all.
INTAKE_KEY = b"intake"
#: Seconds between two records of one finding that say nothing urgent.
PACE_S = 1.0
#: A finding whose bound is reached sends one detection in so many seconds, as a sign that it goes on.
FULL_PACE_S = 60.0
#: Ids remembered to drop what a restart repeats, and findings to know what is new. Both only save work downstream.
REMEMBERED_IDS = 200_000
REMEMBERED_FINDINGS = 50_000

log = structlog.get_logger("correlate")


@dataclass(slots=True)
class Stream:
    """What was sent of one finding, and what waits."""

    ref: FindingRef
    level: Severity = Severity.INFORMATIONAL
    rules: set[str] = field(default_factory=set)
    sent: int = 0
    due: float = 0.0
    waiting: list[Detection] = field(default_factory=list)
    since: int = 0
    """The number of the oldest batch that has a detection in `waiting`."""


class Collapse:
    """The decision, without I/O. `now` is a monotonic clock in seconds; batches are numbered by the caller."""

    def __init__(self, remembered_ids: int = REMEMBERED_IDS, remembered_findings: int = REMEMBERED_FINDINGS) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._streams: OrderedDict[str, Stream] = OrderedDict()
        self._waiting: dict[str, Stream] = {}
        self._remembered_ids = remembered_ids
        self._remembered_findings = remembered_findings

    def judge(self, detections: Iterable[Detection], number: int, now: float) -> list[FindingUpdate]:
        """Take in a batch's detections; returns what goes on at once."""
        urgent: dict[str, Stream] = {}
        for found in detections:
            # What is withdrawn was told before, and stands in the store so; it is no news to page anyone with.
            if found.finding is None or found.face == "withdrawn" or self._repeated(found.id):
                continue
            stream = self._stream(found.finding)
            if self._take(stream, found, number, now):
                urgent[found.finding.id] = stream
        urgent |= {finding: stream for finding, stream in self._waiting.items() if stream.due <= now}
        return [update for stream in urgent.values() for update in self._send(stream, now)]

    def flush(self, now: float, *, everything: bool = False) -> list[FindingUpdate]:
        """What has waited long enough, or all that waits."""
        ready = [stream for stream in self._waiting.values() if everything or stream.due <= now]
        return [update for stream in ready for update in self._send(stream, now)]

    @property
    def oldest(self) -> int | None:
        """The number of the oldest batch of which something waits; None when nothing does."""
        return min((stream.since for stream in self._waiting.values()), default=None)

    def _repeated(self, detection_id: str) -> bool:
        if detection_id in self._ids:
            return True
        self._ids[detection_id] = None
        if len(self._ids) > self._remembered_ids:
            self._ids.popitem(last=False)
        return False

    def _stream(self, ref: FindingRef) -> Stream:
        stream = self._streams.get(ref.id)
        if stream is None:
            stream = self._streams[ref.id] = Stream(ref)
            self._forget()
        self._streams.move_to_end(ref.id)
        return stream

    def _forget(self) -> None:
        while len(self._streams) > self._remembered_findings:
            finding, stream = next(iter(self._streams.items()))
            if stream.waiting:
                return
            del self._streams[finding]

    def _take(self, stream: Stream, found: Detection, number: int, now: float) -> bool:
        """Keep a detection for the next update; whether that is to go at once."""
        level = Severity.of(found.level)
        full = stream.sent + len(stream.waiting) >= COUNTED_PER_FINDING
        goes_on = full and stream.due <= now
        if goes_on:
            stream.due = now + FULL_PACE_S
        urgent = level > stream.level or found.subject not in stream.rules or goes_on
        if full and not urgent:
            return False
        stream.level = max(stream.level, level)
        stream.rules.add(found.subject)
        if not stream.waiting:
            stream.since = number
            self._waiting[stream.ref.id] = stream
        stream.waiting.append(found)
        return urgent

    def _send(self, stream: Stream, now: float) -> list[FindingUpdate]:
        waiting, stream.waiting = stream.waiting, []
        self._waiting.pop(stream.ref.id, None)
        stream.sent += len(waiting)
        stream.due = now + (PACE_S if stream.sent < COUNTED_PER_FINDING else FULL_PACE_S)
        cuts = range(0, len(waiting), COUNTED_PER_FINDING)
        return [update_of(stream.ref, waiting[cut : cut + COUNTED_PER_FINDING]) for cut in cuts]


def update_of(ref: FindingRef, detections: list[Detection]) -> FindingUpdate:
    """One update from at least one detection of a finding."""
    tags = [tag for found in detections for tag in found.tags]
    entities = dict.fromkeys(name for found in detections for name in found.entities)
    times = [found.time for found in detections]
    return FindingUpdate(
        finding=ref,
        level=max(Severity.of(found.level) for found in detections).word,
        evidence=tuple(Evidence.of(found) for found in detections),
        entities=tuple(entities)[:MOST_NAMES],
        tactics=in_order(tactics_of(tags)),
        techniques=tuple(sorted(techniques_of(tags))[:MOST_NAMES]),
        first=min(times),
        last=max(times),
        kafka_time=min(found.kafka_time for found in detections),
        retrospective=all(found.retrospective for found in detections),
    )


class DetectionsToIntake:
    """The agent. Call `tick` about every 100 ms, `drain` before partitions are given up or the worker stops."""

    def __init__(self, delivery: Delivery, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._collapse = Collapse()
        self._delivery = delivery
        self._metrics = metrics
        self._clock = clock
        self._number = 0
        self._open: deque[tuple[int, Callable[[], None]]] = deque()
        self._lock = asyncio.Lock()

    async def handle(self, batch: RecordBatch, ack: Callable[[], None]) -> None:
        """Take in a batch and deliver what is urgent; `ack` is called once all that it contributed to is delivered.

        That may be up to a second after this returns. Raises UnreachableError when nothing can be delivered: stop.
        """
        async with self._lock:
            self._number += 1
            self._open.append((self._number, ack))
            detections, letters = read_detections(batch)
            self._count(batch, len(letters))
            if letters:
                await self._delivery.send("dead-letters", letters)
            await self._deliver(self._collapse.judge(detections, self._number, self._clock()))

    async def tick(self) -> None:
        """Deliver what has waited its second."""
        async with self._lock:
            await self._deliver(self._collapse.flush(self._clock()))

    async def drain(self) -> None:
        """Deliver all that waits, so that every batch is acknowledged."""
        async with self._lock:
            await self._deliver(self._collapse.flush(self._clock(), everything=True))

    async def _deliver(self, updates: list[FindingUpdate]) -> None:
        if updates:
            await self._delivery.send("intake", [Outgoing(INTAKE_KEY, update.to_bytes()) for update in updates])
        oldest = self._collapse.oldest
        while self._open and (oldest is None or self._open[0][0] < oldest):
            self._open.popleft()[1]()

    def _count(self, batch: RecordBatch, bad: int) -> None:
        self._metrics["records_total"].labels(topic=batch.topic).inc(len(batch.records))
        self._metrics["record_bytes_total"].labels(topic=batch.topic).inc(batch.size)
        self._metrics["batch_records"].labels(topic=batch.topic).observe(len(batch.records))
        if bad:
            self._metrics["dead_letters_total"].labels(topic=batch.topic, reason="shape").inc(bad)
            log.error("records are no detections", topic=batch.topic, partition=batch.partition, records=bad)


def read_detections(batch: RecordBatch) -> tuple[list[Detection], list[Outgoing]]:
    """The detections of a batch, and as dead letters what is none."""
    detections: list[Detection] = []
    letters: list[Outgoing] = []
    for record in batch.records:
        try:
            detections.append(Detection.from_bytes(record.value or b""))
        except ValidationError:
            letter = DeadLetter(record.offset, record.timestamp, "shape", record.key, record.value)
            letters.append(dead_letter(batch, letter))
    return detections, letters
