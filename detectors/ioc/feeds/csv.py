"""Indicators from CSV: a header, then a line each. `type` and `value` are required, the rest may be absent or empty.

The separator is a comma, or a semicolon where the header has one (spreadsheets here write so). An indicator without
an id gets one from type, value and source: the same line is the same indicator in every file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Final

from detectors.ioc import indicators
from detectors.ioc.feeds.entry import Fault, Feed
from schemas.identity import long_hash
from schemas.indicator import Indicator

COLUMNS: Final = (
    "type",
    "value",
    "id",
    "title",
    "level",
    "confidence",
    "valid_from",
    "valid_until",
    "source",
    "tlp",
    "tags",
)


def parse(lines: Iterable[str], source: str) -> Feed:
    """Read a CSV. `source` is the origin where a line names none. A faulty line is a fault, never half read."""
    feed = Feed()
    given = iter(lines)
    first = next(given, "").removeprefix("\ufeff")
    separator = ";" if ";" in first and "," not in first else ","
    names = [name.strip().lower() for name in _cells(first, separator) or ()]
    fault = _header_fault(names)
    if fault:
        feed.faults.append(Fault("line 1", fault))
        return feed
    for number, line in enumerate(given, 2):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            feed.indicators.append(_indicator(_row(line, separator, names), source))
        except ValueError as error:
            feed.faults.append(Fault(f"line {number}", str(error)))
    return feed


def _row(line: str, separator: str, names: list[str]) -> dict[str, str]:
    cells = _cells(line, separator)
    if cells is None or len(cells) > len(names):
        raise ValueError(f"not {len(names)} cells")
    return dict(zip(names, cells, strict=False))


def _cells(line: str, separator: str) -> list[str] | None:
    """One line's cells. A line is read alone, so that one open quotation mark does not swallow all that follow."""
    try:
        return next(csv.reader((line,), delimiter=separator, strict=True), None)
    except csv.Error:
        return None


def _header_fault(names: list[str]) -> str:
    if not any(names):
        return f"there is no header; the columns are {', '.join(COLUMNS)}"
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        return f"unknown columns {', '.join(repr(name[:40]) for name in unknown[:5])}; there are {', '.join(COLUMNS)}"
    if "type" not in names or "value" not in names:
        return "the columns type and value are required"
    return "a column stands twice" if len(set(names)) < len(names) else ""


def _indicator(row: dict[str, str], source: str) -> Indicator:
    said = row.get
    observable = indicators.normal(said("type", ""), said("value", ""))
    origin = indicators.plain(said("source", "")) or source
    since, until = indicators.moment(said("valid_from", "")), indicators.moment(said("valid_until", ""))
    if since and until and until <= since:
        raise ValueError("valid_until is not after valid_from")
    tags = tuple(tag for part in said("tags", "").split(";") if (tag := indicators.plain(part)))
    return indicators.sealed(
        Indicator(
            id=indicators.plain(said("id", "")) or long_hash("indicator", *observable, origin),
            type=observable.type,
            value=observable.value,
            title=indicators.plain(said("title", "")) or f"{observable.type} {observable.value}",
            level=indicators.level(said("level", "")),
            confidence=indicators.confidence(said("confidence", "")),
            valid_from=since,
            valid_until=until,
            source=origin,
            tlp=indicators.tlp(said("tlp", "")),
            tags=tags[: indicators.MAX_TAGS],
        )
    )
