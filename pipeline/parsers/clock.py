"""What shippers write as time, as milliseconds since 1970 UTC. Never raises: what cannot be read is no time.

Spellings: ISO 8601 with any fraction and any zone or none, `2020-09-20 13:19:31`, epoch numbers in seconds,
milliseconds, microseconds or nanoseconds (Fluent Bit sends doubles), `/Date(…)/` of .NET, the yearless
`Oct 11 22:14:15` of RFC 3164, and times with a month's name and a year, as devices and web servers write them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLI = timedelta(milliseconds=1)
DAY_MS = 86_400_000

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NUMBERS = {name: n for n, name in enumerate(MONTHS, 1)}


def moment(value: Any, zone: tzinfo) -> int:
    """A time of whatever spelling in milliseconds UTC; one without a zone is in `zone`. 0: none, or not readable."""
    kind = type(value)
    if kind is str:
        return _of_text(value, zone)
    if kind is int or kind is float:
        return _of_number(value)
    return 0


def _of_text(text: str, zone: tzinfo) -> int:
    # A busy second's events share all but the fraction, so what is left is known already.
    if len(text) > 20 and text[19] == ".":
        if text[-1] == "Z":
            millis, whole = text[20:-1], _whole(text[:19] + "Z", zone)
        elif text[-5] in "+-":
            millis, whole = text[20:-5], _whole(text[:19] + text[-5:], zone)
        elif text[-6] in "+-":
            millis, whole = text[20:-6], _whole(text[:19] + text[-6:], zone)
        else:
            millis, whole = text[20:], _whole(text[:19], zone)
        if whole and millis.isascii() and millis.isdigit():
            return whole + int((millis + "00")[:3])
    elif 18 < len(text) < 26 and (whole := _whole(text, zone)):
        return whole
    return _rarer(text, zone)


# The spelling of most shippers, three times as fast.
@lru_cache(maxsize=8_192)
def _whole(text: str, zone: tzinfo) -> int:
    return _iso(text, zone) if text[4] == "-" else 0


def _iso(text: str, zone: tzinfo) -> int:
    try:
        at = datetime.fromisoformat(text)
        return ((at.replace(tzinfo=zone) if at.tzinfo is None else at) - EPOCH) // MILLI
    except (ValueError, OverflowError):
        return 0


def _rarer(text: str, zone: tzinfo) -> int:
    if len(text) < 20 and text.isascii() and text.isdigit():
        return _of_number(int(text)) if len(text) >= 9 else 0
    if len(text) >= 19 and text[4] == "-":
        found = _iso(text, zone)
        return _of_text(text[:-4] + "Z", zone) if not found and text.endswith(" UTC") else found
    if text.startswith("/Date("):
        text = text[6:].partition(")")[0].partition("+")[0]  # a zone here changes how it is shown, not when it was
    try:
        return _of_number(float(text)) if 9 <= len(text) <= 24 else 0
    except ValueError:
        return dated(text, zone)


def _of_number(number: float) -> int:
    """Seconds, milliseconds, microseconds or nanoseconds, told apart by size: all mean a time after March 1973."""
    if not 1e8 <= number < 1e20:
        return 0
    if number < 1e11:
        return round(number * 1000)
    return int(number // (1 if number < 1e14 else 1_000 if number < 1e17 else 1_000_000))


_DAY_FIRST = re.compile(r"(\d{1,2})[/ -]([A-Z][a-z]{2})[/ -](\d{4})[: T](.+)")
_MONTH_FIRST = re.compile(r"(?:[A-Z][a-z]{2},? +)?([A-Z][a-z]{2}) +(\d{1,2}),? +(?:(\d{4}) +)?(\S+)(.*)")
_SLASHES = re.compile(r"(\d{4})/(\d\d)/(\d\d) (.+)")
_CLOCK = re.compile(r"(\d\d?):(\d\d):(\d\d)(?:[.,](\d{1,9}))? *([+-]\d\d:?\d\d|Z|UTC|GMT)?(?: .*| [A-Z]{2,5})?\Z")


def dated(text: str, zone: tzinfo) -> int:
    """`Oct 11 2026 22:14:15.003`, `11/Oct/2026:22:14:15 +0500`, `Sun Oct 11 22:14:15 2026`, `2026/10/11 22:14:15`.

    A zone is read where it is an offset or UTC; the letters of others name several zones, and `zone` counts.
    """
    return _dated(text, zone) if 17 <= len(text) <= 48 else 0


@lru_cache(maxsize=8_192)
def _dated(text: str, zone: tzinfo) -> int:
    if (found := _DAY_FIRST.match(text)) is not None:
        day, month, year, clock = found.groups()
    elif (found := _MONTH_FIRST.match(text)) is not None:
        month, day, year, clock, rest = found.groups()
        if year is None:
            head, _, year = rest.strip().rpartition(" ")
            rest = head
        clock = f"{clock} {rest.strip()}"
    elif (found := _SLASHES.match(text)) is not None:
        year, number, day, clock = found.groups()
        month = MONTHS[int(number) - 1] if 0 < int(number) < 13 else ""
    else:
        return 0
    told = _CLOCK.match(clock.strip())
    if told is None or month not in _NUMBERS or not year.isdigit():
        return 0
    hour, minute, second, fraction, offset = told.groups()
    where = "" if offset is None else offset if offset[0] in "+-" else "Z"
    said = f"{year}-{_NUMBERS[month]:02}-{int(day):02}T{int(hour):02}:{minute}:{min(int(second), 59):02}{where}"
    whole = _iso(said, zone)
    return whole + int(((fraction or "") + "000")[:3]) if whole else 0


def without_year(stamp: str, near_ms: int, zone: tzinfo) -> int:
    """`Oct 11 22:14:15` in `zone`, in the year that brings it nearest to `near_ms` (Kafka's time). 0: not readable."""
    return _without_year(stamp, near_ms // DAY_MS, zone) if near_ms > 0 else 0


# A second's lines share one stamp; by the day, so that the answer stays a function of the record.
@lru_cache(maxsize=4096)
def _without_year(stamp: str, near_day: int, zone: tzinfo) -> int:
    near = near_day * DAY_MS
    try:
        month, day, clock = stamp.split()
        hour, minute, second = (int(part) for part in clock.split(":"))
        year = (EPOCH + timedelta(days=near_day)).year
        number = _NUMBERS[month]
    except (ValueError, KeyError, OverflowError):
        return 0
    found = 0
    for candidate in (year, year - 1, year + 1):
        try:
            at = datetime(candidate, number, int(day), hour, minute, min(second, 59), tzinfo=zone)
            ms = (at - EPOCH) // MILLI
        except (ValueError, OverflowError):
            continue
        if not found or abs(ms - near) < abs(found - near):
            found = ms
    return found
