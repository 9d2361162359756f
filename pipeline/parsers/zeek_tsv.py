r"""Zeek's logs as tab separated values, with the fields and kinds of values that its JSON has.

A record is read from itself and its topic's settings alone. Its fields are named by its own header lines (`#fields`,
`#path`: `qorgan publish` and `detect` put a file's before each of its lines), else by the topic's `fields`, else by
the log that the topic's `service` names, where the number of values is that of Zeek's own scripts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pipeline.parsers.shape import Topic
from pipeline.parsers.zeek import log_of, zeek_event
from pipeline.parsers.zeek_logs import BOOLS, COUNTS, DOUBLES, ELSEWHERE, LISTS, SCHEMAS, SPANS
from schemas.errors import UnparsableError
from schemas.event import Event, Format

ZEEK_TSV = Format("zeek_tsv", "text")
ZEEK_TSV_ESCAPED = Format("zeek_tsv", "opaque")

_ROW = re.compile(r"\d{9,10}\.\d{1,6}\t[^\t\n]{1,255}\t")
_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")
_UNSET, _EMPTY = "-", "(empty)"
#: More columns than any log has.
_MOST: Final = 512


class Layout(NamedTuple):
    """A log's name, its fields with what reads their values, and its format: `T` is no `true`."""

    log: str
    fields: tuple[tuple[str, Callable[[str], Any]], ...]
    format: Format


def is_zeek_tsv(text: str) -> bool:
    """Header lines of its own, or a time and an id before the first tabs."""
    return text.startswith(("#fields\t", "#path\t", "#separator")) or _ROW.match(text) is not None


def zeek_tsv(text: str, raw: bytes, _near: int, topic: Topic) -> Event:
    """One line. Raises UnparsableError("shape") where its fields have no names, or are others than those named."""
    head, _, row = text.rpartition("\n") if text[0] == "#" else ("", "", text)
    values = row.split("\t")
    layout = _layout(head[:16_384], topic.fields, topic.source.service, len(values))
    if layout is None or row[:1] == "#":
        raise UnparsableError("shape")
    form = layout.format
    if "\\x" in row:
        form = ZEEK_TSV_ESCAPED
        values = [_ESCAPE.sub(_character, value) if "\\x" in value else value for value in values]
    try:
        doc = {name: read(value) for (name, read), value in zip(layout.fields, values, strict=True) if value != _UNSET}
    except ValueError:  # no number where the field is one
        raise UnparsableError("shape") from None
    return zeek_event(doc, raw, form, layout.log or log_of(doc), topic)


def _character(found: re.Match[str]) -> str:
    return chr(int(found[1], 16))


@lru_cache(maxsize=256)
def _layout(head: str, named: tuple[str, ...], service: str, count: int) -> Layout | None:
    """What a record's header, its topic's settings or its log say its fields are; None: nothing fits."""
    log, fields = service, named
    for line in head.split("\n"):
        mark, _, rest = line.partition("\t")
        if mark == "#path":
            log = rest
        elif mark == "#fields":
            fields = tuple(rest.split("\t"))
    if not fields:
        fields = next((each for each in SCHEMAS.get(service, ()) if len(each) == count), ())
    if not 1 < len(fields) == count <= _MOST:
        return None
    readers = tuple((name, _reader(name, log)) for name in fields)
    return Layout(log, readers, Format("zeek_tsv", "text", frozenset(fields) & BOOLS))


def _reader(name: str, log: str) -> Callable[[str], Any]:
    other = ELSEWHERE.get(f"{log}.{name}")
    if other is not None:
        return _list if other == "list" else _text if other == "text" else int
    if name in SPANS:
        return lambda text: [float(part) for part in _list(text)]
    if name in LISTS:
        return _list
    if name in DOUBLES:
        return float
    if name in COUNTS:
        return int
    return _bool if name in BOOLS else _text


def _text(value: str) -> str:
    return "" if value == _EMPTY else value


def _bool(value: str) -> bool:
    return value == "T"


def _list(value: str) -> list[str]:
    return [] if value == _EMPTY else value.split(",")
