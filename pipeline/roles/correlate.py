"""correlate: `contributions` → `detections` → `intake`; the tables of these and other topics of ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import structlog

from detectors.correlation.correlation import DAY_MS
from detectors.correlation.fold import Limits
from pipeline import loading, memory, topics
from pipeline.agents.contributions_to_detections import ContributionsToDetections
from pipeline.agents.detections_to_intake import DetectionsToIntake
from pipeline.checkpoints import Checkpoints
from pipeline.contributing import TOPIC
from pipeline.correlating import Correlating
from pipeline.identities.versions import load_identities
from pipeline.prebuild import prebuild
from pipeline.rereading import Rereading
from pipeline.roles import Ack, Shared
from pipeline.storing import Storing
from pipeline.storing_kafka import AioKafka
from pipeline.tabulators import DetectionTabulator, DocumentTabulator, IncidentTabulator, IndicatorTabulator
from pipeline.transport_cursor import CursorStatus
from pipeline.watched import fingerprint, only_apart
from schemas.errors import QorganError
from schemas.event import RecordBatch

log = structlog.get_logger("correlate")


class Correlate:
    """Correlations judged, detections collapsed for triage, the tables of our own topics."""

    name = "correlate"
    topics: tuple[str, ...] = (TOPIC, "detections", "incidents", "indicators.gated")

    def __init__(self, shared: Shared) -> None:
        settings = shared.settings
        self._settings, self._metrics = settings, shared.metrics
        self._tabulators: dict[str, DocumentTabulator] = {
            "detections": DetectionTabulator(),
            "incidents": IncidentTabulator(),
            "indicators.gated": IndicatorTabulator(),
        }
        self.storing = Storing(settings, self._tabulators, shared.logs, shared.metrics)
        self._collapsing = DetectionsToIntake(shared.delivery, shared.metrics)
        self._seen = fingerprint(settings)
        self._rules = rules = loading.correlating(settings)
        self._say(rules)
        self._rereading = Rereading(AioKafka(settings))
        self._correlating = ContributionsToDetections(
            rules,
            Checkpoints(settings.state_dir / "correlate"),
            self._rereading,
            shared.delivery,
            shared.metrics,
            Limits(settings.correlation_entries, settings.correlation_bytes),
        )
        self._changed = ""
        self._asked = False
        self._look_at = time.monotonic() + settings.rules_watch
        self._looking: asyncio.Task[None] | None = None
        self._stop_timeout = settings.stop_timeout

    async def start(self) -> None:
        memory.arrow_too()
        await self.storing.start()

    async def handle(self, batch: RecordBatch, ack: Ack) -> None:
        if batch.topic == TOPIC:
            await self._correlating.handle(batch, ack)
            return
        await self.storing.room()
        self.storing.offer(batch, self._tabulators[batch.topic].parse(batch))
        if batch.topic == "detections":
            await self._collapsing.handle(batch, ack)
        else:
            ack()

    async def tick(self, cursors: Sequence[CursorStatus]) -> None:
        await self._collapsing.tick()
        now = time.monotonic()
        if self._looking is not None and self._looking.done():
            looking, self._looking = self._looking, None
            looking.result()
        if self._looking is None and (self._asked or (self._settings.rules_watch and now >= self._look_at)):
            self._look_at = now + self._settings.rules_watch
            self._looking = asyncio.create_task(self._look())

    async def drain(self) -> None:
        await self._collapsing.drain()
        await self._correlating.release()

    async def reload(self) -> None:
        """Read the correlations anew; what is refused is said, and the old ones stay."""
        self._asked = True

    async def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        await self._correlating.release()
        await self._rereading.close()
        await self.storing.stop(self._stop_timeout / 3)

    async def _look(self) -> None:
        """Take the files when they differ from those read, and no longer change."""
        asked, self._asked = self._asked, False
        seen = await asyncio.to_thread(fingerprint, self._settings)
        if seen == self._seen and not asked:
            return
        if seen != self._changed and not asked:
            self._changed = seen  # they may still be being written
            return
        apart, self._seen = only_apart(self._seen, seen), seen
        reloads = self._metrics["reloads_total"]
        try:
            if apart:
                identities = await asyncio.to_thread(load_identities, self._settings.identities)
                rules = replace(self._rules, identities=identities)
            else:
                await prebuild()
                rules = await asyncio.to_thread(loading.correlating, self._settings)
        except QorganError as error:
            reloads.labels(outcome="refused").inc()
            log.error(f"The new correlations are refused and the old ones stay. {error}")  # noqa: TRY400 - a sentence
            return
        except Exception as error:  # a fault of ours that these files bring out; nothing stops for it
            reloads.labels(outcome="refused").inc()
            log.exception("The new correlations cannot be built and the old ones stay.", error=type(error).__name__)
            return
        await self._correlating.use(rules)
        self._rules = rules
        reloads.labels(outcome="swapped").inc()
        self._say(rules)

    def _say(self, rules: Correlating) -> None:
        log.info("correlations in force", correlations=len(rules.correlations.ordered), revision=rules.revision)
        for rule in rules.beyond(topics.kept_ms(TOPIC, self._settings)):
            log.warning(
                "a correlation reaches further back than its topic is kept: without a checkpoint it begins anew",
                rule=rule.id,
                days=rule.reach // DAY_MS,
            )
