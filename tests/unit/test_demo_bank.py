"""The simulated bank: the same bytes for a seed, six formats, and nothing in it that could not have happened."""

from __future__ import annotations

import itertools
import re
import time
from collections import Counter

import orjson
import pytest

from pipeline.demo.bank import DAY_MS, TOPICS, events
from pipeline.demo.cast import cast
from pipeline.demo.programme import DAMAGED, EARLY_CONTACT, Programme, last_working_day
from pipeline.demo.scene import LINUX, NETWORK, WINDOWS, Message

MONDAY = 1_795_374_000_000 - 1_795_374_000_000 % DAY_MS - 5 * 3_600_000
"""A local midnight in Almaty."""


@pytest.fixture(scope="module")
def day() -> list:
    return list(events(7, 6_000, MONDAY))


def test_the_same_seed_gives_the_same_bytes(day: list) -> None:
    assert list(events(7, 6_000, MONDAY)) == day
    assert list(events(8, 6_000, MONDAY)) != day


def test_another_start_moves_the_day_and_changes_nothing_else(day: list) -> None:
    moved = [message.time_ms - DAY_MS for message in events(7, 6_000, MONDAY + DAY_MS)]
    assert moved == [message.time_ms for message in day]


@pytest.mark.parametrize("count", [0, 1, 7, 1_234])
def test_as_many_records_as_were_asked_for(count: int) -> None:
    assert sum(1 for _ in events(7, count, MONDAY)) == count


def test_records_average_about_nine_hundred_bytes(day: list) -> None:
    mean = sum(len(message.value) for message in day) / len(day)
    assert 800 < mean < 1_000


def test_every_format_is_in_the_day(day: list) -> None:
    seen = Counter(shape(message) for message in day)
    assert set(seen) == {"evtx", "nxlog", "winlogbeat", "rfc5424", "rfc3164", "eve"}
    assert min(seen.values()) > 100


def test_a_shippers_delay_stays_far_below_the_lateness(day: list) -> None:
    """Records come out of order, but none more than some seconds behind one that came before it."""
    latest, behind = 0, 0
    for message in day:
        behind = max(behind, latest - message.time_ms)
        latest = max(latest, message.time_ms)
    assert 0 < behind < 60_000


def test_all_happens_on_the_day(day: list) -> None:
    assert all(MONDAY - 60_000 < message.time_ms < MONDAY + DAY_MS for message in day)


def test_the_working_day_has_a_rhythm(day: list) -> None:
    hours = Counter((message.time_ms - MONDAY) // 3_600_000 for message in day)
    assert hours[10] > 10 * hours[3]
    assert hours[10] > 1.5 * hours[13]


def test_values_outside_ascii_occur_in_every_windows_shape(day: list) -> None:
    cyrillic = {shape(message) for message in day if re.search(r"[А-яӘәҚқ]", message.value.decode())}
    assert {"nxlog", "winlogbeat"} <= cyrillic


def test_the_bank_has_500_people_and_about_200_hosts() -> None:
    bank = cast(7)
    assert len(bank.people) == len({person.account for person in bank.people}) == 500
    assert 190 <= len(bank.hosts) <= 210
    assert len({host.ip for host in bank.hosts}) == len({host.name for host in bank.hosts}) == len(bank.hosts)
    assert bank.host("pay-gw-01").role == "payment"
    assert all(person.account.isascii() and not person.display.isascii() for person in bank.people)


def test_a_benchmark_is_not_held_up_by_its_load() -> None:
    """A floor far under the 20,000 a second of a quiet core, so that a busy machine does not break it."""
    started = time.process_time()
    count = sum(1 for _ in itertools.islice(events(7, 20_000, MONDAY), 10_000))
    assert count / (time.process_time() - started) > 10_000


def test_the_programme_hides_five_stages_and_one_early_contact() -> None:
    programme = Programme(7, 3_000, MONDAY)
    records = list(programme.records())
    marks = Counter(record.mark for record in records)
    assert marks[""] == 3_000
    assert marks[EARLY_CONTACT] == 1
    assert marks[DAMAGED] > 10
    assert {stage.name for stage in programme.stages()} <= set(marks)
    assert records == list(programme.records())
    assert len(records) == programme.total


def test_the_stages_come_one_after_the_other() -> None:
    times = [[message.time_ms for message in stage.records] for stage in Programme(7, 1_000, MONDAY).stages()]
    assert len(times) == 5
    assert all(max(before) < min(after) for before, after in itertools.pairwise(times))


def test_the_past_is_older_than_a_month_and_younger_than_three() -> None:
    programme = Programme(7, 1_000, MONDAY)
    early = next(record.message for record in programme.records() if record.mark == EARLY_CONTACT)
    assert 30 * DAY_MS < MONDAY - early.time_ms < 90 * DAY_MS


@pytest.mark.parametrize(
    ("now", "begins"),
    [
        ("2026-11-24T03:00:00+05:00", "2026-11-23T00:00:00+05:00"),
        ("2026-11-23T09:00:00+05:00", "2026-11-20T00:00:00+05:00"),
        ("2026-11-22T09:00:00+05:00", "2026-11-20T00:00:00+05:00"),
    ],
)
def test_the_simulated_day_is_the_last_whole_working_day(now: str, begins: str) -> None:
    from datetime import datetime

    moment = int(datetime.fromisoformat(now).timestamp() * 1000)
    assert last_working_day(moment) == int(datetime.fromisoformat(begins).timestamp() * 1000)


def shape(message: Message) -> str:
    """The format of a record, told by its first bytes."""
    assert message.topic in TOPICS
    if message.topic == LINUX:
        return "rfc5424" if re.match(rb"<\d+>1 ", message.value) else "rfc3164"
    document = orjson.loads(message.value)
    if message.topic == NETWORK:
        assert "event_type" in document
        return "eve"
    assert message.topic == WINDOWS
    return "evtx" if "Event" in document else "winlogbeat" if "winlog" in document else "nxlog"
