"""ingest: raw topics → `detections`, `contributions`, `dead-letters`, and the tables of events."""

from __future__ import annotations

import time
from collections.abc import Sequence

from detectors.ioc.match import IndicatorIndex
from pipeline import memory
from pipeline.agents.raw_to_detections import RawToDetections
from pipeline.contributing import Contributing
from pipeline.following import Following
from pipeline.gated import GatedReader
from pipeline.loading import load
from pipeline.parsers import Reader
from pipeline.reloading import Reloading
from pipeline.roles import Ack, Shared
from pipeline.storing import Storing
from pipeline.tabulators import EventTabulator
from pipeline.transport_cursor import CursorStatus
from pipeline.watched import fingerprint
from schemas.event import RecordBatch
from schemas.intake import Position


class Ingest:
    """raw topics → detections, dead letters, the store."""

    name = "ingest"

    def __init__(self, shared: Shared) -> None:
        settings = shared.settings
        index = IndicatorIndex()
        known, loaded = fingerprint(settings), load(settings, index=index)
        self.topics = settings.raw_topics
        reader = Reader(settings)
        self.storing = Storing(
            settings, {topic: EventTabulator(reader) for topic in self.topics}, shared.logs, shared.metrics
        )
        self._contributing = Contributing(settings, shared.logs, shared.delivery, shared.metrics)
        self._agent = RawToDetections(
            reader, loaded.decide, self.storing, shared.delivery, shared.metrics, self._contributing
        )
        self._following = Following(
            index,
            lambda: GatedReader(settings),
            shared.logs,
            shared.delivery,
            shared.metrics,
            patience=settings.indicators_wait,
            expected=bool(settings.indicators or settings.feeds),
        )
        self._shared = shared
        self._reloading = Reloading(settings, loaded, known, self._agent.use, shared.metrics)

    async def start(self) -> None:
        memory.arrow_too()
        await self._contributing.start()
        await self.storing.start()
        await self._following.start()

    async def handle(self, batch: RecordBatch, ack: Ack) -> None:
        if self._following.waiting:
            self._shared.say("indicators", "the first batch waits until indicators are in force")
            if not await self._following.wait():
                return
            self._shared.say("indicators", None)
        self._following.judging(batch)
        await self._agent.handle(batch, ack)

    async def tick(self, cursors: Sequence[CursorStatus]) -> None:
        self._agent.check()
        self._following.check()
        self._following.owns([_position(cursor) for cursor in cursors])
        self._contributing.tick(self._agent.correlations, cursors, joins=self._agent.joins)
        self._agent.look(time.time() * 1000)
        self._reloading.tick()

    async def drain(self) -> None:
        self._following.give_up()
        await self._agent.drain()

    async def reload(self) -> None:
        """Read the rules and the event list anew; what is refused is said, and the old ones stay."""
        self._reloading.ask()

    async def stop(self) -> None:
        await self._following.stop()
        await self._reloading.stop()
        await self._contributing.stop()
        await self.storing.stop(self._shared.settings.stop_timeout / 3)


def _position(cursor: CursorStatus) -> Position:
    return Position(log=cursor.log, topic=cursor.tp.topic, partition=cursor.tp.partition, position=cursor.position)
