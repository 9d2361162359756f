"""Storing: every record of the owned partitions becomes exactly one row, whatever is killed and whenever.

The group's offset says how far detections are delivered; the ledger's tail says how far records are stored. One
reading serves both while all is well. While the store is behind or away, live rows are dropped and read again from
Kafka later, so detection never waits for the store longer than `room` allows.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from pipeline.metrics import Metrics
from pipeline.settings import MIB, Settings
from pipeline.storing_blocks import Budget, Columns, Tabulator
from pipeline.storing_kafka import AioKafka, Kafka
from pipeline.storing_means import Logs, Means, Store
from pipeline.storing_partition import PartitionStorer
from pipeline.storing_rules import Limits, PartitionStatus, State, age_limit
from pipeline.storing_threads import Threads
from schemas.errors import QorganError
from schemas.event import RecordBatch
from sinks.clickhouse.client import Address
from sinks.clickhouse.ledger import Chain
from sinks.clickhouse.store import ClickHouse

__all__ = ["Columns", "PartitionStatus", "State", "Storing", "Tabulator", "open_store"]

#: Seconds: between two looks at the clockwork; that `room` and `newest_log` may take.
TICK_S = 1.0
ROOM_S = 1.0
NEWEST_LOG_S = 5.0
#: Threads for parsing what is read again, for Arrow and for requests.
THREADS = 4
#: What a partition may hold back at least, so that one slice of a batch always finds room.
LEAST_HOLD = 2 * MIB

log = structlog.get_logger("storing")


def open_store(settings: Settings) -> ClickHouse:
    """The store of these settings; nothing is asked of it yet."""
    at = settings.store
    ca = str(settings.clickhouse_ca) if settings.clickhouse_ca else None
    address = Address(
        at.host, at.port, at.user, at.password.get_secret_value(), at.secure, ca, settings.clickhouse_timeout
    )
    return ClickHouse(address, settings.database, settings.events_days, create=settings.create)


class Storing:
    """The storer of one process, for all partitions it owns. Used from one event loop."""

    def __init__(
        self,
        settings: Settings,
        tabulators: Mapping[str, Tabulator],
        logs: Logs,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
        recreated: Callable[[str], None] | None = None,
        *,
        store: Store | None = None,
        kafka: Kafka | None = None,
    ) -> None:
        """`recreated(topic)` is called when a topic turns out to be another log than the one being read."""
        self._settings, self._tabulators, self._logs, self._metrics = settings, tabulators, logs, metrics
        self._threads = Threads(THREADS)
        self._storers: dict[tuple[str, int], PartitionStorer] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._partitions = 0
        self._clock = clock
        self._means = Means(
            store=store or open_store(settings),
            run=self._threads,
            kafka=kafka or AioKafka(settings),
            logs=logs,
            metrics=metrics,
            budget=Budget(settings.blocks_bytes),
            limits=Limits(settings.block_rows, settings.block_bytes, settings.block_age),
            timeout=settings.clickhouse_timeout,
            hold_bound=LEAST_HOLD,
            clock=clock,
            chance=random.random,
            recreated=recreated or (lambda topic: log.warning("a topic is another log now", topic=topic)),
        )

    @property
    def up(self) -> bool:
        """Whether the store answered the last request."""
        return self._means.up

    async def start(self) -> None:
        """Begin; never waits for the store."""
        self._ticking = asyncio.create_task(self._tick(), name="storing")

    async def stop(self, deadline: float) -> None:
        """End within `deadline` seconds, also while the store is away.

        Open blocks are dropped (Kafka has them); blocks on their way may land meanwhile.
        """
        for at in list(self._storers):
            self.revoked(*at)
        if self._ticking is not None:
            self._ticking.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                await self._ended(set(self._ending))
                await self._ended(set(self._means.landing))
                await self._means.kafka.close()
        for flight in self._means.landing:
            flight.cancel()
        self._threads.close()

    def assigned(self, topic: str, partition: int, log: str) -> None:
        """The process now owns this partition of this log; of a topic without rows nothing follows."""
        self.revoked(topic, partition)
        if topic not in self._tabulators:
            return  # nothing of it is stored
        chain = Chain(log, topic, partition)
        storer = PartitionStorer(chain, self._tabulators[topic], self._means, secrets.token_hex(8))
        self._storers[topic, partition] = storer
        self._share()
        storer.start()

    def revoked(self, topic: str, partition: int) -> None:
        """The process owns it no longer."""
        storer = self._storers.pop((topic, partition), None)
        if storer is not None:
            ending = asyncio.ensure_future(storer.stop())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            self._share()

    def offer(self, batch: RecordBatch, parsed: Any) -> None:
        """Live rows: kept, held back or dropped by the partition's state. Never blocks, never raises."""
        storer = self._storers.get((batch.topic, batch.partition))
        if storer is not None:
            storer.offer(batch, parsed)

    async def room(self) -> None:
        """Wait, a second at most, while the store is up but slower than the stream."""
        until = asyncio.get_running_loop().time() + ROOM_S
        while any(storer.pressed for storer in self._storers.values()):
            if asyncio.get_running_loop().time() >= until:
                return
            await asyncio.sleep(0.02)

    async def newest_log(self, topic: str, partition: int) -> str | None:
        """The log whose chain of this partition is newest in the ledger; None when there is none or nobody can say."""
        try:
            async with asyncio.timeout(NEWEST_LOG_S):
                return await self._means.ask("read", self._means.store.newest_log, topic, partition)
        except (QorganError, TimeoutError):
            return None

    def status(self) -> list[PartitionStatus]:
        """How each owned partition stands."""
        return [storer.status() for _, storer in sorted(self._storers.items())]

    async def _tick(self) -> None:
        while True:
            await self._measure()
            await asyncio.sleep(TICK_S)

    async def _measure(self) -> None:
        self._metrics["open_blocks_bytes"].set(self._means.budget.held)
        now = self._clock()
        for (topic, partition), storer in self._storers.items():
            since = storer.unstored_since
            gauge = self._metrics["store_unstored_seconds"].labels(topic=topic, partition=str(partition))
            gauge.set(max(0.0, now - since) if since is not None else 0.0)
        if self._partitions == 0:
            await self._count_partitions()

    async def _count_partitions(self) -> None:
        """Blocks close later where the group has many partitions: as many inserts a second, larger ones."""
        try:
            count = sum([await self._logs.partitions(topic) for topic in self._tabulators])
        except QorganError:
            return  # not yet; the next tick asks again
        self._partitions = count
        age = age_limit(self._settings.block_age, count)
        self._means.limits = Limits(self._settings.block_rows, self._settings.block_bytes, age)

    def _share(self) -> None:
        """What each partition may hold back: together a third of the bound; a batch and the one before it fit."""
        owned = max(1, len(self._storers))
        self._means.hold_bound = max(LEAST_HOLD, self._settings.blocks_bytes // 3 // owned)

    @staticmethod
    async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
        if tasks:
            await asyncio.wait(tasks)
