"""Indicators from CSV: a header and a line each, or a column map of the feed's owner.

Without a map the columns bear our names, and `type` and `value` are required; with one they are found by name or, where
there is no header, by number. An indicator without an id gets one from type, value and source: the same line is the
same indicator in every file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from operator import itemgetter
from typing import BinaryIO, Final, get_args

from detectors.ioc import indicators
from detectors.ioc.feeds import composite, made
from detectors.ioc.feeds.entry import Entry, Fault
from detectors.ioc.feeds.lines import lines
from schemas.feed import Column, Reading
from schemas.identity import long_hash
from schemas.indicator import Indicator

COLUMNS: Final[tuple[str, ...]] = get_args(Column)
SEPARATORS: Final = ",;\t|"
_ODD: Final = re.compile(r"[^\w .-]", re.ASCII)
_MAX_COLUMNS: Final = 200
#: Cells of so many lines are remembered with what they make.
_MAX_ALIKE: Final = 16_384

#: Columns, and where they stand in a line.
Places = list[tuple[str, int]]


def entries(stream: BinaryIO, reading: Reading) -> Iterator[Entry]:
    """Read a CSV. A faulty line is a fault, never half read; a wrong header ends the reading."""
    given = lines(stream, reading.limits.entry_bytes)
    separator = reading.delimiter
    table: _Table | None = None
    if any(isinstance(place, int) for place in reading.columns.values()):
        table, separator = _Table(_numbered(reading), _MAX_COLUMNS, reading), separator or ","
    for number, line in given:
        if line is None:
            yield Fault(f"line {number}", f"longer than {reading.limits.entry_bytes:,} bytes (limits.entry_bytes)")
            continue
        if not line.strip("\x00 \t") or line.startswith("#"):
            continue
        if table is None:
            separator = separator or max(SEPARATORS, key=line.count)
            names = [name.strip().lower() for name in _cells(line, separator) or ()]
            try:
                table = _Table(_named(names, reading), len(names), reading)
            except ValueError as error:
                yield Fault(f"line {number}", str(error), "end")
                return
            continue
        try:
            yield from table.entries(_cells(line, separator))
        except ValueError as error:
            yield Fault(f"line {number}", str(error))
    if table is None:
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


class _Table:
    """The columns of one CSV. What many lines say alike is made into an indicator's parts once."""

    def __init__(self, places: Places, width: int, reading: Reading) -> None:
        self._width, self._reading = width, reading
        self._reach = max((place for _, place in places), default=-1) + 1
        where = dict(places)
        # A column that is not there is the empty cell behind all others.
        self._said = itemgetter(*(where.get(name, -1) for name in COLUMNS))
        self._alike: dict[tuple[str, ...], Indicator] = {}

    def entries(self, cells: list[str] | None) -> list[Indicator]:
        """The rows of one line. Raises ValueError."""
        if cells is None or len(cells) > self._width:
            raise ValueError(f"not {self._width} cells")
        cells += [""] * (max(0, self._reach - len(cells)) + 1)
        kind, value, name, title, level, sure, since, until, seen, source, tlp, tags, phases = map(
            str.strip, self._said(cells)
        )
        rows, remarks = composite.rows(kind or self._reading.defaults.type, value)
        alike = self._made((level, sure, source, tlp, tags, phases, *remarks))
        seen_at, start, end = indicators.moment(seen), indicators.moment(since), indicators.moment(until)
        start, end = made.validity(self._reading, start, end, seen_at)
        name, title = made.identifier(name), made.clean(title)
        if not name:
            name = long_hash("indicator", *(part for row in rows for one in row for part in one), alike.source)
        return [
            indicators.joined(
                (name, kind, value, title or made.clean(f"{kind} {value}"), alike.level, alike.confidence, start, end),
                (alike.source, alike.tlp, alike.tags, tuple(also), alike.phases, alike.authority, seen_at),
            )
            for (kind, value), *also in rows
        ]

    def _made(self, said: tuple[str, ...]) -> Indicator:
        """What these cells make of an indicator. Raises ValueError."""
        known = self._alike.get(said)
        if known is None:
            level, confidence, source, tlp, tags, phases, *remarks = said
            known = made.shared(
                self._reading,
                id="",
                level=indicators.level(level) if level else "",
                confidence=indicators.confidence(confidence) if confidence else None,
                tlp=indicators.tlp(tlp) if tlp else "",
                tags=(*_parts(tags), *remarks),
                phases=_parts(phases),
                source=source,
            )
            if len(self._alike) >= _MAX_ALIKE:
                self._alike.clear()
            self._alike[said] = known
        return known


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.replace(",", ";").split(";") if part.strip()) if text else ()
