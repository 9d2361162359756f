"""Indicators from a plain list: a value a line. Comments, `hosts` files and the marks of block lists are understood.

What is behind ` #`, ` ;` or ` //` is a remark; a line that begins so is one. Without a type of the feed, the value
tells it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from detectors.ioc.feeds import composite, made
from detectors.ioc.feeds.entry import Entry, Fault
from detectors.ioc.feeds.lines import lines
from schemas.feed import Reading
from schemas.identity import long_hash

_REMARK: Final = re.compile(r"(?:^|\s)(?:#|;|//)")
#: Where a `hosts` file sends the names that it blocks.
_NOWHERE: Final = ("0.0.0.0", "127.0.0.1", "::", "::1")  # noqa: S104 - no address to listen on


def entries(stream: BinaryIO, reading: Reading) -> Iterator[Entry]:
    """Read a list; an indicator's id is made of type, value and source."""
    for number, line in lines(stream, reading.limits.entry_bytes):
        if line is None:
            yield Fault(f"line {number}", f"longer than {reading.limits.entry_bytes:,} bytes (limits.entry_bytes)")
            continue
        remark = _REMARK.search(line) if "#" in line or ";" in line or "/" in line else None
        value = (line[: remark.start()] if remark else line).strip(" \t\x00,")
        if not value:
            continue
        try:
            rows, tags = composite.rows(reading.defaults.type, _bare(value))
            key = long_hash("indicator", reading.source, *(part for row in rows for one in row for part in one))
            yield from made.of(made.shared(reading, id=key, tags=tags), rows)
        except ValueError as error:
            yield Fault(f"line {number}", str(error))


def _bare(value: str) -> str:
    """Without the null route of a `hosts` file, and the marks of a block list (`||evil.example^`)."""
    words = value.split(None, 2)
    if len(words) == 2 and words[0] in _NOWHERE:
        return words[1]
    return value[2:].rstrip("^") if value.startswith("||") else value.strip('"')
