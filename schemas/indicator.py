"""An indicator of compromise (clause 2.4), as it is matched. Slim: a worker holds a million of them."""

from __future__ import annotations

from typing import NamedTuple

#: Observable types that indicators can have today; `domain` also matches every name below it.
TYPES = ("ipv4", "ipv6", "domain", "url", "md5", "sha1", "sha256", "sha512")


class Indicator(NamedTuple):
    """One value to look for. `value` is normalised as observables are. Times are milliseconds UTC, 0 = open."""

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
