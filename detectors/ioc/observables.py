"""Typed, normalised values out of an event's fields; indicators are normalised by the same functions.

One observable is one (type, value) of `schemas.indicator.TYPES`. Loopback, unspecified and broadcast addresses are
none, private ones are. A domain is lower case, without the root's dot, in punycode, with at least two labels. What an
event yields is a function of the event alone, never of the indicators in force: it is stored, and hunted in later.

Which fields a format's table names is a matter of cost. Over the recordings of a Windows domain (events of 3 KB) a row
of a table costs 0.04 µs an event, an observable found 1 µs or more, storing included. Paths of what runs, is loaded,
written or installed, registry keys and accounts cost 2.3 µs an event and make 1.8 times the rows of the table
`observables`; the paths of both sides of every access between processes (Sysmon 10) would cost as much again and name
what other events named already. So tables name what an event is about, not the parents and callers beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from detectors.ioc import host_forms, money_forms, network_forms
from detectors.ioc.host_forms import file_hash
from detectors.ioc.network_forms import MAX_URL, address, domain, host_of, url
from schemas.event import Event, Observable

#: Bounds on what one record may yield and cost: a record of 20 MB is read like any other.
MAX_OBSERVABLES = 64
MAX_TEXT = 65_536

_URLS = re.compile(r"(?:https?|ftp|hxxps?)://[^\s\"'<>`{}|\\^,;)\]]{3,2048}", re.IGNORECASE)

Form = Callable[[str], Observable | None]
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
    take_host(host_of(known.value), found)


def take_urls_inside(text: str, found: set[Observable]) -> None:
    """URLs within a command line, a script or a message; only the start of a very long text is looked at."""
    if "://" not in text:
        return
    for match in _URLS.finditer(text[:MAX_TEXT]):
        take_url(match[0].rstrip(".!?"), found)
        if len(found) >= MAX_OBSERVABLES:
            return


def take_email(text: str, found: set[Observable]) -> None:
    """An e-mail address, and its domain."""
    known = network_forms.email(text)
    if known is not None:
        found.add(known)
        take_host(known.value.rpartition("@")[2], found)


def take_path(text: str, found: set[Observable]) -> None:
    r"""A file's path. The index finds `file_name` indicators by its last part; a bare name is taken as one."""
    known = host_forms.file_path(text)
    if known is None:
        known = host_forms.file_name(text)
    if known is not None:
        found.add(known)


def take_hashes(text: str, found: set[Observable]) -> None:
    """`SHA1=…,MD5=…,SHA256=…,IMPHASH=…` as Sysmon writes it."""
    found.update(_digests(text[:MAX_URL]))


@lru_cache(maxsize=8_192)  # the same programs run all day
def _digests(text: str) -> tuple[Observable, ...]:
    known: set[Observable] = set()
    for part in text.split(","):
        name, _, digest = part.partition("=")
        if digest:
            (take_imphash if name.strip().upper() == "IMPHASH" else take_hash)(digest, known)
    return tuple(known)


def take_answers(text: str, found: set[Observable]) -> None:
    """Sysmon's QueryResults: `type:  5 name.example;::ffff:192.0.2.1;`."""
    for part in text[:MAX_URL].split(";"):
        take_host(part.rpartition(" ")[2], found)


def take_card(text: str, found: set[Observable]) -> None:
    """A card's number that passes Luhn's check: its first six and eight digits, never the number."""
    found.update(money_forms.bins_of(text))


def _taker(form: Form, sentence: str) -> Take:
    """A field that holds one value of one form."""

    def take(text: str, found: set[Observable]) -> None:
        known = form(text)
        if known is not None:
            found.add(known)

    take.__doc__ = sentence
    return take


take_hash = _taker(file_hash, "One digest of a file, its type told by its length.")
take_imphash = _taker(host_forms.imphash, "A digest of a program's imports.")
take_ssdeep = _taker(host_forms.ssdeep, "A fuzzy hash.")
take_name = _taker(host_forms.file_name, "A file's name without its folder.")
take_ja3 = _taker(host_forms.ja3, "A JA3 or JA3S fingerprint.")
take_ja4 = _taker(host_forms.ja4, "A JA4 fingerprint or one of its kin.")
take_certificate = _taker(host_forms.certificate, "A certificate's fingerprint, with colons and blanks or without.")
take_agent = _taker(host_forms.user_agent, "A client's name of itself.")
take_mutex = _taker(host_forms.mutex, "A mutex, or another named object.")
take_registry = _taker(host_forms.registry_key, "A registry key, or a key and its value's name.")
take_account = _taker(host_forms.account, "An account's name, with its domain or without.")
take_iban = _taker(money_forms.iban, "An account number with the right check digits.")


def _names_someone(known: Observable) -> bool:
    kind, value = known
    if kind == "ipv4":
        return not (value.startswith(("127.", "0.")) or value == "255.255.255.255")
    return value not in ("::", "::1") if kind == "ipv6" else True


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
    if not found:
        return ()
    return tuple(sorted(found if len(found) <= MAX_OBSERVABLES else _fair(found)))


def _fair(found: set[Observable]) -> list[Observable]:
    """MAX_OBSERVABLES of too many, of each type as many as of any other: a flood of names must not hide a hash."""
    ranked = [(rank, one) for _, some in groupby(sorted(found), key=itemgetter(0)) for rank, one in enumerate(some)]
    return [one for _, one in sorted(ranked)[:MAX_OBSERVABLES]]


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


__all__ = [
    "DIGESTS", "MAX_OBSERVABLES", "MAX_TEXT", "MAX_URL", "Rows", "Table", "Take", "address", "domain", "extract",
    "file_hash", "take_account", "take_address", "take_agent", "take_answers", "take_card", "take_certificate",
    "take_email", "take_hash", "take_hashes", "take_host", "take_iban", "take_imphash", "take_ja3", "take_ja4",
    "take_mutex", "take_name", "take_path", "take_registry", "take_ssdeep", "take_url", "take_urls_inside", "url",
]  # fmt: skip
