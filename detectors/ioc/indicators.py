"""From what a feed writes to an indicator as it is matched: refanged, normalised, bounded.

A value that cannot be normalised as its type is refused: half an indicator would be a promise not kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import orjson

from detectors.ioc import host_forms, money_forms, network_forms
from schemas import tlp as tlps
from schemas.event import Observable
from schemas.indicator import TYPES, Indicator

#: What STIX, MISP, OTX, OpenIOC and people call a type → ours; "" where the value tells which it is.
ALIASES: Final = {
    "ip": "",
    "ip-src": "",
    "ip-dst": "",
    "ipv4-addr": "ipv4",
    "ipv6-addr": "ipv6",
    "portitem/remoteip": "",
    "network": "cidr",
    "subnet": "cidr",
    "hostname": "domain",
    "host": "domain",
    "fqdn": "domain",
    "domain-name": "domain",
    "network/dns": "domain",
    "dnsentryitem/host": "domain",
    "uri": "url",
    "link": "url",
    "urlhistoryitem/url": "url",
    "email-addr": "email",
    "email-address": "email",
    "email-src": "email",
    "email-dst": "email",
    "email-reply-to": "email",
    "e-mail": "email",
    "file": "",
    "filename": "",
    "filepath": "file_path",
    "fileitem/filename": "",
    "fileitem/fullpath": "file_path",
    "hash": "",
    "filehash": "",
    "filehash-md5": "md5",
    "filehash-sha1": "sha1",
    "filehash-sha256": "sha256",
    "filehash-imphash": "imphash",
    "fileitem/md5sum": "md5",
    "fileitem/sha1sum": "sha1",
    "fileitem/sha256sum": "sha256",
    "sha-1": "sha1",
    "sha-256": "sha256",
    "sha-512": "sha512",
    "ja3-fingerprint-md5": "ja3",
    "ja4-fingerprint": "ja4",
    "x509-certificate": "certificate",
    "x509-fingerprint-md5": "certificate",
    "x509-fingerprint-sha1": "certificate",
    "x509-fingerprint-sha256": "certificate",
    "sslcertfingerprint": "certificate",
    "user-agent": "user_agent",
    "network/useragent": "user_agent",
    "regkey": "registry_key",
    "windows-registry-key": "registry_key",
    "registryitem/path": "registry_key",
    "registryitem/keypath": "registry_key",
    "user-account": "account",
    "account-login": "account",
    "target-user": "account",
    "username": "account",
    "bank-account-nr": "iban",
    "bin": "card_bin",
} | {kind: kind for kind in TYPES}

Form = Callable[[str], Observable | None]


def _place(text: str) -> Observable | None:
    """An address, or a network where there is one: feeds write both under the same type."""
    if "/" not in text:
        return network_forms.address(text)
    known = network_forms.network(text)
    if known is not None and known.value.endswith("/128" if ":" in known.value else "/32"):
        return network_forms.address(known.value.rpartition("/")[0])
    return known


def _domain(text: str) -> Observable | None:
    return network_forms.domain(text.removeprefix("*").removeprefix("."))


def _file(text: str) -> Observable | None:
    return host_forms.file_path(text) or host_forms.file_name(text)


_FORMS: Final[dict[str, Form]] = {
    **dict.fromkeys(("ipv4", "ipv6"), _place),
    "cidr": network_forms.network,
    "domain": _domain,
    "url": network_forms.url,
    "email": network_forms.email,
    "file_name": host_forms.file_name,
    "file_path": host_forms.file_path,
    **dict.fromkeys(("md5", "sha1", "sha256", "sha512"), host_forms.file_hash),
    "imphash": host_forms.imphash,
    "ssdeep": host_forms.ssdeep,
    "ja3": host_forms.ja3,
    "ja4": host_forms.ja4,
    "certificate": host_forms.certificate,
    "user_agent": host_forms.user_agent,
    "mutex": host_forms.mutex,
    "registry_key": host_forms.registry_key,
    "account": host_forms.account,
    "iban": money_forms.iban,
    "card_bin": money_forms.card_bin,
}
_TOLD_BY_VALUE: Final[dict[str, Form]] = {
    **dict.fromkeys(("ip", "ip-src", "ip-dst", "portitem/remoteip"), _place),
    **dict.fromkeys(("file", "filename", "fileitem/filename"), _file),
    **dict.fromkeys(("hash", "filehash"), host_forms.file_hash),
}
#: Types whose values people defang, and no others: `(.)` in a mutex is a part of its name.
_FANGED: Final = frozenset(("ipv4", "ipv6", "cidr", "domain", "url", "email"))
#: A network under a type of addresses is one: STIX writes `ipv4-addr:value = '10.0.0.0/8'`.
_NETWORKS: Final = frozenset(("ipv4", "ipv6"))

MAX_VALUE: Final = 4_096
MAX_TYPE: Final = 64
LEVELS: Final = ("informational", "low", "medium", "high", "critical")
TLPS: Final = tlps.WORDS
MAX_TITLE: Final = 256
MAX_TAGS: Final = 32

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: What keeps people from clicking, and what stood there. Brackets may be any, or be open on one side.
_FANGS: Final = (
    (re.compile(r"^h(?:xx|\*\*|tt|__)p(?:\[s\]|(s?))(?=[\[:(])", re.IGNORECASE), None),
    (re.compile(r"^(?:fxp|f\*p)(?=[\[:(])", re.IGNORECASE), "ftp"),
    (re.compile(r"[\[({] ?: ?// ?[\])}]|[\[({]:[\])}]//|:[\[({]//[\])}]|[\[({]:/[\])}]/"), "://"),
    (re.compile(r"[\[({]:[\])}]"), ":"),
    (re.compile(r"\s?[\[({]\s?(?:\.|dot|d0t)\s?[\])}]\s?", re.IGNORECASE), "."),
    (re.compile(r"\s?[\[({]\s?(?:@|at)\s?[\])}]\s?", re.IGNORECASE), "@"),
    (re.compile(r"[\[({]\.|\.[\])}]|\\\."), "."),
    (re.compile(r"[\[({]/[\])}]"), "/"),
)
_MARKS: Final = re.compile(r"[\[({\\*]|\.[\])}]|[hf]x|h__p", re.IGNORECASE)
#: Control characters, and halves of characters, which are no text anywhere.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]+")
#: Fangs within fangs are undone so often.
MAX_ROUNDS: Final = 8


def refang(text: str) -> str:
    """Undo what keeps people from clicking: hxxp, [.], (dot), [:], [://], [at], and their like.

    What is undone has nothing left to undo. Raises ValueError where it has after MAX_ROUNDS.
    """
    for _ in range(MAX_ROUNDS):
        if _MARKS.search(text) is None:
            return text
        before = text
        for fang, plain in _FANGS:
            text = fang.sub(_scheme if plain is None else plain, text)
        if text == before:
            return text
    raise ValueError("a value with fangs within fangs")


def _scheme(found: re.Match[str]) -> str:
    return "https" if "s" in found[0][-3:].lower() else "http"


def normal(kind: str, text: str) -> Observable:
    """The value of an indicator as observables are written. Raises ValueError, which names what is wrong with it."""
    kind = kind.strip().lower() if len(kind) <= MAX_TYPE else ""
    wanted = ALIASES.get(kind)
    if wanted is None:
        raise ValueError("an unknown type")
    if len(text) > MAX_VALUE:
        raise ValueError(f"a value longer than {MAX_VALUE:,} characters")
    text = text.strip()
    form = _FORMS[wanted] if wanted else _TOLD_BY_VALUE[kind]
    # A control character before `hxxp` would hide it from refanging, and be dropped behind it.
    found = None if _CONTROL.search(text) else form(refang(text) if wanted in _FANGED or form is _place else text)
    if found is None or (wanted and found.type != wanted and not (found.type == "cidr" and wanted in _NETWORKS)):
        raise ValueError(f"a value that is no {wanted or kind}")
    return found


# A feed's lines repeat themselves in all but their value.
@lru_cache(maxsize=16_384)
def moment(text: str) -> int:
    """ISO 8601, UTC where it names no zone, as milliseconds; nothing is 0. Raises ValueError."""
    text = text.strip()
    if not text:
        return 0
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return max(1, (at - _EPOCH) // timedelta(milliseconds=1))
    except (ValueError, OverflowError):
        raise ValueError("a time that is not ISO 8601") from None


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """A text of a feed for people: no control characters, no start that a spreadsheet takes for a formula."""
    return _CONTROL.sub(" ", text).strip().lstrip("=+-@").strip()[:MAX_TITLE]


@lru_cache(maxsize=4096)
def level(text: str) -> str:
    """A Sigma level; `high` where none is given. Raises ValueError."""
    word = text.strip().lower() or "high"
    if word not in LEVELS:
        raise ValueError("a level that is none of " + ", ".join(LEVELS))
    return word


@lru_cache(maxsize=4096)
def tlp(text: str) -> str:
    """A traffic light colour; the strictest usual one where none is given. Raises ValueError."""
    word = text.strip().lower().removeprefix("tlp:") or tlps.OWN.word
    word = "clear" if word == "white" else word
    if word not in TLPS:
        raise ValueError("a tlp that is none of " + ", ".join(TLPS))
    return word


@lru_cache(maxsize=4096)
def confidence(text: str) -> int:
    """0 to 100; 50 where none is given. Raises ValueError."""
    text = text.strip()
    if not text:
        return 50
    if not (text.isascii() and text.isdigit() and int(text[:4]) <= 100):
        raise ValueError("a confidence that is no number from 0 to 100")
    return int(text)


def sealed(indicator: Indicator) -> Indicator:
    """The indicator with the revision that its content gives."""
    return joined(indicator[:8], indicator[9:])


def joined(before: tuple[Any, ...], after: tuple[Any, ...]) -> Indicator:
    """An indicator of what stands before its revision and after it, with the revision that these give."""
    try:
        content = orjson.dumps((before, after), default=tuple)  # a quarter of the time of `repr`
    except TypeError:  # half a character, which no JSON holds
        content = repr((before, after)).encode("utf-8", "surrogatepass")
    return Indicator._make((*before, blake2b(content, digest_size=8).hexdigest(), *after))
