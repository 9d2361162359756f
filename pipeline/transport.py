"""Faust with record batches: one event is what one fetch gave for one partition.

Faust's path costs some 80 µs a record, mostly four asyncio tasks each; paid once a batch it vanishes. Faust keeps
group membership, assignment, supervision and timers; fetching, positions, acknowledging and committing are ours.
Registered as `batch://` in the entry point group `faust.transports`. An agent looks like this:

    app = build_app(settings, role="ingest", driver="batch")
    raw = batches(app, "raw.events")

    @app.agent(raw, concurrency=1)
    async def judge(stream):
        async for event in stream.noack().events():
            batch = event.value  # schemas.event.RecordBatch; its records may be none
            await make_durable(batch)
            event.ack()  # only now: what is acknowledged is committed and never read again

The agent raises to stop the process (the app's supervisor is mode's CrashingSupervisor): what it did not acknowledge
is not committed, nor is anything after it, and is read again after the restart. Repeats are whole batches.

What keeps this true, each with a test in tests/unit/test_transport*.py or tests/flow/test_transport_flow.py:

- Faust skips messages without the present generation's id, and acknowledges what it cannot decode: so the id is set,
  and the schema passes the batch through untouched.
- Faust inlines `Consumer.ack` in Cython: so acknowledgements are read from the messages, `ack` is not overridden.
- Only an unbroken run of acknowledged batches is committed, by position (`Cursor`); Faust's bookkeeping of gaps in
  offsets, which takes unacknowledged records for acknowledged, is not used.
- A commit counts when the broker has confirmed it, and not before.
- Nothing is ever sought in a live consumer. Positions are placed in `perform_seek` alone, which Faust calls after
  every assignment with the flow stopped; each call begins an *epoch*, and what was fetched in another is dropped.
- Before partitions are given away, and at stop, what is under work may finish and be committed, in bounded time.
- A topic that was deleted and created again is noticed: its log id is read before every commit, and every two seconds.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog
from aiokafka.errors import ConsumerStoppedError, IllegalStateError, KafkaError, OffsetOutOfRangeError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from pipeline.logs import UnknownTopicError
from pipeline.transport_bounds import BoundedConsumer
from pipeline.transport_cursor import Cursor, CursorStatus, Flight, Partition
from pipeline.transport_fetch import Taken
from pipeline.transport_logs import FRESH_S, LogChangedError, LogWatch
from pipeline.transport_start import find_starts
from pipeline.transport_thread import DENIED, ConsumerThread
from pipeline.transport_topics import batches
from schemas.errors import RefusedError, UnreachableError
from schemas.event import RecordBatch

__all__ = ["Consumer", "Transport", "batches"]

#: Seconds that one look for fetched records lasts; a stop waits for it at most.
TAKE_S = 0.5
#: Seconds after which the consumer's thread counts as dead.
DEAD_S = 60.0
#: Seconds that a commit, and the question before it, may take.
COMMIT_S = 5.0
#: Seconds that finding the start positions may take. Below Faust's own limit, which ends in silence.
START_S = 60.0

log = structlog.get_logger("transport")


class Consumer(BoundedConsumer):
    """The batch driver's consumer. See the module."""

    _thread: ConsumerThread
    epoch: int = 0
    """Counts placements of positions; what was fetched in another epoch is dropped."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._cursors: dict[TP, Cursor] = {}
        self._polled: dict[TP, tuple[int | None, int]] = {}
        self._generation = 0
        self._committing = asyncio.Lock()
        super().__init__(*args, **kwargs)
        self._watch = LogWatch(self.options.logs)

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def cursor_status(self) -> list[CursorStatus]:
        """One for each owned partition; cheap, from the app's loop."""
        self._advance()
        return [
            CursorStatus(
                Partition(*tp),
                cursor.log,
                cursor.done,
                cursor.committed,
                self._thread.last_highwater(tp),
                cursor.oldest(),
                self._idle(tp, cursor),
            )
            for tp, cursor in self._cursors.items()
        ]

    def _idle(self, tp: TP, cursor: Cursor) -> int | None:
        """When the fetch began after which nothing was left: the answer before it. Two are needed, since records may
        be appended while an answer is on its way."""
        highwater, polled = self._thread.last_highwater(tp), self._thread.last_poll(tp)
        if highwater is None or polled is None or cursor.done < highwater:
            self._polled.pop(tp, None)
            return None
        before, last = self._polled.get(tp, (None, polled))
        if polled != last:
            before, last = last, polled
        self._polled[tp] = (before, last)
        return before

    # Where reading starts.

    async def perform_seek(self) -> None:
        """Find and place every start position. Faust calls it after each assignment, with the flow stopped.

        Raises UnreachableError when that takes too long, RefusedError when we may not see a topic.
        """
        self._forget()
        epoch, generation = self.epoch, self.app.consumer_generation_id
        try:
            async with asyncio.timeout(START_S):
                cursors = await find_starts(self.options, self._watch, self._thread, self.assignment())
                placed = await self._thread.run(
                    self._thread.place(epoch, {tp: cursor.start for tp, cursor in cursors.items()}), START_S
                )
        except UnknownTopicError as error:
            raise LogChangedError(f"{error} It was there when its partitions were assigned.") from error
        except DENIED as error:
            raise RefusedError(
                f"Kafka does not let us read ({type(error).__name__} {error}). Check our rights."
            ) from error
        except (TimeoutError, KafkaError) as error:
            if epoch != self.epoch or isinstance(error, IllegalStateError):
                return  # the partitions were taken away meanwhile; the next assignment calls again
            raise UnreachableError(
                f"Kafka did not say where to start within {START_S:g} s ({type(error).__name__}). Check the broker."
            ) from error
        if placed and epoch == self.epoch:
            self._cursors, self._generation = cursors, generation

    def _forget(self) -> None:
        """Drop every key of every partition: nothing of one assignment may count in the next."""
        self.epoch += 1
        self._cursors, self._polled = {}, {}
        for keyed in (self._gap, self._acked, self._acked_index, self._read_offset, self._committed_offset):
            keyed.clear()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish and commit what is under work, then forget. Faust forgets first and so cannot commit (#502)."""
        await self._on_partitions_revoked(revoked)
        self._forget()
        self._active_partitions.difference_update(revoked)
        self._paused_partitions.difference_update(revoked)

    # From fetched to handed out.

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                await self._feed()
        except (ConsumerStoppedError, asyncio.CancelledError):
            if not self.app.should_stop:
                raise
        except OffsetOutOfRangeError as error:
            raise LogChangedError(
                f"The log no longer has the position that is read next ({error}). "
                "The restart begins at the log's first position and counts what is gone."
            ) from error
        except TimeoutError:
            raise UnreachableError(
                f"The consumer's thread was silent for {DEAD_S:g} s; the restart makes a new one."
            ) from None
        except DENIED as error:
            raise RefusedError(
                f"Kafka does not let us read ({type(error).__name__} {error}). Check our rights."
            ) from error
        except KafkaError as error:
            raise UnreachableError(f"Kafka refused to be read: {type(error).__name__} {error}.") from error

    async def _feed(self) -> None:
        """Take what is fetched, if there is room for it, and hand it to the agents."""
        if not self.flow_active or not self._cursors:
            await self.sleep(0.1)
            return
        self._advance()
        room = self._room()
        if room <= 0:
            await self._wait_for_ack(TAKE_S)
            return
        epoch = self.epoch
        active = frozenset(self._get_active_partitions())
        for taken in await self._thread.run(
            self._thread.take(epoch, active, self.options.limits, room, TAKE_S), DEAD_S
        ):
            if epoch != self.epoch or not self.flow_active:
                return  # its position is placed again before anything else is taken
            await self._hand_out(taken)

    def _room(self) -> int:
        """Bytes that may still be handed out; none when the agent has enough to take: what waits in Kafka instead
        comes in larger batches later."""
        cursors = self._cursors.values()
        if sum(cursor.waiting for cursor in cursors) >= self.options.limits.waiting_batches:
            return 0
        return self.options.limits.held_bytes - sum(cursor.held_bytes for cursor in cursors)

    async def _hand_out(self, taken: Taken) -> None:
        tp, cursor = taken.tp, self._cursors[taken.tp]
        last = taken.records[-1] if taken.records else None
        message = ConsumerMessage(
            tp.topic,
            tp.partition,
            taken.next - 1,
            last.timestamp / 1000 if last else 0.0,
            last.timestamp_type if last else 0,
            None,
            None,
            RecordBatch(cursor.log, tp.topic, tp.partition, taken.first, taken.next, taken.records),
            None,
            0,
            0,
            tp,
            generation_id=self._generation,
        )
        cursor.admit(Flight(taken.first, taken.next, taken.size, time.monotonic(), message))
        await self.callback(message)

    def _advance(self) -> None:
        for cursor in self._cursors.values():
            cursor.advance()
        self._acked.clear()  # Faust's own lists of acknowledged offsets grow with every ack; we read the messages
        self._acked_index.clear()

    # Committing.

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit every acknowledged run; says whether something was. Raises LogChangedError. A failure is retried
        at the next interval."""
        async with self._committing:
            self._advance()
            cursors = dict(self._cursors)
            runs = {tp: (at, cursor.log) for tp, cursor in cursors.items() if (at := cursor.committable()) is not None}
            read = [(tp.topic, cursor.log) for tp, cursor in cursors.items()]
            try:
                same = await self._watch.hold(read, COMMIT_S, fresh=0.0 if runs else FRESH_S)
            except LogChangedError:
                self._forget()
                raise
            runs = {tp: run for tp, run in runs.items() if tp.topic in same}
            if not runs:
                return False
            try:
                confirmed = await self._thread.run(self._thread.commit_positions(runs), COMMIT_S)
            except (KafkaError, TimeoutError, ConsumerStoppedError) as error:
                log.warning("commit failed, to be tried again", error=type(error).__name__, partitions=len(runs))
                return False
            for tp in confirmed:
                cursors[tp].confirm(runs[tp][0])
            return bool(confirmed)


class Transport(driver.Transport):  # type: ignore[misc] # Faust publishes no types
    """`batch://`: the consumer above, Faust's aiokafka producer."""

    Consumer = Consumer
