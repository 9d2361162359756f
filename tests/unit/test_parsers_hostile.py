"""Records made to hurt: each is an event or a named dead letter, in bounded time, and the rest of the batch goes on."""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson
import pytest

from pipeline.bench.records import TOPICS, records
from pipeline.parsers import Reader
from pipeline.settings import Settings, TopicSettings
from schemas.dead_letter import REASONS
from tests.builders import batch_of
from tests.parsing import NOW_MS, READER, whole

MEGABYTE = 1 << 20
EVE = b'{"event_type":"alert","timestamp":"2026-10-11T17:14:15Z","flow_id":1,"src_ip":"10.0.0.5",'
ZEEK = b'{"_path":"conn","ts":1791738855.003,"uid":"C1","id.orig_h":"10.0.0.5",'

#: What is odd → a record of it.
OBJECTS: dict[str, Callable[[bytes], bytes]] = {
    "100,000 keys": lambda head: head + b",".join(b'"k%d":%d' % (n, n) for n in range(100_000)) + b"}",
    "100,000 like keys": lambda head: head + b'"a":1,' * 100_000 + b'"b":1}',
    "a key of a megabyte": lambda head: head + b'"' + b"k" * MEGABYTE + b'":1}',
    "depth of 10,000": lambda head: head + b'"a":' * 1 + b'{"a":' * 10_000 + b"1" + b"}" * 10_001,
    "lists 10,000 deep": lambda head: head + b'"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "an integer of 10,000 digits": lambda head: head + b'"n":' + b"9" * 10_000 + b"}",
    "a number without end": lambda head: head + b'"n":1' + b"0" * MEGABYTE + b"}",
    "NULs": lambda head: head + b'"a":"' + b"\\u0000" * 10_000 + b'"}',
    "invalid UTF-8": lambda head: head + b'"a":"' + b"\xff" * 10_000 + b'"}',
    "a list of a million": lambda head: head + b'"dns":[' + b"1," * 1_000_000 + b'1],"answers":["a","b"]}',
    "twenty megabytes": lambda head: head + b'"a":"' + b"x" * (20 * MEGABYTE) + b'"}',
}  # fmt: skip


@pytest.mark.parametrize("head", [b"{", EVE, ZEEK, b'{"version":"1.1","host":"h","short_message":"m",'],
                         ids=["json", "eve", "zeek", "gelf"])  # fmt: skip
@pytest.mark.parametrize("odd", OBJECTS)
def test_an_odd_object_costs_what_its_bytes_cost(odd: str, head: bytes) -> None:
    fine(READER, OBJECTS[odd](head), "raw.events")


def fine(reader: Reader, record: bytes, topic: str) -> None:
    """One outcome each, the neighbours untouched, at most 3 s for each 20 MB and 0.5 s for less."""
    started = time.process_time()
    reading = reader.read(batch_of(b"<13>x", record, b"<13>y", topic=topic, timestamp=NOW_MS))
    spent = time.process_time() - started
    assert len(reading.events) + len(reading.dead) == 3
    assert all(letter.reason in REASONS and letter.reason != "fault" for letter in reading.dead)
    for event in reading.events:
        whole(event)
    assert spent < 0.5 + 3.0 * len(record) / (20 * MEGABYTE)


KINDS = {kind: values[0] for kind, values in records(1)}
MADE = Reader(Settings(topics=TOPICS))
TEXTS: dict[str, Callable[[bytes], bytes]] = {
    "twenty megabytes behind": lambda line: line + b" " + b"x" * (20 * MEGABYTE),
    "a megabyte of blanks": lambda line: line + b" " * MEGABYTE + b"x",
    "a megabyte of delimiters": lambda line: line + b"\t,|^=" * (MEGABYTE // 5),
    "a megabyte of escapes": lambda line: line + b"\\" * MEGABYTE,
    "a megabyte of quotes": lambda line: line + b' a="' * (MEGABYTE // 4),
    "100,000 pairs": lambda line: line + b"".join(b" k%d=%d" % (n, n) for n in range(100_000)),
    "a key of a megabyte": lambda line: line + b" " + b"k" * MEGABYTE + b"=1",
    "10,000 digits": lambda line: line.replace(b"1", b"9" * 10_000, 3),
    "NULs": lambda line: line + b"\0" * 10_000 + b"x",
    "invalid UTF-8": lambda line: line + b"\xff\xfe" * 10_000,
    "cut in the middle": lambda line: line[: len(line) // 2],
    "line feeds": lambda line: line.replace(b" ", b"\n"),
}


@pytest.mark.parametrize("kind", [kind for kind, record in KINDS.items() if record[:1] != b"{"])
@pytest.mark.parametrize("odd", TEXTS)
def test_an_odd_line_costs_what_its_bytes_cost(odd: str, kind: str) -> None:
    fine(MADE, TEXTS[odd](KINDS[kind]), f"bench.{kind}")


def test_a_record_that_names_its_columns_by_the_thousand_is_bounded() -> None:
    names = ",".join(f"c{n}" for n in range(10_000))
    by_header = Reader(Settings(topics=(TopicSettings(topic="raw.*", format="csv"),)))
    fine(by_header, f"{names}\n{names.replace('c', 'v')}".encode(), "raw.events")
    fine(READER, b"#fields\t" + b"\t".join(b"c%d" % n for n in range(10_000)) + b"\n" + b"1\t" * 9_999 + b"1", "raw.x")


def test_columns_of_settings_do_not_follow_what_nests_for_ever() -> None:
    deep = {"columns": {"host": ".".join("a" * 90), "user": "a"}}
    doc = orjson.loads(b'{"a":' * 90 + b'"x"' + b"}" * 90)
    fine(Reader(Settings(topics=(TopicSettings(topic="raw.*", **deep),))), orjson.dumps(doc), "raw.events")
