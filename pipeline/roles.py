"""The three roles: what each reads, what it does with a batch, and what runs beside it. All wiring is here.

A role is built from settings alone; tests of agents build the agents themselves and give them fakes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from pipeline.agents.detections_to_intake import DetectionsToIntake
from pipeline.agents.intake_to_incidents import IntakeToIncidents
from pipeline.agents.raw_to_detections import RawToDetections
from pipeline.delivery import KafkaDelivery
from pipeline.journal import open_journal
from pipeline.loading import Loaded, count, load, load_event_list
from pipeline.logs import Logs
from pipeline.metrics import Metrics
from pipeline.parsers import Reader
from pipeline.settings import Settings
from pipeline.storing import Storing
from pipeline.tabulators import DetectionTabulator, EventTabulator, IncidentTabulator
from schemas.errors import QorganError
from schemas.event import RecordBatch

Ack = Callable[[], None]

TICK_S = 0.1

log = structlog.get_logger("role")


class Role(Protocol):
    """One role of a worker. Methods are called on the event loop, in the order start, handle…, stop.

    `handle` judges one batch and sees to it that `ack` is called once its outcome is durable, and not before; it
    raises when that cannot be, and the process then ends without acknowledging. `drain` is called before partitions
    are given up, `reload` on SIGHUP.
    """

    name: str
    topics: tuple[str, ...]
    storing: Storing | None

    async def start(self) -> None: ...
    async def handle(self, batch: RecordBatch, ack: Ack) -> None: ...
    async def tick(self) -> None: ...
    async def drain(self) -> None: ...
    async def reload(self) -> None: ...
    async def stop(self) -> None: ...


@dataclass
class Shared:
    """What every role is built from."""

    settings: Settings
    metrics: Metrics
    logs: Logs
    delivery: KafkaDelivery


class Ingest:
    """raw topics → detections, dead letters, the store."""

    name = "ingest"

    def __init__(self, shared: Shared, loaded: Loaded) -> None:
        settings = shared.settings
        self.topics = settings.raw_topics
        reader = Reader(settings)
        self.storing: Storing | None = Storing(
            settings, {topic: EventTabulator(reader) for topic in self.topics}, shared.logs, shared.metrics
        )
        self._agent = RawToDetections(reader, loaded.decide, self.storing, shared.delivery, shared.metrics)
        self._shared = shared
        count(loaded, shared.metrics)

    async def start(self) -> None:
        assert self.storing is not None  # noqa: S101 - made above
        await self.storing.start()

    async def handle(self, batch: RecordBatch, ack: Ack) -> None:
        await self._agent.handle(batch)
        ack()

    async def tick(self) -> None: ...

    async def drain(self) -> None: ...

    async def reload(self) -> None:
        """Build the new set beside the old one and swap it whole, or keep the old one and say why."""
        reloads = self._shared.metrics["reloads_total"]
        try:
            loaded = await asyncio.to_thread(load, self._shared.settings)
        except QorganError as error:
            reloads.labels(outcome="refused").inc()
            log.error(f"The new rules are refused and the old ones stay. {error}")  # noqa: TRY400 - a sentence
            return
        self._agent.rules = loaded.decide
        count(loaded, self._shared.metrics)
        reloads.labels(outcome="swapped").inc()
        log.info("new rules in force", revision=loaded.decide.revision, rules=len(loaded.rules.rules))

    async def stop(self) -> None:
        assert self.storing is not None  # noqa: S101 - made above
        await self.storing.stop(self._shared.settings.stop_timeout / 3)


class Correlate:
    """detections → intake; the tables `detections` and `incidents` from their topics."""

    name = "correlate"
    topics: tuple[str, ...] = ("detections", "incidents")

    def __init__(self, shared: Shared) -> None:
        self._tabulators = {"detections": DetectionTabulator(), "incidents": IncidentTabulator()}
        self.storing: Storing | None = Storing(shared.settings, self._tabulators, shared.logs, shared.metrics)
        self._agent = DetectionsToIntake(shared.delivery, shared.metrics)
        self._stop_timeout = shared.settings.stop_timeout

    async def start(self) -> None:
        assert self.storing is not None  # noqa: S101 - made above
        await self.storing.start()

    async def handle(self, batch: RecordBatch, ack: Ack) -> None:
        assert self.storing is not None  # noqa: S101 - made above
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
        assert self.storing is not None  # noqa: S101 - made above
        await self.storing.stop(self._stop_timeout / 3)


class Respond:
    """intake → journal → incidents; active while it holds the partition of `intake`."""

    name = "respond"
    topics: tuple[str, ...] = ("intake",)
    storing: Storing | None = None

    def __init__(self, shared: Shared, cluster: str) -> None:
        settings = shared.settings
        self._agent = IntakeToIncidents(
            open_journal(settings, cluster, shared.delivery),
            load_event_list(settings.event_list),
            shared.delivery,
            shared.metrics,
            settings.timezone,
        )

    async def start(self) -> None: ...

    async def handle(self, batch: RecordBatch, ack: Ack) -> None:
        await self._agent.handle(batch, ack)

    async def tick(self) -> None:
        await self._agent.tick()

    async def drain(self) -> None:
        await self._agent.release()

    async def reload(self) -> None: ...

    async def stop(self) -> None:
        await self._agent.release()


async def build(name: str, shared: Shared) -> Role:
    """The role of that name. Raises RefusedError for what must be mended first, UnreachableError without Kafka."""
    if name == "ingest":
        return Ingest(shared, load(shared.settings))
    if name == "correlate":
        return Correlate(shared)
    return Respond(shared, await shared.logs.cluster())
