"""QRadar's Log Event Extended Format, 1 and 2, alone or in syslog: `LEEF:2.0|vendor|product|version|id|^|key=value`.

Version 1 separates by tabs, version 2 by the character that the header names, itself or as `x5E` / `0x5E`; records
that are separated by blanks against the rule are read like CEF. The format of `devTime` stands in `devTimeFormat` in
Java's letters. Source: IBM, QRadar DSM guide, LEEF event components and predefined attributes.
"""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Any, Final

from detectors.ioc.observables import Rows, take_hash, take_host, take_url
from detectors.sigma.pipelines import ours
from pipeline.parsers.cef import pairs
from pipeline.parsers.clock import EPOCH, MILLI, moment
from pipeline.parsers.devices import device_source
from pipeline.parsers.shape import Topic, address_of, first_of
from schemas.errors import UnparsableError
from schemas.event import Event, Format

LEEF = Format("leef", "text", mapping=ours("leef"))

OBSERVABLES: Final[Rows] = (
    ("url", take_url),
    ("fileHash", take_hash),
    ("identHostName", take_host),
    ("srcPostNAT", take_host),
    ("dstPostNAT", take_host),
)

_HEX = re.compile(r"0?x([0-9A-Fa-f]{1,4})\Z")
#: Java's letters → strptime's; runs that stand for nothing we read make the time unread.
_LETTERS: Final = {
    "yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%m", "dd": "%d", "d": "%d", "HH": "%H",
    "H": "%H", "hh": "%I", "h": "%I", "mm": "%M", "m": "%M", "ss": "%S", "s": "%S", "SSS": "%f", "S": "%f", "a": "%p",
    "EEE": "%a", "EEEE": "%A", "Z": "%z", "X": "%z", "XX": "%z", "XXX": "%z", "z": "%Z",
}  # fmt: skip
_RUNS = re.compile(r"'([^']*)'|([A-Za-z])\2*|[^A-Za-z']+")

_HOST = first_of("identHostName", "devName", "dvchost")
_USER = first_of("usrName", "accountName", "identUserName")
_SRC_IP = address_of("src", "identSrc")
_DST_IP = address_of("dst")
_DOMAIN = first_of("dstHost", "dhost")


def is_leef(text: str) -> bool:
    """It says so."""
    return text.startswith("LEEF:")


def leef(text: str, raw: bytes, _near: int, topic: Topic) -> Event:
    """One record without its syslog header. Raises UnparsableError("shape") where the header is cut."""
    head = text.split("|", 5)
    if len(head) < 5:
        raise UnparsableError("shape")
    version, vendor, product, release, number = head[:5]
    rest, mark = head[5] if len(head) > 5 else "", "\t"
    if version[5:].startswith("2"):
        said, bar, attributes = rest.partition("|")
        if bar and (found := _mark(said)) is not None:
            mark, rest = found, attributes
    fields = _fields(rest, mark)
    fields |= {"deviceVendor": vendor, "deviceProduct": product, "deviceVersion": release, "eventId": number}
    get = fields.get
    known = device_source(vendor, product, f"{get('cat', '')} {number}", topic.source)
    if topic.bare:
        return Event(0, raw, LEEF, known, fields, 0, 0)
    at = timed(get("devTime"), get("devTimeFormat"), topic.zone)
    columns = _HOST(get), _USER(get), _SRC_IP(get), _DST_IP(get), "", "", _DOMAIN(get)
    return Event(0, raw, LEEF, known, fields, 0, at, False, False, *columns)


def _mark(said: str) -> str | None:
    """The delimiter that a header names: none is a tab; None: this is no delimiter."""
    if len(said) < 2:
        return said or "\t"
    found = _HEX.match(said)
    return chr(int(found[1], 16)) if found is not None else None


def _fields(text: str, mark: str) -> dict[str, Any]:
    if mark not in text and text.count("=") > 1:
        return pairs(text)
    fields: dict[str, Any] = {}
    for part in text.split(mark):
        name, equals, value = part.partition("=")
        if equals:
            fields.setdefault(name.strip(), value)
    return fields


def timed(stamp: Any, form: Any, zone: tzinfo) -> int:
    """`devTime` in milliseconds UTC, by `devTimeFormat` where there is one; 0: none, or not readable."""
    if type(stamp) is str and type(form) is str and len(stamp) < 64 and len(form) < 64:
        return _timed(stamp, form, zone) or moment(stamp, zone)
    return moment(stamp, zone)


@lru_cache(maxsize=4_096)
def _timed(stamp: str, form: str, zone: tzinfo) -> int:
    try:
        at = datetime.strptime(stamp, _strptime(form))  # noqa: DTZ007 - a zone is added
        return ((at.replace(tzinfo=zone) if at.tzinfo is None else at) - EPOCH) // MILLI
    except (ValueError, OverflowError, KeyError):
        return 0


@lru_cache(maxsize=256)
def _strptime(form: str) -> str:
    parts = []
    for found in _RUNS.finditer(form):
        quoted, letter = found.groups()
        part = _LETTERS[found[0]] if letter else (quoted or "'") if quoted is not None else found[0]
        parts.append(part if letter else part.replace("%", "%%"))
    return "".join(parts)
