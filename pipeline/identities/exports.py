"""Exports as rows: CSV of any width, LDIF, ISC's lease file. Untrusted: every line, row and file is bounded.

A row is our fields with their values. What is no row is named by its line and counted; the rest is read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple

from enrichers.rows import Value
from pipeline.identities.fields import FIELDS, NEEDED, SEVERAL, Names
from pipeline.identities.isc import isc_rows
from pipeline.identities.ldif_rows import ldif_rows
from pipeline.identities.plan import Export
from schemas.errors import RefusedError

MAX_BYTES: Final = 4 << 30
MAX_ROWS: Final = 3_000_000
#: Characters of one line; a DN and a hundred mail addresses fit.
MAX_LINE: Final = 64 << 10
MAX_COLUMNS: Final = 500

Row = dict[str, Sequence[Value]]


class Line(NamedTuple):
    """A row, and the line of its file at which it begins (CSV: ends)."""

    number: int
    row: Row


Refuse = Callable[[int, str], None]
"""Told a line's number and what is wrong with it, without its values."""


def rows_of(export: Export, path: Path, refuse: Refuse) -> Iterator[Line]:
    """The rows of an exported file. Raises RefusedError for a file that is none of its kind, or too large."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise RefusedError(f"{path} is larger than {MAX_BYTES >> 30} GB.")
        with path.open("rb") as file:
            for count, line in enumerate(_read(export, path, file, refuse)):
                if count >= MAX_ROWS:
                    raise RefusedError(f"{path} has more than {MAX_ROWS:,} rows.")
                yield line
    except OSError as error:
        raise RefusedError(f"{path} cannot be read ({error.strerror or 'no file'}). Check the plan.") from None


def _read(export: Export, path: Path, file: IO[bytes], refuse: Refuse) -> Iterator[Line]:
    names = _names(export)
    if export.format == "ldif":
        wanted = {name for several in names.values() for name in several}
        for number, found in ldif_rows(file, wanted, refuse):
            yield Line(number, _fields(found, names))
    elif export.format == "isc":
        yield from (Line(number, dict(row)) for number, row in isc_rows(_text(file, export), MAX_LINE))
    else:
        yield from _csv(export, path, _text(file, export), names, refuse)


def _names(export: Export) -> Names:
    """Field → what it is called in this file, lower case."""
    own = {field: (name.casefold(),) for field, name in export.columns.items()}
    return {**FIELDS[export.kind], **own}


def _text(file: IO[bytes], export: Export) -> io.TextIOWrapper:
    head = file.read(3)
    file.seek(0)
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else export.encoding
    return io.TextIOWrapper(file, "utf-8-sig" if encoding == "utf-8" else encoding, errors="replace", newline="")


def _csv(export: Export, path: Path, text: io.TextIOWrapper, names: Names, refuse: Refuse) -> Iterator[Line]:
    lines = _Lines(text, refuse)
    reader = csv.reader(lines, delimiter=export.delimiter)
    header: _Header | None = None
    while True:
        try:
            cells = next(reader, None)
        except csv.Error:
            refuse(lines.number, "a quoted value does not end")
            continue
        if cells is None:
            break
        if not any(cells) or (header is None and cells[0].startswith("#TYPE")):
            continue
        if header is None:
            header = _Header(export, path, cells, names)
        elif len(cells) > header.width:
            refuse(lines.number, "it has more columns than the header")
        else:
            yield Line(lines.number, header.fields(cells))
    if header is None:
        raise RefusedError(f"{path} has no header; name its columns in its first line.")


class _Lines:
    """Lines of at most MAX_LINE characters, and the number of the last one."""

    def __init__(self, text: io.TextIOWrapper, refuse: Refuse) -> None:
        self._text, self._refuse, self.number = text, refuse, 0

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(MAX_LINE):
            self.number += 1
            if len(line) < MAX_LINE or line.endswith("\n"):
                yield line
                continue
            self._refuse(self.number, f"it is longer than {MAX_LINE:,} characters")
            while (rest := self._text.readline(MAX_LINE)) and not rest.endswith("\n"):
                pass


class _Header:
    """The columns of a file. Raises RefusedError where it lacks those that are needed."""

    def __init__(self, export: Export, path: Path, cells: Sequence[str], names: Names) -> None:
        self._columns = [cell.strip().casefold() for cell in cells]
        self.width = len(cells)
        if self.width > MAX_COLUMNS:
            raise RefusedError(f"{path} has more than {MAX_COLUMNS} columns.")
        lacking = sorted(said for said in export.columns.values() if said.casefold() not in self._columns)
        if lacking:
            raise RefusedError(f"{path} has no column {', '.join(lacking)}, which the plan names.")
        self._names = {
            field: found for field, called in names.items() if (found := [n for n in called if n in self._columns])
        }
        needed = NEEDED[export.kind]
        if not any(field in self._names for field in needed):
            wanted = " or ".join(name for field in needed for name in names[field])
            raise RefusedError(f"{path} has no column {wanted}: it is no export of {export.kind}. Check its delimiter.")
        self._several = {name for field in SEVERAL for name in self._names.get(field, ())}
        self._split = export.split

    def fields(self, cells: Sequence[str]) -> Row:
        """A line's fields."""
        cut = {
            name: cell.split(self._split) if name in self._several else [cell]
            for name, cell in zip(self._columns, cells, strict=False)
            if cell
        }
        return _fields(cut, self._names)


def _fields(found: Mapping[str, Sequence[Value]], names: Names) -> Row:
    """A file's own names as ours. Of a field that may have several values all names count, else the first."""
    row: Row = {}
    for field, called in names.items():
        said = [found[name] for name in called if name in found]
        if said:
            row[field] = [value for values in said for value in values] if field in SEVERAL else said[0]
    return row
