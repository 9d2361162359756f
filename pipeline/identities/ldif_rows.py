"""LDIF as rows, with the package `ldif` for its values.

The package's own reader joins lines and records without a bound, and checks DNs by an expression that takes exponential
time, so records are cut into lines here, attributes that nobody wants are dropped before they are decoded, and DNs are
taken as they are. It follows no URL (`attribute:< file:///…`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import IO, Any, Final

from ldif import LDIFParser  # type: ignore[import-untyped]  # it comes without stubs

from enrichers.rows import Value

#: Bytes of one wanted value as written, and of one line; photographs are dropped before.
MAX_VALUE: Final = 16 << 10
MAX_LINE: Final = 64 << 10
#: Wanted lines of one record.
MAX_LINES: Final = 1_000

Refuse = Callable[[int, str], None]


def ldif_rows(file: IO[bytes], wanted: set[str], refuse: Refuse) -> Iterator[tuple[int, dict[str, list[Value]]]]:
    """The records of a file: the line each begins at, and its wanted attributes in lower case, without options."""
    for number, lines in _records(file, wanted | {"dn", "changetype"}, refuse):
        try:
            dn, entry = _One().record(lines)
        except (ValueError, UnicodeError):  # base64 that is none, a line without a colon
            refuse(number, "it is no LDIF record")
            continue
        if not dn or "changetype" in entry:
            refuse(number, "it has no DN" if not dn else "it is a change, not an entry: export entries")
            continue
        found: dict[str, list[Value]] = {"dn": [dn]}
        for name, values in entry.items():
            found.setdefault(_attribute(name), []).extend(values)
        yield number, found


class _One(LDIFParser):  # type: ignore[misc]  # the package has types for its methods alone
    """The package's reader for one record's lines, without its check of DNs."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())

    def _check_dn(self, dn: Any, _value: Any) -> None:
        if dn is not None:
            raise ValueError("two DNs")

    def record(self, lines: list[bytes]) -> tuple[str | None, dict[str, list[Value]]]:
        """The DN and the attributes."""
        dn, entry = self._parse_entry_record(lines)
        return dn, entry


def _records(file: IO[bytes], wanted: set[str], refuse: Refuse) -> Iterator[tuple[int, list[bytes]]]:
    """The wanted lines of each record, and the line it begins at. `version: 1` at the beginning is none of one."""
    held: list[bytes] = []
    first, whole = 0, True
    for number, line in _unfolded(file):
        if line:
            first = first or number
            if whole and _attribute(line.partition(b":")[0].decode("ascii", "replace")) in wanted:
                held.append(line)
                whole = len(line) <= MAX_VALUE and len(held) <= MAX_LINES
            continue
        if not whole:
            refuse(first, "a value of it is too long, or it has too many")
        elif held:
            yield first, held
        held, first, whole = [], 0, True


def _unfolded(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines with those that continue them, at most MAX_LINE bytes of each; '' between records and at the end."""
    parts: list[bytes] = []
    size, number, began = 0, 0, 0
    while raw := file.readline(MAX_LINE):
        number += 1
        while not raw.endswith(b"\n") and (more := file.readline(MAX_LINE)):
            raw = raw[:MAX_LINE] + (b"\n" if more.endswith(b"\n") else b"")
        line = raw.rstrip(b"\r\n")
        if line[:1] == b" " and parts:
            if size < MAX_LINE:
                parts.append(line[1:])
                size += len(line)
            continue
        yield from _said(began, parts)
        parts, size, began = [line], len(line), number
    yield from _said(began, parts)
    yield number, b""


def _said(number: int, parts: list[bytes]) -> Iterator[tuple[int, bytes]]:
    if parts and not parts[0].startswith(b"#"):
        yield number, b"".join(parts)


def _attribute(name: str) -> str:
    return name.partition(";")[0].strip().lower()
