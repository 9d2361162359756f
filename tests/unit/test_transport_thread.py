"""Work that is handed to the consumer's thread, whose loop may end under it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import ConsumerStoppedError

from pipeline.transport_thread import ConsumerThread


@pytest.fixture
def other() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def run(other: asyncio.AbstractEventLoop, work: Any, timeout: float) -> Any:
    """`ConsumerThread.run`, of which it needs the thread's loop alone."""
    return ConsumerThread.run(cast(ConsumerThread, SimpleNamespace(thread_loop=other)), work, timeout)


def _end(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()


async def test_a_thread_that_ends_under_a_commit_is_an_error_and_not_our_own_cancellation(
    other: asyncio.AbstractEventLoop,
) -> None:
    other.call_soon_threadsafe(other.call_later, 0.05, _end, other)
    with pytest.raises(ConsumerStoppedError):
        await run(other, asyncio.sleep(30), 20)


async def test_who_is_cancelled_while_waiting_stays_cancelled(other: asyncio.AbstractEventLoop) -> None:
    waiting = asyncio.create_task(run(other, asyncio.sleep(30), 20))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()


async def test_a_commit_without_an_answer_ends_in_its_time(other: asyncio.AbstractEventLoop) -> None:
    with pytest.raises(TimeoutError):
        await run(other, asyncio.sleep(30), 0.05)


async def test_a_loop_that_is_closed_already_is_an_error_of_the_same_kind() -> None:
    closed = asyncio.new_event_loop()
    closed.close()
    with pytest.raises(ConsumerStoppedError):
        await run(closed, asyncio.sleep(30), 1)
