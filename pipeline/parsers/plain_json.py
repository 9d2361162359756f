"""Other JSON objects: by the topic's default log source and ECS's names."""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import DIGESTS, Rows, address, take_address, take_host, take_url
from pipeline.parsers.clock import moment
from pipeline.parsers.shape import Topic, word
from pipeline.parsers.windows import without_spaces
from pipeline.parsers.winlogbeat import reach
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
    ("file", {"hash": DIGESTS}),
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
    own = 0
    for name in _TIMES:
        if name in doc:
            own = moment(doc[name], topic.zone)
            if own:
                break
    return Event(
        0,
        raw,
        JSON,
        topic.source,
        doc,
        0,
        own,
        host=_pick(doc, _HOST),
        user=_pick(doc, _USER),
        src_ip=_pick_address(doc, _SRC),
        dst_ip=_pick_address(doc, _DST),
        process=_pick(doc, _PROCESS),
        command_line=_pick(doc, _COMMAND),
        domain=_pick(doc, _DOMAIN),
    )


def _pick(doc: dict[str, Any], paths: tuple[tuple[str, ...], ...]) -> str:
    for path in paths:
        if path[0] in doc:
            value = word(reach(doc, path))
            if value and value != "-":
                return value
    return ""


def _pick_address(doc: dict[str, Any], paths: tuple[tuple[str, ...], ...]) -> str:
    for path in paths:
        if path[0] in doc:
            value = reach(doc, path)
            known = address(value) if type(value) is str else None
            if known is not None:
                return known.value
    return ""
