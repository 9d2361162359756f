"""Indicators from CSV: a header and a line each, or a column map of the feed's owner.

Without a map the columns bear our names, and `type` and `value` are required; with one they are found by name or, where
there is no header, by number. An indicator without an id gets one from type, value and source: the same line is the
same indicator in every file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import BinaryIO, Final, get_args

from detectors.ioc import indicators
from detectors.ioc.feeds import composite, made
from detectors.ioc.feeds.entry import Entry, Fault
from detectors.ioc.feeds.lines import lines
from schemas.feed import Column, Reading
from schemas.identity import long_hash

COLUMNS: Final[tuple[str, ...]] = get_args(Column)
SEPARATORS: Final = ",;\t|"
_ODD: Final = re.compile(r"[^\w .-]", re.ASCII)
_MAX_COLUMNS: Final = 200

#: Columns, and where they stand in a line.
Places = list[tuple[str, int]]


def entries(stream: BinaryIO, reading: Reading) -> Iterator[Entry]:
    """Read a CSV. A faulty line is a fault, never half read; a wrong header ends the reading."""
    given = lines(stream, reading.limits.entry_bytes)
    separator = reading.delimiter
    places: Places | None = None
    width = _MAX_COLUMNS
    if any(isinstance(place, int) for place in reading.columns.values()):
        places, separator = _numbered(reading), separator or ","
    for number, line in given:
        if line is None:
            yield Fault(f"line {number}", f"longer than {reading.limits.entry_bytes:,} bytes (limits.entry_bytes)")
            continue
        if not line.strip("\x00 \t") or line.startswith("#"):
            continue
        if places is None:
            separator = separator or max(SEPARATORS, key=line.count)
            names = [name.strip().lower() for name in _cells(line, separator) or ()]
            try:
                places, width = _named(names, reading), len(names)
            except ValueError as error:
                yield Fault(f"line {number}", str(error), "end")
                return
            continue
        try:
            yield from _line(_cells(line, separator), places, width, reading)
        except ValueError as error:
            yield Fault(f"line {number}", str(error))
    if places is None:
        yield Fault("line 1", f"there is no header; the columns are {', '.join(COLUMNS)}", "end")


def headed(line: str) -> bool:
    """Whether a line is a header of ours."""
    names = {
        name.strip(' "').lower() for name in line.replace(";", ",").replace("\t", ",").replace("|", ",").split(",")
    }
    return {"type", "value"} <= names or (bool(names & {"type", "value"}) and names <= set(COLUMNS))


def _cells(line: str, separator: str) -> list[str] | None:
    """One line's cells. A line is read alone, so that one open quotation mark does not swallow all that follow."""
    if '"' not in line:
        return line.split(separator)
    try:
        return next(csv.reader((line,), delimiter=separator, strict=True, skipinitialspace=True), None)
    except csv.Error:
        return None


def _named(names: list[str], reading: Reading) -> Places:
    """Where the columns stand by the header. Raises ValueError."""
    if reading.columns:
        wanted = {ours: str(theirs).strip().lower() for ours, theirs in reading.columns.items()}
        missing = [theirs for theirs in wanted.values() if theirs not in names]
        if missing:
            raise ValueError(f"the header has no column {missing[0][:40]!r}, which the column map names")
        return [(ours, names.index(theirs)) for ours, theirs in wanted.items()]
    if not any(names):
        raise ValueError(f"there is no header; the columns are {', '.join(COLUMNS)}")
    if "value" not in names or ("type" not in names and not reading.defaults.type):
        raise ValueError(f"the columns type and value are required; there are {', '.join(COLUMNS)}")
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        said = ", ".join(f"'{_ODD.sub('?', name[:40])}'" for name in unknown[:5])
        raise ValueError(f"unknown columns {said}; there are {', '.join(COLUMNS)}. A column map may name others")
    if len(set(names)) < len(names):
        raise ValueError("a column stands twice")
    return [(name, place) for place, name in enumerate(names)]


def _numbered(reading: Reading) -> Places:
    return [(ours, int(theirs) - 1) for ours, theirs in reading.columns.items() if str(theirs).isdecimal()]


def _line(cells: list[str] | None, places: Places, width: int, reading: Reading) -> Iterator[Entry]:
    if cells is None or len(cells) > width:
        raise ValueError(f"not {width} cells")

    row = {column: cells[place].strip() for column, place in places if place < len(cells) and cells[place]}
    said = row.get
    rows, remarks = composite.rows(said("type") or reading.defaults.type, said("value", ""))
    first_seen = indicators.moment(said("first_seen", ""))
    common = made.shared(
        reading,
        id=made.identifier(said("id", "")),
        title=said("title", ""),
        level=indicators.level(level) if (level := said("level")) else "",
        confidence=indicators.confidence(confidence) if (confidence := said("confidence")) else None,
        valid_from=indicators.moment(said("valid_from", "")),
        valid_until=indicators.moment(said("valid_until", "")),
        since=first_seen,
        first_seen=first_seen,
        tlp=indicators.tlp(tlp) if (tlp := said("tlp")) else "",
        tags=_parts(said("tags", "")) + remarks,
        phases=_parts(said("phases", "")),
        source=said("source", ""),
    )
    if not common.id:
        parts = [part for row in rows for one in row for part in one]
        common = common._replace(id=long_hash("indicator", *parts, common.source))
    return made.of(common, rows)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.replace(",", ";").split(";") if part.strip()) if text else ()
