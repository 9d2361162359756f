"""Python values to Arrow columns, fast for what is expected and without a fault for everything else.

A parser's columns hold what a shipper sent: lone surrogates, numbers beyond 64 bits, numbers where text belongs.
None of that may stop a block, so each kind has a slow second try that cannot fail.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import pyarrow as pa

from sinks.clickhouse.hashing import EARLIEST_MS, LATEST_MS

MOMENT = pa.timestamp("ms", tz="UTC")
LOW = pa.dictionary(pa.int32(), pa.string())
UINT32_MAX = 2**32 - 1
UINT64_MAX = 2**64 - 1


def texts(values: Sequence[Any]) -> pa.Array:
    """A column of text."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowException, UnicodeError, TypeError, ValueError):
        return pa.array([_text(value) for value in values], pa.string())


def low_texts(values: Sequence[Any]) -> pa.Array:
    """A column of few distinct texts."""
    return texts(values).dictionary_encode()


def moments(values: Sequence[int]) -> pa.Array:
    """A column of milliseconds UTC."""
    if values and (min(values) < EARLIEST_MS or max(values) > LATEST_MS):
        values = [min(max(value, EARLIEST_MS), LATEST_MS) for value in values]
    return pa.array(values, pa.int64()).view(MOMENT)


def small_numbers(values: Sequence[int]) -> pa.Array:
    """A column of UInt32; what lies outside stands at the edge."""
    try:
        return pa.array(values, pa.uint32())
    except (pa.ArrowException, OverflowError, TypeError):
        return pa.array([_number(value) for value in values], pa.uint32())


def large_numbers(values: Sequence[int]) -> pa.Array:
    """A column of UInt64; what lies outside stands at the edge."""
    try:
        return pa.array(values, pa.uint64())
    except (pa.ArrowException, OverflowError, TypeError):
        return pa.array([_number(value, UINT64_MAX) for value in values], pa.uint64())


def lists(values: Sequence[Sequence[str]]) -> pa.Array:
    """A column of lists of text."""
    return pa.array([[_text(part) for part in value] for value in values], pa.list_(pa.string()))


def flags(values: Sequence[bool]) -> pa.Array:
    """A column of Bool."""
    return pa.array(values, pa.bool_())


def blobs(values: Sequence[bytes | None]) -> pa.Array:
    """A column of bytes as they are."""
    return pa.array(values, pa.binary())


class Blobs:
    """A column of bytes that is gathered over a block, and copied once: at its end, as a whole.

    (Growing a buffer value by value costs four times as much: most of it is fresh memory, again and again.)
    """

    def __init__(self) -> None:
        self._values: list[bytes] = []

    def extend(self, values: Iterable[bytes]) -> None:
        """Append values; they are kept, not copied."""
        self._values += values

    def column(self) -> pa.Array:
        """All of them."""
        ends = array("q", accumulate(map(len, self._values), initial=0))
        buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(self._values))]
        return pa.Array.from_buffers(pa.large_binary(), len(self._values), buffers)


def digests(values: Sequence[bytes]) -> pa.Array:
    """A column of 32 bytes each."""
    return pa.array(values, pa.binary(32))


def offsets(values: Sequence[int]) -> pa.Array:
    """A column of Kafka offsets."""
    return pa.array(values, pa.uint64())


def constant(value: str, count: int) -> pa.Array:
    """The same text in every row."""
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), count), pa.array([value], pa.string()))


def repeated(value: Any, kind: pa.DataType, count: int) -> pa.Array:
    """The same value of some type in every row."""
    return pa.repeat(pa.scalar(value, kind), count)


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    return text.encode("utf-8", "replace").decode()


def _number(value: Any, most: int = UINT32_MAX) -> int:
    return min(max(value, 0), most) if isinstance(value, int) else 0
