"""Who is who, first form: the entities behind the raw names of hosts, users and addresses.

Without a snapshot of the directory, case and domain prefix are folded, and names that stand for no one (SYSTEM, `-`,
`HOST$`, loopback) give no entity: correlating on them would join strangers.
"""

from __future__ import annotations

import ipaddress
import re
import socket
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
_LOOPBACK = 127
_MULTICAST = range(224, 240)


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
    return name.partition(".")[0][:LONGEST].strip() if address is None else address


@lru_cache(maxsize=1 << 14)
def source_entity(raw: str) -> str:
    """An address in its shortest spelling. Empty for loopback, unspecified, multicast and anything else."""
    return _address(raw.strip()) or ""


def _address(text: str) -> str | None:
    """An address in its shortest spelling, '' for one that is nowhere in particular, None for what is none."""
    text = text.strip("[]").partition("%")[0]
    if ":" in text:
        return _address6(text)
    if not text[:1].isdecimal():
        return None
    try:
        first = socket.inet_pton(socket.AF_INET, text)[0]  # a tenth of what the module ipaddress takes
    except (OSError, ValueError):
        return None
    return "" if first == _LOOPBACK or first in _MULTICAST or text == "0.0.0.0" else text  # noqa: S104 - not listened on


def _address6(text: str) -> str | None:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    # Windows writes IPv4 clients of a dual-stack socket as ::ffff:10.1.2.3.
    if address.ipv4_mapped is not None:
        return _address(str(address.ipv4_mapped))
    return "" if address.is_loopback or address.is_unspecified or address.is_multicast else str(address)
