"""Typed, normalised values out of an event's fields; indicators are normalised by the same functions.

One observable is one (type, value) of `schemas.indicator.TYPES`. Loopback, unspecified and broadcast addresses are
none, private ones are. A domain is lower case, without the root's dot, in punycode, with at least two labels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Any, Final
from urllib.parse import urlsplit

from schemas.event import Event, Observable

#: Bounds on what one record may yield and cost: a record of 20 MB is read like any other.
MAX_OBSERVABLES = 64
MAX_URL = 2_048
MAX_DOMAIN = 253
MAX_TEXT = 65_536

_HASH_TYPES: Final = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
_HEX = re.compile(r"[0-9a-fA-F]+\Z")
_LABELS = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+\Z")
_URLS = re.compile(r"(?:https?|ftp|hxxps?)://[^\s\"'<>`{}|\\^,;)\]]{3,2048}", re.IGNORECASE)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ftp": 21}


@lru_cache(maxsize=32_768)
def address(text: str) -> Observable | None:
    """An IPv4 or IPv6 address, normalised: mapped ones become IPv4, zones and brackets go. None: it is none."""
    text = text.strip(" []")
    if text.startswith("\\\\"):  # some Windows events write a client as \\10.0.0.1
        text = text[2:]
    try:
        if ":" not in text:
            return Observable("ipv4", inet_ntop(AF_INET, inet_pton(AF_INET, text)))
        packed = inet_pton(AF_INET6, text.partition("%")[0])
        if packed.startswith(b"\0\0\0\0\0\0\0\0\0\0\xff\xff"):
            return Observable("ipv4", inet_ntop(AF_INET, packed[12:]))
        return Observable("ipv6", inet_ntop(AF_INET6, packed))
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=32_768)
def domain(text: str) -> Observable | None:
    """A domain name. None for addresses, single labels and what is no name."""
    name = text.strip().rstrip(".").lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii") if len(name) <= MAX_DOMAIN else ""
        except UnicodeError:
            return None
    if len(name) > MAX_DOMAIN or not _LABELS.match(name) or name.rpartition(".")[2].isdigit():
        return None
    return Observable("domain", name)


def url(text: str) -> Observable | None:
    """A URL: scheme and host in lower case, default port and fragment off, an empty path is `/`."""
    text = text.partition("#")[0].strip()
    if len(text) > MAX_URL:
        return None
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


def file_hash(text: str) -> Observable | None:
    """A file's digest, its type told by its length. None for zeros, which Sysmon writes for 'not computed'."""
    text = text.strip()
    kind = _HASH_TYPES.get(len(text))
    if kind is None or not _HEX.match(text) or not text.strip("0"):
        return None
    return Observable(kind, text.lower())


Take = Callable[[str, set[Observable]], None]


def take_address(text: str, found: set[Observable]) -> None:
    """An address, unless it is loopback, unspecified or broadcast."""
    known = address(text)
    if known is not None and _names_someone(known):
        found.add(known)


def take_host(text: str, found: set[Observable]) -> None:
    """A field that holds an address or a name."""
    known = address(text)
    if known is None:
        known = domain(text)
    if known is not None and _names_someone(known):
        found.add(known)


def take_url(text: str, found: set[Observable]) -> None:
    """A URL, and its host. Feeds and logs both write it without a scheme sometimes: then it is a host at most."""
    known = url(text)
    if known is None:
        return
    found.add(known)
    take_host(_host_of(known.value), found)


def take_urls_inside(text: str, found: set[Observable]) -> None:
    """URLs within a command line, a script or a message; only the start of a very long text is looked at."""
    if "://" not in text:
        return
    for match in _URLS.finditer(text[:MAX_TEXT]):
        take_url(match[0].rstrip(".!?"), found)
        if len(found) >= MAX_OBSERVABLES:
            return


def take_hash(text: str, found: set[Observable]) -> None:
    """One digest."""
    known = file_hash(text)
    if known is not None:
        found.add(known)


def take_hashes(text: str, found: set[Observable]) -> None:
    """`SHA1=…,MD5=…,SHA256=…,IMPHASH=…` as Sysmon writes it. An import hash is no file hash."""
    found.update(_digests(text[:MAX_URL]))


@lru_cache(maxsize=8_192)  # the same programs run all day
def _digests(text: str) -> tuple[Observable, ...]:
    known: set[Observable] = set()
    for part in text.split(","):
        name, _, digest = part.partition("=")
        if digest and name.strip().upper() != "IMPHASH":
            take_hash(digest, known)
    return tuple(known)


def take_answers(text: str, found: set[Observable]) -> None:
    """Sysmon's QueryResults: `type:  5 name.example;::ffff:192.0.2.1;`."""
    for part in text[:MAX_URL].split(";"):
        take_host(part.rpartition(" ")[2], found)


def _names_someone(known: Observable) -> bool:
    kind, value = known
    if kind == "ipv4":
        return not (value.startswith(("127.", "0.")) or value == "255.255.255.255")
    return value not in ("::", "::1") if kind == "ipv6" else True


def _host_of(normal: str) -> str:
    where = normal.split("/", 3)[2].rpartition("@")[2]
    return where.partition("]")[0][1:] if where.startswith("[") else where.partition(":")[0]


#: Field → how its value is taken; a table within steps into what nests. A list is taken item by item.
Table = Mapping[str, "Take | Table"]

DIGESTS: Final[Table] = dict.fromkeys(("md5", "sha1", "sha256", "sha512"), take_hash)
#: As a format names it: what its events hold beside the columns, which are looked at in every format.
Rows = tuple[tuple[str, "Take | Table"], ...]


def extract(event: Event, table: Rows) -> tuple[Observable, ...]:
    """The observables of an event, each once, sorted; at most MAX_OBSERVABLES. `table`: its format's."""
    found: set[Observable] | None = None
    get = event.fields.get
    for name, take in table:
        value = get(name)
        if value:
            found = set() if found is None else found
            _take(value, take, found)
    if event.src_ip or event.dst_ip or event.domain or "://" in event.command_line:
        found = set() if found is None else found
        _columns(event, found)
    return tuple(sorted(found)[:MAX_OBSERVABLES]) if found else ()


def _columns(event: Event, found: set[Observable]) -> None:
    if event.src_ip:
        take_address(event.src_ip, found)
    if event.dst_ip:
        take_address(event.dst_ip, found)
    if event.domain:
        take_host(event.domain, found)
    if event.command_line:
        take_urls_inside(event.command_line, found)


def _take(value: Any, take: Take | Table, found: set[Observable]) -> None:
    if type(value) is str:
        if callable(take):
            take(value, found)
    elif isinstance(value, list):
        for item in value[:MAX_OBSERVABLES]:
            if not isinstance(item, list):
                _take(item, take, found)
    elif isinstance(value, dict) and isinstance(take, Mapping):
        for name, inner in take.items():
            if value.get(name):
                _take(value[name], inner, found)
