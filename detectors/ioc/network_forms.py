"""Normal forms of what names a place on the network: addresses, networks, domains, URLs, e-mail addresses.

Events and indicators are normalised by the same functions, and a normal form normalises to itself. None means: it is
no such thing. Whatever the input, the cost is bounded: what is longer than such a thing can be is not looked at.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final
from urllib.parse import urlsplit

from schemas.event import Observable

MAX_ADDRESS = 128
MAX_URL = 2_048
MAX_DOMAIN = 253
MAX_EMAIL = 320

_LABELS = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+\Z")
_LOCAL = re.compile(r"[\w.!#$%&*+/=?^'`{|}~-]{1,64}\Z")
#: A URL that is in its normal form, if its host is: most are, and to take one apart costs four times as much.
_PLAIN_URL = re.compile(r"(?:https?|ftp)://([a-z0-9_.-]{3,253})/[!-~]*(?<!\?)\Z")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ftp": 21}
_MAPPED: Final = b"\0\0\0\0\0\0\0\0\0\0\xff\xff"


def address(text: str) -> Observable | None:
    """An IPv4 or IPv6 address, normalised: mapped ones become IPv4, zones and brackets go."""
    return _address(text) if len(text) <= MAX_ADDRESS else None


@lru_cache(maxsize=32_768)
def _address(text: str) -> Observable | None:
    text = text.strip(" []")
    if text.startswith("\\\\"):  # some Windows events write a client as \\10.0.0.1
        text = text[2:]
    try:
        if ":" not in text:
            return Observable("ipv4", inet_ntop(AF_INET, inet_pton(AF_INET, text)))
        packed = inet_pton(AF_INET6, text.partition("%")[0])
        if packed.startswith(_MAPPED):
            return Observable("ipv4", inet_ntop(AF_INET, packed[12:]))
        return Observable("ipv6", inet_ntop(AF_INET6, packed))
    except (OSError, ValueError):
        return None


def network(text: str) -> Observable | None:
    """A network in CIDR form; host bits go, a mapped IPv4 network becomes one, an address alone is its own network."""
    text = text.strip(" []")
    if len(text) > MAX_ADDRESS or "%" in text:
        return None
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        return None
    if isinstance(found, IPv6Network) and found.prefixlen >= 96 and found.network_address.packed.startswith(_MAPPED):
        found = IPv4Network((found.network_address.packed[12:], found.prefixlen - 96))
    return Observable("cidr", f"{address_text(found.network_address.packed)}/{found.prefixlen}")


def address_text(packed: bytes) -> str:
    """4 or 16 bytes as the system writes them, so that networks and addresses have one spelling."""
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed)


def domain(text: str) -> Observable | None:
    """A domain name: lower case, punycode, without the root's dot. None for addresses and single labels."""
    return _domain(text) if len(text) <= MAX_DOMAIN + 1 else None


@lru_cache(maxsize=32_768)
def _domain(text: str) -> Observable | None:
    name = text.strip().rstrip(".").lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii").lower().rstrip(".")
        except UnicodeError:
            return None
    if len(name) > MAX_DOMAIN or not _LABELS.match(name) or name.rpartition(".")[2].isdigit():
        return None
    return Observable("domain", name)


def url(text: str) -> Observable | None:
    """A URL: scheme and host in lower case, default port, name, password and fragment off, an empty path is `/`."""
    if len(text) > 2 * MAX_URL:
        return None
    text = text.partition("#")[0].strip()
    if len(text) > MAX_URL:
        return None
    plain = _PLAIN_URL.match(text)
    if plain is not None and (known := domain(plain[1])) is not None and known.value == plain[1]:
        return Observable("url", text)
    return _split(text)


def _split(text: str) -> Observable | None:
    """A URL of any form, taken apart."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or not parts.scheme:
        return None
    known = address(host) or domain(host)
    host = known.value if known else host
    where = f"[{host}]" if ":" in host else host
    if port and port != _DEFAULT_PORTS.get(parts.scheme):
        where = f"{where}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    # White space that stood before a fragment or an empty query is an end now, and ends are stripped.
    return Observable("url", f"{parts.scheme}://{where}{parts.path or '/'}{query}".rstrip())


def host_of(normal: str) -> str:
    """The host of a normalised URL."""
    where = normal.split("/", 3)[2].rpartition("@")[2]
    return where.partition("]")[0][1:] if where.startswith("[") else where.partition(":")[0]


def email(text: str) -> Observable | None:
    """An e-mail address in lower case, its domain in punycode; `Name <a@b.example>` and `mailto:` are stripped."""
    if len(text) > 2 * MAX_EMAIL:
        return None
    text = text.strip()
    if text.endswith(">"):
        text = text[:-1].rpartition("<")[2]
    local, at, where = text.strip().lower().removeprefix("mailto:").rpartition("@")
    known = domain(where) if at else None
    if known is None or not _LOCAL.match(local) or len(local) + len(known.value) >= MAX_EMAIL:
        return None
    return Observable("email", f"{local}@{known.value}")
