"""Hubs: addresses, networks and names behind which are many, so that they stand for no one: NAT, proxies, scanners,
jump hosts, terminal servers, shared accounts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import orjson

from enrichers.geo import Networks, number_of
from enrichers.geo import RowError as NetworkError
from enrichers.rows import Row, RowError, address_of, one

_NONE: Final = -1


def hub(row: Row) -> str:
    """What is a hub: a network as written, an address, or a name, folded. Raises RowError."""
    network, name = one(row, "network"), one(row, "name")
    if bool(network) == bool(name):
        raise RowError("it names neither a network nor a name, or both")
    if not network:
        if "/" in name:
            raise RowError("its name is none; write a network as network")
        return name.casefold().rstrip(".")
    if "/" not in network:
        return address_of(network)
    networks = Networks()
    try:
        networks.add(network, 1)
    except NetworkError as error:
        raise RowError(str(error)) from None
    if not len(networks):
        raise RowError("its network is finer than /64; name its addresses")
    return network


def tabled(hubs: Iterable[str]) -> dict[str, str]:
    """The entry of a table that holds them all."""
    return {"hubs": orjson.dumps(sorted(set(hubs))).decode()}


class Hubs:
    """Whether an address or a name is one. `hubs`: networks, addresses and names."""

    def __init__(self, hubs: Iterable[str] = ()) -> None:
        networks, self._plain = Networks(), set()
        for each in hubs:
            if "/" in each:
                networks.add(each, 1)
            else:
                self._plain.add(each)
        self.count = len(networks) + len(self._plain)
        self._tables = {family: networks.table(family) for family in (4, 6)}

    def holds_name(self, name: str) -> bool:
        """A name, folded."""
        return name in self._plain

    def holds_address(self, address: str) -> bool:
        """An address in its shortest spelling."""
        if address in self._plain:
            return True
        found = number_of(address)
        return found is not None and self._tables[found[1]].find(found[0]) != _NONE
