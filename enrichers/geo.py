"""Where addresses are: networks with a place, and networks whose place says nothing of who is behind them.

A snapshot is built whole from rows and never changed. Of networks within one another the smallest counts.
"""

from __future__ import annotations

import socket
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import gt
from typing import Any, Final

from schemas.place import MAX_RADIUS, Place

#: People behind these seem to be where their exit or their operator is.
ELSEWHERE: Final = frozenset({"vpn", "mobile", "tor", "proxy"})
KINDS: Final = ELSEWHERE | {"fixed"}
#: Kilometres around, where a row names none: about a city.
RADIUS: Final = 50
_KNOWN: Final = 1 << 16
#: What MaxMind's Anonymous IP says of an exit; who hosts one is no exit by that.
_EXITS: Final = ("is_anonymous", "is_anonymous_vpn", "is_tor_exit_node", "is_public_proxy", "is_residential_proxy")
_NONE: Final = -1


class RowError(ValueError):
    """What is wrong with a row, without its values."""


class Networks:
    """Networks and a number each. IPv6 is told apart down to /64: what is finer belongs to one subscriber."""

    def __init__(self) -> None:
        self._starts = {4: array("Q"), 6: array("Q")}
        self._ends = {4: array("Q"), 6: array("Q")}
        self._values = {4: array("q"), 6: array("q")}

    def __len__(self) -> int:
        return sum(map(len, self._starts.values()))

    def add(self, network: str, value: int) -> None:
        """Add a network such as 203.0.113.0/24. Raises RowError for what is none; one finer than /64 is left out."""
        address, slash, length = network.strip().partition("/")
        number, family = _address(address)
        width = 32 if family == 4 else 128
        if number is None or (slash and not (length.isdecimal() and len(length) <= 3 and int(length) <= width)):
            raise RowError("its network is none")
        bits = int(length) if slash else width
        if number & ((1 << (width - bits)) - 1):
            raise RowError("its network has bits set behind its length")
        if family == 6:
            if bits > 64:
                return
            number, width = number >> 64, 64
        self._starts[family].append(number)
        self._ends[family].append(number + (1 << (width - bits)) - 1)
        self._values[family].append(value)

    def table(self, family: int) -> Table:
        """All networks of a family, so that an address is found."""
        starts, ends, values = self._starts[family], self._ends[family], self._values[family]
        if all(map(gt, starts[1:], ends)):
            return Table(_apart(starts, ends, values))
        order = sorted(range(len(starts)), key=lambda at: (starts[at], -ends[at]))
        return Table(_flat((starts[at], ends[at], values[at]) for at in order))


class Table:
    """Where each stretch of addresses begins, and its number."""

    def __init__(self, stretches: Iterable[tuple[int, int]]) -> None:
        self._starts, self._values = array("Q"), array("q")
        for start, value in stretches:
            self._starts.append(start)
            self._values.append(value)

    def find(self, number: int) -> int:
        """The number of the smallest network around an address; -1: there is none."""
        at = bisect_right(self._starts, number) - 1
        return self._values[at] if at >= 0 else _NONE


class Places:
    """A snapshot: the places of networks, less those that are `elsewhere`.

    `databases` give an address's record, of MaxMind's kind; they are asked where `located` says nothing.
    """

    def __init__(
        self,
        located: Networks,
        elsewhere: Networks,
        revision: str = "",
        databases: Sequence[Callable[[str], Any]] = (),
        count: int = 0,
    ) -> None:
        self.revision = revision
        self.count = len(located) + count
        self._databases = databases
        self._located = {family: located.table(family) for family in (4, 6)}
        self._elsewhere = {family: elsewhere.table(family) for family in (4, 6)}
        self.of = lru_cache(_KNOWN)(self._of)
        """The place of an address as a number (`schemas.place`); None: none is known, or it says nothing."""

    def _of(self, address: str) -> int | None:
        known = number_of(address)
        if known is None:
            return None
        number, family = known
        if self._elsewhere[family].find(number) != _NONE:
            return None
        found = self._located[family].find(number)
        return found if found != _NONE else self._recorded(address)

    def _recorded(self, address: str) -> int | None:
        """What databases say: an exit in any of them has no place; else the first place counts."""
        records = [database(address) for database in self._databases]
        if any(isinstance(record, Mapping) and any(record.get(word) is True for word in _EXITS) for record in records):
            return None
        return next((place for record in records if (place := place_in(record)) is not None), None)


def place_in(record: Any) -> int | None:
    """The place that a record of GeoLite2-City or its like names, as a number; None where it names none."""
    location = record.get("location") if isinstance(record, Mapping) else None
    if not isinstance(location, Mapping) or "latitude" not in location or "longitude" not in location:
        return None
    said = [str(location.get(name, "")) for name in ("latitude", "longitude", "accuracy_radius")]
    try:
        return place_of(*said)
    except RowError:
        return None


class Rows:
    """Takes in rows of a table with `network` and `kind`, or `latitude` and `longitude` and maybe `radius` or MaxMind's
    `accuracy_radius`. `names`: its columns, in lower case."""

    def __init__(self, names: Sequence[str], located: Networks, elsewhere: Networks) -> None:
        at = {name: number for number, name in enumerate(names)}
        if "network" not in at or not ({"latitude", "longitude"} <= at.keys() or "kind" in at):
            raise RowError("it has no columns network, latitude, longitude, or network, kind")
        self._network, self._kind = at["network"], at.get("kind")
        self._place = [at.get(name) for name in ("latitude", "longitude", "radius", "accuracy_radius")]
        self._located, self._elsewhere = located, elsewhere

    def add(self, row: Sequence[str]) -> None:
        """Take one in; millions of them come. Raises RowError."""
        size = len(row)
        if size <= self._network:
            raise RowError("it has no network")
        kind = row[self._kind].strip().lower() if self._kind is not None and self._kind < size else ""
        if kind:
            if kind not in KINDS:
                raise RowError(f"its kind is none of {', '.join(sorted(KINDS))}")
            if kind in ELSEWHERE:
                self._elsewhere.add(row[self._network], 1)
                return
        latitude, longitude, *radii = [row[at] if at is not None and at < size else "" for at in self._place]
        if latitude or longitude:  # MaxMind knows networks of which it does not know where they are
            self._located.add(row[self._network], place_of(latitude, longitude, radii[0] or radii[1]))


@lru_cache(_KNOWN)
def place_of(latitude: str, longitude: str, radius: str = "") -> int:
    """A place as it is written, as a number. Raises RowError."""
    try:
        place = Place(float(latitude), float(longitude), int(radius or RADIUS))
    except ValueError:
        raise RowError("its latitude, longitude or radius is no number") from None
    if not (abs(place.latitude) <= 90 and abs(place.longitude) <= 180 and 0 <= place.radius <= MAX_RADIUS):
        raise RowError(f"its place is not on Earth, or its radius beyond {MAX_RADIUS:,} km")
    return place.number


def number_of(address: str) -> tuple[int, int] | None:
    """An address as tables of networks are asked for it, and its family; None for what is none."""
    number, family = _address(address)
    return None if number is None else (number >> 64 if family == 6 else number, family)


def _address(text: str) -> tuple[int | None, int]:
    """An address as a number, and its family; an IPv4 address in IPv6's clothes is itself."""
    text = text.strip().strip("[]").partition("%")[0]
    try:
        if ":" not in text:
            return int.from_bytes(socket.inet_pton(socket.AF_INET, text)), 4
        number = int.from_bytes(socket.inet_pton(socket.AF_INET6, text))
    except (OSError, ValueError):
        return None, 4
    return (number & 0xFFFFFFFF, 4) if number >> 32 == 0xFFFF else (number, 6)


def _apart(starts: array[int], ends: array[int], values: array[int]) -> Iterator[tuple[int, int]]:
    """Networks that lie one behind the other, as MaxMind's do."""
    after = 0
    for start, end, value in zip(starts, ends, values, strict=True):
        if start != after:
            yield after, _NONE
        yield start, value
        after = end + 1
    if after < 1 << 64:
        yield after, _NONE


def _flat(rows: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
    """Networks by start, the larger first, as stretches that do not overlap."""
    around: list[tuple[int, int]] = []
    for start, end, value in rows:
        while around and around[-1][0] < start:
            yield from _after(around)
        around.append((end, value))
        yield start, value
    while around:
        yield from _after(around)


def _after(around: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Behind the end of the innermost network the one around it goes on."""
    end, _ = around.pop()
    while around and around[-1][0] == end:
        around.pop()
    if end < (1 << 64) - 1:
        yield end + 1, around[-1][1] if around else _NONE


NO_PLACES: Final = Places(Networks(), Networks())
