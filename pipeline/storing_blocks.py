"""What is held in memory until it is stored: open blocks, live batches held back, and the bound over all of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from pipeline.metrics import Metrics
from pipeline.storing_rules import cut, weight
from schemas.event import RecordBatch
from sinks.clickhouse.hashing import ContentHash
from sinks.clickhouse.ledger import Claim


class Columns(Protocol):
    """Rows of one block in the making."""

    def add(self, batch: RecordBatch, parsed: Any, digests: Sequence[bytes]) -> None:
        """Append the rows of the batch's records; `parsed` may cover more records than the batch.

        `digests`: SHA-256 of the records' values, in their order. Raises HaltError for a parser that lost a record.
        """

    def tables(self, claim: Claim) -> Mapping[str, pa.Table]:
        """The block's tables by name, in the order of insertion; the same for the same records and claim."""


class Tabulator(Protocol):
    """What the records of a topic become."""

    @property
    def revision(self) -> str:
        """Names all that shapes rows; constant for the tabulator's life."""

    @property
    def row_tables(self) -> tuple[str, ...]:
        """The tables in which each record is one row, in one of them. Others hold sums over a block."""

    def parse(self, batch: RecordBatch) -> Any:
        """Read the records. Never raises for a record; may be called by several threads at once."""

    def columns(self) -> Columns:
        """An empty block."""


class OpenBlock:
    """Contiguous records of one partition, on their way to be one block. Used by one thread at a time."""

    def __init__(self, tabulator: Tabulator, first: int, metrics: Metrics) -> None:
        self.first = self.next = first
        self.count = self.weight = self.bytes = 0
        self.counted = 0
        """Of its weight, what the budget knows of."""
        self.since = 0.0
        """When its first record came, monotonic."""
        self.oldest_ms: int | None = None
        self.columns = tabulator.columns()
        self.revision = tabulator.revision
        self._content = ContentHash()
        self._stage = metrics["stage_seconds_total"]

    def add(self, batch: RecordBatch, parsed: Any, now: float) -> None:
        """Append a batch that begins where the block ends; `now` is monotonic, in seconds."""
        if batch.first != self.next or batch.next < batch.first:
            raise ValueError(f"a batch from {batch.first} to {batch.next} where {self.next} was due")
        started = time.perf_counter()
        digests = self._content.add(batch.records)
        hashed = time.perf_counter()
        self.columns.add(batch, parsed, digests)
        self._stage.labels(stage="hash").inc(hashed - started)
        self._stage.labels(stage="columns").inc(time.perf_counter() - hashed)
        self.next = batch.next
        self.count += len(batch.records)
        self.bytes += batch.size
        self.weight += weight(batch)
        if self.oldest_ms is None and batch.records:
            self.oldest_ms, self.since = batch.records[0].timestamp, now

    @property
    def content(self) -> str:
        """The hash over its records."""
        return self._content.hex()


class Hold:
    """Live batches held back while their partition is not live: the newest contiguous ones, within a bound.

    They are kept as Kafka gave them: what a parser makes of a record weighs several times as much.
    """

    def __init__(self) -> None:
        self._batches: deque[RecordBatch] = deque()
        self.weight = 0

    @property
    def first(self) -> int | None:
        """The position at which what is held begins; None when nothing is held."""
        return self._batches[0].first if self._batches else None

    def add(self, batch: RecordBatch, bound: int) -> int:
        """Hold a batch; returns how many records were let go of to stay within `bound` bytes."""
        dropped = 0
        if self._batches and self._batches[-1].next != batch.first:
            dropped += self.clear()
        self._batches.append(batch)
        self.weight += weight(batch)
        while self.weight > bound and self._batches:
            dropped += len(self._pop().records)
        return dropped

    def take(self, position: int) -> RecordBatch | None:
        """Let go of what lies below `position` and hand out the batch that begins there; None when there is none."""
        while self._batches and self._batches[0].first <= position:
            batch = self._pop()
            if batch.next > position:
                return cut(batch, position)
        return None

    def clear(self) -> int:
        """Let go of everything; returns how many records that were."""
        dropped = sum(len(batch.records) for batch in self._batches)
        self._batches.clear()
        self.weight = 0
        return dropped

    def _pop(self) -> RecordBatch:
        batch = self._batches.popleft()
        self.weight -= weight(batch)
        return batch


class Holder(Protocol):
    """A partition that holds an open block."""

    @property
    def open_weight(self) -> int:
        """Bytes of the block that is open, 0 when it cannot be closed now."""

    @property
    def flying(self) -> bool:
        """Whether a block of it is on its way to the store."""

    def close_early(self) -> None:
        """Close the open block as soon as possible."""


class Budget:
    """The bound over all blocks of the process, open and on their way."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self.holders: set[Holder] = set()

    @property
    def tight(self) -> bool:
        """Three quarters are used: time to close blocks early and to slow the stream down."""
        return self.held > self.limit * 3 // 4

    def fits(self, size: int) -> bool:
        """Whether so many bytes more stay within the bound; anything fits while nothing is held."""
        return self.held == 0 or self.held + size <= self.limit

    def count(self, block: OpenBlock) -> None:
        """Count what was added to a block."""
        self.held += block.weight - block.counted
        block.counted = block.weight
        if self.tight:
            self.relieve()

    def free(self, block: OpenBlock) -> None:
        """The block is stored, or dropped."""
        self.held -= block.counted
        block.counted = 0

    def relieve(self) -> None:
        """Have the largest open block closed, unless one is on its way already and will make room."""
        if self.holders and not any(holder.flying for holder in self.holders):
            largest = max(self.holders, key=lambda holder: holder.open_weight)
            if largest.open_weight:
                largest.close_early()
