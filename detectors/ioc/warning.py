"""Warning lists: values that feeds hold by mistake. Each is looked up by its own kind, as MISP defines it.

`string` is the value itself, `hostname` also every name below it, `cidr` every address inside it. A domain's indicator
matches every name below it too, so it is also held where a list names one of those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, Literal
from urllib.parse import urlsplit

from schemas.event import Observable

Kind = Literal["string", "hostname", "cidr"]
_NETWORKS: Final = ("ipv4", "ipv6", "cidr")
_Nets = dict[tuple[int, int], dict[int, str]]


class WarningLists:
    """All lists in force. A name may hold values of several kinds."""

    def __init__(self) -> None:
        self._exact: dict[str, list[str]] = {}
        self._names: dict[str, list[str]] = {}
        self._below: dict[str, str] = {}
        self._networks: _Nets = {}
        self.values = 0
        """How many values all lists hold."""

    def add(self, name: str, kind: Kind, values: Iterable[str]) -> None:
        """Take a list. What cannot be a value of its kind is left out."""
        for value in values:
            text = value.strip().lower().rstrip(".")
            if not text:
                continue
            self.values += 1
            if kind == "cidr":
                self._add_network(name, text)
            else:
                plain = text.lstrip(".")
                held = (self._names if kind == "hostname" else self._exact).setdefault(plain, [])
                if name not in held:
                    held.append(name)
                for above in _above(plain):
                    self._below.setdefault(above, name)

    def holding(self, value: Observable) -> Iterator[str]:
        """Names of the lists that a value is on, each once."""
        kind, text = value
        if kind in _NETWORKS:
            yield from self._around(text)
            return
        host = _bare_host(text) if kind == "url" else text.lower()
        found = dict.fromkeys(self._exact.get(text.lower(), ()))
        if host:
            found |= dict.fromkeys(self._exact.get(host, ()))
            if kind in ("domain", "url"):
                for name in (host, *_above(host)):
                    found |= dict.fromkeys(self._names.get(name, ()))
        if kind == "domain" and text in self._below:
            found[self._below[text]] = None
        yield from found

    def _add_network(self, name: str, text: str) -> None:
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            return
        by_address = self._networks.setdefault((network.version, network.prefixlen), {})
        by_address.setdefault(int(network.network_address), name)

    def _around(self, text: str) -> Iterator[str]:
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            return
        found: dict[str, None] = {}
        start = int(network.network_address)
        for (version, length), known in self._networks.items():
            if version != network.version:
                continue
            if length <= network.prefixlen:
                shift = network.max_prefixlen - length
                name = known.get(start >> shift << shift)
            else:
                name = self._inside(known, network)
            if name is not None:
                found[name] = None
        yield from found

    @staticmethod
    def _inside(known: dict[int, str], network: IPv4Network | IPv6Network) -> str | None:
        """A list's network within a wider one that is asked for. These are few among indicators, so it may search."""
        if network.prefixlen == network.max_prefixlen:
            return None
        first, last = int(network.network_address), int(network.broadcast_address)
        return next((name for start, name in known.items() if first <= start <= last), None)


def _above(name: str) -> Iterator[str]:
    """The names that a name lies below, but for its last label alone."""
    dot = name.find(".")
    while dot >= 0:
        name = name[dot + 1 :]
        dot = name.find(".")
        if dot >= 0:
            yield name


def _bare_host(url: str) -> str:
    """The host of a URL that names nothing but it: `https://example.org/` finds all that goes there."""
    parts = urlsplit(url)
    return (parts.hostname or "") if parts.path in ("", "/") and not parts.query else ""
