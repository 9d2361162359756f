"""Audit records on their way to the process that joins them: a kind of parcel of its own on the topic `contributions`.

What a batch gave to one partition is one record, hosts and lanes in it once. What is none raises UnreadableError.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from detectors.audit.piece import KINDS, Piece
from detectors.correlation.parcels import UnreadableError

_VERSION: Final = 1
_NUMBER: Final = re.compile(r"\d{1,12}\.\d{3}:\d{1,20}\Z", re.ASCII)
_LANE: Final = re.compile(r"[^/]*/[^/]+/\d{1,9}\Z", re.ASCII)
_START: Final = b'{"audit":'
#: Bytes of pieces, about, after which a parcel is closed; and pieces.
MAX_BYTES: Final = 200_000
MAX_PIECES: Final = 1_000
_MOST: Final = 1 << 62


def is_pieces(value: bytes | None) -> bool:
    """Whether a record of the topic claims to be of this kind."""
    return value is not None and value.startswith(_START)


def packed(pieces: Sequence[Piece]) -> Iterator[bytes]:
    """The records' values that carry these pieces."""
    begin = size = 0
    for number, piece in enumerate(pieces):
        size += piece.size
        if size >= MAX_BYTES or number + 1 - begin >= MAX_PIECES:
            yield _parcel(pieces[begin : number + 1])
            begin, size = number + 1, 0
    if begin < len(pieces):
        yield _parcel(pieces[begin:])


def read(value: bytes) -> list[Piece]:
    """The pieces of a record. Raises UnreadableError."""
    try:
        said = orjson.loads(value)
        names = [str(name) for name in said["names"]]
        if said["audit"] == _VERSION:
            return [_piece(names, *row) for row in said["rows"]]
    except UnreadableError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise UnreadableError("it is no parcel of audit records") from error
    raise UnreadableError("it is of another version")


def _parcel(pieces: Sequence[Piece]) -> bytes:
    names: dict[str, int] = {}
    rows = [
        [names.setdefault(host, len(names)), number, kind, fields, names.setdefault(lane, len(names)), *rest]
        for host, number, kind, fields, lane, *rest in pieces
    ]
    return orjson.dumps({"audit": _VERSION, "names": list(names), "rows": rows})


def _piece(names: list[str], host: int, number: str, kind: str, fields: Any, lane: int, *rest: Any) -> Piece:
    offset, time, due, kafka_ms, late, doubtful, sha256 = rest
    whole = (offset, time, due, kafka_ms)
    if any(type(one) is not int or not -_MOST < one < _MOST for one in whole) or offset < 0 or min(host, lane) < 0:
        raise UnreadableError("a number in it is out of range")
    if kind not in KINDS or type(sha256) is not str or type(fields) is not dict or not _NUMBER.match(number):
        raise UnreadableError("a record in it is none")
    if not _LANE.match(names[lane]):
        raise UnreadableError("it names no place of a record")
    "".join(fields.values())  # a TypeError for what is no text
    return Piece(names[host], number, kind, fields, names[lane], *whole, bool(late), bool(doubtful), sha256)
