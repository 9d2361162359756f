"""Who had an address when: leases of DHCP servers and VPN gateways.

Of leases that hold at a moment the one that began last counts: an address that is handed on is the new holder's,
whatever the old lease's end was.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import orjson

from enrichers.rows import Row, RowError, address_of, mac_of, name_of, one

#: Of one address, the newest; more of them are no leases.
MOST_OF_AN_ADDRESS: Final = 5_000
DAY_MS: Final = 86_400_000
#: None is longer.
LONGEST_MS: Final = 366 * DAY_MS
_AT_ONCE: Final = 8


class Lease(NamedTuple):
    """An address held in [start, end), milliseconds UTC, by a host, a hardware address, a person, as servers say."""

    address: str
    start: int
    end: int
    host: str = ""
    mac: str = ""
    user: str = ""


def lease(row: Row, start: int, end: int) -> Lease:
    """A lease from a row; its times are read already. Raises RowError."""
    host, mac, user = _host(one(row, "host")), mac_of(one(row, "mac")), one(row, "user")
    if not (host or mac or user):
        raise RowError("it names no host, mac or user")
    if end <= start:
        raise RowError("it ends before it begins")
    address = one(row, "address")
    if not address:
        raise RowError("it has no address")
    return Lease(address_of(address), start, min(end, start + LONGEST_MS), host, mac, user)


def _host(text: str) -> str:
    """What a client calls itself, '' for what is no host's name: telephones have their owners'."""
    try:
        return name_of(text, "host").rstrip(".")
    except RowError:
        return ""


def tabled(leases: Iterable[Lease]) -> dict[str, str]:
    """Entries of a table: an address → its leases by start."""
    found: defaultdict[str, set[tuple[int, int, str, str, str]]] = defaultdict(set)
    for each in leases:
        found[each.address].add(each[1:])
    return {
        address: orjson.dumps(sorted(held)[-MOST_OF_AN_ADDRESS:]).decode() for address, held in sorted(found.items())
    }


class Held:
    """The leases of one address."""

    __slots__ = ("_leases", "_starts")

    def __init__(self, text: str) -> None:
        self._leases: Sequence[tuple[int, int, str, str, str]] = orjson.loads(text)
        self._starts = [each[0] for each in self._leases]

    def bounds(self) -> set[int]:
        """The times at which what `at` answers may change."""
        return {time for each in self._leases for time in each[:2]}

    def at(self, time_ms: int) -> list[tuple[str, str, str]]:
        """Host, mac and user of the lease at a time; several where several began at once; none: nobody is known."""
        place = bisect_right(self._starts, time_ms)
        if not place:
            return []
        start = self._starts[place - 1]
        begun = self._leases[max(0, place - _AT_ONCE) : place]
        return [(host, mac, user) for began, end, host, mac, user in begun if began == start and time_ms < end]
