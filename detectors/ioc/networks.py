"""Which networks of a set an address lies in: one look-up for each length of prefix that the set has."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_pton
from typing import Final

#: Addresses whose answer is remembered: those of a bank's own hosts come again and again.
REMEMBERED: Final = 1 << 16
_NONE: Final[tuple[str, ...]] = ()


class Networks:
    """A set of networks, written as `network_forms.network` writes them."""

    def __init__(self) -> None:
        # Per family and number of host bits: network's number → its text. Few host bits first: the narrowest network.
        self._by_bits: dict[int, dict[int, dict[int, str]]] = {4: {}, 6: {}}
        self._known: dict[str, tuple[str, ...]] = {}

    def add(self, network: str) -> None:
        """Hold a network."""
        family, bits, number = _parts(network)
        by_bits = self._by_bits[family]
        if bits not in by_bits:
            by_bits[bits] = {}
            self._by_bits[family] = dict(sorted(by_bits.items()))
        self._by_bits[family][bits][number] = network
        self._known.clear()

    def discard(self, network: str) -> None:
        """Hold it no more."""
        family, bits, number = _parts(network)
        held = self._by_bits[family].get(bits, {})
        held.pop(number, None)
        if not held:
            self._by_bits[family].pop(bits, None)
        self._known.clear()

    def of(self, address: str) -> tuple[str, ...]:
        """The networks that this address, IPv4 or IPv6 and normalised, lies in; the narrowest first."""
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[address] = self._look(address)
        return known

    def _look(self, address: str) -> tuple[str, ...]:
        family = 6 if ":" in address else 4
        number = int.from_bytes(inet_pton(AF_INET if family == 4 else AF_INET6, address), "big")
        found = [
            network for bits, held in self._by_bits[family].items() if (network := held.get(number >> bits)) is not None
        ]
        return tuple(found) or _NONE


def _parts(network: str) -> tuple[int, int, int]:
    """Family, host bits, and the bits before them as a number."""
    address, _, length = network.rpartition("/")
    family, size, whole = (6, 128, AF_INET6) if ":" in address else (4, 32, AF_INET)
    bits = size - int(length)
    return family, bits, int.from_bytes(inet_pton(whole, address), "big") >> bits


def contains(network: str, address: str) -> bool:
    """Whether the address lies in the network; both as they are normalised."""
    family, bits, number = _parts(network)
    if family != (6 if ":" in address else 4):
        return False
    return int.from_bytes(inet_pton(AF_INET if family == 4 else AF_INET6, address), "big") >> bits == number
