"""Zeek's JSON logs, one object a line: the log's name is the service, the fields keep Zeek's own names.

Rules of Sigma's `dns`, `proxy`, `webserver` and `firewall` categories find them by `detectors/sigma/providers.py`.
"""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import DIGESTS, Rows, take_host
from pipeline.parsers.clock import moment
from pipeline.parsers.shape import Topic, address_of, first_of, source
from schemas.event import Event, Format

ZEEK = Format("zeek", "json")

OBSERVABLES: Final[Rows] = (
    ("query", take_host),
    ("answers", take_host),
    ("host", take_host),
    ("server_name", take_host),
    *DIGESTS.items(),
)

_SRC_IP = address_of("id.orig_h")
_DST_IP = address_of("id.resp_h")
_DOMAIN = first_of("query", "server_name", "host")
_USER = first_of("user", "username", "client")
#: What tells a log that does not name itself (`_path`): a field that it alone has.
_LOGS: Final = (
    ("qtype_name", "dns"),
    ("uri", "http"),
    ("conn_state", "conn"),
    ("cipher", "ssl"),
    ("endpoint", "dce_rpc"),
    ("share_type", "smb_mapping"),
    ("helo", "smtp"),
)


def is_zeek(doc: dict[str, Any]) -> bool:
    """A connection's id with its ends, or a log that names itself beside a time of Zeek's."""
    return ("id.orig_h" in doc and "uid" in doc) or ("_path" in doc and "ts" in doc)


def zeek(doc: dict[str, Any], raw: bytes, _near: int, topic: Topic) -> Event:
    """One line of a log."""
    get = doc.get
    log = get("_path")
    if not isinstance(log, str):
        log = topic.source.service or next((name for field, name in _LOGS if field in doc), "")
    return Event(
        0,
        raw,
        ZEEK,
        source("zeek", topic.source.category, log),
        doc,
        0,
        moment(get("ts"), topic.zone),
        user=_USER(get),
        src_ip=_SRC_IP(get),
        dst_ip=_DST_IP(get),
        domain=_DOMAIN(get),
    )
