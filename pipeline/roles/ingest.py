"""ingest: raw topics → `detections`, `contributions`, `dead-letters`, and the tables of events."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pipeline import memory
from pipeline.agents.raw_to_detections import RawToDetections
from pipeline.contributing import Contributing
from pipeline.loading import load
from pipeline.parsers import Reader
from pipeline.reloading import Reloading
from pipeline.roles import Ack, Shared
from pipeline.storing import Storing
from pipeline.tabulators import EventTabulator
from pipeline.transport_cursor import CursorStatus
from pipeline.watched import fingerprint
from schemas.event import RecordBatch


class Ingest:
    """raw topics → detections, dead letters, the store."""

    name = "ingest"

    def __init__(self, shared: Shared) -> None:
        settings = shared.settings
        known, loaded = fingerprint(settings), load(settings)
        self.topics = settings.raw_topics
        reader = Reader(settings)
        self.storing = Storing(
            settings, {topic: EventTabulator(reader) for topic in self.topics}, shared.logs, shared.metrics
        )
        self._contributing = Contributing(settings, shared.logs, shared.delivery, shared.metrics)
        self._agent = RawToDetections(
            reader, loaded.decide, self.storing, shared.delivery, shared.metrics, self._contributing
        )
        self._shared = shared
        self._reloading = Reloading(settings, loaded, known, self._agent.use, shared.metrics)

    async def start(self) -> None:
        memory.arrow_too()
        await self._contributing.start()
        await self.storing.start()

    async def handle(self, batch: RecordBatch, ack: Ack) -> None:
        await self._agent.handle(batch, ack)

    async def tick(self, cursors: Sequence[CursorStatus]) -> None:
        self._agent.check()
        self._contributing.tick(self._agent.correlations, cursors, joins=self._agent.joins)
        self._agent.look(time.time() * 1000)
        self._reloading.tick()

    async def drain(self) -> None:
        await self._agent.drain()

    async def reload(self) -> None:
        """Read the rules, indicators and the event list anew; what is refused is said, and the old ones stay."""
        self._reloading.ask()

    async def stop(self) -> None:
        await self._reloading.stop()
        await self._contributing.stop()
        await self.storing.stop(self._shared.settings.stop_timeout / 3)
