"""Marks: how far partitions are read, told when it is true, and what is late by them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from detectors.correlation.parcels import Marks as Said
from detectors.correlation.parcels import Parcel, read
from pipeline.contributing import AGAIN_S, LOOK_S, TELL_S, Contributing
from pipeline.delivery import Outgoing
from pipeline.marks import AHEAD_MS, MARGIN_MS, Marks
from pipeline.metrics import Metrics
from pipeline.settings import Settings, TopicSettings
from pipeline.transport_cursor import CursorStatus, Partition
from schemas.errors import UnreachableError
from schemas.event import RecordBatch
from tests.builders import FakeRecord
from tests.correlation import MINUTE, SECOND, T0, at, correlation, in_force, loaded

LATENESS = 10 * MINUTE
ZERO, ONE = "log/raw/0", "log/raw/1"


def batch(*times: int, partition: int = 0, first: int = 0) -> RecordBatch:
    records = [FakeRecord(first + number, b"", T0 + time) for number, time in enumerate(times)]
    return RecordBatch("log", "raw", partition, first, first + len(records), records)


def cursor(partition: int = 0, idle: int | None = None, log: str = "log") -> CursorStatus:
    idle_ms = None if idle is None else T0 + idle
    return CursorStatus(Partition("raw", partition), log, 0, None, None, None, idle_ms)


class Clock:
    def __init__(self) -> None:
        self.ms = T0
        self.s = 0.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def marks(clock: Clock) -> Marks:
    return Marks(lambda: clock.ms, lambda _: LATENESS)


def test_a_mark_is_told_when_all_up_to_it_is_delivered(marks: Marks) -> None:
    marks.look([cursor()])
    one, two = marks.began(batch(1, 5, 3)), None
    marks.read(batch(1, 5, 3), ())
    two = marks.began(batch(9))
    marks.read(batch(9), ())
    two.delivered = True
    marks.look([cursor()])
    assert marks.due() == {}, "the batch before it is still under way"
    one.delivered = True
    marks.look([cursor()])
    assert marks.due() == {ZERO: T0 + 9}
    assert marks.due() == {}, "nothing has moved"
    marks.again()
    assert marks.due() == {ZERO: T0 + 9}


def test_a_record_far_ahead_of_our_clock_moves_no_mark_and_is_late(marks: Marks) -> None:
    far = batch(0, AHEAD_MS + 1, 1)
    marks.began(far).delivered = True
    judged = marks.read(far, [at(AHEAD_MS + 1, 1), at(1, 2)])
    assert [one.late for one in judged] == [True, False]
    marks.look([cursor()])
    assert marks.due() == {ZERO: T0 + 1}


def test_what_lies_behind_the_partitions_mark_by_more_than_the_lateness_is_late(marks: Marks) -> None:
    """With shippers' timestamps a record may bear an old Kafka time; what matters is what was read before it."""
    mixed = batch(0, 20 * MINUTE, 9 * MINUTE, 20 * MINUTE)
    clock_ahead = Marks(lambda: T0 + 20 * MINUTE, lambda _: LATENESS)
    clock_ahead.began(mixed)
    made = [at(0, 0), at(20 * MINUTE, 1), at(9 * MINUTE, 2), at(10 * MINUTE, 3)]
    assert [one.late for one in clock_ahead.read(mixed, made)] == [False, False, True, False]
    following = batch(9 * MINUTE, first=4)
    assert [one.late for one in clock_ahead.read(following, [at(9 * MINUTE, 4)])] == [True]
    assert [one.late for one in marks.read(batch(5), [at(5, 0, late=True)])] == [True], "late as an event stays late"


def test_an_idle_partitions_mark_is_our_clock_less_a_margin_unless_something_is_under_way(marks: Marks) -> None:
    marks.look([cursor(0, idle=60 * SECOND), cursor(1)])
    assert marks.due() == {ZERO: T0 + 60 * SECOND - MARGIN_MS}
    flight = marks.began(batch(61 * SECOND))
    marks.look([cursor(0, idle=99 * SECOND)])
    assert marks.due() == {}
    flight.delivered = True
    marks.look([cursor(0, idle=99 * SECOND)])
    assert marks.due() == {ZERO: T0 + 99 * SECOND - MARGIN_MS}


def test_a_partition_that_is_given_up_or_another_log_is_forgotten(marks: Marks) -> None:
    flight = marks.began(batch(5))
    marks.read(batch(5), ())
    marks.look([cursor(1)])
    flight.delivered = True
    marks.look([cursor(0), cursor(1)])
    assert marks.due() == {}, "what was read under another assignment is not told in this one"
    marks.look([cursor(0, idle=MINUTE, log="new")])
    assert list(marks.due()) == ["new/raw/0"]


class Logs:
    broken = False

    async def current(self, topic: str) -> str:
        if self.broken:
            raise UnreachableError("no broker")
        return f"log-{topic}"

    async def partitions(self, topic: str) -> int:
        return 3 if topic == "contributions" else 2


class Delivery:
    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.broken = False

    async def send(self, topic: str, records: Any) -> None:
        if self.broken:
            raise UnreachableError("no broker")
        assert topic == "contributions"
        self.sent += records

    def take(self) -> list[tuple[int | None, Any]]:
        sent, self.sent = self.sent, []
        return [(one.partition, read(one.value)) for one in sent]


async def contributing(clock: Clock, delivery: Delivery) -> tuple[Contributing, Logs]:
    settings = Settings(raw_topics=("raw", "slow"), topics=(TopicSettings(topic="slow", lateness=3_600),))
    logs = Logs()
    made = Contributing(settings, logs, delivery, Metrics(), clock=lambda: clock.s, wall=lambda: clock.ms)
    await made.start()
    return made, logs


async def turn(made: Contributing, clock: Clock, rules: Any, *cursors: CursorStatus, after: float = TELL_S) -> None:
    clock.s += after
    made.tick(rules, cursors)
    await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)


RULES = in_force(correlation("event_count", ("gte", 3)))


async def test_marks_go_to_every_partition_with_all_there_is_to_read(clock: Clock) -> None:
    delivery = Delivery()
    made, logs = await contributing(clock, delivery)
    await turn(made, clock, RULES, cursor(idle=MINUTE))
    topics = {"raw": ("log-raw", 2), "slow": ("log-slow", 2)}
    marks = Said({ZERO: T0 + MINUTE - MARGIN_MS}, topics, 3_600_000)
    assert delivery.take() == [(0, marks), (1, marks), (2, marks)]
    await turn(made, clock, RULES, cursor(idle=MINUTE))
    assert delivery.take() == [], "told once"

    logs.broken = True
    await turn(made, clock, RULES, cursor(idle=2 * MINUTE), after=LOOK_S)
    assert [said.topics for _, said in delivery.take()] == [topics] * 3, "what was known is told on"
    await turn(made, clock, RULES, cursor(idle=2 * MINUTE), after=AGAIN_S)
    assert len(delivery.take()) == 3, "now and then again, for a reader that begins anew"


async def test_without_correlations_nothing_is_told(clock: Clock) -> None:
    delivery = Delivery()
    made, _ = await contributing(clock, delivery)
    await turn(made, clock, in_force(), cursor(idle=MINUTE))
    assert delivery.take() == []


async def test_marks_that_cannot_be_delivered_are_told_again_and_stop_nobody(clock: Clock) -> None:
    delivery = Delivery()
    delivery.broken = True
    made, _ = await contributing(clock, delivery)
    await turn(made, clock, RULES, cursor(idle=MINUTE))
    delivery.broken = False
    await turn(made, clock, RULES, cursor(idle=MINUTE))
    assert len(delivery.take()) == 3
    await made.stop()


async def test_a_groups_contributions_go_to_one_partition(clock: Clock) -> None:
    made, _ = await contributing(clock, Delivery())
    groups = [at(number, number, group=f"g{number % 20}") for number in range(200)]
    parcels = [(one.partition, read(one.value)) for one in made.parcels(RULES, groups)]
    where: dict[str, set[int | None]] = {}
    for partition, parcel in parcels:
        assert isinstance(parcel, Parcel)
        assert parcel.revisions == {"corr": "r1"}
        for one in parcel.contributions:
            where.setdefault(one.group, set()).add(partition)
    assert all(len(partitions) == 1 for partitions in where.values())
    assert {partition for partition, _ in parcels} == {0, 1, 2}


async def test_of_a_sources_signs_of_life_each_lane_sends_the_first_of_a_minute(clock: Clock) -> None:
    rules, refused = loaded("title: S\nid: s\ndetector: {type: silence, group-by: [topic], after: 1h}\n")
    assert not refused
    made, _ = await contributing(clock, Delivery())
    signs = [at(0, 1), at(0, 2), at(MINUTE, 3), at(0, 1, lane=ONE), at(0, 4, group="g")]
    given = [one._replace(correlation="s") for one in signs]
    for expected in ([1, 3, 1, 4], []):
        parcels = [read(one.value) for one in made.parcels(rules, given)]
        offsets = [one.offset for parcel in parcels if isinstance(parcel, Parcel) for one in parcel.contributions]
        assert sorted(offsets) == sorted(expected)
