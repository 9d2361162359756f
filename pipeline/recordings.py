"""Recordings: files of one record a line, plain or packed (.xz, .gz, .zst), read as a stream of numbered lines.

Packing is told by the first bytes and not by the name, so that standard input may be packed too.
"""

from __future__ import annotations

import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple, cast

from backports import zstd

from pipeline.headers import Header
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


def read(name: str, chunk_bytes: int = CHUNK_BYTES, *, headed: bool = False) -> Iterator[Lines]:
    """The lines of a file, or of standard input for `-`, about `chunk_bytes` at a time.

    A header is put before each line and is none itself: that of a Zeek log; the first line, where it is `headed`.

    Raises RefusedError when it cannot be opened, is damaged in the middle, or has a line of more than MAX_LINE bytes;
    what came before has been given.
    """
    number, header = 0, Header(first=headed)
    try:
        with _open(name) as stream:
            for chunk in _whole_lines(stream, chunk_bytes):
                stripped = [line.rstrip(b"\r\n") for line in chunk]
                full = [(n, line) for n, line in enumerate(stripped, number + 1) if line]
                number += len(chunk)
                yield Lines(*header.over([n for n, _ in full], [line for _, line in full]))
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


def _open(name: str) -> IO[bytes]:
    file = sys.stdin.buffer if name == STDIN else Path(name).open("rb")  # noqa: SIM115 - closed by what wraps it
    raw = cast(io.BufferedReader, file)
    head = raw.peek(6)
    packing = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")
    if packing == "xz":
        return lzma.open(raw)
    if packing == "gz":
        return cast(IO[bytes], gzip.open(raw))
    if packing == "zst":
        # Not `zstandard`, which takes a file that was cut off for a whole one.
        return cast(IO[bytes], zstd.open(raw))
    return raw
