"""Storing: every record of the owned partitions becomes exactly one row, whatever is killed and whenever.

Per owned partition a storer waits for the store, catches up from Kafka, or is live (rows from the stream); a gap
halts it alone. The ledger decides what is stored; nothing here ever holds detection back longer than `room()`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import pyarrow as pa

from pipeline.metrics import Metrics
from pipeline.settings import Settings
from schemas.event import RecordBatch
from sinks.clickhouse.ledger import Claim

State = Literal["waiting", "catching_up", "live", "halted"]


class Columns(Protocol):
    """Rows of one block in the making."""

    def add(self, batch: RecordBatch, parsed: Any, digests: Mapping[int, bytes]) -> None:
        """Append the rows of the batch's records; `parsed` may cover more records than the batch. Any thread."""

    def tables(self, claim: Claim) -> dict[str, pa.Table]:
        """The block's tables by name, in the order of insertion; the same for the same records and claim."""


class Tabulator(Protocol):
    """What the records of a topic become."""

    @property
    def revision(self) -> str:
        """Names all that shapes rows; constant for the tabulator's life."""

    def parse(self, batch: RecordBatch) -> Any:
        """Read the records. Never raises for a record; may be called by several threads at once."""

    def columns(self) -> Columns:
        """An empty block."""


class Logs(Protocol):
    """Which log a topic is now (`pipeline.logs.Logs`)."""

    async def current(self, topic: str) -> str: ...
    async def partitions(self, topic: str) -> int: ...


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """How storing of one partition stands. `tail` is the last stored position, `lag` records to the known end."""

    topic: str
    partition: int
    log: str
    state: State
    tail: int | None
    lag: int
    reason: str


class Storing:
    """The storer of one process, for all partitions it owns."""

    def __init__(
        self,
        settings: Settings,
        tabulators: Mapping[str, Tabulator],
        logs: Logs,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
        recreated: Callable[[str], None] = lambda topic: None,
    ) -> None:
        """`recreated(topic)` is called when a topic turns out to be another log than the one being read."""
        raise NotImplementedError

    async def start(self) -> None:
        """Begin; never waits for the store."""

    async def stop(self, deadline: float) -> None:
        """End within `deadline` seconds, also while the store is away; open blocks are dropped (Kafka has them)."""

    def assigned(self, topic: str, partition: int, log: str) -> None:
        """The process now owns this partition of this log."""

    def revoked(self, topic: str, partition: int) -> None:
        """The process owns it no longer."""

    def offer(self, batch: RecordBatch, parsed: Any) -> None:
        """Live rows: kept or dropped by the partition's state. Never blocks, never raises."""

    async def room(self) -> None:
        """Wait, a second at most, while the store is up but slower than the stream."""

    async def newest_log(self, topic: str, partition: int) -> str | None:
        """The log whose chain of this partition is newest in the ledger. Raises UnreachableError."""

    def status(self) -> list[PartitionStatus]:
        """How each owned partition stands."""
        return []
