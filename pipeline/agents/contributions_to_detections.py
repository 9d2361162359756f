"""correlate: `contributions` → `detections`: correlations judged, at once and finally.

The state of a partition is a function of its log. It goes on from a checkpoint, or from far enough back; what records
below the position at which the group goes on have caused was delivered before, and is not said again.

    first batch of a partition ── rebuild (checkpoint, or the topic read again) ── fold ── detections ── ack
                                                                                     └── every 5 minutes: checkpoint

Audit records travel there too, to be joined (`detectors.audit.join`); what the rules say of the joined events is told
the same way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from detectors.audit.join import Joins
from detectors.audit.parcels import is_pieces
from detectors.audit.parcels import read as read_pieces
from detectors.audit.piece import Joined
from detectors.correlation.correlator import UnfitError
from detectors.correlation.episodes import Verdict
from detectors.correlation.fold import Limits
from detectors.correlation.parcels import UnreadableError, read
from detectors.correlation.partition import PartitionState
from pipeline.agents.raw_to_detections import dead_letter, outgoing
from pipeline.checkpoints import At, Checkpoints, parted, together
from pipeline.correlating import Correlating
from pipeline.delivery import Delivery, Outgoing
from pipeline.rereading import Rereading
from pipeline.rulecounts import RuleCounts
from pipeline.suppressions import Report
from schemas.dead_letter import DeadLetter
from schemas.detection import Detection
from schemas.event import RecordBatch

if TYPE_CHECKING:
    from pipeline.joining import Joining
    from pipeline.metrics import Metrics

#: Seconds between two checkpoints of a partition.
CHECKPOINT_S: Final = 300.0
#: Records taken in before the event loop gets a turn, and joined audit events judged.
TOGETHER: Final = 16
JUDGED: Final = 256

log = structlog.get_logger("correlate")


@dataclass(slots=True)
class _Held:
    """A partition's state, and when it was saved (monotonic seconds)."""

    state: PartitionState
    joins: Joins
    saved: float


class ContributionsToDetections:
    """The agent. `clock` is monotonic, in seconds; `wall` the wall clock, milliseconds UTC."""

    def __init__(
        self,
        rules: Correlating,
        checkpoints: Checkpoints,
        rereading: Rereading,
        delivery: Delivery,
        metrics: Metrics,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._rules = rules
        self._checkpoints, self._rereading, self._delivery = checkpoints, rereading, delivery
        self._metrics, self._limits = metrics, limits
        self._clock, self._wall = clock, wall
        self._held: dict[At, _Held] = {}
        self._told: dict[tuple[At, str], int] = {}
        self._lock = asyncio.Lock()
        self._suppressed = Report(metrics)
        self._counts = (RuleCounts(metrics), RuleCounts(metrics))

    async def handle(self, batch: RecordBatch, ack: Callable[[], None]) -> None:
        """Judge one batch; `ack` is called when what it caused is delivered. Raises UnreachableError: stop."""
        async with self._lock:
            held, said = await self._state(batch)
            found = [self._rules.detection(verdict, self._wall()) for verdict in said]
            letters: list[Outgoing] = []
            for number, record in enumerate(batch.records):
                if record.offset < held.state.position:
                    continue
                try:
                    verdicts, joined = _taken(held.state, held.joins, record.value)
                except UnreadableError:
                    letter = DeadLetter(record.offset, record.timestamp, "shape", record.key, record.value)
                    letters.append(dead_letter(batch, letter))
                    continue
                found += [self._rules.detection(verdict, record.timestamp) for verdict in verdicts]
                found += await self._of_joined(joined)
                if number % TOGETHER == TOGETHER - 1:
                    await asyncio.sleep(0)
            held.state.position = max(held.state.position, batch.next)
            await self._deliver(batch, found, letters)
            ack()
            self._count(At(batch.log, batch.topic, batch.partition), held)
            if self._clock() - held.saved >= CHECKPOINT_S:
                await self._save(At(batch.log, batch.topic, batch.partition), held)

    async def use(self, rules: Correlating) -> None:
        """Judge by these correlations from now on; those that are the same keep what they hold."""
        async with self._lock:
            self._rules = rules
            found: list[Detection] = []
            for held in self._held.values():
                held.joins.parents = self._parents
                held.state, verdicts = held.state.under(rules.correlations)
                found += [rules.detection(verdict, self._wall()) for verdict in verdicts]
            if found:
                await self._delivery.send("detections", [outgoing(one) for one in found])

    async def release(self) -> None:
        """Write checkpoints and forget: the partitions may go to others. Safe to call at any time."""
        async with self._lock:
            for at, held in self._held.items():
                await self._save(at, held)
            self._held.clear()
            self._told.clear()
            self._metrics["correlation_watermark_seconds"].clear()

    async def _state(self, batch: RecordBatch) -> tuple[_Held, list[Verdict]]:
        """The partition's state, and what a state that was made anew has to say by itself."""
        at = At(batch.log, batch.topic, batch.partition)
        held, said = self._held.get(at), list[Verdict]()
        if held is None or held.state.position < batch.first:
            state, joins, said = await self._rebuilt(at, batch.first)
            held = self._held[at] = _Held(state, joins, self._clock())
        return held, said

    async def _of_joined(self, joined: list[Joined]) -> list[Detection]:
        """What the rules say of these events; a watermark that leaps ends many."""
        found: list[Detection] = []
        joining = self._rules.joining
        if joining is None:
            return found
        for at in range(0, len(joined), JUDGED):
            said = joining.judge(joined[at : at + JUDGED])
            if said.hidden:
                self._suppressed.hidden(said.hidden)
            found += said.detections
            await asyncio.sleep(0)
        if joined:
            self._tell_rules(joining)
        return found

    async def _rebuilt(self, at: At, until: int) -> tuple[PartitionState, Joins, list[Verdict]]:
        """The state as it was when the records below `until` were judged.

        What these say was delivered before, unless it is of rules that came since: that is to be said.
        """
        started = self._clock()
        state, joins, saved, said = await self._restored(at)
        records = 0
        if state.position < until:
            start = state.position if saved else None
            async for record in self._rereading.read(at, start, until, self._rules.reach):
                records += 1
                with suppress(UnreadableError):
                    verdicts, _ = _taken(state, joins, record.value)
                    said += [one for one in verdicts if one.correlation in state.fresh]
                if records % TOGETHER == 0:
                    await asyncio.sleep(0)
            state.position = max(state.position, until)
        state.counts.clear()
        joins.counts.clear()
        self._told = {key: count for key, count in self._told.items() if key[0] != at}
        for rule, fold in state.correlator.folds.items():
            self._told[at, rule] = fold.evicted
        seconds = round(self._clock() - started, 1)
        log.info("correlations go on", partition=at.partition, checkpoint=saved, read=records, s=seconds)
        return state, joins, said

    async def _restored(self, at: At) -> tuple[PartitionState, Joins, bool, list[Verdict]]:
        """The state of the checkpoint, whether there was one that fits, and what it has to say."""
        saved = await asyncio.to_thread(self._checkpoints.load, at)
        if saved is not None:
            state, joins = PartitionState(self._rules.correlations, self._limits), self._joins()
            try:
                own, audit = parted(saved)
                joins.restore(audit)
                return state, joins, True, state.restore(own)
            except UnfitError as error:
                log.warning("a checkpoint is not used", partition=at.partition, reason=str(error))
        return PartitionState(self._rules.correlations, self._limits), self._joins(), False, []

    def _tell_rules(self, joining: Joining) -> None:
        """What the rules of joined events did: as in ingest, by name."""
        engines = (joining.decide.engine, joining.later.engine)
        for counts, engine in zip(self._counts, engines, strict=True):
            counts.tell(engine)
        off = sum(failed.off for engine in engines for failed in engine.tally.failed.values())
        self._metrics["rules_off"].set(off)

    @property
    def _parents(self) -> bool:
        return self._rules.joining is not None and self._rules.joining.parents

    def _joins(self) -> Joins:
        return Joins(parents=self._parents)

    async def _deliver(self, batch: RecordBatch, found: list[Detection], letters: list[Outgoing]) -> None:
        if found:
            await self._delivery.send("detections", [outgoing(one) for one in found])
        if letters:
            log.error("records are no contributions", partition=batch.partition, records=len(letters))
            self._metrics["dead_letters_total"].labels(topic=batch.topic, reason="shape").inc(len(letters))
            await self._delivery.send("dead-letters", letters)
        self._metrics["records_total"].labels(topic=batch.topic).inc(len(batch.records))
        self._metrics["record_bytes_total"].labels(topic=batch.topic).inc(batch.size)
        self._metrics["batch_records"].labels(topic=batch.topic).observe(len(batch.records))
        for one in found:
            self._metrics["detections_total"].labels(kind=one.kind, level=one.level).inc()

    async def _save(self, at: At, held: _Held) -> None:
        held.saved = self._clock()
        state = together(held.state.dump(), held.joins.dump())
        try:
            await asyncio.to_thread(self._checkpoints.save, at, state)
        except OSError as error:
            reason = error.strerror  # a sentence; the trace is no help
            log.warning("a checkpoint cannot be written; a restart takes longer", error=reason)

    def _count(self, at: At, held: _Held) -> None:
        state = held.state
        self._count_joins(held.joins)
        for outcome, count in state.counts.items():
            if count:
                self._metrics["contributions_total"].labels(outcome=outcome).inc(max(0, count))
        state.counts.clear()
        for rule, fold in state.correlator.folds.items():
            gone = fold.evicted - self._told.get((at, rule), 0)
            if gone > 0:
                self._told[at, rule] = fold.evicted
                self._metrics["correlation_evicted_total"].labels(rule=rule).inc(gone)
                log.error("contributions do not fit; results may be missing", rule=rule, contributions=gone)
        folds = [fold for held in self._held.values() for fold in held.state.correlator.folds.values()]
        self._metrics["correlation_groups"].set(sum(map(len, folds)))
        self._metrics["correlation_bytes"].set(sum(fold.held_bytes for fold in folds))
        audit = [held.joins for held in self._held.values()]
        self._metrics["audit_held"].set(sum(joins.held for joins in audit))
        self._metrics["audit_bytes"].set(sum(joins.held_bytes for joins in audit))
        if state.watermark > 0:
            behind = self._wall() / 1000 - state.watermark / 1000
            self._metrics["correlation_watermark_seconds"].labels(partition=str(at.partition)).set(behind)

    def _count_joins(self, joins: Joins) -> None:
        for outcome in ("taken", "doubled", "behind", "cut"):
            if joins.counts[outcome]:
                self._metrics["audit_pieces_total"].labels(outcome=outcome).inc(joins.counts[outcome])
        for end in ("whole", "due"):
            if joins.counts[end]:
                self._metrics["audit_joined_total"].labels(end=end).inc(joins.counts[end])
        if joins.counts["cut"]:
            log.error("audit records do not fit; events may be told in part", cut=joins.counts["cut"])
        joins.counts.clear()


def _taken(state: PartitionState, joins: Joins, value: bytes | None) -> tuple[list[Verdict], list[Joined]]:
    """One record taken in: what it says of correlations, and the audit events that end with it. Raises
    UnreadableError."""
    if value is not None and is_pieces(value):
        return [], joins.take(read_pieces(value))
    verdicts = state.take(read(value))
    return verdicts, joins.advance(state.watermark)
