"""The storer of one partition: waiting → catching up → live, or halted.

One task does all that waits; `offer` only appends. Rows are added to the open block by one of two: by `offer` while
live, by the task (from its own reading of Kafka, or from live batches held back) while catching up. Whatever goes
wrong, the block is dropped and everything begins again at the ledger's tail: Kafka is the spool.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import structlog

from pipeline.storing_blocks import Hold, OpenBlock, Tabulator
from pipeline.storing_flight import LostClaimError, land
from pipeline.storing_kafka import Cursor, OutOfRangeError
from pipeline.storing_means import Means
from pipeline.storing_rules import PartitionStatus, State, cut, full, weight
from pipeline.storing_tail import LaterError, RecreatedError, find_tail
from schemas.errors import HaltError, QorganError, UnreachableError
from schemas.event import RecordBatch
from sinks.clickhouse.ledger import Chain, Claim

#: Seconds: between two looks at what halts a partition; for the stream's first batch, before reading on our own.
HALTED_S = 30.0
FIRST_BATCH_S = 1.0
LATER_S = 5.0
TIGHT_S = 0.2

log = structlog.get_logger("storing")


class PartitionStorer:
    """Stores one partition of one log for as long as it is owned."""

    def __init__(self, chain: Chain, tabulator: Tabulator, means: Means, owner: str) -> None:
        """`owner` tells this storer's claims from all others'."""
        self.chain = chain
        self.state: State = "waiting"
        self.reason = ""
        self._tabulator, self._means, self._owner = tabulator, means, owner
        self._tail: Claim | None = None
        self._offered: int | None = None
        self._end = 0
        self._unstored_ms: int | None = None
        self._block = self._empty(0)
        self._hold, self._holding = Hold(), True
        self._beginning = True
        """Whether the ledger is asked for the first time: what the stream runs ahead now would be read twice."""
        self._streamed: int | None = None
        """Where the stream's next batch begins: what lies before it, and is not here, only Kafka has."""
        self._cursor: Cursor | None = None
        self._flight: asyncio.Task[Claim] | None = None
        self._flying: OpenBlock | None = None
        self._failed: HaltError | None = None
        self._asked = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name=f"storing {self.chain}")
        self._means.budget.holders.add(self)

    async def stop(self) -> None:
        """End; a block on its way is left to land by itself (`Means.landing`), everything else is dropped."""
        self._means.budget.holders.discard(self)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def offer(self, batch: RecordBatch, parsed: Any) -> None:
        """Live rows: appended, held back, or dropped."""
        if batch.log != self.chain.log:
            return
        self._seen(batch)
        self._streamed = batch.next
        if self.state == "live":
            self._append(batch, parsed)
        elif self._holding:
            self._dropped(self._hold.add(batch, self._means.hold_bound))
            self._wake.set()
        else:
            self._dropped(len(batch.records))

    @property
    def pressed(self) -> bool:
        """Whether the stream had better wait: this partition takes its rows, and there is hardly room for more."""
        if self.state == "live":
            return self._means.budget.tight or self._block.count >= 2 * self._means.limits.rows
        first = self._hold.first
        near = self.state == "catching_up" and first is not None and first <= self._block.next
        return (near or self._beginning) and self._hold.weight > self._means.hold_bound // 4

    @property
    def open_weight(self) -> int:
        """Bytes of the open block; 0 while the one before it is on its way, so that it cannot be closed."""
        return 0 if self.flying else self._block.weight

    @property
    def flying(self) -> bool:
        """Whether a block is on its way to the store."""
        return self._flight is not None

    def close_early(self) -> None:
        """Close the open block as soon as possible."""
        self._asked = True
        self._wake.set()

    def status(self) -> PartitionStatus:
        """How it stands."""
        tail = self._tail.last if self._tail is not None else None
        known = tail + 1 if tail is not None else self._offered
        lag = max(0, self._end - known) if known is not None else 0
        log_, topic, partition = self.chain
        return PartitionStatus(topic, partition, log_, self.state, tail, lag, self.reason)

    @property
    def unstored_since(self) -> float | None:
        """Kafka's time (s) of the oldest record known not to be stored, held or not; None when all are stored."""
        return self._unstored_ms / 1000 if self._unstored_ms is not None else None

    def _seen(self, batch: RecordBatch) -> None:
        """Remember how far the log goes, and since when something is not stored."""
        self._offered = batch.first if self._offered is None else self._offered
        self._end = max(self._end, batch.next)
        if self._unstored_ms is None and batch.records and (self._tail is None or batch.next > self._tail.next):
            self._unstored_ms = batch.records[0].timestamp

    def _append(self, batch: RecordBatch, parsed: Any) -> None:
        block, budget = self._block, self._means.budget
        if batch.next <= block.next:
            return  # stored already, or on its way
        part = cut(batch, block.next)
        size = weight(part)
        if part.first > block.next or not budget.fits(size):
            self._fall_back(part)
            return
        fresh = block.count == 0
        try:
            block.add(part, parsed, self._now())
        except HaltError as error:
            self._failed = error
        except Exception as error:  # a fault in our own rows must not reach the stream
            self._failed = HaltError(f"Rows of {self.chain} cannot be made ({type(error).__name__}): a fault of ours.")
        budget.count(block)
        if fresh or self._failed is not None or self._due():
            self._wake.set()

    def _fall_back(self, batch: RecordBatch) -> None:
        """The stream left a hole, or there is no room: go on from Kafka. What is in the open block stays there."""
        self._enter("catching_up")
        self._dropped(self._hold.clear() + self._hold.add(batch, self._means.hold_bound))
        self._wake.set()

    async def _run(self) -> None:
        attempt = 0
        while True:
            try:
                tail = await find_tail(self._means, self.chain, self._tabulator, self._owner)
                attempt = 0
                await self._follow(tail)
            except RecreatedError:
                self._retreat("waiting", f"{self.chain.topic} is another log now.", hold=False)
                self._means.recreated(self.chain.topic)
                return
            except LostClaimError:
                self._retreat("catching_up", "", hold=True)
                delay = self._means.chance() * 0.5
            except LaterError as later:
                self._retreat("waiting", str(later), hold=True)
                delay = LATER_S
            except HaltError as halt:
                self._halt(str(halt))
                delay = HALTED_S
            except QorganError as away:
                self._retreat("waiting", str(away), hold=False)
                delay = self._means.backoff.delay(attempt, self._means.chance())
                attempt += 1
            except Exception as error:
                log.exception("the storer failed", chain=str(self.chain))
                self._halt(f"Storing of {self.chain} failed by a fault of ours ({type(error).__name__}).")
                delay = HALTED_S
            finally:
                self._beginning = False
                await self._let_go()
            await asyncio.sleep(delay)

    async def _follow(self, tail: Claim) -> None:
        """Store from the tail on. Ends by raising."""
        self._tail, self._block, self._failed = tail, self._empty(tail.next), None
        self._holding, self._beginning = True, False
        if self._end <= tail.next:
            self._unstored_ms = None
        self._enter("catching_up")
        self._wake.clear()
        if self._hold.first is None:
            await self._rest(FIRST_BATCH_S)
        while True:
            self._wake.clear()
            self._settle()
            if self.state == "live":
                await self._rest(self._until_due())
            elif self.flying and self._due():
                await self._rest(None)
            elif self._means.budget.tight:
                self._means.budget.relieve()
                await self._rest(TIGHT_S)
            else:
                await self._catch_up()

    def _settle(self) -> None:
        """Take note of a block that landed, or failed; send off the next one when it is due."""
        if self._failed is not None:
            raise self._failed
        if self._flight is not None and self._flight.done():
            flight, self._flight = self._flight, None
            self._tail, self._flying = flight.result(), None
            self._unstored_ms = self._block.oldest_ms
        if self._flight is None and self._due():
            block, self._block, self._asked = self._block, self._empty(self._block.next), False
            assert self._tail is not None  # noqa: S101 - set by _follow
            self._flying = block
            self._flight = asyncio.create_task(land(self._means, self.chain, self._owner, block, self._tail))
            self._flight.add_done_callback(lambda _: self._wake.set())

    async def _catch_up(self) -> None:
        """One step towards the stream: from the batches held back where they go on from here, else from Kafka."""
        position = self._block.next
        batch = self._hold.take(position)
        if batch is None and self._streamed is not None and self._streamed <= position:
            await self._go_live()
            return
        if batch is None:
            batch = await self._fetch(position)
            if batch.next == batch.first and (self._streamed is None or self._streamed <= position):
                await self._go_live()
                return
        block = self._block
        await self._means.run(_take_in, block, batch, self._tabulator, self._now())
        self._means.budget.count(block)

    async def _go_live(self) -> None:
        """From here on the stream's rows follow on what is in the open block."""
        self._enter("live")
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            await cursor.close()

    async def _fetch(self, position: int) -> RecordBatch:
        """The next records from Kafka, up to where the held batches begin."""
        try:
            if self._cursor is None or self._cursor.position != position:
                await self._close_cursor()
                self._cursor = await self._means.kafka.open(self.chain, position)
            batch = await self._cursor.fetch()
        except OutOfRangeError:
            raise UnreachableError(f"Offset {position} of {self.chain} is not in the log any more.") from None
        self._end = max(self._end, self._cursor.end or 0)
        self._seen(batch)
        held = self._hold.first  # may have come meanwhile, and from further back: then there is nothing to leave to it
        return cut(batch, position, held if held is not None and held > position else None)

    async def _let_go(self) -> None:
        """Drop what is open. A block on its way is awaited, unless we are being stopped: then it lands by itself."""
        self._means.budget.free(self._block)
        self._block = self._empty(0)
        flight, self._flight, self._flying, self._asked = self._flight, None, None, False
        if flight is not None:
            self._means.landing.add(flight)
            flight.add_done_callback(self._landed)
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                await asyncio.wait({flight})
        await self._close_cursor()

    def _landed(self, flight: asyncio.Task[Claim]) -> None:
        self._means.landing.discard(flight)
        if not flight.cancelled():
            flight.exception()  # looked at; the ledger's tail tells what became of it

    async def _close_cursor(self) -> None:
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            await cursor.close()

    async def _rest(self, seconds: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    def _due(self) -> bool:
        block = self._block
        age = self._now() - block.since if block.count else 0.0
        return (self._asked and block.count > 0) or full(block.count, block.weight, age, self._means.limits)

    def _until_due(self) -> float | None:
        """Seconds until the open block must be sent off by its age; None when something else comes first."""
        if self._flight is not None or not self._block.count:
            return None
        left = self._means.limits.age - (self._now() - self._block.since)
        return max(left, 0.001)  # never so little that the clock does not move

    def _enter(self, state: State) -> None:
        self.state, self.reason = state, ""

    def _retreat(self, state: State, reason: str, *, hold: bool) -> None:
        """Begin again; live batches are held back meanwhile, or dropped."""
        if reason and reason != self.reason:
            log.warning(reason, topic=self.chain.topic, partition=self.chain.partition)
        if self.state == "live":
            self._dropped(self._block.count + (self._flying.count if self._flying is not None else 0))
        self.state, self.reason, self._holding = state, reason, hold
        if not hold:
            self._dropped(self._hold.clear())

    def _halt(self, reason: str) -> None:
        if reason != self.reason:
            log.error(reason, topic=self.chain.topic, partition=self.chain.partition)
        self._retreat("halted", "", hold=False)
        self.reason = reason

    def _empty(self, first: int) -> OpenBlock:
        return OpenBlock(self._tabulator, first, self._means.metrics)

    def _dropped(self, count: int) -> None:
        if count:
            self._means.metrics["dropped_rows_total"].labels(topic=self.chain.topic).inc(count)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _take_in(block: OpenBlock, batch: RecordBatch, tabulator: Tabulator, now: float) -> None:
    block.add(batch, tabulator.parse(batch), now)
