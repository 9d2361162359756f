"""correlate: `detections` → `intake`; the tables `detections` and `incidents` from their topics."""

from __future__ import annotations

from pipeline import memory
from pipeline.agents.detections_to_intake import DetectionsToIntake
from pipeline.roles import Ack, Shared
from pipeline.storing import Storing
from pipeline.tabulators import DetectionTabulator, IncidentTabulator
from schemas.event import RecordBatch


class Correlate:
    """detections → intake; the tables `detections` and `incidents` from their topics."""

    name = "correlate"
    topics: tuple[str, ...] = ("detections", "incidents")

    def __init__(self, shared: Shared) -> None:
        self._tabulators = {"detections": DetectionTabulator(), "incidents": IncidentTabulator()}
        self.storing = Storing(shared.settings, self._tabulators, shared.logs, shared.metrics)
        self._agent = DetectionsToIntake(shared.delivery, shared.metrics)
        self._stop_timeout = shared.settings.stop_timeout

    async def start(self) -> None:
        memory.arrow_too()
        await self.storing.start()

    async def handle(self, batch: RecordBatch, ack: Ack) -> None:
        await self.storing.room()
        self.storing.offer(batch, self._tabulators[batch.topic].parse(batch))
        if batch.topic == "detections":
            await self._agent.handle(batch, ack)
        else:
            ack()

    async def tick(self) -> None:
        await self._agent.tick()

    async def drain(self) -> None:
        await self._agent.drain()

    async def reload(self) -> None: ...

    async def stop(self) -> None:
        await self.storing.stop(self._stop_timeout / 3)
