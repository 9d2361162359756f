"""The bank's records are read by the worker's own parsers as what they were meant to be."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from pipeline.demo.cast import REALM
from pipeline.demo.programme import DAMAGED, Marked, Programme, last_working_day
from pipeline.demo.shapes import SYSMON
from pipeline.parsers import Reader, Reading
from pipeline.settings import load
from schemas.event import Event, RecordBatch
from tests.builders import FakeRecord

START_MS = last_working_day(1_795_600_000_000)


@pytest.fixture(scope="module")
def read() -> list[tuple[Marked, Event | str]]:
    """Every record with the event that it became, or the reason of its dead letter."""
    topics: defaultdict[str, list[Marked]] = defaultdict(list)
    for marked in Programme(7, 4_000, START_MS).records():
        topics[marked.message.topic].append(marked)
    reader = Reader(load())
    return [pair for topic, some in topics.items() for pair in outcomes(some, reader.read(batch(topic, some)))]


def batch(topic: str, some: list[Marked]) -> RecordBatch:
    records = [
        FakeRecord(offset, each.message.value, each.message.time_ms, each.message.key)
        for offset, each in enumerate(some)
    ]
    return RecordBatch("log", topic, 0, 0, len(records), records)


def outcomes(some: list[Marked], reading: Reading) -> list[tuple[Marked, Event | str]]:
    became: dict[int, Event | str] = {event.offset: event for event in reading.events}
    became |= {letter.offset: letter.reason for letter in reading.dead}
    return [(each, became[offset]) for offset, each in enumerate(some)]


def test_every_undamaged_record_is_an_event(read: list[tuple[Marked, Event | str]]) -> None:
    assert [(each, became) for each, became in read if each.mark != DAMAGED and isinstance(became, str)] == []


def test_damaged_records_become_dead_letters_or_doubtful_events(read: list[tuple[Marked, Event | str]]) -> None:
    damaged = [became for each, became in read if each.mark == DAMAGED]
    assert {"json", "encoding", "empty", "depth", "format"} <= {word for word in damaged if isinstance(word, str)}
    assert all(became.doubtful for became in damaged if isinstance(became, Event))


def test_every_format_is_told_apart(read: list[tuple[Marked, Event | str]]) -> None:
    formats = Counter(became.format.name for _, became in read if isinstance(became, Event))
    assert set(formats) == {"evtx", "nxlog", "winlogbeat", "syslog", "auditd", "eve"}


def test_every_kind_of_source_is_there(read: list[tuple[Marked, Event | str]]) -> None:
    sources = {became.source for each, became in read if isinstance(became, Event) and each.mark != DAMAGED}
    windows = {(source.service, source.event_id) for source in sources if source.product == "windows"}
    assert windows == {(SYSMON.lower(), number) for number in (1, 3, 7, 10, 11, 22)} | {("system", 7045)} | {
        ("security", number) for number in (4624, 4625, 4634, 4648, 4672, 4688, 4769)
    }
    others = {(source.product, source.service) for source in sources if source.product != "windows"}
    assert others == {("linux", "sshd"), ("linux", "sudo"), ("linux", "auditd")} | {
        ("suricata", kind) for kind in ("flow", "dns", "tls", "http", "alert")
    }


def test_an_events_own_time_is_its_records_time(read: list[tuple[Marked, Event | str]]) -> None:
    """To the second at least (RFC 3164 has no more), so the time zone and the year were taken right."""
    for each, became in read:
        if isinstance(became, Event) and each.mark != DAMAGED:
            assert abs(became.time_ms - each.message.time_ms) < 1_000
            assert not became.doubtful
            assert not became.late


def test_the_host_of_an_event_is_the_host_that_sent_it(read: list[tuple[Marked, Event | str]]) -> None:
    for each, became in read:
        if isinstance(became, Event) and each.message.key is not None and each.mark != DAMAGED:
            assert became.host.removesuffix(f".{REALM}") == each.message.key.decode()
