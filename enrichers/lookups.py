"""Look-ups in the tables of a snapshot: what one raw user, host or source address is. Nothing is remembered here."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from enrichers.claims import AMBIGUOUS, BETWEEN
from enrichers.hubs import Hubs
from enrichers.identity import host_entity, source_entity, user_entity
from enrichers.leases import Held
from enrichers.people import dn_of
from enrichers.rows import mac_of
from enrichers.table import EMPTY, Table
from schemas.who import AssetRef

_DOMAIN: Final = re.compile(r"[\\/]")
_MAC_LENGTHS: Final = (12, 14, 17)


class Found(NamedTuple):
    """What a raw value is: an entity's name, '' for none, and how that is known (`schemas.who.HOW`).

    `label`: the same as type:value. `also`: an entity of another type that it implies, such as the host of an address.
    """

    entity: str
    how: str
    label: str = ""
    also: str = ""


class Behind(NamedTuple):
    """Who holds an address for a stretch of time: as a host, as a source, and the person of a VPN as type:value."""

    host: Found
    source: Found
    person: str


class Leased:
    """The leases of one address, and what they came to by stretch of time."""

    __slots__ = ("bounds", "held", "known")

    def __init__(self, texts: Sequence[str]) -> None:
        self.held = [Held(text) for text in texts]
        self.bounds = sorted({time for held in self.held for time in held.bounds()})
        self.known: list[Behind | None] = [None] * (len(self.bounds) + 1)


NOTHING: Final = Found("", "")
NOBODY: Final = Found("", "nobody")
HUB: Final = Found("", "hub")


class Lookups:
    """The tables. `domains`: other names of a domain → it."""

    def __init__(
        self,
        *,
        people: Table = EMPTY,
        assets: Table = EMPTY,
        leases: Table = EMPTY,
        vpn: Table = EMPTY,
        hubs: Hubs | None = None,
        domains: Mapping[str, str] | None = None,
    ) -> None:
        self.people, self.assets, self.leases, self.vpn = people, assets, leases, vpn
        self.hubs = hubs or Hubs()
        self.domains = dict(domains or {})

    def concerned(self, entities: Sequence[str]) -> AssetRef | None:
        """The asset of the first host among entities; its criticality is `unknown` where the list does not have it."""
        host = next((entity.removeprefix("host:") for entity in entities if entity.startswith("host:")), "")
        if not host:
            return None
        text = self.assets.get("d" + host)
        return AssetRef(name=host) if text is None else AssetRef.model_validate(orjson.loads(text))

    def user(self, raw: str, host: str | None = None) -> Found:
        """The person whom a text names.

        `host`: the entity of the host on which digits may be a number of an account; None: they are a name.
        """
        folded = user_entity(raw)
        if not folded:
            machine = self._machine(raw)
            return Found("", "nobody", also=f"host:{machine}" if machine else "") if raw else NOTHING
        text = raw.strip().casefold()
        if self.hubs.holds_name(text) or self.hubs.holds_name(folded):
            return HUB
        if host is not None and text.isdecimal() and (numbered := self._numbered(text, host)) is not None:
            return numbered
        said = self.people.get("u" + self._key(text))
        if said is not None:
            how, _, person = said.partition(BETWEEN)
            return _user_found(person or folded, how)
        return self._local(text, folded)

    def _numbered(self, uid: str, host: str) -> Found | None:
        said = self.people.get(f"h{host}\t{uid}")
        if said is None and (said := self.people.get("n" + uid)) is not None:
            # A login that looks like a number of another person: it cannot be told which is meant.
            named = self.people.get("u" + uid)
            if named is not None and named.partition(BETWEEN)[2] != said.partition(BETWEEN)[2]:
                return _user_found(uid, AMBIGUOUS)
        if said is None:
            return None
        how, _, person = said.partition(BETWEEN)
        return _user_found(person or uid, how)

    def _key(self, text: str) -> str:
        """A text as people's names stand in the table: a domain by its own name, a DN without blanks."""
        domain, separator, name = text.partition("\\")
        if separator:
            return f"{name}@{self.domains.get(domain, domain)}"
        if "=" in text and "," in text:
            return dn_of(text)
        name, separator, domain = text.rpartition("@")
        other = self.domains.get(domain) if separator else None
        return text if other is None else f"{name}@{other}"

    def _local(self, text: str, folded: str) -> Found:
        """An account that no directory has. One whose domain is a host's name is that host's own, and nobody else's."""
        domain, separator, _ = text.partition("\\")
        if not separator:
            domain = text.rpartition("@")[2]
        known = self.domains.get(domain)
        if known is None and separator:
            said = self.assets.get("n" + domain)
            host = said.partition(BETWEEN)[2] if said is not None else ""
            if host:
                return _user_found(f"{folded}@{host}", "local")
        # Somebody of that name is in another domain, and this one's directory says that it is not he.
        apart = known is not None and self.people.get("u" + folded) is not None
        return _user_found(f"{folded}@{known}" if apart else folded, "unknown")

    def _machine(self, user: str) -> str:
        """The host whose own account this is: `BANK\\WS-017$`; '' where the list of assets knows none such."""
        if not user.endswith("$"):
            return ""
        said = self.assets.get("n" + _DOMAIN.split(user.strip().casefold())[-1][:-1])
        return said.partition(BETWEEN)[2] if said is not None else ""

    def host(self, raw: str) -> tuple[Found, Leased | None]:
        """The host that a name or an address is; an address that the list of assets does not have, with its leases."""
        folded = host_entity(raw)
        if not folded:
            return NOBODY if raw else NOTHING, None
        if (folded[:1].isdecimal() or ":" in folded) and source_entity(folded):
            return self._addressed(folded)
        name = raw.strip().strip("\\").rstrip(".").casefold()
        if self.hubs.holds_name(name) or self.hubs.holds_name(folded):
            return HUB, None
        said = self.assets.get("n" + name)
        if said is None and "." in name:
            said = self.assets.get("s" + folded)
        if said is None and len(name) in _MAC_LENGTHS and (mac := mac_of(name)):
            said = self.assets.get("m" + mac)
        return _host_found(said, folded), None

    def source(self, raw: str) -> tuple[Found, Leased | None]:
        """The host behind a source address, else the address, likewise."""
        address = source_entity(raw)
        if not address:
            return NOBODY if raw else NOTHING, None
        found, leased = self._addressed(address)
        return _source_found(found, address), leased

    def _addressed(self, address: str) -> tuple[Found, Leased | None]:
        """The host that an address is by the list of assets, which speaks first; else the leases of that address."""
        if self.hubs.holds_address(address):
            return HUB, None
        said = self.assets.get("a" + address)
        return _host_found(said, address), self._leases_of(address) if said is None else None

    def _leases_of(self, address: str) -> Leased | None:
        texts = [text for table in (self.leases, self.vpn) if (text := table.get(address)) is not None]
        return Leased(texts) if texts else None

    def behind(self, address: str, leased: Leased, time_ms: int) -> Behind:
        """Who holds an address at a time, milliseconds UTC."""
        stretch = bisect_right(leased.bounds, time_ms)
        known = leased.known[stretch]
        if known is None:
            known = leased.known[stretch] = self._holders(address, leased, time_ms)
        return known

    def _holders(self, address: str, leased: Leased, time_ms: int) -> Behind:
        holders = [holder for held in leased.held for holder in held.at(time_ms)]
        people = {label for _, _, user in holders if (label := self.user(user).label)}
        person = people.pop() if len(people) == 1 else ""
        hosts = {self._holder(host, mac) for host, mac, _ in holders} - {""}
        if len(hosts) == 1:
            found = Found(name := hosts.pop(), "lease", f"host:{name}")
        else:
            how = AMBIGUOUS if hosts else "lease" if person else "unknown"
            found = Found(address, how, f"host:{address}")
        return Behind(found, _source_found(found, address), person)

    def _holder(self, host: str, mac: str) -> str:
        """The host that a lease names; its hardware address decides where the list of assets knows it."""
        said = self.assets.get("m" + mac) if mac else None
        known = said.partition(BETWEEN)[2] if said is not None else ""
        return known or (self.host(host)[0].entity if host else "")


def _user_found(person: str, how: str) -> Found:
    return Found(person, how, f"user:{person}")


def _host_found(said: str | None, folded: str) -> Found:
    """A host by what the table says of it, folded where that is nothing, or several."""
    how, _, host = said.partition(BETWEEN) if said is not None else ("unknown", "", "")
    return Found(host or folded, how, f"host:{host or folded}")


def _source_found(host: Found, address: str) -> Found:
    """A source by the host that an address is; one that is known is an entity as a host too."""
    if not host.entity:
        return host
    known = host.entity != address
    return Found(host.entity, host.how, f"source:{host.entity}", host.label if known else "")
