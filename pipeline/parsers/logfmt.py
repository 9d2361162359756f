r"""Pairs: `key=value key="quoted value"`, as logfmt has them and as firewalls send them (FortiGate, Sophos, SonicWall).

In a quoted value `\"` and `\\` are undone; such a record is `opaque`. Of a key that stands twice the first counts. Of
a FortiGate its own type and subtype are the log source; others have their topic's.
"""

from __future__ import annotations

import re
from typing import Any, Final

from detectors.ioc.observables import DIGESTS, Rows, take_agent, take_hash, take_host, take_path, take_url
from detectors.sigma.pipelines import ours
from pipeline.parsers.clock import moment
from pipeline.parsers.devices import device_source
from pipeline.parsers.shape import Topic, address_of, first_of
from schemas.errors import UnparsableError
from schemas.event import Event, Format

LOGFMT = Format("logfmt", "text", mapping=ours("logfmt"))
LOGFMT_ESCAPED = Format("logfmt", "opaque", mapping=ours("logfmt"))

OBSERVABLES: Final[Rows] = (
    ("url", take_url),
    ("hostname", take_host),
    ("qname", take_host),
    ("sni", take_host),
    ("agent", take_agent),
    ("filehash", take_hash),
    ("filename", take_path),
    *DIGESTS.items(),
)

#: The usual record, behind a blank; and one with escapes, or with other white space between pairs.
_USUAL = re.compile(r' ([A-Za-z0-9_.-]+)=(?:"([^"]*)"|([^ ]*))')
_ANY = re.compile(r'(?<!\S)([A-Za-z0-9_.-]+)=(?:"([^"\\]*(?:\\.[^"\\]*)*)"|(\S*))', re.DOTALL)
_ODD = re.compile(r"[\\\t\r\n]")
_FIRST = re.compile(r"[A-Za-z_][\w.-]{0,127}=", re.ASCII)
_ESCAPE = re.compile(r'\\(["\\])')

_HOST = first_of("devname", "device_name", "host", "hostname", "computer")
_USER = first_of("user", "srcuser", "user_name", "username", "unauthuser")
_SRC_IP = address_of("srcip", "src_ip", "src", "remip", "client_ip", "ip")
_DST_IP = address_of("dstip", "dst_ip", "dst", "locip")
_PROCESS = first_of("process", "exe", "app")
_COMMAND = first_of("command", "cmd", "cmdline")
_DOMAIN = first_of("qname", "hostname", "domain", "sni")
_TIME = first_of("eventtime", "timestamp", "ts", "time", "@timestamp")


def is_logfmt(text: str) -> bool:
    """It starts with a key and an equals sign, and holds a second one."""
    return _FIRST.match(text) is not None and text.count("=", 0, 1_024) > 1


def is_device(text: str) -> bool:
    """A firewall's pairs: they begin with a date, a device, or a log's number."""
    return text.startswith(("date=", "device=", "devname=", "logver=", "log_id=", "timestamp=")) and is_logfmt(text)


def logfmt(text: str, raw: bytes, _near: int, topic: Topic) -> Event:
    """One record. Raises UnparsableError("format") where there is no pair."""
    fields, escaped = _pairs(text)
    if not fields:
        raise UnparsableError("format")
    get = fields.get
    form, known = LOGFMT_ESCAPED if escaped else LOGFMT, topic.source
    fortigate = "devid" in fields and "logid" in fields
    if fortigate:
        known = device_source("fortinet", "fortigate", f"{get('type', '')} {get('subtype', '')}", known)
    elif "device" in fields and "log_type" in fields:
        known = device_source("sophos", "firewall", fields["log_type"], known)
    if topic.bare:
        return Event(0, raw, form, known, fields, 0, 0)
    user, domain = _USER(get), _DOMAIN(get)
    return Event(
        0,
        raw,
        form,
        known,
        fields,
        0,
        _time(fields, topic),
        False,
        False,
        _HOST(get) if not fortigate else get("devname", ""),
        user,
        _SRC_IP(get),
        _DST_IP(get),
        _PROCESS(get),
        _COMMAND(get),
        domain,
    )


def _pairs(text: str) -> tuple[dict[str, Any], bool]:
    """The pairs, and whether an escape was undone."""
    if _ODD.search(text) is None:
        return {name: quoted or plain for name, quoted, plain in reversed(_USUAL.findall(f" {text}"))}, False
    fields: dict[str, Any] = {}
    escaped = False
    for name, quoted, plain in _ANY.findall(text):
        if "\\" in quoted:
            quoted, escaped = _ESCAPE.sub(r"\1", quoted), True
        fields.setdefault(name, quoted or plain)
    return fields, escaped


def _time(fields: dict[str, Any], topic: Topic) -> int:
    """`eventtime`, else `date` and `time` with `tz`, else what is called a time."""
    day, clock = fields.get("date"), fields.get("time")
    if day and clock and "eventtime" not in fields:
        return moment(f"{day}T{clock}{fields.get('tz', '')}", topic.zone)
    return moment(_TIME(fields.get), topic.zone)
