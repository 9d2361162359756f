"""What the transport of one app is told: limits, the names of logs, and whom to ask and to tell.

Faust builds a transport from a URL alone, so the app carries these and its transport reads them there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

#: Which log the ledger's newest chain of (topic, partition) belongs to; None when it knows none or cannot say.
StoredLog = Callable[[str, int], Awaitable[str | None]]
#: Called with (partition, committed offset, first position of the log) when records left the log unjudged.
DetectionGap = Callable[[tuple[str, int], int, int], None]
#: Called while partitions are about to be given away, or the process to stop, as long as batches are unacknowledged:
#: an agent that acknowledges later than it takes does so now. May be called again; is cancelled when time is up.
BeforeRelease = Callable[[], Awaitable[None]]


class LogNames(Protocol):
    """Names of logs, as `pipeline.logs.Logs` gives them.

    `current` raises UnknownTopicError, RefusedError (no right to see it) and UnreachableError, and returns in bounded
    time, as `embedded` does.
    """

    async def current(self, topic: str) -> str: ...
    async def embedded(self) -> bool: ...


class Limits(NamedTuple):
    """Bounds: one batch (records, bytes), what is handed out and not acknowledged (bytes), what waits (batches)."""

    batch_records: int
    fetch_bytes: int
    held_bytes: int
    waiting_batches: int


@dataclass(frozen=True)
class TransportOptions:
    """See the fields. Times in seconds unless named otherwise."""

    client: dict[str, Any] = field(repr=False)
    """How to reach the brokers: `aiokafka_options`. Not shown: it holds the password."""
    logs: LogNames
    limits: Limits
    stop_timeout: float
    rebalance_timeout: float
    fetch_min_bytes: int = 1
    fetch_max_wait_ms: int = 100
    stored_log: StoredLog | None = None
    on_detection_gap: DetectionGap | None = None
    before_release: BeforeRelease | None = None
