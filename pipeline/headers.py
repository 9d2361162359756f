"""A file's header said to each of its lines: `#fields` and `#path` of Zeek's logs, the first line of CSV.

A record on a topic must be readable from itself alone, so what a file says once at its top is put before every line of
it, wherever files become records. The lines of the header itself are none.
"""

from __future__ import annotations

from collections.abc import Sequence

_ZEEK = (b"#separator", b"#fields\t")
#: What of a Zeek header a line needs; the rest says how the file was written, and when.
_KEPT = (b"#path\t", b"#fields\t")


class Header:
    """The header of one file, as far as it was read. `first`: the first line is one, whatever it holds."""

    def __init__(self, *, first: bool = False) -> None:
        self._first = first
        self._begun = self._zeek = False
        self._kept: dict[bytes, bytes] = {}
        self._head = b""

    def over(self, numbers: Sequence[int], values: Sequence[bytes]) -> tuple[Sequence[int], Sequence[bytes]]:
        """Consecutive lines, each behind the header, without those that are the header."""
        if not self._begun and values:
            self._begun = True
            self._zeek = values[0].startswith(_ZEEK)
            if self._first and not self._zeek:
                self._head, numbers, values = values[0] + b"\n", numbers[1:], values[1:]
        if self._zeek:
            rows = [row for row in zip(numbers, map(self._said, values), strict=True) if row[1] is not None]
            return [number for number, _ in rows], [value for _, value in rows if value is not None]
        return (numbers, [self._head + value for value in values]) if self._head else (numbers, values)

    def _said(self, line: bytes) -> bytes | None:
        if not line.startswith(b"#"):
            return self._head + line
        for mark in _KEPT:
            if line.startswith(mark):
                self._kept[mark] = line
                self._head = b"".join(self._kept[each] + b"\n" for each in _KEPT if each in self._kept)
        return None
