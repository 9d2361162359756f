"""Recordings are read line by line, whatever they are packed with."""

from __future__ import annotations

import gzip
import io
import lzma
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from pipeline import recordings
from schemas.errors import RefusedError

TEXT = b'{"a":1}\r\n\n{"b":2}\nlast without an end'
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain.jsonl": bytes,
    "packed.jsonl.xz": lzma.compress,
    "packed.jsonl.gz": gzip.compress,
    "packed.jsonl.zst": zstd.compress,
    "the-name-does-not-matter": lzma.compress,
}


def read(name: str, chunk_bytes: int = recordings.CHUNK_BYTES) -> list[tuple[int, bytes]]:
    return [pair for lines in recordings.read(name, chunk_bytes) for pair in zip(*lines, strict=True)]


@pytest.mark.parametrize("name", PACKINGS)
def test_lines_are_numbered_from_one_and_empty_ones_left_out(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(PACKINGS[name](TEXT))
    assert read(str(tmp_path / name)) == [(1, b'{"a":1}'), (3, b'{"b":2}'), (4, b"last without an end")]


def test_numbers_go_on_over_chunks(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"".join(b"%d\n" % n for n in range(1, 1001)))
    assert read(str(tmp_path / "f"), chunk_bytes=64) == [(n, b"%d" % n) for n in range(1, 1001)]


def test_frames_of_zstd_one_after_the_other_are_one_recording(tmp_path: Path) -> None:
    (tmp_path / "f.zst").write_bytes(zstd.compress(b"1\n") + zstd.compress(b"2\n"))
    assert read(str(tmp_path / "f.zst")) == [(1, b"1"), (2, b"2")]


def test_standard_input_may_be_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(b"x\ny\n")))))
    assert read("-") == [(1, b"x"), (2, b"y")]


@pytest.mark.parametrize("name", [name for name in PACKINGS if name != "plain.jsonl"])
def test_a_cut_off_file_gives_what_it_has_and_then_a_sentence(tmp_path: Path, name: str) -> None:
    whole = PACKINGS[name](b"".join(b"%d\n" % (n * 7919 % 100_003) for n in range(50_000)))
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    seen: list[bytes] = []
    with pytest.raises(RefusedError, match=r"is damaged or cut off after line \d"):
        seen.extend(value for lines in recordings.read(str(tmp_path / name), 1000) for value in lines.values)
    assert seen[:2] == [b"0", b"7919"]


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="No such file"):
        read(str(tmp_path / "absent.jsonl"))


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "MAX_LINE", 4 << 20)
    (tmp_path / "f").write_bytes(b"a\nb\n" + b"x" * (64 << 20))
    seen: list[bytes] = []
    with pytest.raises(RefusedError, match="a line of more than 4 MiB after line 2"):
        seen.extend(value for lines in recordings.read(str(tmp_path / "f"), 1 << 16) for value in lines.values)
    assert seen == [b"a", b"b"]


@pytest.mark.parametrize("chunk_bytes", range(1, 12))
def test_lines_are_the_same_wherever_a_chunk_ends(tmp_path: Path, chunk_bytes: int) -> None:
    (tmp_path / "f").write_bytes(TEXT)
    assert read(str(tmp_path / "f"), chunk_bytes) == [(1, b'{"a":1}'), (3, b'{"b":2}'), (4, b"last without an end")]
