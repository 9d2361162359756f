"""An indicator of compromise (clause 2.4), as it is matched. Slim: a worker holds a million of them."""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.event import Observable

#: Types that indicators have. `domain` also matches every name below it, `cidr` the addresses inside it, `file_name`
#: the last part of a path, `card_bin` the first six or eight digits of a card. All but `cidr` are observables too.
TYPES: Final = (
    "ipv4",
    "ipv6",
    "cidr",
    "domain",
    "url",
    "email",
    "file_name",
    "file_path",
    "md5",
    "sha1",
    "sha256",
    "sha512",
    "imphash",
    "ssdeep",
    "ja3",
    "ja4",
    "certificate",
    "user_agent",
    "mutex",
    "registry_key",
    "account",
    "iban",
    "card_bin",
)

#: Of whom an indicator is, beside its source: these two are never decayed, held or hidden.
AUTHORITIES: Final = ("", "regulator", "sectoral")


class Indicator(NamedTuple):
    """One value to look for. `value` is normalised as observables are. Times are milliseconds UTC, 0 = open.

    One id may have several values: a STIX pattern with IN or OR. (source, id) names it among all sources.
    """

    id: str
    type: str
    value: str
    title: str
    level: str = "high"
    confidence: int = 50
    valid_from: int = 0
    valid_until: int = 0
    revision: str = ""
    source: str = ""
    tlp: str = "amber+strict"
    tags: tuple[str, ...] = ()
    also: tuple[Observable, ...] = ()
    """What else the same event must hold: `[ipv4-addr:value = … AND domain-name:value = …]`."""
    phases: tuple[str, ...] = ()
    """Kill-chain phases, `chain:phase`: "lockheed-martin-cyber-kill-chain:delivery"."""
    authority: str = ""
    """One of AUTHORITIES."""
    first_seen: int = 0
    """When it was first seen in use, where the feed says so: what a hunt's look-back counts from."""
