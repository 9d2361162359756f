"""Other JSON objects: by the topic's default log source and ECS's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from detectors.ioc.observables import (
    DIGESTS,
    Rows,
    take_address,
    take_agent,
    take_email,
    take_host,
    take_path,
    take_url,
)
from pipeline.parsers.clock import moment
from pipeline.parsers.shape import Topic, ip, reach, word
from pipeline.parsers.windows import without_spaces
from schemas.event import Event, Format

JSON = Format("json", "json")

OBSERVABLES: Final[Rows] = (
    ("query", take_host),
    ("url", {"full": take_url, "original": take_url, "domain": take_host}),
    ("source", {"ip": take_address, "domain": take_host}),
    ("destination", {"ip": take_address, "domain": take_host}),
    ("client", {"ip": take_address}),
    ("server", {"ip": take_address}),
    ("dns", {"question": {"name": take_host}, "resolved_ip": take_address}),
    ("tls", {"client": {"server_name": take_host}}),
    ("file", {"hash": DIGESTS, "path": take_path}),
    ("user_agent", {"original": take_agent}),
    ("email", take_email),
    ("process", {"hash": DIGESTS}),
    *DIGESTS.items(),
)

_TIMES: Final = ("eventTime", "@timestamp", "timestamp", "time", "event_time", "ts", "date")

#: Where a column may stand, as paths; the first that says something counts.
_HOST: Final = (("host", "name"), ("host", "hostname"), ("hostname",), ("host",), ("computer",), ("device",))
_USER: Final = (
    ("userIdentity", "userName"),
    ("userIdentity", "arn"),
    ("user", "name"),
    ("username",),
    ("user",),
    ("userName",),
)
_SRC: Final = (("sourceIPAddress",), ("source", "ip"), ("client", "ip"), ("src_ip",), ("srcip",), ("client_ip",))
_DST: Final = (("destination", "ip"), ("dst_ip",), ("dstip",), ("dest_ip",))
_PROCESS: Final = (("process", "executable"), ("process", "name"), ("exe",))
_COMMAND: Final = (("process", "command_line"), ("command_line",), ("cmdline",))
_DOMAIN: Final = (("dns", "question", "name"), ("url", "domain"), ("destination", "domain"), ("domain",))


def is_json(_doc: dict[str, Any]) -> bool:
    """Every object."""
    return True


def plain_json(doc: dict[str, Any], raw: bytes, _near: int, topic: Topic) -> Event:
    """The fields are the record's own object."""
    if " " in "".join(doc):
        doc = without_spaces(doc) | doc
    keys = doc.keys()
    own = 0
    if not _TIME_NAMES.isdisjoint(keys):
        for name in _TIMES:
            if name in keys and (own := moment(doc[name], topic.zone)):
                break
    event = Event(0, raw, JSON, topic.source, doc, 0, own)
    heads = keys & _HEADS
    if heads:
        for column, their, paths, read in _COLUMNS:
            if not their.isdisjoint(heads):
                setattr(event, column, _pick(doc, paths, read))
    return event


def _pick(doc: dict[str, Any], paths: tuple[tuple[str, ...], ...], read: Callable[[Any], str]) -> str:
    for path in paths:
        if path[0] in doc:
            said = doc[path[0]] if len(path) == 1 else reach(doc, path)
            value = read(said)
            if value and value != "-":
                return value
    return ""


_COLUMNS: Final = tuple(
    (column, frozenset(path[0] for path in paths), paths, read)
    for column, paths, read in (
        ("host", _HOST, word),
        ("user", _USER, word),
        ("src_ip", _SRC, ip),
        ("dst_ip", _DST, ip),
        ("process", _PROCESS, word),
        ("command_line", _COMMAND, word),
        ("domain", _DOMAIN, word),
    )
)
_HEADS: Final = frozenset().union(*(heads for _, heads, _, _ in _COLUMNS))
_TIME_NAMES: Final = frozenset(_TIMES)
