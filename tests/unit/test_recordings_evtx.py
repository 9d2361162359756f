"""Binary EVTX files and files of bundles are recordings like any other; what is damaged is named, the rest goes on."""

from __future__ import annotations

import gzip
import struct
import time
from pathlib import Path

import orjson
import pytest

from pipeline import recordings, recordings_evtx
from pipeline.recordings_bundles import apart
from tests.builders import batch_of
from tests.evtx_file import CHUNK, evtx_chunk, evtx_file, nested_chunk
from tests.parsing import READER, event, reason
from tests.shippers import EVENTS, evtx

ALL = list(EVENTS.values())


def read(path: Path, content: bytes) -> tuple[list[tuple[int, bytes]], list[str]]:
    """(number, record) pairs of a file with this content, and what was told of damage."""
    path.write_bytes(content)
    told: list[str] = []
    parts = list(recordings.read(str(path), damaged=told.append))
    return [pair for part in parts for pair in zip(*part, strict=True)], told


def test_records_of_a_file_are_the_events_that_its_json_would_be(tmp_path: Path) -> None:
    records, told = read(tmp_path / "a.evtx", evtx_file(evtx_chunk(ALL[:3]), evtx_chunk(ALL[3:], 4)))
    assert told == []
    assert [number for number, _ in records] == [1, 2, 3, 4, 5]
    for one, (_, record) in zip(ALL, records, strict=True):
        found, meant = event(record), event(evtx(one))
        assert (found.format.name, found.source, found.time_ms) == ("evtx", meant.source, meant.time_ms)
        assert (found.host, found.user, found.command_line) == (meant.host, meant.user, meant.command_line)
        assert found.observables == meant.observables
        assert {name: str(found.fields[name]) for name in one.data} == one.data


def test_a_file_is_told_by_its_first_bytes_packed_or_not(tmp_path: Path) -> None:
    records, _ = read(tmp_path / "whatever", gzip.compress(evtx_file(evtx_chunk(ALL))))
    assert len(records) == 5


def test_damaged_chunks_are_named_and_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    whole = evtx_chunk(ALL)
    # The second record's size says that it reaches far beyond the chunk.
    second = whole.index(b"\x2a\x2a\x00\x00", 520)
    wrong = whole[: second + 4] + struct.pack("<I", 0x7FFFFFFF) + whole[second + 8 :]
    file = evtx_file(whole, b"x" * CHUNK, wrong, whole, bytes(CHUNK), whole[:20_000])
    records, told = read(tmp_path / "a.evtx", file)
    assert len(told) == 4
    assert "chunk 1 is damaged (a chunk header is wrong); 0 of its records" in told[0]
    assert "chunk 2 is damaged" in told[1]
    assert "chunk 5 is damaged (the file is cut off in it)" in told[2]
    assert told[3].endswith("3 of 6 chunks are damaged; all that could be read of them was.")
    assert len(records) >= 5 + 1 + 5 + 5, "a chunk that was only not filled is none that is damaged"


def test_a_record_that_nests_without_end_costs_its_chunk_alone(tmp_path: Path) -> None:
    """Whoever recurses into it dies of it: that is another process, and another one reads on."""
    started = time.monotonic()
    records, told = read(tmp_path / "a.evtx", evtx_file(evtx_chunk(ALL), nested_chunk(5_000), evtx_chunk(ALL)))
    assert time.monotonic() - started < recordings_evtx._SECONDS + 5
    assert [number for number, _ in records][-5:] == list(range(len(records) - 4, len(records) + 1))
    assert len(records) in (10, 11)
    for _, record in records:
        read_one = READER.read(batch_of(record, timestamp=-1))
        assert len(read_one.events) + len(read_one.dead) == 1
    if len(records) == 10:
        assert "chunk 1 is damaged" in told[0]


def test_a_reader_that_dies_says_so_instead_of_ending_the_file() -> None:
    """As of a bound of time or memory: the process is gone in the middle of a chunk."""
    reader = recordings_evtx._Reader()
    reader._process.kill()
    reader._process.wait()
    assert reader.read(evtx_chunk(ALL)) == ([], "it cannot be read within bounds of time and memory")
    assert reader.dead
    reader.close()


@pytest.mark.parametrize("content", [b"ElfFile\0", b"ElfFile\0" + bytes(5_000), evtx_file()])
def test_a_file_of_a_header_alone_has_no_records(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path / "a.evtx", content)[0] == []


# --- files of one document that holds many records


def test_each_record_of_a_bundle_is_a_line_of_its_own(tmp_path: Path) -> None:
    trail = [{"eventName": "a", "eventSource": "s"}, {"eventName": "b", "eventSource": "s"}]
    lines = [orjson.dumps({"Records": trail}), b'{"x":1}', b"", orjson.dumps([{"y": 1}, {"y": 2}])]
    records, _ = read(tmp_path / "a.json", b"\n".join(lines))
    assert [orjson.loads(record) for _, record in records] == [*trail, {"x": 1}, {"y": 1}, {"y": 2}]
    assert [number for number, _ in records] == [1, 2, 3, 5, 6], "an empty line counts as it always has"


@pytest.mark.parametrize(
    "document",
    [
        {"records": [{"a": 1}]},
        {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": [{"a": 1}]},
        {"@odata.context": "https://graph.example", "value": [{"a": 1}]},
        [{"a": 1}],
    ],
)
def test_the_bundles_of_azure_kubernetes_graph_and_arrays_are_known(document: object) -> None:
    assert apart(orjson.dumps(document)) == [b'{"a":1}']


@pytest.mark.parametrize(
    "line",
    [b"[1,2]", b"[]", b"[", b'{"Records":[]}', b'{"Records":[1]}', b'{"Records":{}}', b'{"Records', b'{"value":1}',
     b'{"Records":[{"a":1}],"b":1,"c":1,"d":1,"e":1}', b'["x",{"a":1}]'],
)  # fmt: skip
def test_what_is_no_bundle_stays_whole(line: bytes) -> None:
    assert apart(line) == [line]


def test_on_a_topic_a_record_is_one_event_so_a_bundle_is_refused_whole() -> None:
    """Half a record would be lost in silence, and a hundred events of one offset cannot be told from another."""
    bundle = {"Records": [{"eventVersion": "1.08", "eventSource": "s3.amazonaws.com", "eventName": "x"}]}
    assert reason(orjson.dumps(bundle)) == "shape"
