"""Separated values with a header (CSV, TSV): read only where a topic names the format.

A record is read from itself and its topic's settings alone: its values are named by the topic's `fields`, else by its
own first line, which `qorgan publish` and `detect` put before each of a file's lines. Values that stand beyond the
names are `column12`; a row of more columns than bytes can mean is refused.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from typing import Any, Final

from pipeline.parsers import plain_json
from pipeline.parsers.shape import Topic
from schemas.errors import UnparsableError
from schemas.event import Event, Format

CSV = Format("csv", "text")
#: With doubled quotes, which do not stand so in the values.
CSV_ESCAPED = Format("csv", "opaque")
OBSERVABLES: Final = plain_json.OBSERVABLES
#: More columns than any log has.
MOST: Final = 4_096


def is_csv(_text: str) -> bool:
    """Whatever is no object: the topic says what it is."""
    return True


def separated(text: str, raw: bytes, near_ms: int, topic: Topic) -> Event:
    """One row. Raises UnparsableError("shape") for one whose values have no names, or which is the header itself."""
    names, row = topic.fields, text
    if not names:
        head, _, row = text.partition("\n")
        names = _names(head.rstrip("\r")[:16_384], topic.delimiter)
    if row.count(topic.delimiter) >= MOST:
        raise UnparsableError("shape")
    values = _values(row, topic.delimiter)
    if not values or (len(values) == 1 and len(names) > 1) or tuple(values) == names:
        raise UnparsableError("shape")
    fields: dict[str, Any] = dict(zip(names, values, strict=False))
    if len(values) > len(names):
        fields |= {f"column{at}": value for at, value in enumerate(values[len(names) :], len(names) + 1)}
    event = plain_json.plain_json(fields, raw, near_ms, topic)
    event.format = CSV_ESCAPED if '""' in row else CSV
    return event


@lru_cache(maxsize=256)
def _names(head: str, delimiter: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in _values(head, delimiter))


def _values(row: str, delimiter: str) -> list[str]:
    if '"' not in row:
        return row.split(delimiter)
    try:
        return next(csv.reader(row.splitlines(keepends=True), delimiter=delimiter), [])
    except csv.Error:  # a value of more than 128 KiB
        raise UnparsableError("size") from None
