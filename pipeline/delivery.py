"""Sending with proof: `send` returns when the broker has acknowledged every record, or raises.

Faust's own `topic.send` only reaches a buffer and a failed produce is only logged, so what an acknowledgement rests on
goes through this producer. It is idempotent where the broker can be (Apache Kafka); the embedded broker has no
producer ids, and readers drop repeated ids anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.errors import UnreachableError

#: A record larger than this does not travel; its sender shortens it first. Kafka's default limit is 1 MB.
MAX_RECORD_BYTES = 1_000_000


class Outgoing(NamedTuple):
    """One record to send."""

    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    """None: the key chooses it."""


class Delivery(Protocol):
    """How agents hand over their results.

    `send` may wait; it returns when all records are durable and raises UnreachableError when that failed for longer
    than the delivery deadline: the caller must then stop without acknowledging. Records may have arrived all the
    same, so everything sent is idempotent by its id.
    """

    async def send(self, topic: str, records: Sequence[Outgoing]) -> None: ...


class KafkaDelivery:
    """Delivery by an aiokafka producer of its own. `deadline` in seconds bounds every send."""

    def __init__(self, options: dict[str, Any], *, idempotent: bool, deadline: float = 60.0) -> None:
        self._options = options
        self._idempotent = idempotent
        self._deadline = deadline
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect. Raises UnreachableError."""
        self._producer = AIOKafkaProducer(
            **self._options,
            acks="all",
            enable_idempotence=self._idempotent,
            compression_type="lz4",
            linger_ms=2,
            max_batch_size=1 << 18,
            max_request_size=4 * MAX_RECORD_BYTES,
            request_timeout_ms=int(self._deadline * 1000),
        )
        try:
            await self._producer.start()
        except KafkaError as error:
            raise UnreachableError(f"Kafka does not accept a producer: {error}. Check QORGAN_KAFKA.") from error

    async def stop(self) -> None:
        """Flush and close, within the deadline."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()

    async def send(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Send to one topic, keys choosing partitions, and wait for every acknowledgement."""
        producer = self._producer
        if producer is None:
            raise UnreachableError("The producer is not started.")
        try:
            async with asyncio.timeout(self._deadline):
                sent = [
                    await producer.send(
                        topic, record.value, key=record.key, headers=list(record.headers), partition=record.partition
                    )
                    for record in records
                ]
                if sent:
                    await asyncio.gather(*sent)
        except (KafkaError, TimeoutError) as error:
            raise UnreachableError(
                f"{len(records)} records for topic {topic} were not delivered ({type(error).__name__}). "
                "Nothing was acknowledged; they are read again after the restart."
            ) from error
