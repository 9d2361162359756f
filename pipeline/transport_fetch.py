"""From what aiokafka has fetched to batches: records of one partition with the positions before and after them.

aiokafka gives records and drops positions: where a fetch held control records only, or ended in compacted ones, the
position moves and nobody is told. So its own fetch results are taken here, in one step without an await.
"""

# ruff: noqa: SLF001 - aiokafka has no public way to take one partition's records together with its positions
from __future__ import annotations

import asyncio
from collections.abc import Set
from typing import Any, NamedTuple

from aiokafka.consumer.fetcher import FetchResult
from aiokafka.structs import TopicPartition
from faust.types import TP

from pipeline.transport_options import Limits

#: Records asked of aiokafka at a time: small enough that one step over the byte limit stays small.
STEP = 250


class Taken(NamedTuple):
    """Records of one partition and the positions before and after them; `records` may be empty."""

    tp: TP
    first: int
    next: int
    records: list[Any]
    size: int


async def more(fetcher: Any, seconds: float) -> None:
    """Until aiokafka has fetched more, at most so long. Raises what the group or the fetch met."""
    waiter = fetcher._create_fetch_waiter()
    done, _ = await asyncio.wait([waiter], timeout=seconds)
    if done:
        waiter.result()
    else:
        waiter.cancel()  # else aiokafka keeps it until the next fetch: an idle topic would gather them for days


def drain(fetcher: Any, active: Set[TP], limits: Limits, room: int) -> list[Taken]:
    """Take at most one batch of each active partition from what aiokafka has fetched, within `room` bytes.

    At least one batch whatever its size. A fetch that held control records only gives a batch without records: the
    position has moved, and the run of positions must not break. Raises the error that a partition's fetch met.
    """
    taken: list[Taken] = []
    assignment = fetcher._subscriptions.subscription.assignment
    for partition in list(fetcher._records):
        if not fetcher._subscriptions.is_assigned(partition):
            del fetcher._records[partition]
            continue
        if partition not in active:
            continue
        fetched = fetcher._records[partition]
        if not isinstance(fetched, FetchResult):
            if taken:
                break  # these first; the error is still there at the next call
            _release(fetcher, partition)
            fetched.check_raise()
        state = assignment.state_value(partition)
        first = state.position
        records, size = _cut(fetched, limits)
        if not fetched.has_more():
            _release(fetcher, partition)
        if state.position > first:
            taken.append(Taken(TP(*partition), first, state.position, records, size))
            room -= size
        if room <= 0:
            break
    return taken


def _cut(fetched: FetchResult, limits: Limits) -> tuple[list[Any], int]:
    """Records of one fetch up to the limits: compression makes a fetch larger than the broker was asked for."""
    records: list[Any] = []
    size = 0
    if fetched.has_more():
        fetched._partition_records._consumer_record = _as_decoded
    while fetched.has_more() and len(records) < limits.batch_records and size < limits.fetch_bytes:
        step = fetched.getall(min(STEP, limits.batch_records - len(records)))
        size += sum([len(record.value or b"") + len(record.key or b"") for record in step])
        records += step
    return records, size


def _as_decoded(_: TopicPartition, record: Any) -> Any:
    """The record as aiokafka's decoder gives it: a `ConsumerRecord` around it says nothing more, and costs 3 µs."""
    return record


def _release(fetcher: Any, partition: TopicPartition) -> None:
    """Let aiokafka fetch this partition again."""
    del fetcher._records[partition]
    fetcher._notify(fetcher._wait_consume_future)
