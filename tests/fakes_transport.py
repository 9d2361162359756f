"""Fakes for the batch transport: names of logs, aiokafka's fetcher, the consumer's thread."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Mapping, Set
from types import SimpleNamespace
from typing import Any

from aiokafka.consumer.fetcher import FetchError, FetchResult
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.structs import ConsumerRecord, TopicPartition
from faust.types import TP

from pipeline.logs import UnknownTopicError
from pipeline.transport_fetch import Taken
from pipeline.transport_options import Limits
from pipeline.transport_thread import Known


class FakeLogs:
    """Names of logs that a test sets; counts the questions."""

    def __init__(self, names: dict[str, str], *, embedded: bool = False) -> None:
        self.names = names
        self.error: Exception | None = None
        self.silent = False
        self.asked: list[str] = []
        self._embedded = embedded

    async def current(self, topic: str) -> str:
        self.asked.append(topic)
        if self.silent:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        if topic not in self.names:
            raise UnknownTopicError(f"no topic {topic}")
        return self.names[topic]

    async def embedded(self) -> bool:
        return self._embedded


def record(offset: int, value: bytes | None = b"value", key: bytes | None = None) -> ConsumerRecord[Any, Any]:
    sizes = (-1 if key is None else len(key), -1 if value is None else len(value))
    return ConsumerRecord("raw", 0, offset, 1_700_000_000_000, 0, key, value, None, *sizes, ())


class FakeRecords:
    """What aiokafka parses of one fetch: records, and where the next fetch begins after the last of them."""

    def __init__(self, first: int, records: list[Any], end: int) -> None:
        self.next_fetch_offset = first
        self._records, self._end = iter(records), end

    def __iter__(self) -> FakeRecords:
        return self

    def __next__(self) -> Any:
        for found in self._records:
            self.next_fetch_offset = found.offset + 1
            return found
        self.next_fetch_offset = self._end
        raise StopIteration


class FakeFetcher:
    """aiokafka's fetcher with real fetch results and positions, and no broker."""

    def __init__(self, positions: dict[TopicPartition, int]) -> None:
        self.assignment = Assignment(set(positions))
        for partition, position in positions.items():
            self.assignment.state_value(partition).seek(position)
        self._records: OrderedDict[TopicPartition, Any] = OrderedDict()
        self._subscriptions = SimpleNamespace(
            subscription=SimpleNamespace(assignment=self.assignment),
            is_assigned=lambda partition: partition in self.assignment.tps,
        )
        self._wait_consume_future = "fetch again"
        self.notified: list[Any] = []

    def _notify(self, future: Any) -> None:
        self.notified.append(future)

    def fetched(self, partition: TopicPartition, records: list[Any], end: int) -> None:
        """A fetch came back with these records; the log goes on at `end`."""
        position = self.assignment.state_value(partition).position
        content = FakeRecords(position, records, end)
        self._records[partition] = FetchResult(
            partition, assignment=self.assignment, partition_records=content, backoff=0
        )

    def failed(self, partition: TopicPartition, error: Exception) -> None:
        self._records[partition] = FetchError(error=error, backoff=0)


class FakeThread:
    """The consumer's thread as the consumer sees it: a broker in a few dictionaries."""

    def __init__(self, positions: Mapping[TP, Known]) -> None:
        self.broker = dict(positions)
        self.placed: dict[TP, int] = {}
        self.committed: dict[TP, tuple[int, str]] = {}
        self.commits = 0
        self.fail: list[Exception] = []
        self.fetches: list[list[Taken]] = []
        self.before_known: list[Any] = []
        self.highwater = 1_000
        self.polled: int | None = None

    async def run(self, work: Coroutine[Any, Any, Any], timeout: float) -> Any:
        return await asyncio.wait_for(work, timeout)

    def assignment(self) -> set[TP]:
        return set(self.broker)

    async def known(self, tps: Set[TP], ends: bool) -> dict[TP, Known]:
        for happen in self.before_known:
            happen()
        return {tp: self.broker[tp] for tp in tps}

    async def place(self, epoch: int, positions: Mapping[TP, int]) -> bool:
        self.placed = dict(positions)
        return True

    async def take(self, epoch: int, active: Set[TP], limits: Limits, room: int, timeout: float) -> list[Taken]:
        await asyncio.sleep(0)
        return self.fetches.pop(0) if self.fetches else []

    async def commit_positions(self, positions: Mapping[TP, tuple[int, str]]) -> set[TP]:
        self.commits += 1
        if self.fail:
            raise self.fail.pop(0)
        self.committed.update(positions)
        return set(positions)

    def last_highwater(self, tp: TP) -> int | None:
        return self.highwater

    def last_poll(self, tp: TP) -> int | None:
        return self.polled
