"""Who is who, first form: the entities behind the raw names of hosts, users and addresses.

Without a snapshot of the directory, case and domain prefix are folded, and names that stand for no one (SYSTEM, `-`,
`HOST$`, loopback) give no entity: correlating on them would join strangers.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

#: Accounts of the operating system itself, in the spellings of Windows, folded to lower case.
NOBODY = frozenset(
    {
        "",
        "-",
        "n/a",
        "(null)",
        "null",
        "none",
        "unknown",
        "system",
        "local system",
        "localsystem",
        "local service",
        "network service",
        "localservice",
        "networkservice",
        "anonymous logon",
        "anonymous",
        "iusr",
        "window manager",
        "система",
        "s-1-5-18",
        "s-1-5-19",
        "s-1-5-20",
        "s-1-5-7",
        "s-1-0-0",
    }
)
NOWHERE = frozenset({"", "-", "n/a", "(null)", "null", "none", "unknown", "localhost", "localhost.localdomain"})
#: Window manager and font driver accounts are made for each session: DWM-1, UMFD-0.
SESSION_ACCOUNT = re.compile(r"(dwm|umfd)-\d+")
LONGEST = 255


def entities(host: str, user: str, src_ip: str) -> tuple[str, ...]:
    """The entities of one event: any of "host:ws-017", "user:aigerim", "source:10.1.2.3", in this order."""
    found = (("host", host_entity(host)), ("user", user_entity(user)), ("source", source_entity(src_ip)))
    return tuple(f"{kind}:{value}" for kind, value in found if value)


@lru_cache(maxsize=1 << 14)
def user_entity(raw: str) -> str:
    r"""`THESHIRE\pgustavo`, `pgustavo@theshire.local` and `PGustavo` are one: "pgustavo". Empty where it is no one."""
    whole = raw.strip().casefold()
    name = re.split(r"[\\/]", whole)[-1]
    if not name.startswith("@"):
        name = name.partition("@")[0]
    name = name.strip()[:LONGEST].rstrip()
    if whole in NOBODY or name in NOBODY or name.endswith("$") or SESSION_ACCOUNT.fullmatch(name):
        return ""
    return name


@lru_cache(maxsize=1 << 14)
def host_entity(raw: str) -> str:
    """The short name in lower case; an address stays an address. Empty where it is no particular host."""
    name = raw.strip().strip("\\").rstrip(".").casefold()
    if name in NOWHERE:
        return ""
    address = _address(name)
    if address is not None:
        return _particular(address)
    return name.partition(".")[0][:LONGEST].strip()


@lru_cache(maxsize=1 << 14)
def source_entity(raw: str) -> str:
    """An address in its shortest spelling. Empty for loopback, unspecified, multicast and anything else."""
    address = _address(raw.strip())
    return "" if address is None else _particular(address)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    # Windows writes IPv4 clients of a dual-stack socket as ::ffff:10.1.2.3.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _particular(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    nobody = address.is_loopback or address.is_unspecified or address.is_multicast
    return "" if nobody else str(address)
