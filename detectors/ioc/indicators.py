"""From what a feed writes to an indicator as it is matched: refanged, normalised, bounded.

A value that cannot be normalised as its type is refused: half an indicator would be a promise not kept.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from detectors.ioc.observables import address, domain, file_hash, url
from schemas.event import Observable
from schemas.indicator import TYPES, Indicator

#: What feeds call a type → ours; "" is told by the value.
ALIASES: Final = {
    "ip": "",
    "ip-src": "",
    "ip-dst": "",
    "ipv4-addr": "ipv4",
    "ipv6-addr": "ipv6",
    "hostname": "domain",
    "fqdn": "domain",
    "domain-name": "domain",
    "uri": "url",
    "link": "url",
    "hash": "",
    "sha-1": "sha1",
    "sha-256": "sha256",
    "sha-512": "sha512",
} | {kind: kind for kind in TYPES}

LEVELS: Final = ("informational", "low", "medium", "high", "critical")
TLPS: Final = ("clear", "green", "amber", "amber+strict", "red")
MAX_TITLE: Final = 256
MAX_TAGS: Final = 32

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FANGS: Final = (
    (re.compile(r"^hxxp", re.IGNORECASE), "http"),
    (re.compile(r"\[\.\]|\(\.\)|\{\.\}|\[dot\]|\(dot\)", re.IGNORECASE), "."),
    (re.compile(r"\[:\]"), ":"),
    (re.compile(r"\[://\]"), "://"),
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")


def refang(text: str) -> str:
    """Undo what keeps people from clicking: hxxp, [.], [dot], [:], [://]."""
    if text.isascii() and not any(mark in text for mark in "[({xX"):
        return text
    for fang, plain in _FANGS:
        text = fang.sub(plain, text)
    return text


def normal(kind: str, text: str) -> Observable:
    """The value of an indicator as observables are written. Raises ValueError, which names what is wrong with it."""
    kind = kind.strip().lower()
    if kind not in ALIASES:
        raise ValueError("an unknown type")
    wanted = ALIASES[kind]
    text = refang(text.strip())
    if wanted in ("ipv4", "ipv6") or kind.startswith("ip"):
        found = address(text.removesuffix("/32") if ":" not in text else text.removesuffix("/128"))
    elif wanted == "domain":
        found = domain(text.removeprefix("*."))
    elif wanted == "url":
        found = url(text)
    else:
        found = file_hash(text)
    if found is None or (wanted and found.type != wanted):
        raise ValueError(f"a value that is no {wanted or kind}")
    return found


# A feed's lines repeat themselves in all but their value.
@lru_cache(maxsize=4096)
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
    word = text.strip().lower().removeprefix("tlp:") or "amber+strict"
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
    content = repr(
        (*indicator[:8], *indicator[9:])
    ).encode()  # all but the revision; one hash, since there are millions
    return indicator._replace(revision=blake2b(content, digest_size=8).hexdigest())
