"""What a hostile feed may cost: every limit is named where it ends something, and what came before stands."""

from __future__ import annotations

import gzip
import io
import json
import re
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import orjson
import pytest

from detectors.ioc.feeds import read
from detectors.ioc.feeds.stix_pattern import rows
from pipeline.bench.feeds import FORMATS
from schemas.feed import Reading
from schemas.indicator import Indicator
from tests.feeding import bundle, given, indicator, stix_of

IP = "[ipv4-addr:value = '203.0.113.{}']"
GOOD = indicator(0, IP.format(9))


def zipped(*files: tuple[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return made.getvalue()


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress, lambda data: zipped(("a", data))])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_bytes_are_read_whatever_they_are_packed_and_written_in(pack: Any, encoding: str) -> None:
    for text in ("type;value;title\nip;203.0.113.9;тест\n", bundle(GOOD).decode(), "203.0.113.9 # тест\n"):
        assert given(pack(text.encode(encoding))).values == [("ipv4", "203.0.113.9")], (text, encoding)


def test_all_files_of_a_zip_are_read_and_their_faults_name_them() -> None:
    feed = given(
        zipped(("a.csv", b"type,value\nip,203.0.113.1\n"), ("b.txt", b"203.0.113.2\nxyz\n"), ("c", bundle(GOOD)))
    )
    assert [value for _, value in feed.values] == ["203.0.113.1", "203.0.113.2", "203.0.113.9"]
    assert [fault.where for fault in feed.faults] == ["file 2 line 2"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (gzip.compress(b"#" * 5_000_000), "more than 1,000,000 bytes unpacked (limits.bytes)"),
        (zipped(("a", b"#" * 600_000), ("b", b"#" * 600_000)), "more than 1,000,000 bytes unpacked (limits.bytes)"),
        (zipped(*((f"{n}", b"") for n in range(1_001))), "more than 1,000 files"),
        (zipped(("n" * 60_000, b""), *((f"{n}" + "n" * 60_000, b"") for n in range(20))), "directory"),
        (zipped(("a", b"203.0.113.1\n"))[:-30], "broken"),
        (gzip.compress(b"203.0.113.1\n" * 9_000)[:-20], "broken"),
        (b"\x1f\x8b", "broken"),
        (b"PK\x05\x06", "broken"),
        (b"", "empty"),
        (b" \n\n", "empty"),
    ],
)
def test_what_cannot_or_may_not_be_unpacked_is_named(data: bytes, why: str) -> None:
    (*_, last) = given(data, limits={"bytes": 1_000_000}).faults
    assert last.kind == "end"
    assert why in last.why


def test_an_encrypted_zip_is_named() -> None:
    data = bytearray(zipped(("a", b"203.0.113.1\n")))
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in given(bytes(data)).faults[0].why


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deep"),
        (
            b'{"type":"indicator","name":"' + b"x" * 300_000 + b'"}',
            "larger than 100,000 characters (limits.entry_bytes)",
        ),
        (b"9" * 9_999, "digits"),
        (b'{"type": indicator}', "no JSON"),
        (b"null", "no object"),
        (b'{"type":"indicator"}', "without an id"),
        (b'{"type":"indicator","id":"indicator--\\ud800"}', "without an id"),
        (b'{"type":"indicator","id":"malware--1"}', "without an id"),
    ],
)
def test_one_bad_object_is_named_and_passed_over(bad: bytes, why: str) -> None:
    data = (
        b'{"type":"bundle","objects":['
        + orjson.dumps(GOOD)
        + b","
        + bad
        + b","
        + orjson.dumps(indicator(1, IP.format(1)))
        + b"]}"
    )
    feed = given(data, limits={"entry_bytes": 100_000})
    assert [value for _, value in feed.values] == ["203.0.113.9", "203.0.113.1"]
    (fault,) = feed.faults
    assert (fault.where, fault.kind) == ("object 1", "bad")
    assert why in fault.why


def test_a_document_that_breaks_off_gives_what_came_before_and_says_so() -> None:
    feed = given(bundle(GOOD, indicator(1, IP.format(1)))[:-40])
    assert feed.values == [("ipv4", "203.0.113.9")]
    assert feed.faults[-1].kind == "end"


def test_more_entries_than_allowed_end_the_reading() -> None:
    feed = given(bundle(*(indicator(n, IP.format(n)) for n in range(20))), limits={"entries": 10})
    assert len(feed.indicators) == 10
    assert [(fault.kind, "limits.entries" in fault.why) for fault in feed.faults] == [("end", True)]


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("[" + "(" * 30_000 + "ipv4-addr:value = '203.0.113.1'" + ")" * 30_000 + "]", ""),
        ("[" + "(" * 30_000, "an early end"),
        ("[" + " OR ".join(["ipv4-addr:value = '203.0.113.1'"] * 5_000) + "]", "limits.pattern"),
        ("[" + " AND ".join(f"(mutex:name = 'a{n}' OR mutex:name = 'b{n}')" for n in range(16)) + "]", "limits.values"),
        ("[" + " AND ".join(["(mutex:name = 'a' OR mutex:name = 'b')"] * 900) + "]", ""),
        ("[" + " AND ".join(f"mutex:name = 'a{n}'" for n in range(17)) + "]", "more than 16 values joined by AND"),
        ("[mutex:name = 'x' AND file:name IN (" + ", ".join(f"'{n}'" for n in range(300)) + ")]", "256 others"),
        ("'" * 60_000, "a text"),
        ("[a:b = " + "'\\" * 20_000, "the path a:b"),
        ("[mutex:name = " + "'\\" * 20_000, "where a text should stand"),
        ("[mutex:name IN (" + "'a'," * 10_001 + "'a')]", "limits.values"),
        (" " * 60_000, "an early end"),
    ],
)
def test_a_pattern_however_deep_or_wide_costs_little(pattern: str, why: str) -> None:
    start = time.process_time()
    with pytest.raises(ValueError, match=re.escape(why)) if why else nullcontext():
        assert rows(pattern)
    assert time.process_time() - start < 1.0


class Endless(io.RawIOBase):
    """A bundle of so many indicators that is made while it is read."""

    def __init__(self, objects: int) -> None:
        self._pieces = self._made(objects)
        self._left = b""

    def _made(self, objects: int) -> Iterator[bytes]:
        yield b'{"type":"bundle","objects":['
        for number in range(objects):
            one = indicator(number, IP.format(number % 250), description="x" * 2_000)
            yield (b"," if number else b"") + orjson.dumps(one)
        yield b"]}"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._left = self._left or next(self._pieces, b"")
        taken = self._left[: len(buffer)]
        self._left = self._left[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)


def test_memory_does_not_grow_with_the_feed() -> None:
    tracemalloc.start()
    try:
        count = sum(isinstance(entry, Indicator) for entry in read(Endless(8_000), Reading(source="feed")))  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 8_000
    assert peak < 16_000_000, "20 MB were read"


def test_a_line_without_end_is_named_and_passed_over() -> None:
    for head, form in (("type,value\nip,203.0.113.1\n", "csv"), ("203.0.113.1\n", "list")):
        feed = given(
            (head + "x" * 5_000_000 + "\nip,203.0.113.2\n" * (form == "csv")).encode(), limits={"entry_bytes": 1_000}
        )
        assert "limits.entry_bytes" in feed.faults[0].why
        assert len(feed.indicators) == (2 if form == "csv" else 1)


def test_halves_of_characters_do_no_harm() -> None:
    data = json.dumps({"objects": [indicator(1, IP.format(1), name="a\ud800b", labels=["\udfff"])]}).encode()
    (one,) = given(data).indicators
    assert orjson.dumps(one._asdict())


def test_whose_it_is_is_the_feeds_name_unless_the_file_is_our_own() -> None:
    objects = bundle(
        {"type": "identity", "id": "identity--1", "name": "Regulator"}, GOOD | {"created_by_ref": "identity--1"}
    )
    (foreign,), (own,) = given(objects).indicators, given(objects, own=True).indicators
    assert (foreign.source, foreign.tags) == ("feed", ("source:Regulator",))
    assert own.source == "Regulator"
    revoked = bundle(
        GOOD | {"created_by_ref": "identity--1", "revoked": True},
        {"type": "identity", "id": "identity--1", "name": "Regulator"},
    )
    assert given(revoked).revoked[0].source == "feed", "an entry withdraws nothing of another source"


def test_markings_are_the_strictest_also_of_parts_and_of_the_unknown() -> None:
    green, red = (
        "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da",
        "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed",
    )
    statement = {"type": "marking-definition", "id": "marking-definition--7", "definition_type": "statement"}

    def tlp(**more: Any) -> str:
        return given(bundle(GOOD | more, statement), defaults={"tlp": "clear"}).indicators[0].tlp

    assert tlp() == "clear"
    assert tlp(object_marking_refs=[green]) == "green"
    assert tlp(object_marking_refs=[green], granular_markings=[{"marking_ref": red, "selectors": ["name"]}]) == "red"
    assert tlp(object_marking_refs=["marking-definition--8"]) == "amber+strict"
    assert tlp(object_marking_refs=["marking-definition--7"]) == "clear"


def test_what_is_tied_to_an_indicator_is_told_with_it() -> None:
    feed = given(
        bundle(
            GOOD | {"kill_chain_phases": [{"kill_chain_name": "mitre-attack", "phase_name": "impact"}]},
            {"type": "relationship", "id": "relationship--1", "relationship_type": "indicates",
             "source_ref": "indicator--0", "target_ref": "malware--1"},
            {"type": "malware", "id": "malware--1", "name": "Emotet"},
            {"type": "sighting", "id": "sighting--1", "sighting_of_ref": "indicator--0",
             "first_seen": "2026-01-02T00:00:00Z"},
        )
    )  # fmt: skip
    (one,) = feed.indicators
    assert one.tags == ("attack.impact", "malware:Emotet")
    assert one.phases == ("mitre-attack:impact",)
    assert one.first_seen == 1_767_312_000_000


def test_a_revision_is_a_hash_of_the_content() -> None:
    one, same, other = (stix_of(IP.format(1), name=name).indicators[0] for name in ("a", "a", "b"))
    assert one.revision == same.revision != other.revision


@pytest.mark.parametrize(("name", "found"), [("stix", 50), ("misp", 200), ("csv", 50), ("list", 50)])
def test_the_feeds_that_are_measured_are_read_without_a_fault(name: str, found: int) -> None:
    feed = given(b"".join(FORMATS[name](50)), limits={"entry_bytes": 4_096})
    assert (len(feed.indicators), feed.faults) == (found, [])
