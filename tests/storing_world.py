"""A world in which storers run: Kafka, ClickHouse and time as plain Python, where any step may fail, late or for ever.

Time is virtual (`run_in_virtual_time`): waiting costs nothing. A `Fate` decides what becomes of each request; a
process that is dead never gets an answer, but what it had sent may still arrive.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pipeline.metrics import Metrics
from pipeline.storing_blocks import Budget
from pipeline.storing_kafka import OutOfRangeError
from pipeline.storing_means import Means
from pipeline.storing_partition import PartitionStorer
from pipeline.storing_rules import TRUSTED_WINDOW, Limits
from schemas.errors import UnreachableError
from schemas.event import RecordBatch
from sinks.clickhouse.ledger import Chain, Claim
from tests.builders import FakeRecord

T = TypeVar("T")

CHAIN = Chain("log0", "raw.events", 0)
#: Seconds that a request may take in this world, and the time at which it begins.
TIMEOUT = 4.0
EPOCH = 1_760_000_000.0
DAY_MS = 86_400_000


class _Selector(selectors.DefaultSelector):
    """Never waits: the time it was to wait has passed at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout:
            self.now += timeout
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run_in_virtual_time(make: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine to its end on a loop whose clock jumps."""
    with asyncio.Runner(loop_factory=_Loop) as runner:

        async def main() -> T:
            return await make()

        return runner.run(main())


def now() -> float:
    return EPOCH + asyncio.get_running_loop().time()


@dataclass
class FakeStore:
    """ClickHouse's promises: a token is remembered, per table and partition (day), for `window` seconds.

    (On the engine it is a number of blocks; `since` then counts as if as many blocks had come as `trusted` seconds.)
    """

    window: float = float("inf")
    trusted: float = float("inf")
    down: bool = False
    later: float | None = None
    """Seconds after which what is asked for now takes effect, unheard by whoever asked."""
    ledger: list[Claim] = field(default_factory=list)
    rows: dict[str, list[tuple[Chain, int, int]]] = field(default_factory=dict)
    sums: list[tuple[int, int]] = field(default_factory=list)
    _tokens: dict[str, dict[Any, float]] = field(default_factory=dict)

    def check(self) -> None:
        self._answer()

    def tail(self, chain: Chain) -> Claim | None:
        self._answer()
        return max((c for c in self.ledger if c.chain == chain), key=lambda c: c.number, default=None)

    def block(self, chain: Chain) -> Claim | None:
        self._answer()
        return max((c for c in self.ledger if c.chain == chain and c.count), key=lambda c: c.number, default=None)

    def claim(self, claim: Claim) -> Claim | None:
        self._answer()
        self._do(lambda: self._claim(claim))
        return next((c for c in self.ledger if (c.chain, c.number) == (claim.chain, claim.number)), None)

    def _claim(self, claim: Claim) -> None:
        own = [c for c in self.ledger if c.chain == claim.chain]
        follows = not claim.number or any(c.hash == claim.previous for c in own)
        last = not any(c.number >= claim.number for c in own)
        if follows and last and self._fresh("ledger", (claim.chain, claim.number)):
            self.ledger.append(claim)

    def since(self, received: int) -> int:
        self._answer()
        return TRUSTED_WINDOW if now() - received / 1000 > self.trusted else 0

    def newest_log(self, topic: str, partition: int) -> str | None:
        raise NotImplementedError

    def insert(self, table: str, data: Any, token: str) -> None:
        self._answer()
        self._do(lambda: self._insert(table, data, token))

    def _insert(self, table: str, data: Any, token: str) -> None:
        if self._fresh(table, (token, data.received // DAY_MS)):
            if table == "observables":
                self.sums.append((data.first, data.last))
            else:
                self.rows.setdefault(table, []).extend((data.chain, offset, data.received) for offset in data.offsets)

    def present(self, claim: Claim, tables: Iterable[str]) -> list[int]:
        self._answer()
        return sorted(offset for table in tables for offset in self._of(claim, table))

    def count(self, claim: Claim, tables: Iterable[str]) -> int:
        return len(self.present(claim, tables))

    def _of(self, claim: Claim, table: str) -> list[int]:
        return [
            offset
            for chain, offset, received in self.rows.get(table, [])
            if chain == claim.chain and claim.first <= offset <= claim.last and received == claim.received
        ]

    def _fresh(self, table: str, token: Any) -> bool:
        """Whether the token is new to the table; remembers it."""
        known = self._tokens.setdefault(table, {})
        if token in known and now() - known[token] <= self.window:
            return False
        known[token] = now()
        return True

    def _do(self, effect: Callable[[], None]) -> None:
        if self.later is None:
            effect()
        else:
            asyncio.get_running_loop().call_later(self.later, lambda: None if self.down else effect())

    def _answer(self) -> None:
        if self.down:
            raise UnreachableError("the store is away")


@dataclass(frozen=True)
class FakeTable:
    chain: Chain
    first: int
    last: int
    received: int
    offsets: tuple[int, ...]


@dataclass
class FakeTabulator:
    """`dead` tells which records this build cannot parse."""

    revision: str = "r1"
    dead: Callable[[int], bool] = lambda offset: offset % 7 == 3
    row_tables: tuple[str, ...] = ("events", "dead_letters")

    def parse(self, batch: RecordBatch) -> list[tuple[int, bool]]:
        return [(record.offset, self.dead(record.offset)) for record in batch.records]

    def columns(self) -> FakeColumns:
        return FakeColumns()


class FakeColumns:
    def __init__(self) -> None:
        self._rows: list[tuple[int, bool]] = []

    def add(self, batch: RecordBatch, parsed: list[tuple[int, bool]], digests: Sequence[bytes]) -> None:
        rows = [row for row in parsed if batch.first <= row[0] < batch.next]
        if len(parsed) == len(rows):
            assert len(digests) == len(rows)
        self._rows += rows

    def tables(self, claim: Claim) -> Mapping[str, Any]:
        def table(offsets: Iterable[int]) -> FakeTable:
            return FakeTable(claim.chain, claim.first, claim.last, claim.received, tuple(offsets))

        events = table(offset for offset, dead in self._rows if not dead)
        dead = table(offset for offset, dead in self._rows if dead)
        made = {"observables": events, "dead_letters": dead, "events": events}
        return {name: rows for name, rows in made.items() if rows.offsets}


@dataclass
class FakeLog:
    """One partition's log; `offsets` may have holes, `end` is the position after the last record."""

    offsets: list[int]
    end: int
    first_position: int = 0
    log: str = CHAIN.log

    def read(self, position: int, most: int) -> RecordBatch:
        taken = [offset for offset in self.offsets if offset >= position][:most]
        until = taken[-1] + 1 if taken and len(taken) == most else self.end
        records = [FakeRecord(offset, b"%d" % offset, int(EPOCH * 1000)) for offset in taken]
        return RecordBatch(CHAIN.log, CHAIN.topic, CHAIN.partition, position, max(until, position), records)


@dataclass
class FakeKafka:
    log: FakeLog
    rng: random.Random

    async def first(self, topic: str, partition: int) -> int:
        return self.log.first_position

    async def open(self, chain: Chain, position: int) -> FakeCursor:
        return FakeCursor(self.log, position, self.rng)

    async def close(self) -> None: ...

    async def current(self, topic: str) -> str:
        return self.log.log

    async def partitions(self, topic: str) -> int:
        return 1


@dataclass
class FakeCursor:
    log: FakeLog
    position: int
    rng: random.Random

    async def fetch(self) -> RecordBatch:
        if self.position < self.log.first_position:
            raise OutOfRangeError
        batch = self.log.read(self.position, self.rng.randint(1, 9))
        await asyncio.sleep(0.5 if batch.next == batch.first else self.rng.random() * 0.05)
        self.position = batch.next
        return batch

    @property
    def end(self) -> int | None:
        return self.log.end

    async def close(self) -> None: ...


@dataclass
class Fate:
    """What becomes of a request, by chance: `trouble` is how often it does not simply succeed."""

    rng: random.Random
    trouble: float = 0.0
    slow: float = 0.0
    """Seconds that the store takes over each request."""

    def next(self) -> str:
        if self.rng.random() >= self.trouble:
            return "done"
        return self.rng.choice(("refused", "unanswered", "late", "late"))


class Process:
    """One worker process that owns the partition: a stream that starts at the committed offset, and a storer."""

    def __init__(
        self, name: str, store: FakeStore, kafka: FakeKafka, fate: Fate, tabulator: FakeTabulator, committed: list[int]
    ) -> None:
        self.alive = True
        self.patient = False
        """Whether the stream waits as `Storing.room` has it wait."""
        self._store, self._fate, self._kafka = store, fate, kafka
        self._committed, self._tabulator = committed, tabulator
        rng = fate.rng
        self.means = Means(
            store=store,
            run=self._run,
            kafka=kafka,
            logs=kafka,
            metrics=Metrics(),
            budget=Budget(rng.choice((6_000, 40_000, 1_000_000))),
            limits=Limits(rng.choice((5, 20)), 100_000, 2.0),
            timeout=TIMEOUT,
            hold_bound=rng.choice((600, 4_000, 100_000)),
            clock=now,
            chance=rng.random,
            recreated=lambda topic: None,
        )
        self.storer = PartitionStorer(CHAIN, tabulator, self.means, name)
        self._stream = asyncio.create_task(self._read())
        self.storer.start()

    def kill(self) -> None:
        """kill -9: no step of it is taken any more; what it has sent may still arrive."""
        self.alive = False
        self._stream.cancel()

    async def end(self) -> None:
        """The group took the partition away, or SIGTERM."""
        self._stream.cancel()
        await self.storer.stop()

    async def clear(self) -> None:
        """Remove what a killed process left in this one."""
        for flight in list(self.means.landing):
            flight.cancel()
        await self.storer.stop()
        for flight in list(self.means.landing):
            flight.cancel()

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Threads: a step of its own, which may never come back."""
        await self._step()
        if getattr(function, "__self__", None) is not self._store and "Means.insert" not in function.__qualname__:
            return function(*arguments)
        fate = self._fate.next()
        if fate == "refused":
            await asyncio.sleep(self._fate.rng.random())
            raise UnreachableError("no connection")
        if fate == "late":  # the request arrives after the client has given up
            delay = self._fate.rng.random() * TIMEOUT
            self._store.later = delay
            try:
                function(*arguments)
            finally:
                self._store.later = None
            await asyncio.sleep(min(delay, self._fate.rng.random() * TIMEOUT))
            await self._step()
            raise UnreachableError("timed out")
        await asyncio.sleep(self._fate.slow)
        answer = function(*arguments)
        await self._step()
        if fate == "unanswered":
            raise UnreachableError("connection reset")
        return answer

    async def _step(self) -> None:
        await asyncio.sleep(self._fate.rng.random() * 0.05)
        if not self.alive:
            await asyncio.Event().wait()

    async def _read(self) -> None:
        """Faust: batches from the committed offset on; committed now and then, never with a hole."""
        position, rng = self._committed[0], self._fate.rng
        await asyncio.sleep(rng.random() * 1.5)
        while True:
            batch = self._kafka.log.read(position, rng.randint(1, 6))
            if batch.next == batch.first:
                await asyncio.sleep(0.2)
                continue
            until = now() + 1.0
            while self.patient and self.storer.pressed and now() < until:  # noqa: ASYNC110 - as `room` does
                await asyncio.sleep(0.02)
            self.storer.offer(batch, self._tabulator.parse(batch))
            position = batch.next
            if rng.random() < 0.4:
                self._committed[0] = max(self._committed[0], position)
            await asyncio.sleep(rng.random() * 0.2)
