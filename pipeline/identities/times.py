"""When a lease began and ended, as servers write it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from enrichers.rows import Row, RowError, one
from pipeline.identities.plan import Export

#: Numbers from here on are milliseconds, and from there on Windows' 100 ns since 1601.
_MILLIS: Final = 100_000_000_000
_FILETIME: Final = 100_000_000_000_000_000
_FILETIME_EPOCH_MS: Final = 11_644_473_600_000
_LATEST_MS: Final = 253_402_300_799_000


def span(row: Row, export: Export, zone: ZoneInfo) -> tuple[int, int]:
    """Start and end of a lease, milliseconds UTC; of one that lacks one of them it follows from its duration."""
    start, end = (moment(one(row, field), export.time_format, zone, field) for field in ("start", "end"))
    seconds = one(row, "seconds")
    if seconds and not (seconds.isdecimal() and seconds.isascii() and len(seconds) <= 10):
        raise RowError("its seconds are no number")
    length = 1_000 * (int(seconds) if seconds else export.duration)
    if start is None and end is None:
        raise RowError("it has neither a start nor an end")
    if start is None and end is not None:
        return end - length, end
    if start is not None and end is None:
        return start, start + length
    return start or 0, end or 0


def moment(text: str, form: str, zone: ZoneInfo, field: str) -> int | None:
    """A time in milliseconds UTC, None where there is none. Raises RowError."""
    if not text:
        return None
    try:
        if text.isdecimal() and text.isascii() and len(text) <= 18:
            number = int(text)
            if number >= _FILETIME:
                return number // 10_000 - _FILETIME_EPOCH_MS
            found = number if number >= _MILLIS else number * 1_000
        else:
            said = datetime.strptime(text, form) if form else datetime.fromisoformat(text)  # noqa: DTZ007 - see below
            found = int((said if said.tzinfo else said.replace(tzinfo=zone)).astimezone(UTC).timestamp() * 1_000)
    except (ValueError, OverflowError):
        raise RowError(f"its {field} is no time; say time_format") from None
    if not 0 < found < _LATEST_MS:
        raise RowError(f"its {field} is no time")
    return found
