"""The storer's own reading of Kafka: from any position, without a group, beside the stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from pipeline.kafka import aiokafka_options
from pipeline.settings import Settings
from schemas.errors import UnreachableError
from schemas.event import RecordBatch
from sinks.clickhouse.ledger import Chain

#: Seconds that Kafka may take to answer, and that a fetch waits for records that are not there yet.
ANSWER_S = 15.0
FETCH_S = 0.5


class OutOfRangeError(Exception):
    """The position is not in the log: it left it, or the log was cut."""


class Cursor(Protocol):
    """A reading of one partition, onwards from a position."""

    position: int

    async def fetch(self) -> RecordBatch:
        """The next records, after half a second none; `next` may pass `first` without any (control records).

        Raises UnreachableError, and OutOfRangeError when the position is no longer in the log.
        """

    @property
    def end(self) -> int | None:
        """The log's end as the last fetch saw it."""

    async def close(self) -> None:
        """Let go of it."""


class Kafka(Protocol):
    """What the storer asks of Kafka."""

    async def first(self, topic: str, partition: int) -> int:
        """The log's first position. Raises UnreachableError."""

    async def open(self, chain: Chain, position: int) -> Cursor:
        """Read a partition from a position. Raises UnreachableError."""

    async def close(self) -> None:
        """Let go of connections."""


class AioKafka:
    """Kafka by aiokafka: a consumer for each cursor, which is open only while its partition catches up."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._asking: Any = None
        self._lock = asyncio.Lock()

    async def first(self, topic: str, partition: int) -> int:
        """The log's first position."""
        at = TopicPartition(topic, partition)
        async with self._lock, self._answering():
            if self._asking is None:
                self._asking = await self._started()
            try:
                found = await self._asking.beginning_offsets([at])
            except (KafkaError, ValueError):
                asking, self._asking = self._asking, None
                await _stopped(asking)
                raise
        return int(found[at])

    async def at_time(self, topic: str, partition: int, time_ms: int) -> int | None:
        """The first position whose record is not older; None where all are. Raises UnreachableError."""
        at = TopicPartition(topic, partition)
        async with self._lock, self._answering():
            if self._asking is None:
                self._asking = await self._started()
            found = await self._asking.offsets_for_times({at: max(0, time_ms)})
        return int(found[at].offset) if found.get(at) is not None else None

    async def open(self, chain: Chain, position: int) -> Cursor:
        """A cursor of its own consumer."""
        async with self._answering():
            consumer = await self._started()
            at = TopicPartition(chain.topic, chain.partition)
            consumer.assign([at])
            consumer.seek(at, position)
        return AioCursor(consumer, chain, position, self._settings)

    async def close(self) -> None:
        """Let go of the consumer that asks."""
        if self._asking is not None:
            await _stopped(self._asking)
            self._asking = None

    async def _started(self) -> Any:
        consumer = AIOKafkaConsumer(
            **aiokafka_options(self._settings),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=self._settings.fetch_bytes,
            fetch_max_wait_ms=int(FETCH_S * 1000),
            request_timeout_ms=int(ANSWER_S * 1000),
        )
        try:
            await consumer.start()
        except BaseException:
            await _stopped(consumer)
            raise
        return consumer

    def _answering(self) -> contextlib.AbstractAsyncContextManager[None]:
        return _answering(self._settings)


class AioCursor:
    """One partition by its own consumer."""

    def __init__(self, consumer: Any, chain: Chain, position: int, settings: Settings) -> None:
        self.position = position
        self._consumer, self._chain, self._settings = consumer, chain, settings
        self._at = TopicPartition(chain.topic, chain.partition)

    async def fetch(self) -> RecordBatch:
        """The next records."""
        async with _answering(self._settings):
            try:
                found = await self._consumer.getmany(
                    self._at, timeout_ms=int(FETCH_S * 1000), max_records=self._settings.batch_records
                )
                position = await self._consumer.position(self._at)
            except OffsetOutOfRangeError:
                raise OutOfRangeError from None
        first, self.position = self.position, max(self.position, position)
        records = found.get(self._at, [])
        return RecordBatch(self._chain.log, self._chain.topic, self._chain.partition, first, self.position, records)

    @property
    def end(self) -> int | None:
        """The high watermark that came with the last fetch."""
        found = self._consumer.highwater(self._at)
        return int(found) if found is not None else None

    async def close(self) -> None:
        """Stop the consumer."""
        await _stopped(self._consumer)


@contextlib.asynccontextmanager
async def _answering(settings: Settings) -> AsyncIterator[None]:
    """Bound a question in time; a broker that does not answer becomes an UnreachableError."""
    try:
        async with asyncio.timeout(ANSWER_S):
            yield
    except (TimeoutError, KafkaError, OSError) as error:
        raise UnreachableError(
            f"Kafka at {settings.kafka} does not answer ({type(error).__name__}). Check QORGAN_KAFKA and that it runs."
        ) from None


async def _stopped(consumer: Any) -> None:
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(2.0):
            await consumer.stop()
