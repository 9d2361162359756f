"""The consumer's own thread: aiokafka, its positions and its commits.

It has a thread and a loop of its own so that heartbeats go on while an agent works. Everything here that touches
positions does so without an await in between, so that a rebalance cannot come between looking and acting.
"""

# ruff: noqa: SLF001 - aiokafka has no public way to say where a group stands, or whether it is reassigned
from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Mapping, Set
from typing import Any, NamedTuple, TypeVar

import aiokafka
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    ConsumerStoppedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from pipeline.transport_fetch import Taken, drain, more
from pipeline.transport_options import Limits, TransportOptions
from schemas.errors import QorganError, UnreachableError

T = TypeVar("T")

#: Seconds until a broker that takes the connection and says nothing counts as away.
CONNECT_S = 20.0
#: Seconds that the thread's end may take: leaving the group waits for a join that is under way.
LEAVE_S = 3.0
#: What trying again does not mend.
DENIED = (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)


class Known(NamedTuple):
    """What the broker says of a partition. `committed` is None without an offset."""

    first: int
    end: int
    committed: int | None
    metadata: str


class BoundedThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc] # Faust publishes no types
    """Faust's thread with our fetching, that says in a sentence why it cannot start, and ends in bounded time."""

    reset = "earliest"

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        return new_consumer(self.app.conf, self.app.transport_options, reset=self.reset)

    async def on_start(self) -> None:
        """Connect. Raises UnreachableError; aiokafka does not tell silence from a refusal, `Logs` does."""
        try:
            await asyncio.wait_for(super().on_start(), CONNECT_S)
        except (KafkaError, TimeoutError) as error:
            raise UnreachableError(
                f"Kafka cannot be reached, or does not let us in ({error or 'no answer'}). "
                "Check QORGAN_KAFKA, kafka_security, kafka_user and its password, and that the broker runs."
            ) from error

    def on_crash(self, msg: str, *fmt: Any, **kwargs: Any) -> None:
        """Nothing: mode would print a trace; the error is raised where the app is served."""

    def _start_thread(self) -> None:
        with contextlib.suppress(QorganError):  # raised where the thread was started; not once more from the thread
            super()._start_thread()

    def _stopped_set(self) -> None:
        with contextlib.suppress(RuntimeError):  # after a crash the thread's loop may be closed already
            super()._stopped_set()

    async def on_thread_stop(self) -> None:
        """Leave the group and close, in bounded time: a join under way or a dead broker must not hold us."""
        if self._method_queue is not None:
            await self._method_queue.stop()
        if self._consumer is not None:
            try:
                await asyncio.wait_for(self._consumer.stop(), LEAVE_S)
            except TimeoutError:
                self.log.warning("Leaving the group took longer than %s s; its session will run out.", LEAVE_S)


class ConsumerThread(BoundedThread):
    """aiokafka for the batch driver: takes whole runs, places positions, commits with the log's id."""

    reset = "none"  # a position that is gone must be an error, never a silent leap

    async def run(self, work: Coroutine[Any, Any, T], timeout: float) -> T:
        """Do `work` in the thread's loop and wait for it at most `timeout` seconds, then cancel it.

        Raises TimeoutError, ConsumerStoppedError. Faust's method queue has two workers and no timeouts: two commits
        to a dead broker would block everything else.
        """
        try:
            running = asyncio.run_coroutine_threadsafe(work, self.thread_loop)
        except RuntimeError:  # the loop is closed
            work.close()
            raise ConsumerStoppedError from None
        try:
            return await asyncio.wait_for(asyncio.wrap_future(running), timeout)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise ConsumerStoppedError from None  # the thread ended under it: nobody cancelled us

    async def take(self, epoch: int, active: Set[TP], limits: Limits, room: int, timeout: float) -> list[Taken]:
        """What has been fetched, at most one batch a partition; waits up to `timeout` for the first.

        Takes nothing when `epoch` is over: the positions belong to the next one then. Raises aiokafka's errors.
        """
        consumer = self._ensure_consumer()
        fetcher = consumer._fetcher
        deadline = time.monotonic() + timeout
        with fetcher._subscriptions.fetch_context():  # counts as polling, else the group would expel us
            while True:
                if consumer._closed or fetcher._closed:
                    raise ConsumerStoppedError
                if epoch != self.consumer.epoch:
                    return []
                settled = not fetcher._subscriptions.reassignment_in_progress
                if settled and (taken := drain(fetcher, active, limits, room)):
                    return taken
                left = deadline - time.monotonic()
                if left <= 0:
                    return []
                await more(fetcher, left if settled else min(left, 0.05))

    async def known(self, tps: Set[TP], ends: bool) -> dict[TP, Known]:
        """First position, end and committed offset of each; `ends` false leaves the end out (0)."""
        consumer = self._ensure_consumer()
        partitions = [TopicPartition(tp.topic, tp.partition) for tp in tps]
        committed = await consumer._coordinator.fetch_committed_offsets(partitions)
        firsts = await consumer.beginning_offsets(partitions)
        lasts = await consumer.end_offsets(partitions) if ends else {}
        return {
            TP(p.topic, p.partition): Known(
                firsts[p],
                lasts.get(p, 0),
                committed[p].offset if p in committed else None,
                (committed[p].metadata or "") if p in committed else "",
            )
            for p in partitions
        }

    async def place(self, epoch: int, positions: Mapping[TP, int]) -> bool:
        """Put every position, unless `epoch` is over or the assignment is another. Says whether it did."""
        consumer = self._ensure_consumer()
        if epoch != self.consumer.epoch or not set(positions) <= self.assignment():
            return False
        for tp, position in positions.items():
            consumer.seek(TopicPartition(tp.topic, tp.partition), position)
        return True

    def last_highwater(self, tp: TP) -> int | None:
        """The log's end as the last fetch said it; None before the first, or when the partition is not ours."""
        consumer = self._consumer
        try:
            highwater: int | None = consumer.highwater(TopicPartition(tp.topic, tp.partition)) if consumer else None
        except (AssertionError, AttributeError):  # unassigned at this very moment
            return None
        return highwater

    def last_poll(self, tp: TP) -> int | None:
        """When the last fetch of a partition was answered, milliseconds UTC by our clock; None as above."""
        consumer = self._consumer
        try:
            return consumer.last_poll_timestamp(TopicPartition(tp.topic, tp.partition)) if consumer else None
        except (AssertionError, AttributeError):  # unassigned at this very moment
            return None

    async def commit_positions(self, positions: Mapping[TP, tuple[int, str]]) -> set[TP]:
        """Commit position and metadata for those still assigned; returns them. Raises aiokafka's errors."""
        consumer = self._ensure_consumer()
        mine = {tp: named for tp, named in positions.items() if tp in self.assignment()}
        await consumer.commit({TopicPartition(tp.topic, tp.partition): OffsetAndMetadata(*mine[tp]) for tp in mine})
        return set(mine)


def new_consumer(conf: Any, options: TransportOptions, *, reset: str) -> aiokafka.AIOKafkaConsumer:
    """The aiokafka consumer of a role: what Faust would make, with our fetching and our way to reset."""
    return aiokafka.AIOKafkaConsumer(
        **options.client,
        client_id=conf.broker_client_id,
        group_id=conf.id,
        partition_assignment_strategy=[RoundRobinPartitionAssignor],
        enable_auto_commit=False,
        auto_offset_reset=reset,
        max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
        max_poll_records=conf.broker_max_poll_records,
        max_partition_fetch_bytes=options.limits.fetch_bytes,
        fetch_max_bytes=max(options.limits.fetch_bytes, options.limits.held_bytes),
        fetch_min_bytes=options.fetch_min_bytes,
        fetch_max_wait_ms=options.fetch_max_wait_ms,
        request_timeout_ms=int(conf.broker_request_timeout * 1000),
        session_timeout_ms=int(conf.broker_session_timeout * 1000),
        rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
        heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
        metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
    )
