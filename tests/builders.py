"""Records and batches for tests, in a line each."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.event import RecordBatch


@dataclass(frozen=True, slots=True)
class FakeRecord:
    """A record as the consumer would give it. Times in milliseconds UTC."""

    offset: int
    value: bytes | None
    timestamp: int = 1_760_000_000_000
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp_type: int = 0


def batch_of(
    *values: bytes | None,
    first: int = 0,
    log: str = "log0",
    topic: str = "raw.events",
    partition: int = 0,
    timestamp: int = 1_760_000_000_000,
) -> RecordBatch:
    """A batch of these values at consecutive offsets."""
    records = [FakeRecord(first + i, value, timestamp) for i, value in enumerate(values)]
    return RecordBatch(log, topic, partition, first, first + len(values), records)


def free_port() -> int:
    """A port of loopback at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
