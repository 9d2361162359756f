"""Rows: whatever a parser hands over becomes Arrow, and the same block is the same bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.dead_letter import DeadLetter
from schemas.errors import HaltError
from schemas.event import Event, Format, Observable, RecordBatch, Source
from sinks.clickhouse import arrow
from sinks.clickhouse.hashing import EARLIEST_MS, LATEST_MS, NO_VALUE, ContentHash, digest, packed_headers
from sinks.clickhouse.ledger import Chain, Claim
from sinks.clickhouse.rows import HOSTS, SEALED, EventColumns
from tests.builders import FakeRecord, batch_of

FORMAT = Format("evtx", "json")
SOURCE = Source("windows", "process_creation", "security", 4688)


@dataclass
class FakeReading:
    events: list[Event]
    dead: list[DeadLetter]


def read(batch: RecordBatch) -> FakeReading:
    """Every third record is dead, the others are events with an observable."""
    events = [
        Event(r.offset, r.value or b"", FORMAT, SOURCE, {}, r.timestamp, r.timestamp, host=f"h{r.offset % 40}",
              observables=(Observable("ipv4", f"10.0.0.{r.offset % 3}"),))
        for r in batch.records if r.offset % 3
    ]  # fmt: skip
    dead = [DeadLetter(r.offset, r.timestamp, "json", r.key, r.value) for r in batch.records if r.offset % 3 == 0]
    return FakeReading(events, dead)


def claim(first: int, last: int) -> Claim:
    return Claim(Chain("log0", "raw.events", 2), first, last, last - first + 1, "c", "p", 1_760_000_000_000, "r", "o")


def tables(batches: list[RecordBatch]) -> tuple[dict[str, pa.Table], str]:
    columns, content = EventColumns(), ContentHash()
    for batch in batches:
        columns.add(batch, read(batch), content.add(batch.records))
    return columns.tables(claim(batches[0].first, batches[-1].next - 1)), content.hex()


class TestArrow:
    def test_lone_surrogates_and_other_types_become_text(self) -> None:
        assert arrow.texts(["ok", "a\ud800", 5]).to_pylist() == ["ok", "a?", "5"]
        assert arrow.low_texts(["x", "x\udfff"]).to_pylist() == ["x", "x?"]

    def test_numbers_that_do_not_fit_stand_at_the_edge(self) -> None:
        assert arrow.small_numbers([2**63, -1, 7]).to_pylist() == [2**32 - 1, 0, 7]
        assert arrow.large_numbers([2**70, -1]).to_pylist() == [2**64 - 1, 0]

    def test_times_outside_the_column_stand_at_the_edge(self) -> None:
        assert arrow.moments([-5, 2**62]).cast(pa.int64()).to_pylist() == [EARLIEST_MS, LATEST_MS]


class TestHashing:
    @given(st.binary(max_size=9_000))
    @settings(max_examples=30, deadline=None)
    def test_hashing_in_pieces_is_sha256(self, value: bytes) -> None:
        assert digest(value) == hashlib.sha256(value).digest()

    def test_a_null_value_is_not_an_empty_one(self) -> None:
        assert digest(None) == NO_VALUE != digest(b"")

    @pytest.mark.parametrize(
        "other",
        [
            FakeRecord(2, b"v", 5, b"k", [("h", b"1")]),
            FakeRecord(1, b"w", 5, b"k", [("h", b"1")]),
            FakeRecord(1, b"v", 6, b"k", [("h", b"1")]),
            FakeRecord(1, b"v", 5, None, [("h", b"1")]),
            FakeRecord(1, b"v", 5, b"k", [("h", b"2")]),
            FakeRecord(1, b"v", 5, b"kh", []),
        ],
    )
    def test_offset_time_key_headers_and_value_all_count(self, other: FakeRecord) -> None:
        one, two = ContentHash(), ContentHash()
        one.add([FakeRecord(1, b"v", 5, b"k", [("h", b"1")])])
        two.add([other])
        assert one.hex() != two.hex()

    def test_headers_are_packed_unambiguously(self) -> None:
        assert packed_headers([("a", b"bc")]) != packed_headers([("ab", b"c")])
        assert packed_headers([("a", None)]) != packed_headers([("a", b"")])  # type: ignore[list-item]


class TestBlock:
    @given(st.lists(st.integers(1, 39), max_size=5).map(sorted))
    @settings(max_examples=20, deadline=None)
    def test_a_block_is_the_same_however_its_batches_were_cut(self, cuts: list[int]) -> None:
        values = [b"v%d" % number for number in range(40)]
        edges = [0, *cuts, 40]
        parts = [batch_of(*values[a:b], first=a, partition=2) for a, b in pairwise(edges)]
        assert tables(parts)[1] == tables([batch_of(*values, partition=2)])[1]
        for name, table in tables(parts)[0].items():
            assert table.equals(tables([batch_of(*values, partition=2)])[0][name]), name

    def test_each_record_is_one_row_and_names_its_origin_and_block(self) -> None:
        made, _ = tables([batch_of(b"a", b"b", b"c", b"d", first=9, partition=2)])
        rows = made["events"].to_pylist() + made["dead_letters"].to_pylist()
        assert sorted(row["offset"] for row in rows) == [9, 10, 11, 12]
        assert {(r["log"], r["topic"], r["partition"]) for r in rows} == {("log0", "raw.events", 2)}
        assert len({row["received"] for row in rows}) == 1
        assert {row["raw_sha256"] for row in rows} == {hashlib.sha256(v).digest() for v in (b"a", b"b", b"c", b"d")}

    def test_events_come_last_so_that_they_prove_the_rest(self) -> None:
        made, _ = tables([batch_of(b"a", b"b")])
        assert list(made) == ["observables", "dead_letters", "events"]

    def test_observables_are_summed_over_the_block(self) -> None:
        made, _ = tables([batch_of(*[b"x"] * 120)])
        found = made["observables"].to_pylist()
        assert [row["value"] for row in found] == ["10.0.0.1", "10.0.0.2"]
        assert {row["count"] for row in found} == {40}
        assert all(len(row["hosts"]) == HOSTS < row["host_count"] for row in found)
        assert {(row["block_first"], row["block_last"]) for row in found} == {(0, 119)}

    def test_many_rows_are_one_chunk_so_that_one_insert_is_one_block(self) -> None:
        step = 500
        made, _ = tables([batch_of(*[b"x"] * step, first=at) for at in range(0, 3 * SEALED, step)])
        assert all(len(column.chunks) == 1 for column in made["events"].itercolumns())

    def test_a_reading_of_more_than_the_batch_is_cut_to_it(self) -> None:
        whole = batch_of(b"a", b"b", b"c", b"d")
        part = batch_of(b"c", b"d", first=2)
        columns = EventColumns()
        columns.add(part, read(whole), ContentHash().add(part.records))
        made = columns.tables(claim(2, 3))
        assert sorted(made["events"]["offset"].to_pylist() + made["dead_letters"]["offset"].to_pylist()) == [2, 3]

    def test_a_parser_that_loses_a_record_halts_instead_of_storing_an_incomplete_block(self) -> None:
        batch = batch_of(b"a", b"b", b"c")
        reading = read(batch)
        reading.events.pop()
        with pytest.raises(HaltError, match="fault of ours"):
            EventColumns().add(batch, reading, ContentHash().add(batch.records))
