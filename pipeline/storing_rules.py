"""The storer's decisions, without effects: where a batch is cut, when a block closes, how a tail block is mended."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from schemas.errors import HaltError
from schemas.event import Record, RecordBatch
from sinks.clickhouse.ddl import LEAST_EVENT_DAYS, WINDOW
from sinks.clickhouse.ledger import Chain, Claim

State = Literal["waiting", "catching_up", "live", "halted"]
Repair = Literal["rebuild", "take", "wait", "fill"]

#: What a row weighs beside its record's bytes while it waits in a block.
ROW_BYTES = 256
#: Of all blocks that a table remembers, those we rely on: repairs insert too, and clocks differ.
TRUSTED_WINDOW = WINDOW // 2


class Limits(NamedTuple):
    """When a block closes: rows, bytes, seconds."""

    rows: int
    bytes: int
    age: float


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds to wait before the next attempt: doubling from `least` to `most`, never less than half of that."""

    least: float = 0.25
    most: float = 8.0

    def delay(self, attempt: int, chance: float) -> float:
        """`attempt` counts from 0; `chance` in [0, 1) spreads the workers."""
        return min(self.most, self.least * 2.0 ** min(attempt, 16)) * (0.5 + chance / 2)


def age_limit(block_age: float, partitions: int) -> float:
    """The age at which blocks close: with many partitions, larger blocks instead of more inserts a second."""
    return max(block_age, partitions / 4)


def weight(batch: RecordBatch) -> int:
    """Bytes that a batch takes in a block."""
    return batch.size + ROW_BYTES * len(batch.records)


def cut(batch: RecordBatch, first: int, until: int | None = None) -> RecordBatch:
    """The part of the batch from position `first` to `until` (exclusive; None: its end), perhaps nothing."""
    start = max(first, batch.first)
    end = max(start, batch.next if until is None else min(batch.next, until))
    if (start, end) == (batch.first, batch.next):
        return batch
    records = batch.records[_index(batch.records, start) : _index(batch.records, end)]
    return RecordBatch(batch.log, batch.topic, batch.partition, start, end, records)


def _index(records: Sequence[Record], position: int) -> int:
    return bisect_left(records, position, key=lambda record: record.offset)


def full(rows: int, size: int, age: float, limits: Limits) -> bool:
    """Whether a block of so many rows, bytes and seconds closes. One without rows has nothing to claim."""
    return rows > 0 and (rows >= limits.rows or size >= limits.bytes or age >= limits.age)


def owners_time(timeout: float) -> float:
    """Seconds after a claim in which its owner may still be inserting; `timeout` bounds one request.

    A block's inserts end within `landing_time`, the request then under way within another timeout.
    """
    return landing_time(timeout) + timeout + 15.0


def landing_time(timeout: float) -> float:
    """Seconds that a block may take from its claim to the last confirmed insert, before it is looked at afresh."""
    return timeout + 15.0


def missing_from_log(tail: Claim, log_first: int) -> HaltError | None:
    """The gap between what is stored and what the log still has, as the sentence that halts storing; else None."""
    if tail.next >= log_first:
        return None
    return HaltError(
        f"Storing of {tail.chain} stands still: offsets {tail.next} to {log_first - 1} left the log before they were "
        "stored. Give the topic a longer retention; to go on, a person must accept the loss (runbook "
        "QorganStoringHalted)."
    )


def remembered(claimed_since: int) -> bool:
    """Whether a claim's tokens are surely in the tables' windows still, after so many later claims."""
    return claimed_since < TRUSTED_WINDOW


def expired(age: float) -> bool:
    """Whether rows of a block may be gone by retention, so that their absence means nothing; `age` in seconds."""
    return age >= LEAST_EVENT_DAYS * 86_400


def repair_of(
    block: Claim, last: Claim, revision: str, log_first: int, claimed_since: int, age: float, timeout: float
) -> Repair:
    """How an incomplete tail block is made whole; `last` is the chain's last row, `age` its age in seconds.

    `rebuild`: made again from Kafka and inserted with the claim's own tokens: the same rows under the same token add
    nothing. Right only for the same revision, inside the tables' window, while the log has the whole block, and while
    nobody took it to mend.

    `take`: our rows would be others, so first a row in the ledger says whose turn it is. `wait`: those who were in
    turn before may be inserting still. `fill`: it is our turn, and only what stands nowhere is inserted, with tokens
    of that turn.
    """
    if last.number == block.number:
        whole = log_first <= block.first
        return "rebuild" if whole and block.revision == revision and remembered(claimed_since) else "take"
    if last.revision == revision:
        return "fill" if age > owners_time(timeout) else "wait"
    return "take" if age > 2 * owners_time(timeout) else "wait"


def differs(claim: Claim, count: int, content: str) -> HaltError | None:
    """The sentence that halts storing when Kafka's records are not those that were claimed; else None."""
    if (claim.count, claim.content) == (count, content):
        return None
    return HaltError(
        f"Storing of {claim.chain} stands still: Kafka gives {count} other records for the block at {claim.first} "
        f"than the {claim.count} that were claimed. The log was changed or cut; look at the broker before going on."
    )


def log_ends_early(claim: Claim, end: int) -> HaltError:
    """The sentence for a log that ends inside what was claimed."""
    return HaltError(
        f"Storing of {claim.chain} stands still: the log ends at {end}, but records up to {claim.last} were claimed. "
        "The broker lost records that it had accepted; look at it before going on."
    )


def incomplete(claim: Claim, count: int) -> HaltError | None:
    """The sentence that halts storing when a block cannot be made whole; else None."""
    if count >= claim.count:
        return None
    return HaltError(
        f"Storing of {claim.chain} stands still: {claim.count - count} of {claim.count} records of the block at "
        f"{claim.first} are neither in ClickHouse nor in the log. To go on, a person must accept the loss (runbook "
        "QorganStoringHalted)."
    )


def ours(sent: Claim, stands: Claim | None) -> bool:
    """Whether the claim that was read back is the one that was sent."""
    return stands is not None and stands.owner == sent.owner and stands.hash == sent.hash


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """How storing of one partition stands.

    `tail` is the last stored position (None while unknown), `lag` counts positions to the known end of the log,
    `reason` is a sentence while it waits or is halted.
    """

    topic: str
    partition: int
    log: str
    state: State
    tail: int | None
    lag: int
    reason: str

    @property
    def chain(self) -> Chain:
        """The ledger's chain of this partition."""
        return Chain(self.log, self.topic, self.partition)
