"""Recordings: files of one record a line, plain or packed (.xz, .gz, .zst), read as a stream of numbered lines.

Packing is told by the first bytes and not by the name, so that standard input may be packed too. A binary EVTX file,
and a line that holds several records, give each record as a line, and the numbers count records.
"""

from __future__ import annotations

import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple, cast

from backports import zstd

from pipeline import recordings_evtx
from pipeline.headers import Header
from pipeline.recordings_bundles import apart
from schemas.errors import RefusedError

STDIN = "-"
CHUNK_BYTES = 1 << 20
#: Bytes of one line; Kafka's largest record is a quarter of it.
MAX_LINE = 128 << 20
_MAGIC = {b"\xfd7zXZ\x00": "xz", b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst"}


class Lines(NamedTuple):
    """Consecutive lines of a recording without their line ends; empty lines are left out. Numbers begin at 1."""

    numbers: Sequence[int]
    values: Sequence[bytes]


def _tell(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def read(
    name: str, chunk_bytes: int = CHUNK_BYTES, *, headed: bool = False, damaged: Callable[[str], None] = _tell
) -> Iterator[Lines]:
    """The lines of a file, or of standard input for `-`, about `chunk_bytes` at a time.

    A header is put before each line and is none itself: that of a Zeek log; the first line, where it is `headed`.
    `damaged` is told what of an EVTX file cannot be read. Raises RefusedError when it cannot be opened, is damaged in
    the middle, or has a line of more than MAX_LINE bytes; what came before has been given.
    """
    number, header = 0, Header(first=headed)
    try:
        with _open(name) as stream:
            if stream.peek(8).startswith(recordings_evtx.MAGIC):
                for lines in _records(stream, name, damaged):
                    number += len(lines.numbers)
                    yield lines
                return
            for chunk in _whole_lines(stream, chunk_bytes):
                records = [record for line in chunk for record in apart(line.rstrip(b"\r\n"))]
                full = [(n, record) for n, record in enumerate(records, number + 1) if record]
                number += len(records)
                yield Lines(*header.over([n for n, _ in full], [record for _, record in full]))
    except _TooLongError:
        raise RefusedError(
            f"{name} has a line of more than {MAX_LINE >> 20} MiB after line {number}: it is no recording of one "
            "record a line."
        ) from None
    except OSError as error:
        raise RefusedError(f"{name} cannot be read after line {number} ({error.strerror or error}).") from None
    except (EOFError, lzma.LZMAError, zlib.error, zstd.ZstdError):
        raise RefusedError(f"{name} is damaged or cut off after line {number}: pack it again.") from None


class _TooLongError(Exception):
    pass


def _records(stream: IO[bytes], name: str, damaged: Callable[[str], None]) -> Iterator[Lines]:
    number = 0
    for records in recordings_evtx.read(stream, name, damaged):
        yield Lines(range(number + 1, number + 1 + len(records)), records)
        number += len(records)


def _whole_lines(stream: IO[bytes], chunk_bytes: int) -> Iterator[list[bytes]]:
    """Lines without their line feeds. Not `readlines`, which would take a file of one line into memory whole."""
    begun: list[bytes] = []
    held = 0
    while data := stream.read(chunk_bytes):
        if b"\n" not in data:
            begun.append(data)
            held += len(data)
        else:
            *lines, rest = b"".join([*begun, data]).split(b"\n")
            yield lines
            begun, held = [rest], len(rest)
        if held > MAX_LINE:
            raise _TooLongError
    if held:
        yield [b"".join(begun)]


def size(name: str) -> int | None:
    """Bytes to read, for a progress bar; None for standard input."""
    try:
        return None if name == STDIN else Path(name).stat().st_size
    except OSError as error:
        raise RefusedError(f"{name} cannot be read ({error.strerror}).") from None


def _open(name: str) -> io.BufferedReader:
    """What is packed is read through files that can `peek` as plain ones do."""
    file = sys.stdin.buffer if name == STDIN else Path(name).open("rb")  # noqa: SIM115 - closed by what wraps it
    raw = cast(io.BufferedReader, file)
    head = raw.peek(6)
    packing = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")
    if packing == "xz":
        return cast(io.BufferedReader, lzma.open(raw))
    if packing == "gz":
        return cast(io.BufferedReader, gzip.open(raw))
    if packing == "zst":
        # Not `zstandard`, which takes a file that was cut off for a whole one.
        return cast(io.BufferedReader, zstd.open(raw))
    return raw
