"""The contract of a format's parser, and how columns are taken from fields by tables of names.

A parser gets the decoded record and returns its event. `time_ms` is then the event's own time, or 0; the reader
judges it against Kafka's. Offset, Kafka's time and observables are the reader's too. A parser raises UnparsableError
for what is not of its format, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache
from typing import Any, NamedTuple

from detectors.ioc.observables import Rows, address
from schemas.event import Event, Format, Source
from schemas.field_mapping import FieldMapping

Get = Callable[[str], Any]
Column = Callable[[Get], str]
"""Takes a column's value out of fields, given their `get`."""

MAX_WORD = 8_192
"""Characters of a column's value; longer ones are cut. The record keeps them whole."""
MAX_SOURCE = 128
MAX_EVENT_ID = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Topic:
    """What the settings say of one raw topic."""

    zone: tzinfo
    source: Source
    lateness_ms: int
    shape: Shape | None
    """The named format; None: detect by record."""
    mapping: FieldMapping | None = None
    """Where its records hold the fields of rules, if not under their names."""
    bare: bool = False
    """Only what rules look at is wanted, fields and source; columns and the event's own time may be left out."""
    fields: tuple[str, ...] = ()
    """The names of a separated record's values, in order: what a header line would say."""
    delimiter: str = ","
    columns: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Column, or word of the log source → the path at which its records hold it."""
    text: bool = False
    """Observables are looked for in the record's text too."""


class Shape(NamedTuple):
    """One format: its name and form, how a record of it is known, how it is read.

    `sniff` and `parse` of a JSON format get the record's object, of a text format its text without end of line; of
    this the first HEAD characters may be all that `sniff` gets, and of what is beyond ASCII it sees single bytes.
    """

    format: Format
    sniff: Callable[[Any], bool]
    parse: Callable[[Any, bytes, int, Topic], Event]
    """(object or text, raw, Kafka's time in ms or less than 0, topic) → event."""
    table: Rows = ()
    """Where its observables stand, beside those of the columns."""


def first(get: Get, names: Iterable[str]) -> str:
    """The first of these fields that says something, as a column's value."""
    for name in names:
        value = get(name)
        if value and value != "-":
            return value if type(value) is str else word(value)
    return ""


def first_of(*names: str) -> Column:
    """`first` over fixed names, made into one expression: half the time of the loop, for the busiest formats."""
    said = eval("lambda get: " + " or ".join(f"get({name!r})" for name in names))  # noqa: S307 - our own table's names

    def column(get: Get) -> str:
        value = said(get)
        return value if type(value) is str and value != "-" else first(get, names) if value else ""

    return column


def address_of(*names: str) -> Column:
    """The first of these fields that holds an IP address, normalised."""
    said = first_of(*names)

    def column(get: Get) -> str:
        value = said(get)
        return ip(value) if value else ""

    return column


def ip(value: Any) -> str:
    """An IP address, normalised; nothing for what is none."""
    known = address(value) if type(value) is str and value else None
    return known.value if known is not None else ""


def word(value: Any) -> str:
    """A scalar as text; nothing for what nests."""
    return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""


def bound(event: Event) -> None:
    """Cut the columns of an event whose record is large, so that a column never holds megabytes."""
    for name in ("host", "user", "src_ip", "dst_ip", "process", "command_line", "domain"):
        value = getattr(event, name)
        if len(value) > MAX_WORD:
            setattr(event, name, value[:MAX_WORD])


def reach(value: Any, path: tuple[str, ...]) -> Any:
    """What stands at a path of names, or None. A name with dots in it counts as a path too."""
    for at, name in enumerate(path):
        if not isinstance(value, dict):
            return None
        if name not in value and at + 1 < len(path):
            return value.get(".".join(path[at:]))
        value = value.get(name)
    return value


@lru_cache(maxsize=16_384)
def source(product: str, category: str, service: str, event_id: int = 0) -> Source:
    """One object per distinct source; bounded, since a shipper writes the service."""
    return Source(product[:MAX_SOURCE], category, service[:MAX_SOURCE].lower(), event_id)


@lru_cache(maxsize=16_384)
def windows_source(channel: str, event_id: int) -> Source:
    """The source of a Windows event: its channel in lower case is the service. Sysmon for Linux writes them too."""
    service = channel[:MAX_SOURCE].lower()
    return Source("linux" if service.startswith("linux-sysmon") else "windows", "", service, event_id)


def event_number(value: Any) -> int:
    """An event id as a number that a column can hold, else 0."""
    if type(value) is str and value.isascii() and value.isdigit() and len(value) < 11:
        value = int(value)
    return value if type(value) is int and 0 <= value <= MAX_EVENT_ID else 0
