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
from pipeline.parsers.shape import Topic, ip
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
    # All values are texts, so what the tables of other formats see to need not be seen to.
    host = get("devname") or get("device_name") or ""
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
        host if fortigate else host or get("host") or get("hostname") or get("computer") or "",
        get("user") or get("srcuser") or get("user_name") or get("username") or get("unauthuser") or "",
        ip(get("srcip") or get("src_ip") or get("src") or get("remip") or get("client_ip") or get("ip")),
        ip(get("dstip") or get("dst_ip") or get("dst") or get("locip")),
        get("process") or get("exe") or get("app") or "",
        get("command") or get("cmd") or get("cmdline") or "",
        get("qname") or get("hostname") or get("domain") or get("sni") or "",
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
    get = fields.get
    day, clock = get("date"), get("time")
    if day and clock and "eventtime" not in fields:
        return moment(f"{day}T{clock}{get('tz', '')}", topic.zone)
    return moment(get("eventtime") or get("timestamp") or get("ts") or get("time") or get("@timestamp"), topic.zone)
