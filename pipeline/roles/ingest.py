"""ingest: raw topics → `detections`, `dead-letters`, and the tables of events."""

from __future__ import annotations

import asyncio

import structlog

from pipeline import memory
from pipeline.agents.raw_to_detections import RawToDetections
from pipeline.loading import Loaded, count, load
from pipeline.parsers import Reader
from pipeline.roles import Ack, Shared
from pipeline.storing import Storing
from pipeline.tabulators import EventTabulator
from schemas.errors import QorganError
from schemas.event import RecordBatch

log = structlog.get_logger("ingest")


class Ingest:
    """raw topics → detections, dead letters, the store."""

    name = "ingest"

    def __init__(self, shared: Shared) -> None:
        settings = shared.settings
        loaded = load(settings)
        self.topics = settings.raw_topics
        reader = Reader(settings)
        self.storing = Storing(
            settings, {topic: EventTabulator(reader) for topic in self.topics}, shared.logs, shared.metrics
        )
        self._agent = RawToDetections(reader, loaded.decide, self.storing, shared.delivery, shared.metrics)
        self._shared = shared
        count(loaded, shared.metrics)
        _say_correlations(loaded)

    async def start(self) -> None:
        memory.arrow_too()
        await self.storing.start()

    async def handle(self, batch: RecordBatch, ack: Ack) -> None:
        await self._agent.handle(batch, ack)

    async def tick(self) -> None:
        self._agent.check()

    async def drain(self) -> None:
        await self._agent.drain()

    async def reload(self) -> None:
        """Build the new set beside the old one and swap it whole, or keep the old one and say why."""
        reloads = self._shared.metrics["reloads_total"]
        try:
            loaded = await asyncio.to_thread(load, self._shared.settings)
            await asyncio.to_thread(loaded.decide.engine.prepare, self._agent.rules.engine.seen())
        except QorganError as error:
            reloads.labels(outcome="refused").inc()
            log.error(f"The new rules are refused and the old ones stay. {error}")  # noqa: TRY400 - a sentence
            return
        self._agent.rules = loaded.decide
        count(loaded, self._shared.metrics)
        _say_correlations(loaded)
        reloads.labels(outcome="swapped").inc()
        log.info("new rules in force", revision=loaded.decide.revision, rules=len(loaded.rules.rules))

    async def stop(self) -> None:
        await self.storing.stop(self._shared.settings.stop_timeout / 3)


def _say_correlations(loaded: Loaded) -> None:
    """The stream does not judge correlations: better each of their rules for itself than nothing."""
    correlations = len(loaded.rules.correlations.ordered)
    if correlations:
        log.warning(
            "correlations are judged by `qorgan detect` alone; here their rules are told one by one",
            correlations=correlations,
        )
