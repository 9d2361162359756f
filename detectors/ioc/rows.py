"""Indicators as an index holds them: packed to some sixty bytes each, what many have in common held once.

A million indicators as Python objects would take 700 MB. A row is bytes: whose it is (source and id, and what else the
event must hold), when it counts, its revision, a number for what it shares with others, and its title where it has one
of its own. Type and value are the place where it lies. Made into an `Indicator` again only when it is found.
"""

from __future__ import annotations

from collections.abc import Hashable
from struct import Struct
from typing import Any, Final, Generic, TypeVar

from detectors.ioc.indicators import sealed
from schemas.indicator import Indicator

#: Numbers of source, `also` and shared facts, valid_from, valid_until, first_seen, revision, bytes of the id. Then the
#: id, and the title, if it has its own.
_HEAD: Final = Struct("<IIIqqq8sH")
_WHOSE: Final = 8  # bytes of the numbers of source and `also`
_REVISION: Final = slice(36, 44)
_STIX: Final = "indicator--"
_STIX_LENGTH: Final = len(_STIX) + 36
_EMPTY: Final = b"\0"

T = TypeVar("T", bound=Hashable)


class Shared(Generic[T]):
    """Things that many rows have in common: one copy and a small number each, forgotten with their last row."""

    def __init__(self) -> None:
        self._numbers: dict[T, int] = {}
        self._things: list[T | None] = []
        self._users: list[int] = []
        self._free: list[int] = []

    def __getitem__(self, number: int) -> T:
        thing = self._things[number]
        assert thing is not None, "a row's numbers are of things in use"  # noqa: S101 - for the type checker
        return thing

    def number(self, thing: T) -> int | None:
        """Its number; None where no row has it."""
        return self._numbers.get(thing)

    def take(self, thing: T) -> int:
        """Its number, for one row more."""
        number = self._numbers.get(thing)
        if number is not None:
            self._users[number] += 1
            return number
        if self._free:
            number = self._free.pop()
            self._things[number], self._users[number] = thing, 1
        else:
            number = len(self._things)
            self._things.append(thing)
            self._users.append(1)
        self._numbers[thing] = number
        return number

    def release(self, number: int) -> None:
        """One row less has it."""
        self._users[number] -= 1
        if not self._users[number]:
            del self._numbers[self[number]]
            self._things[number] = None
            self._free.append(number)


class Rows:
    """Packs and unpacks the rows of one index."""

    def __init__(self) -> None:
        self._sources: Shared[str] = Shared()
        self._also: Shared[Any] = Shared()
        self._facts: Shared[Any] = Shared()

    def pack(self, one: Indicator) -> bytes:
        """The indicator as a row, which must be released when it goes. Its revision is made if it has none."""
        name, kind, value, title, level, confidence, since, until, revision = one[:9]
        source, tlp, tags, also, phases, authority, first_seen = one[9:]
        packed = pack_id(name)
        head = _HEAD.pack(
            self._sources.take(source),
            self._also.take(also),
            self._facts.take((level, confidence, tlp, tags, phases, authority)),
            since,
            until,
            first_seen,
            _digest(revision) or _digest(sealed(one).revision),
            len(packed),
        )
        return head + packed + (b"" if title == title_of(kind, value) else _bytes(title) or _EMPTY)

    def unpack(self, row: bytes, kind: str, value: str) -> Indicator:
        """The indicator of a row that lies at this type and value."""
        source, also, facts, valid_from, valid_until, first_seen, revision, size = _HEAD.unpack_from(row)
        level, confidence, tlp, tags, phases, authority = self._facts[facts]
        after = _HEAD.size + size
        title = row[after:]
        return Indicator(
            unpack_id(row[_HEAD.size : after]),
            kind,
            value,
            title_of(kind, value) if not title else "" if title == _EMPTY else _text(title),
            level,
            confidence,
            valid_from,
            valid_until,
            revision.hex(),
            self._sources[source],
            tlp,
            tags,
            self._also[also],
            phases,
            authority,
            first_seen,
        )

    def release(self, row: bytes) -> None:
        """Forget what only this row had."""
        source, also, facts = _HEAD.unpack_from(row)[:3]
        self._sources.release(source)
        self._also.release(also)
        self._facts.release(facts)

    def owner(self, source: str, name: str) -> bytes | None:
        """By what rows of one indicator are told; None where no row is of that source."""
        number = self._sources.number(source)
        return None if number is None else number.to_bytes(4, "little") + pack_id(name)


def owner_of(row: bytes) -> bytes:
    """The same, of a row."""
    return row[:4] + _id_of(row)


def source_of(row: bytes) -> bytes:
    """What tells the source of a row."""
    return row[:4]


def identity_of(row: bytes) -> bytes:
    """What a row replaces: one of the same source, id and `also`."""
    return row[:_WHOSE] + _id_of(row)


def revision_of(row: bytes) -> int:
    """The row's revision as a number."""
    return int.from_bytes(row[_REVISION], "big")


def _id_of(row: bytes) -> bytes:
    return row[_HEAD.size : _HEAD.size + int.from_bytes(row[_HEAD.size - 2 : _HEAD.size], "little")]


def pack_id(name: str) -> bytes:
    """An id in few bytes: STIX' and our own are 16 bytes and a mark, any other is its text."""
    stix = len(name) == _STIX_LENGTH and name.startswith(_STIX) and name[19::5][:4] == "-" * 4
    digits = name[len(_STIX) :].replace("-", "") if stix else name
    if len(digits) == 32:
        try:
            packed = bytes.fromhex(digits)
        except ValueError:
            return b"\2" + _bytes(name)
        if packed.hex() == digits:
            return (b"\0" if stix else b"\1") + packed
    return b"\2" + _bytes(name)


def unpack_id(packed: bytes) -> str:
    """The id again."""
    if packed[0] == 2:
        return _text(packed[1:])
    digits = packed[1:].hex()
    if packed[0] == 1:
        return digits
    return f"{_STIX}{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def title_of(kind: str, value: str) -> str:
    """The title of an indicator that brings none."""
    return f"{kind} {value}"


def _digest(revision: str) -> bytes:
    """A revision's 8 bytes; b"" for what is none."""
    if len(revision) != 16:
        return b""
    try:
        packed = bytes.fromhex(revision)
    except ValueError:
        return b""
    return packed if packed.hex() == revision else b""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
