"""FORMAT Native for clients that name a protocol version, as Grafana's plugin does (clickhouse-go).

To them a server sends every block with its info before it, and after every column's type a byte that says whether the
column is serialized in a way of its own. The engine here writes neither, so both are put in, and for that we must know
where a column ends. Columns are measured, never read.
"""

from __future__ import annotations

import re
import struct

from pipeline.embedded.clickhouse_errors import refused

# From this version on, the byte after the type; clients of an older one take what the engine writes.
FIRST_FRAMED = 54_454
_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"  # no overflows, no bucket
_DEFAULT_SERIALIZATION = b"\x00"
_WIDTHS = (
    dict.fromkeys(("UInt8", "Int8", "Bool", "Enum8", "Nothing"), 1)
    | dict.fromkeys(("UInt16", "Int16", "Enum16", "Date", "BFloat16"), 2)
    | dict.fromkeys(("UInt32", "Int32", "Float32", "Date32", "DateTime", "IPv4", "Time"), 4)
    | dict.fromkeys(("UInt64", "Int64", "Float64", "DateTime64", "Time64"), 8)
    | dict.fromkeys(("UInt128", "Int128", "UUID", "IPv6", "Point"), 16)
    | dict.fromkeys(("UInt256", "Int256"), 32)
)
_NAMED = re.compile(r"(?:`(?:[^`\\]|\\.)*`|\w+) +(?=\S)")
_ADDITIONAL_KEYS = 1 << 9


def framed(blocks: bytes) -> bytes:
    """Whole blocks of Native as such a client reads them. Raises EngineError for a column that cannot be measured."""
    pieces: list[bytes] = []
    at = 0
    while at < len(blocks):
        done = at
        columns, at = _number(blocks, at)
        rows, at = _number(blocks, at)
        pieces.append(_BLOCK_INFO)
        for _ in range(columns):
            _, at = _text(blocks, at)
            kind, at = _text(blocks, at)
            pieces += blocks[done:at], _DEFAULT_SERIALIZATION
            done = at
            if rows:
                at = _end(kind, blocks, at + _prefix(kind), rows)
        pieces.append(blocks[done:at])
    return b"".join(pieces)


def _prefix(kind: str) -> int:
    """Bytes that stand once before a column's data: a version for every LowCardinality in it."""
    name, inner = _taken_apart(kind)
    if name == "LowCardinality":
        return 8
    containers = ("Array", "Map", "Tuple", "Nested", "Nullable", "SimpleAggregateFunction")
    return sum(map(_prefix, inner)) if name in containers else 0


def _end(kind: str, data: bytes, at: int, rows: int) -> int:
    """Where `rows` values of a type that begin at `at` end."""
    name, inner = _taken_apart(kind)
    if name == "String":
        for _ in range(rows):
            size, at = _number(data, at)
            at += size
        return at
    if name == "Nullable":
        return _end(inner[0], data, at + rows, rows)
    if name == "Tuple":
        for part in inner:
            at = _end(part, data, at, rows)
        return at
    if name in ("Array", "Map", "Nested"):
        items = _fixed(data, at + 8 * (rows - 1)) if rows else 0
        at += 8 * rows
        for part in inner:
            at = _end(part, data, at, items)
        return at
    if name == "SimpleAggregateFunction":
        return _end(inner[1], data, at, rows)
    if name == "LowCardinality":
        return _low_cardinality_end(inner[0], data, at) if rows else at
    return at + rows * _width(kind, name, inner)


def _low_cardinality_end(kind: str, data: bytes, at: int) -> int:
    name, inner = _taken_apart(kind)
    flags, keys = _fixed(data, at), _fixed(data, at + 8)
    if not flags & _ADDITIONAL_KEYS:
        raise refused(48, "FORMAT Native of this protocol: a LowCardinality without keys of its own")
    at = _end(inner[0] if name == "Nullable" else kind, data, at + 16, keys)
    return at + 8 + _fixed(data, at) * (1 << (flags & 0xFF))


def _width(kind: str, name: str, inner: list[str]) -> int:
    if name == "FixedString":
        return int(inner[0])
    if name == "Decimal":
        return next(size for digits, size in ((9, 4), (18, 8), (38, 16), (76, 32)) if int(inner[0]) <= digits)
    if name.startswith("Interval"):
        return 8
    if name not in _WIDTHS:
        raise refused(48, f"FORMAT Native of this protocol cannot carry the type {kind}; convert it in the query")
    return _WIDTHS[name]


def _taken_apart(kind: str) -> tuple[str, list[str]]:
    """`Map(String, Array(UInt8))` → `Map`, [`String`, `Array(UInt8)`]; names of a tuple's elements are dropped."""
    name, bracket, rest = kind.partition("(")
    if not bracket or name.startswith(("Enum", "DateTime", "Time")):
        return name, []
    parts, depth, begin, quoted = [], 0, 0, False
    inside = rest[:-1]
    for position, mark in enumerate(inside):
        quoted ^= mark == "`"
        depth += 0 if quoted else (mark == "(") - (mark == ")")
        if mark == "," and depth == 0 and not quoted:
            parts.append(inside[begin:position].strip())
            begin = position + 1
    parts.append(inside[begin:].strip())
    return name, [_NAMED.sub("", part, count=1) if _NAMED.match(part) else part for part in parts]


def _text(data: bytes, at: int) -> tuple[str, int]:
    size, at = _number(data, at)
    return data[at : at + size].decode(), at + size


def _fixed(data: bytes, at: int) -> int:
    value: int = struct.unpack_from("<Q", data, at)[0]
    return value


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
