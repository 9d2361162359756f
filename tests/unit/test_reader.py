"""Every record is an event or a dead letter with its reason; times are judged by one rule; settings are obeyed."""

from __future__ import annotations

import time

import orjson
import pytest

from pipeline.parsers import Reader
from pipeline.parsers.formats import JSON_SHAPES, MARKS, NAMED_SHAPES, SHAPES, TEXT_SHAPES
from pipeline.parsers.objects import MAX_DEPTH
from pipeline.parsers.shape import MAX_WORD
from pipeline.parsers.telling import teller
from pipeline.settings import Settings, TopicSettings
from schemas.dead_letter import REASONS
from schemas.errors import RefusedError
from tests.builders import batch_of
from tests.parsing import NOW_MS, READER, event, reader, reason

MINUTE = 60_000
DAY = 24 * 60 * MINUTE


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"\0" * 4, "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b'{"EventID": 1, "Channel": ', "json"),
        (b"{", "json"),
        (b'{"a": NaN}', "json"),
        (b'{"a": "\x00"}', "json"),
        ('{"a": "Алматы'.encode()[:-1], "encoding"),
        (b'{"a": "\xff"}', "encoding"),
        (b'{"a": "\\ud800"}', "encoding"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "depth"),
        (b'{"a":' + b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1) + b"}", "depth"),
        (b"[1, 2]", "shape"),
        (b"[" * 100_000, "shape"),
        (b'"text"', "shape"),
        (b"42", "format"),
        (b"null", "format"),
        (b"x" * 1_000_000, "format"),
    ],
)
def test_what_is_no_event_says_why(value: bytes | None, why: str) -> None:
    assert reason(value) == why
    assert why in REASONS


@pytest.mark.parametrize(
    "value",
    [
        b'{"a": 18446744073709551615}',
        b'{"a": 184467440737095516160000}',
        b'{"a": -9223372036854775809}',
        b'{"a": 1, "a": 2}',
        b'{"a": "\\u0000"}',
        b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
        b"{}",
        b" \xef\xbb\xbf{}"[1:],
        b"\n\t {}",
        b'{"EventID": 1, "Channel": "Security", "@timestamp": "1970-01-01T00:00:00Z"}',
        b'{"EventID": 1, "Channel": "Security", "@timestamp": "2106-02-07T06:28:16Z"}',
    ],
)
def test_what_is_odd_but_whole_is_an_event(value: bytes) -> None:
    assert event(value).raw == value


def test_of_a_key_that_stands_twice_the_last_counts() -> None:
    assert event(b'{"EventID": 1, "Channel": "Security", "EventID": 2}').source.event_id == 2


def test_twenty_megabytes_are_read_and_their_columns_bounded() -> None:
    line = "x" * (20 << 20)
    found = event({"EventID": 1, "Channel": "Security", "CommandLine": line, "Image": line, "Hostname": "h"})
    assert len(found.command_line) == len(found.process) == MAX_WORD
    assert found.fields["CommandLine"] == line, "rules see the value whole"


def test_a_batch_keeps_its_order_and_its_bytes() -> None:
    values = [b"{}", None, b"nothing", b'{"EventID": 1, "Channel": "x"}', b"{"]
    reading = READER.read(batch_of(*values, first=7, timestamp=NOW_MS))
    assert [(one.offset, one.raw) for one in reading.events] == [(7, b"{}"), (10, values[3])]
    assert [(one.offset, one.raw, one.kafka_ms) for one in reading.dead] == [
        (8, None, NOW_MS),
        (9, b"nothing", NOW_MS),
        (11, b"{", NOW_MS),
    ]


def test_a_fault_of_a_parser_costs_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    shapes = (JSON_SHAPES[0]._replace(parse=broken), *JSON_SHAPES[1:])
    monkeypatch.setattr("pipeline.parsers.reader.tell", teller(shapes, MARKS))
    reading = READER.read(batch_of(b'{"EventID": 1, "Channel": "x"}', b"{}"))
    assert [one.reason for one in reading.dead] == ["fault"]
    assert len(reading.events) == 1


# --- time


def at(own_ms: int, kafka_ms: int, by: Reader = READER) -> tuple[int, bool, bool]:
    found = event({"EventID": 1, "Channel": "x", "@timestamp": own_ms / 1000}, kafka_ms, by)
    return found.time_ms, found.doubtful, found.late


@pytest.mark.parametrize(
    ("ahead", "credible"),
    [(0, True), (5 * MINUTE, True), (5 * MINUTE + 1, False), (-7 * DAY, True), (-7 * DAY - 1, False)],
)
def test_an_own_time_counts_within_seven_days_before_and_five_minutes_after_kafkas(ahead: int, credible: bool) -> None:
    time_ms, doubtful, _ = at(NOW_MS + ahead, NOW_MS)
    assert (time_ms, doubtful) == ((NOW_MS + ahead, False) if credible else (NOW_MS, True))


def test_late_is_more_than_the_lateness_of_the_topic() -> None:
    assert at(NOW_MS - 600_000, NOW_MS) == (NOW_MS - 600_000, False, False)
    assert at(NOW_MS - 600_001, NOW_MS) == (NOW_MS - 600_001, False, True)
    patient = reader(TopicSettings(topic="raw.*", lateness=3_600))
    assert at(NOW_MS - 600_001, NOW_MS, patient) == (NOW_MS - 600_001, False, False)


@pytest.mark.parametrize("stamp", ["1970-01-01T00:00:00Z", "2106-02-07T06:28:16Z", "yesterday", None])
def test_an_implausible_time_gives_way_to_kafkas_and_is_never_late(stamp: str | None) -> None:
    found = event({"EventID": 1, "Channel": "x", "@timestamp": stamp})
    assert (found.time_ms, found.doubtful, found.late) == (NOW_MS, True, False)


def test_a_record_without_kafkas_time_has_its_own() -> None:
    found = event({"EventID": 1, "Channel": "x", "@timestamp": "2026-10-11T17:14:15.003Z"}, -1)
    assert (found.kafka_ms, found.time_ms, found.doubtful, found.late) == (NOW_MS, NOW_MS, False, False)


def test_a_record_without_any_time_is_doubtful_at_zero() -> None:
    found = event({"a": 1}, -1)
    assert (found.kafka_ms, found.time_ms, found.doubtful) == (0, 0, True)


# --- settings


def test_a_topic_that_names_its_format_takes_no_other() -> None:
    only = reader(TopicSettings(topic="raw.*", format="eve"))
    assert reason(b'{"EventID": 1, "Channel": "x"}', only) == "format"
    assert reason(b"<13>x", only) == "format"
    lines = reader(TopicSettings(topic="raw.*", format="syslog"))
    assert reason(b"{}", lines) == "format"
    assert event(b"<13>x", by=lines).format.name == "syslog"
    plain = reader(TopicSettings(topic="raw.*", format="json"))
    assert event({"EventID": 1, "Channel": "x"}, by=plain).format.name == "json"


def test_unknown_formats_and_zones_are_refused_by_name() -> None:
    with pytest.raises(RefusedError, match=r"'evx'.*nxlog"):
        reader(TopicSettings(topic="raw.x", format="evx"))
    with pytest.raises(RefusedError, match="Asia/Atlantis"):
        Reader(Settings(timezone="Asia/Atlantis"))


def test_the_revision_changes_with_what_shapes_rows() -> None:
    same = [reader().revision, READER.revision]
    others = [
        reader(timezone="UTC").revision,
        reader(TopicSettings(topic="raw.x", format="eve")).revision,
        reader(TopicSettings(topic="raw.x", lateness=1)).revision,
    ]
    assert len(set(same)) == 1
    assert len({*same, *others}) == 4


def test_every_format_is_in_the_table_once() -> None:
    every = [shape.format.name for shape in (*JSON_SHAPES, *TEXT_SHAPES, *NAMED_SHAPES)]
    assert sorted(every) == sorted(SHAPES)
    assert JSON_SHAPES[-1].format.name == "json", "it takes every object, so it is asked last"


# --- a flood


def test_a_flood_of_garbage_costs_no_more_than_events() -> None:
    """No traceback is kept and nothing is read twice: 20,000 broken records in well under two seconds."""
    good = orjson.dumps({"EventID": 1, "Channel": "x", "Message": "x" * 2_000})
    batch = batch_of(*[good[:-1], b"\xff" * 2_000, b"x" * 2_000, b"[" * 2_000] * 5_000)
    started = time.process_time()
    reading = READER.read(batch)
    assert len(reading.dead) == 20_000
    assert time.process_time() - started < 2.0
