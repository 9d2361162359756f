"""What is taken of what aiokafka has fetched."""

from __future__ import annotations

import asyncio

import aiokafka.codec
import pytest
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import GroupAuthorizationFailedError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition
from faust.types import TP

from pipeline.transport_fetch import STEP, drain, more
from pipeline.transport_options import Limits
from tests.fakes_transport import FakeFetcher, record

ONE, TWO = TopicPartition("raw", 0), TopicPartition("raw", 1)
WIDE = Limits(batch_records=5_000, fetch_bytes=1 << 22, held_bytes=1 << 24, waiting_batches=8)
ROOM = 1 << 24


@pytest.fixture
async def fetcher() -> FakeFetcher:
    return FakeFetcher({ONE: 0, TWO: 0})


async def test_a_batch_knows_the_positions_before_and_after_it(fetcher: FakeFetcher) -> None:
    """Offsets 3 and 7 of a compacted log, fetched from 0, which goes on at 9."""
    fetcher.fetched(ONE, [record(3), record(7)], 9)
    [taken] = drain(fetcher, {ONE, TWO}, WIDE, ROOM)
    assert (taken.tp, taken.first, taken.next) == (TP("raw", 0), 0, 9)
    assert [r.offset for r in taken.records] == [3, 7]
    assert fetcher.assignment.state_value(ONE).position == 9
    assert fetcher.notified, "aiokafka was not told to fetch on"


async def test_a_fetch_of_control_records_alone_moves_the_position_in_a_batch_without_records(
    fetcher: FakeFetcher,
) -> None:
    fetcher.fetched(ONE, [], 1)
    [taken] = drain(fetcher, {ONE}, WIDE, ROOM)
    assert (taken.first, taken.next, taken.records) == (0, 1, [])


async def test_a_batch_ends_at_its_count_and_the_next_begins_there(fetcher: FakeFetcher) -> None:
    limits = WIDE._replace(batch_records=3)
    fetcher.fetched(ONE, [record(at) for at in range(5)], 5)
    first, second = drain(fetcher, {ONE}, limits, ROOM)[0], drain(fetcher, {ONE}, limits, ROOM)[0]
    assert (first.first, first.next, len(first.records)) == (0, 3, 3)
    assert (second.first, second.next, len(second.records)) == (3, 5, 2)
    assert drain(fetcher, {ONE}, limits, ROOM) == []


async def test_a_batch_ends_near_its_bytes_though_the_fetch_was_compressed(fetcher: FakeFetcher) -> None:
    limits = WIDE._replace(fetch_bytes=100 * STEP)
    fetcher.fetched(ONE, [record(at, b"x" * 100) for at in range(10 * STEP)], 10 * STEP)
    [taken] = drain(fetcher, {ONE}, limits, ROOM)
    assert len(taken.records) <= 2 * STEP


async def test_a_record_larger_than_every_limit_still_comes_through(fetcher: FakeFetcher) -> None:
    fetcher.fetched(ONE, [record(0, b"x" * (20 << 20))], 1)
    [taken] = drain(fetcher, {ONE}, WIDE, 1)
    assert len(taken.records[0].value) == 20 << 20


async def test_partitions_share_the_room_and_the_rest_stays_for_the_next_call(fetcher: FakeFetcher) -> None:
    for partition in (ONE, TWO):
        fetcher.fetched(partition, [record(0, b"x" * 100)], 1)
    assert [taken.tp for taken in drain(fetcher, {ONE, TWO}, WIDE, 50)] == [TP("raw", 0)]
    assert [taken.tp for taken in drain(fetcher, {ONE, TWO}, WIDE, 50)] == [TP("raw", 1)]


async def test_a_paused_partition_keeps_what_was_fetched(fetcher: FakeFetcher) -> None:
    fetcher.fetched(ONE, [record(0)], 1)
    assert drain(fetcher, {TWO}, WIDE, ROOM) == []
    assert len(drain(fetcher, {ONE}, WIDE, ROOM)) == 1


async def test_what_was_fetched_for_another_position_is_dropped_without_moving_anything(fetcher: FakeFetcher) -> None:
    fetcher.fetched(ONE, [record(0)], 1)
    fetcher.assignment.state_value(ONE).seek(50)
    assert drain(fetcher, {ONE}, WIDE, ROOM) == []
    assert fetcher.assignment.state_value(ONE).position == 50


async def test_what_was_fetched_for_a_partition_given_away_is_dropped(fetcher: FakeFetcher) -> None:
    fetcher._records[TopicPartition("raw", 9)] = object()
    assert drain(fetcher, {TopicPartition("raw", 9)}, WIDE, ROOM) == []
    assert not fetcher._records


async def test_an_error_of_one_partition_waits_until_the_others_are_handed_out(fetcher: FakeFetcher) -> None:
    fetcher.fetched(ONE, [record(0)], 1)
    fetcher.failed(TWO, OffsetOutOfRangeError({TWO: 5}))
    assert len(drain(fetcher, {ONE, TWO}, WIDE, ROOM)) == 1
    with pytest.raises(OffsetOutOfRangeError):
        drain(fetcher, {ONE, TWO}, WIDE, ROOM)


async def test_waiting_in_vain_leaves_nothing_behind() -> None:
    """An idle topic is looked at twice a second for days."""
    waiters: set[asyncio.Future[None]] = set()

    class Idle:
        def _create_fetch_waiter(self) -> asyncio.Future[None]:
            waiter = asyncio.get_running_loop().create_future()
            waiters.add(waiter)
            waiter.add_done_callback(waiters.discard)
            return waiter

    for _ in range(3):
        await more(Idle(), 0.001)
    await asyncio.sleep(0)
    assert not waiters


async def test_what_the_group_met_is_raised_where_records_are_awaited() -> None:
    class Refused:
        def _create_fetch_waiter(self) -> asyncio.Future[None]:
            waiter = asyncio.get_running_loop().create_future()
            waiter.set_exception(GroupAuthorizationFailedError("group"))
            return waiter

    with pytest.raises(GroupAuthorizationFailedError):
        await more(Refused(), 1.0)


def test_aiokafka_still_has_what_we_take_from_it() -> None:
    """Private parts, pinned by the version in pyproject.toml: a new one must be looked at."""
    for name in ("_create_fetch_waiter", "_notify", "seek_to"):
        assert hasattr(Fetcher, name), name
    assert hasattr(FetchResult, "getall")
    assert hasattr(FetchResult, "has_more")
    assert hasattr(SubscriptionState, "reassignment_in_progress")


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_every_compression_that_shippers_use_can_be_read(codec: str) -> None:
    """Without its library aiokafka cannot read such a record, and the partition would stand still."""
    assert getattr(aiokafka.codec, f"has_{codec}")(), "install cramjam: aiokafka reads lz4, snappy and zstd with it"
