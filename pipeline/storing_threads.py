"""Threads for blocking requests. They never keep a process from ending: a request to a silent store may take its
whole timeout, and what it was to store is in Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Runner(Protocol):
    """Runs a blocking function beside the event loop."""

    async def __call__(self, function: Callable[..., T], /, *arguments: Any) -> T: ...


class Threads:
    """A few daemon threads. (The standard executor's threads are joined at exit, however long they wait.)"""

    def __init__(self, count: int) -> None:
        self._count = count
        self._started = 0
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    async def __call__(self, function: Callable[..., T], /, *arguments: Any) -> T:
        """Run it in a thread. Cancelling leaves it running there; its outcome is then nobody's."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type] # None is a T where the function returns None

        def work() -> None:
            result, error = None, None
            try:
                result = function(*arguments)
            except BaseException as raised:
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle, result, error)

        self._work.put(work)
        self._start()
        return await future

    def close(self) -> None:
        """Let the threads end when they have finished what they are at."""
        for _ in range(self._started):
            self._work.put(None)
        self._started = 0

    def _start(self) -> None:
        if self._started < self._count:
            self._started += 1
            threading.Thread(target=self._run, name=f"storing-{self._started}", daemon=True).start()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
