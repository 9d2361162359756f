"""The batch consumer, with a fake thread in place of aiokafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import CommitFailedError, OffsetOutOfRangeError
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from pipeline.app import RoleApp, build_app
from pipeline.settings import Settings
from pipeline.transport import Consumer, batches
from pipeline.transport_cursor import BrokenRunError
from pipeline.transport_fetch import Taken
from pipeline.transport_logs import LogChangedError
from pipeline.transport_thread import Known
from pipeline.transport_topics import BatchSchema
from schemas.errors import UnreachableError
from schemas.event import RecordBatch
from tests.fakes_transport import FakeLogs, FakeThread, record

ZERO, ONE = TP("raw", 0), TP("raw", 1)

Made = Callable[..., Awaitable[Consumer]]


@pytest.fixture
async def made(tmp_path: Path) -> Made:
    async def make(*, embedded: bool = False, **options: Any) -> Consumer:
        settings = Settings(state_dir=tmp_path, stop_timeout=options.pop("stop_timeout", 0.5))
        logs = FakeLogs({"raw": "log-a"}, embedded=embedded)
        app = build_app(settings, "ingest", "batch", logs=logs, **options)
        app.finalize()
        app.topics.acking_topics.add("raw")  # what subscribing an agent does
        consumer: Consumer = app.consumer
        consumer._thread = FakeThread({ZERO: Known(0, 100, None, ""), ONE: Known(0, 100, None, "")})
        app.consumer_generation_id = 7
        return consumer

    return make


def taken(tp: TP, first: int, end: int) -> Taken:
    return Taken(tp, first, end, [record(at) for at in range(first, end)], 10 * (end - first))


class Agent:
    """Receives messages as the conductor does, takes each at once, acknowledges when told."""

    def __init__(self, consumer: Consumer) -> None:
        self.messages: list[ConsumerMessage] = []
        self._consumer = consumer
        consumer.callback = self

    async def __call__(self, message: ConsumerMessage) -> None:
        message.tracked = True
        message.incref()
        self._consumer._unacked_messages.add(message)
        self.messages.append(message)

    def ack(self, at: int) -> None:
        self.messages[at].ack(self._consumer)


async def placed(made: Made, **options: Any) -> tuple[Consumer, FakeThread, Agent]:
    consumer = await made(**options)
    agent = Agent(consumer)
    await consumer.perform_seek()
    consumer._set_active_tps({ZERO, ONE})
    return consumer, consumer._thread, agent


async def hand(consumer: Consumer, *runs: Taken) -> None:
    consumer._thread.fetches.append(list(runs))
    await consumer._feed()


async def test_an_event_is_one_batch_with_its_log_its_positions_and_the_present_generation(made: Made) -> None:
    """Faust skips messages of another generation without a word, so the id must be set."""
    consumer, _, agent = await placed(made)
    await hand(consumer, taken(ZERO, 0, 3))
    [message] = agent.messages
    batch = message.value
    assert isinstance(batch, RecordBatch)
    assert (batch.log, batch.topic, batch.partition, batch.first, batch.next) == ("log-a", "raw", 0, 0, 3)
    assert message.generation_id == 7


async def test_acknowledgements_are_seen_though_ack_is_not_ours(made: Made) -> None:
    """Faust's Cython loop inlines Consumer.ack and calls no override: what it sets is the message's own flag."""
    consumer, thread, agent = await placed(made)
    assert "ack" not in vars(Consumer)
    await hand(consumer, taken(ZERO, 0, 3))
    agent.messages[0].acked = True  # all that the inlined path leaves on the message
    await consumer.commit()
    assert thread.committed[ZERO] == (3, "log-a")


async def test_the_schema_passes_the_batch_through_untouched(made: Made) -> None:
    consumer, _, agent = await placed(made)
    await hand(consumer, taken(ZERO, 0, 3))
    event = await BatchSchema().compile(consumer.app)(agent.messages[0])
    assert event.value is agent.messages[0].value
    assert batches(consumer.app, "raw").schema.__class__ is BatchSchema


async def test_only_the_unbroken_run_is_committed_with_the_logs_id(made: Made) -> None:
    consumer, thread, agent = await placed(made)
    for first in (0, 3, 6):
        await hand(consumer, taken(ZERO, first, first + 3))
    agent.ack(0)
    agent.ack(2)
    assert await consumer.commit()
    assert thread.committed[ZERO] == (3, "log-a")


async def test_a_partition_read_for_the_first_time_commits_its_start(made: Made) -> None:
    consumer, thread, _ = await placed(made)
    await consumer.commit()
    assert thread.committed == {ZERO: (0, "log-a"), ONE: (0, "log-a")}


async def test_a_failed_commit_is_not_believed_and_tried_again(made: Made) -> None:
    consumer, thread, agent = await placed(made)
    await hand(consumer, taken(ZERO, 0, 3))
    agent.ack(0)
    thread.fail = [CommitFailedError("already rebalanced"), TimeoutError()]
    for _ in range(2):
        assert not await consumer.commit()
        assert {status.committed for status in consumer.cursor_status()} == {None}
    assert await consumer.commit()
    assert thread.committed[ZERO] == (3, "log-a")
    assert not await consumer.commit(), "nothing new was committed"


async def test_batches_dropped_on_their_way_are_no_committed_hole(made: Made) -> None:
    """A batch that was fetched and not handed out leaves the run broken: an error, not a commit past it."""
    consumer, thread, agent = await placed(made)
    await hand(consumer, taken(ZERO, 0, 3))
    agent.ack(0)
    with pytest.raises(BrokenRunError):
        await hand(consumer, taken(ZERO, 6, 9))
    await consumer.commit()
    assert thread.committed[ZERO] == (3, "log-a")


async def test_what_was_fetched_before_a_rebalance_is_not_handed_out_after_it(made: Made) -> None:
    consumer, thread, agent = await placed(made)

    async def rebalance(*_: Any) -> list[Taken]:
        consumer._forget()
        return [taken(ZERO, 0, 3)]

    thread.take = rebalance  # type: ignore[method-assign] # the fake acts once as a broker in a rebalance
    await consumer._feed()
    assert agent.messages == []


async def test_every_key_is_cleared_when_partitions_are_given_away(made: Made) -> None:
    consumer, _, agent = await placed(made)
    await hand(consumer, taken(ZERO, 0, 3), taken(ONE, 0, 3))
    agent.ack(0)
    epoch = consumer.epoch
    consumer.app.flow_control.resume()
    await consumer.on_partitions_revoked({ZERO, ONE})
    assert consumer.cursor_status() == []
    assert consumer.epoch > epoch
    for keyed in (consumer._acked, consumer._acked_index, consumer._gap, consumer._read_offset):
        assert not keyed
    assert not consumer._committed_offset
    assert not consumer._active_partitions


async def test_what_is_acknowledged_is_committed_before_partitions_are_given_away(made: Made) -> None:
    consumer, thread, agent = await placed(made)
    await hand(consumer, taken(ZERO, 0, 3))
    agent.ack(0)
    await consumer.on_partitions_revoked({ZERO, ONE})
    assert thread.committed[ZERO] == (3, "log-a")


async def test_a_late_acknowledgement_of_another_epoch_commits_nothing(made: Made) -> None:
    """A stuck agent acknowledges 0 to 3 after the partition was read anew, in other boundaries that end alike."""
    consumer, thread, agent = await placed(made)
    await hand(consumer, taken(ZERO, 0, 1))
    await hand(consumer, taken(ZERO, 1, 3))
    await consumer.perform_seek()
    await hand(consumer, taken(ZERO, 0, 3))
    agent.ack(1)
    await consumer.commit()
    assert thread.committed[ZERO] == (0, "log-a")


async def test_positions_found_for_an_assignment_that_is_over_are_not_used(made: Made) -> None:
    consumer = await made()
    consumer._thread.before_known.append(consumer._forget)
    await consumer.perform_seek()
    assert consumer.cursor_status() == []


async def test_positions_are_placed_explicitly_and_zero_counts(made: Made) -> None:
    _, thread, _ = await placed(made)
    assert thread.placed == {ZERO: 0, ONE: 0}


async def test_records_gone_unjudged_are_told_with_their_range(made: Made) -> None:
    gaps: list[Any] = []
    consumer = await made(on_detection_gap=lambda *gap: gaps.append(gap))
    consumer._thread.broker = {ZERO: Known(60, 100, 50, "log-a"), ONE: Known(0, 100, 50, "log-a")}
    await consumer.perform_seek()
    assert gaps == [(("raw", 0), 50, 60)]
    assert consumer._thread.placed == {ZERO: 60, ONE: 50}


@pytest.mark.parametrize(("stored", "start"), [("log-a", 50), ("log-b", 0), (None, 0)])
async def test_where_commits_carry_no_log_the_ledger_decides(made: Made, stored: str | None, start: int) -> None:
    async def stored_log(topic: str, partition: int) -> str | None:
        return stored

    consumer = await made(embedded=True, stored_log=stored_log)
    consumer._thread.broker = {ZERO: Known(0, 0, 50, "")}
    await consumer.perform_seek()
    assert consumer._thread.placed == {ZERO: start}


async def test_a_topic_created_again_discards_the_commit_and_what_is_under_work(made: Made) -> None:
    consumer, thread, agent = await placed(made)
    await hand(consumer, taken(ZERO, 0, 3))
    agent.ack(0)
    consumer.options.logs.names["raw"] = "log-b"
    with pytest.raises(LogChangedError):
        await consumer.commit()
    assert thread.committed == {}
    assert not await consumer.commit()


async def test_a_topic_that_vanished_since_the_assignment_ends_the_worker_for_a_restart(made: Made) -> None:
    """Not as refused: that would end every role for good."""
    consumer = await made()
    consumer.options.logs.names.clear()
    with pytest.raises(LogChangedError):
        await consumer.perform_seek()


async def test_a_position_that_left_the_log_under_a_running_consumer_ends_it(made: Made) -> None:
    """aiokafka would leap to the earliest record by itself; here it is an error, and the restart counts the gap."""
    consumer, thread, _ = await placed(made)

    async def gone(*_: Any) -> list[Taken]:
        raise OffsetOutOfRangeError({ZERO: 3})

    thread.take = gone  # type: ignore[method-assign] # the fake acts once as a broker that truncated the log
    with pytest.raises(LogChangedError):
        await consumer._drain_messages(Stoppable())


class Stoppable:
    should_stop = False


async def test_what_is_handed_out_is_bounded_in_bytes_and_goes_on_after_an_acknowledgement(made: Made) -> None:
    consumer, thread, agent = await placed(made)
    limit = consumer.options.limits.held_bytes
    thread.fetches = [[Taken(ZERO, at, at + 1, [record(at)], limit // 2)] for at in range(9)]
    for _ in range(2):
        await consumer._feed()
    feeding = asyncio.create_task(consumer._feed())
    await asyncio.sleep(0.05)
    assert len(agent.messages) == 2, "more than the limit was handed out"
    agent.ack(0)
    await asyncio.wait_for(feeding, 0.2)
    await consumer._feed()
    assert len(agent.messages) == 3


async def test_batches_wait_in_kafka_when_the_agent_has_enough_to_take(made: Made) -> None:
    consumer, thread, agent = await placed(made)
    thread.fetches = [[taken(ZERO, at, at + 1)] for at in range(99)]
    consumer.callback = lambda message: _untaken(agent, message)
    for _ in range(consumer.options.limits.waiting_batches):
        await consumer._feed()
    feeding = asyncio.create_task(consumer._feed())
    await asyncio.sleep(0.05)
    assert len(agent.messages) == consumer.options.limits.waiting_batches
    agent.messages[0].tracked = True
    consumer.look_again()
    await asyncio.wait_for(feeding, 0.2)


async def _untaken(agent: Agent, message: ConsumerMessage) -> None:
    agent.messages.append(message)


async def test_a_stop_waits_for_the_batch_in_hand_and_commits_it(made: Made) -> None:
    consumer, thread, agent = await placed(made)
    await hand(consumer, taken(ZERO, 0, 3))
    asyncio.get_running_loop().call_later(0.1, agent.ack, 0)
    await consumer.wait_empty()
    assert thread.committed[ZERO] == (3, "log-a")


async def test_a_stuck_agent_does_not_keep_a_stop_or_a_rebalance_waiting(made: Made) -> None:
    consumer, thread, agent = await placed(made, stop_timeout=0.4)
    await hand(consumer, taken(ZERO, 0, 3), taken(ONE, 0, 3))
    agent.ack(1)
    started = time.monotonic()
    await consumer.wait_empty()
    assert time.monotonic() - started < 1.0
    assert thread.committed == {ZERO: (0, "log-a"), ONE: (3, "log-a")}


async def test_a_whole_stop_has_one_budget(made: Made) -> None:
    """Faust waits twice at a stop, once for the app and once for the consumer."""
    consumer, _, _ = await placed(made, stop_timeout=0.4)
    await hand(consumer, taken(ZERO, 0, 3))
    consumer.app._stopped.set()
    started = time.monotonic()
    await consumer.wait_empty()
    await consumer.wait_empty()
    assert time.monotonic() - started < 0.4


async def test_an_agent_that_acknowledges_late_is_asked_to_before_partitions_are_given_away(made: Made) -> None:
    held: list[Callable[[], None]] = []

    async def release() -> None:
        while held:
            held.pop()()

    consumer, thread, agent = await placed(made, before_release=release)
    await hand(consumer, taken(ZERO, 0, 3))
    held.append(lambda: agent.ack(0))
    await consumer.wait_empty()
    assert thread.committed[ZERO] == (3, "log-a")


async def test_status_says_how_far_each_partition_has_come(made: Made) -> None:
    consumer, _, agent = await placed(made)
    await hand(consumer, taken(ZERO, 0, 3))
    before = {status.tp: status for status in consumer.cursor_status()}[("raw", 0)]
    assert (before.position, before.committed, before.lag) == (0, None, 1_000)
    assert before.oldest_uncommitted_monotonic == pytest.approx(time.monotonic(), abs=1.0)
    agent.ack(0)
    await consumer.commit()
    after = {status.tp: status for status in consumer.cursor_status()}[("raw", 0)]
    assert (after.log, after.position, after.committed, after.lag) == ("log-a", 3, 3, 997)
    assert after.oldest_uncommitted_monotonic is None


async def test_a_broker_that_does_not_say_where_to_start_is_an_error_and_not_silence(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust's own limit ends its recovery service without a word, and the worker stands for ever."""
    monkeypatch.setattr("pipeline.transport.START_S", 0.05)
    consumer = await made()
    consumer.options.logs.silent = True
    with pytest.raises(UnreachableError, match="where to start"):
        await consumer.perform_seek()


async def test_the_app_takes_no_settings_from_fausts_own_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_URL", "kafka://elsewhere:1")
    monkeypatch.setenv("WEB_ENABLED", "1")
    app: RoleApp = build_app(Settings(state_dir=tmp_path, kafka="here:1,there:2"), "respond", "stock")
    assert [str(url) for url in app.conf.broker_consumer] == ["kafka://here:1", "kafka://there:2"]
    assert not app.conf.web_enabled
