"""What all storers of a process share: the store behind threads, Kafka, clocks, limits, whether the store answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import pyarrow as pa

from pipeline.metrics import Metrics
from pipeline.storing_blocks import Budget
from pipeline.storing_kafka import Kafka
from pipeline.storing_rules import Backoff, Limits
from pipeline.storing_threads import Runner
from schemas.errors import HaltError, UnreachableError
from sinks.clickhouse.ledger import Chain, Claim

T = TypeVar("T")

LANES = 2
INSIST_S = 5.0


class Store(Protocol):
    """The store (`sinks.clickhouse.store.ClickHouse`). Methods block, and raise UnreachableError or HaltError."""

    def check(self) -> None: ...
    def tail(self, chain: Chain) -> Claim | None: ...
    def block(self, chain: Chain) -> Claim | None: ...
    def claim(self, claim: Claim) -> Claim | None: ...
    def since(self, received: int) -> int: ...
    def newest_log(self, topic: str, partition: int) -> str | None: ...
    def insert(self, table: str, data: pa.Table, token: str) -> None: ...
    def present(self, claim: Claim, tables: Iterable[str]) -> list[int]: ...
    def count(self, claim: Claim, tables: Iterable[str]) -> int: ...


class Logs(Protocol):
    """Which log a topic is now (`pipeline.logs.Logs`). Both return within bounded time, or raise QorganError."""

    async def current(self, topic: str) -> str: ...
    async def partitions(self, topic: str) -> int: ...


def now() -> float:
    """The running loop's time: monotonic, in seconds."""
    return asyncio.get_running_loop().time()


@dataclass
class Means:
    """Shared by the storers of one process; `clock` gives seconds since 1970, `chance` a number in [0, 1)."""

    store: Store
    run: Runner
    kafka: Kafka
    logs: Logs
    metrics: Metrics
    budget: Budget
    limits: Limits
    timeout: float
    hold_bound: int
    clock: Callable[[], float]
    chance: Callable[[], float]
    recreated: Callable[[str], None]
    backoff: Backoff = field(default_factory=Backoff)
    up: bool = False
    landing: set[asyncio.Task[Claim]] = field(default_factory=set)
    """Blocks on their way whose storers are gone."""
    lanes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LANES))
    """Blocks that are claimed and inserted at once: each takes twice its size meanwhile."""
    _checked: bool = False
    _checking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ask(self, what: str, request: Callable[..., T], *arguments: object) -> T:
        """Send the store one request from a thread, and note how that went. `what` is a metric's label."""
        started = time.perf_counter()
        try:
            answer = await self.run(request, *arguments)
        except UnreachableError:
            self._note(up=False)
            self.metrics["store_errors_total"].labels(what=what).inc()
            raise
        except HaltError:
            self._checked = False  # the tables are not what they were: look again before the next attempt
            raise
        self._note(up=True)
        self.metrics["store_seconds"].labels(what=what).observe(time.perf_counter() - started)
        return answer

    async def insist(self, what: str, request: Callable[..., T], *arguments: object) -> T:
        """The same, again and again for a few seconds. Only for requests with a token."""
        attempt, until = 0, now() + INSIST_S
        while True:
            try:
                return await self.ask(what, request, *arguments)
            except UnreachableError:
                delay = self.backoff.delay(attempt, self.chance())
                if now() + delay > until:
                    raise
            attempt += 1
            await asyncio.sleep(delay)

    async def insert(self, until: float, table: str, data: pa.Table, token: str) -> None:
        """Insert rows, but not after `until` (the loop's time), looked at right before the request is sent.

        A token protects while the table remembers it. A process that was stopped for hours in the middle of a block
        must not go on with it: another may have mended it, and the token may be forgotten.
        """
        clock = asyncio.get_running_loop().time

        def send() -> None:
            if clock() >= until:
                raise UnreachableError("The time for this block is over: it is looked at afresh.")
            self.store.insert(table, data, token)

        await self.insist("insert", send)

    async def checked(self) -> None:
        """See to it that the tables were made and looked at. Raises HaltError with what is wrong with them."""
        async with self._checking:
            if not self._checked:
                await self.ask("check", self.store.check)
                self._checked = True

    def _note(self, *, up: bool) -> None:
        self.up = up
        self.metrics["store_up"].set(up)
