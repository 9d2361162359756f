"""Whether a topic is still the log that is read."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.logs import UnknownTopicError
from pipeline.transport_logs import FRESH_S, LogChangedError, LogWatch
from schemas.errors import UnreachableError
from tests.fakes_transport import FakeLogs


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_without_a_commit_the_topic_is_asked_every_two_seconds(clock: Clock) -> None:
    logs = FakeLogs({"raw": "a"})
    watch = LogWatch(logs, clock)
    assert await watch.names(["raw", "raw"]) == {"raw": "a"}
    for _ in range(5):
        assert await watch.hold([("raw", "a")], 1.0) == {"raw"}
    assert logs.asked == ["raw"]
    clock.now += FRESH_S
    assert await watch.hold([("raw", "a")], 1.0)
    assert logs.asked == ["raw", "raw"]


async def test_before_a_commit_an_old_answer_does_not_count(clock: Clock) -> None:
    """The topic was created again within the two seconds: the commit would go into the new log."""
    logs = FakeLogs({"raw": "a"})
    watch = LogWatch(logs, clock)
    await watch.names(["raw"])
    logs.names["raw"] = "b"
    assert await watch.hold([("raw", "a")], 1.0)
    with pytest.raises(LogChangedError):
        await watch.hold([("raw", "a")], 1.0, fresh=0.0)


async def test_a_topic_created_again_is_an_error_that_says_what_happens(clock: Clock) -> None:
    logs = FakeLogs({"raw": "a"})
    watch = LogWatch(logs, clock)
    await watch.names(["raw"])
    logs.names["raw"] = "b"
    clock.now += FRESH_S
    with pytest.raises(LogChangedError, match="raw was deleted and created again"):
        await watch.hold([("raw", "a")], 1.0)


@pytest.mark.parametrize("error", [UnreachableError("away"), UnknownTopicError("no such topic")])
async def test_without_an_answer_nothing_is_committed_and_the_next_commit_asks_again(
    clock: Clock, error: Exception
) -> None:
    logs = FakeLogs({"raw": "a"})
    watch = LogWatch(logs, clock)
    await watch.names(["raw"])
    clock.now += FRESH_S
    logs.error = error
    assert not await watch.hold([("raw", "a")], 1.0)
    logs.error = None
    assert await watch.hold([("raw", "a")], 1.0)


async def test_a_topic_without_an_answer_holds_up_no_other(clock: Clock) -> None:
    logs = FakeLogs({"raw": "a", "other": "b"})
    watch = LogWatch(logs, clock)
    await watch.names(["raw", "other"])
    del logs.names["raw"]
    assert await watch.hold([("raw", "a"), ("other", "b")], 1.0, fresh=0.0) == {"other"}


async def test_a_question_that_is_never_answered_ends_in_time(clock: Clock) -> None:
    logs = FakeLogs({"raw": "a"})
    watch = LogWatch(logs, clock)
    await watch.names(["raw"])
    clock.now += FRESH_S
    logs.silent = True
    async with asyncio.timeout(2.0):
        assert not await watch.hold([("raw", "a")], 0.05)
