"""Formats that are told by tables: where in a nested record each column stands, as paths; made into one parser each.

A path is names joined by dots; a number is a place in a list (`sourceIPs.0`). Of several the first that says something
counts. A table's paths become one expression when the module is imported: a record then costs no loop.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Any

from detectors.ioc.observables import address
from pipeline.parsers.clock import moment
from pipeline.parsers.shape import Topic, first, word
from schemas.event import Event, Format, Source

Doc = dict[str, Any]
Parse = Callable[[Doc, bytes, int, Topic], Event]
Tell = Callable[[Doc, Topic], Source]
"""The log source of a record."""


def path_of(*paths: str) -> Callable[[Doc], Any]:
    """The first value along these paths that says something; None or an empty one where none does."""
    said: Callable[[Doc], Any] = eval(  # noqa: S307 - our own tables' names
        "lambda d: " + (" or ".join(map(_expression, paths)) or "None")
    )
    return said


def _expression(path: str) -> str:
    steps = path.split(".")
    made = f"d.get({steps[0]!r})"
    for depth, step in enumerate(steps[1:]):
        name = f"x{depth}"
        if step.isdigit():
            made = f"({name}[{step}] if type({name} := {made}) is list and len({name}) > {step} else None)"
        else:
            made = f"({name}.get({step!r}) if type({name} := {made}) is dict else None)"
    return made


def text_at(*paths: str) -> Callable[[Doc], str]:
    """`path_of` as a column's value."""
    whole = path_of(*paths)
    each = {path: path_of(path) for path in paths}

    def column(doc: Doc) -> str:
        value = whole(doc)
        if type(value) is str and value != "-":
            return value
        return first(lambda path: word(each[path](doc)), each) if value else ""

    return column


def address_at(*paths: str) -> Callable[[Doc], str]:
    """The first of these paths that holds an IP address, normalised; a port behind it goes."""
    said = text_at(*paths)

    def column(doc: Doc) -> str:
        value = said(doc)
        if not value:
            return ""
        found = address(value) or address(_without_port(value))
        return found.value if found is not None else ""

    return column


def _without_port(text: str) -> str:
    """`192.0.2.1:443` and `[2001:db8::1]:443`; clouds write clients so."""
    return text.partition("]")[0] if text.startswith("[") else text.partition(":")[0]


#: Where shippers put a time that they took out of the record.
_SHIPPERS = ("@timestamp", "timestamp")


def _nothing(_doc: Doc) -> str:
    return ""


def parser(
    form: Format,
    tell: Source | Tell,
    *,
    time: tuple[str, ...],
    zone: tzinfo | None = UTC,
    host: tuple[str, ...] = (),
    user: tuple[str, ...] = (),
    src_ip: tuple[str, ...] = (),
    dst_ip: tuple[str, ...] = (),
    process: tuple[str, ...] = (),
    command_line: tuple[str, ...] = (),
    domain: tuple[str, ...] = (),
    complete: Callable[[Doc], None] | None = None,
) -> Parse:
    """A parser by tables. `zone` of times without one; None: the bank's. `complete` adds to the fields what rules name
    and the format tells otherwise.
    """
    at = path_of(*dict.fromkeys((*time, *_SHIPPERS)))
    hosts, users, processes, commands, domains = (
        text_at(*paths) if paths else _nothing for paths in (host, user, process, command_line, domain)
    )
    sources, destinations = (address_at(*paths) if paths else _nothing for paths in (src_ip, dst_ip))
    fixed = tell if isinstance(tell, Source) else None

    def parse(doc: Doc, raw: bytes, _near: int, topic: Topic) -> Event:
        if complete is not None:
            complete(doc)
        known = fixed if fixed is not None else tell(doc, topic)  # type: ignore[operator]  # it is no Source then
        if topic.bare:
            return Event(0, raw, form, known, doc, 0, 0)
        return Event(
            0,
            raw,
            form,
            known,
            doc,
            0,
            moment(at(doc), zone or topic.zone),
            False,
            False,
            hosts(doc),
            users(doc),
            sources(doc),
            destinations(doc),
            processes(doc),
            commands(doc),
            domains(doc),
        )

    return parse
