"""A table of texts that is built once and then only read: on disk, mapped into memory, shared by all processes.

A dictionary of a million names takes each worker 200 MB and seconds to fill; of this one a process holds what it
touches, and opening it costs nothing. Layout: 8 bytes of mark, the number of buckets, the end of each bucket, then the
entries `\\0 key \\1 value`, bucket by bucket; a key's bucket is its CRC-32. Keys are compared whole, so what collides
is slower and never wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from mmap import mmap
from typing import Final
from zlib import crc32

MARK: Final = b"QORGANT1"
_HEAD: Final = struct.Struct("<8sII")
#: What neither a key nor a value may hold.
RESERVED: Final = ("\0", "\1")


class DamagedError(ValueError):
    """These bytes are no table."""


def build(entries: Mapping[str, str]) -> bytes:
    """The table of these entries: the same bytes in whatever order they come."""
    count = 1 << max(4, len(entries).bit_length())
    buckets: list[list[bytes]] = [[] for _ in range(count)]
    for key, value in entries.items():
        raw = key.encode()
        buckets[crc32(raw) & (count - 1)].append(b"\0%b\1%b" % (raw, value.encode()))
    whole = [b"".join(sorted(bucket)) for bucket in buckets]
    ends, end = [0], 0
    for bucket in whole:
        end += len(bucket)
        ends.append(end)
    return b"".join((_HEAD.pack(MARK, count, len(entries)), struct.pack(f"<{count + 1}I", *ends), *whole))


class Table:
    """Look-ups in a table's bytes, or in a mapped file of them. Raises DamagedError for what is none."""

    __slots__ = ("__weakref__", "_data", "_ends", "_first", "_mask", "count")

    def __init__(self, data: bytes | mmap) -> None:
        view = memoryview(data)
        if len(view) < _HEAD.size:
            raise DamagedError("it is cut off")
        mark, buckets, self.count = _HEAD.unpack(view[: _HEAD.size])
        self._first = _HEAD.size + 4 * (buckets + 1)
        if mark != MARK or buckets & (buckets - 1) or not buckets or len(view) < self._first:
            raise DamagedError("it is cut off, or of another version")
        self._data = data
        self._ends = view[_HEAD.size : self._first].cast("I")
        self._mask = buckets - 1
        if len(view) != self._first + self._ends[buckets]:
            raise DamagedError("it is cut off")

    def get(self, key: str) -> str | None:
        """The value of a key, None where there is none. Any text may be asked for."""
        if "\0" in key:
            return None
        raw = key.encode("utf-8", "replace")
        bucket = crc32(raw) & self._mask
        start, end = self._first + self._ends[bucket], self._first + self._ends[bucket + 1]
        found = self._data.find(b"\0%b\1" % raw, start, end)
        if found < 0:
            return None
        start = found + len(raw) + 2
        stop = self._data.find(b"\0", start, end)
        return str(self._data[start : end if stop < 0 else stop], "utf-8")

    def items(self) -> Iterator[tuple[str, str]]:
        """All entries, bucket by bucket."""
        for entry in bytes(self._data[self._first :]).split(b"\0")[1:]:
            key, _, value = entry.partition(b"\1")
            yield key.decode(), value.decode()


EMPTY: Final = Table(build({}))
