"""From what an entry says to an indicator's rows: the feed's defaults where it says nothing, bounds where it says much.

Of whom an indicator is, is the feed's name and never the entry's word: a withdrawal counts for the same source only,
so an entry that could name its source could withdraw the regulator's indicators.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from detectors.ioc import indicators
from detectors.ioc.feeds.stix_pattern import Row
from schemas.feed import DAY_S, Reading
from schemas.indicator import Indicator

MAX_ID: Final = 128
MAX_PHASES: Final = 16
#: What must not stand first, blanks included; "" is none of them.
_MARKS: Final = ("=", "+", "-", "@", " ")
_LONG: Final = 4_096
DAY_MS: Final = DAY_S * 1_000
_DIGEST: Final = re.compile(r"[0-9a-fA-F]{32,128}")
_ADDRESS: Final = re.compile(r"[0-9.]+(?:/\d+)?|[0-9a-fA-F:.\[\]]*:[0-9a-fA-F:.\[\]]*(?:/\d+)?")


def shared(
    reading: Reading,
    *,
    id: str,  # noqa: A002 - as the indicator calls it
    title: str = "",
    level: str = "",
    confidence: int | None = None,
    valid_from: int = 0,
    valid_until: int = 0,
    since: int = 0,
    first_seen: int = 0,
    tlp: str = "",
    tags: tuple[str, ...] = (),
    phases: tuple[str, ...] = (),
    source: str = "",
) -> Indicator:
    """What all rows of one entry have in common. `since`: from when valid_days count where valid_from says nothing.

    `source` counts in a file of our own only, else it is a tag. Raises ValueError.
    """
    said = reading.defaults
    valid_from, valid_until = validity(reading, valid_from, valid_until, since)
    source = clean(source)[:80]
    if source and not reading.own:
        tags = (*tags, f"source:{source}")
    return Indicator(
        id=id,
        type="",
        value="",
        title=clean(title),
        level=level or said.level,
        confidence=said.confidence if confidence is None else confidence,
        valid_from=valid_from,
        valid_until=valid_until,
        source=(reading.own and source) or reading.source,
        tlp=tlp or said.tlp,
        tags=_few((*said.tags, *tags), indicators.MAX_TAGS) if said.tags or tags else (),
        phases=_few(phases, MAX_PHASES) if phases else (),
        authority=reading.authority,
        first_seen=first_seen,
    )


def validity(reading: Reading, valid_from: int, valid_until: int, since: int) -> tuple[int, int]:
    """From when and until when an entry counts, by the feed's valid_days where it does not say. Raises ValueError."""
    days = reading.defaults.valid_days
    if not valid_until and days:
        start = valid_from or since or reading.at_ms
        valid_until = start // DAY_MS * DAY_MS + days * DAY_MS if start else 0
    if valid_from and valid_until and valid_until <= valid_from:
        raise ValueError("valid_until is not after valid_from")
    return valid_from, valid_until


def of(common: Indicator, rows: Iterable[Row]) -> Iterator[Indicator]:
    """The rows of one entry, each with the revision of its content."""
    for row in rows:
        kind, value = row[0]
        title = common.title or clean(f"{kind} {value}")
        yield indicators.sealed(common._replace(type=kind, value=value, also=row[1:], title=title))


def told(text: str) -> Row:
    """A value whose type nobody told, by its looks: an address, a URL, a digest, e-mail, domain. Raises ValueError."""
    if "://" in text or "[:" in text or text[:4].lower() == "hxxp":
        return (indicators.normal("url", text),)
    plain = indicators.refang(text.strip())
    if "@" in plain:
        kind = "email"
    elif _DIGEST.fullmatch(plain):
        kind = "hash"
    else:
        kind = "ip" if _ADDRESS.fullmatch(plain) else "domain"
    try:
        return (indicators.normal(kind, plain),)
    except ValueError:
        raise ValueError("a value that does not tell its type") from None


def clean(text: str) -> str:
    """A text of a feed for people, with no halves of characters, which no writer of JSON takes."""
    if text.isascii() and text.isprintable() and len(text) <= indicators.MAX_TITLE and text[:1] not in _MARKS:
        return text.rstrip()  # nearly all
    return indicators.plain(text[:_LONG] if text.isascii() else text[:_LONG].encode("utf-8", "replace").decode())


def identifier(text: str) -> str:
    """An id that a feed gives, "" where it gives none. Raises ValueError."""
    if len(text) > MAX_ID:
        raise ValueError(f"an id longer than {MAX_ID} characters")
    return clean(text)


@lru_cache(maxsize=4_096)  # a feed's entries have few different ones
def _few(texts: tuple[str, ...], most: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys([text for each in texts if (text := clean(each))]))[:most]
