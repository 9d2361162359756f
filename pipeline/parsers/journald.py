"""The systemd journal as JSON: `journalctl -o json`, Vector's `journald`, Fluent Bit's `systemd`.

What sshd and sudo say gives the fields that it gives over syslog, and audit records (`_TRANSPORT=audit`) are read as
the audit daemon's. Times are microseconds since 1970. A message that is no UTF-8 comes as a list of bytes.
Sources: systemd.journal-fields(7), journalctl(1) "json", the references of Vector and Fluent Bit.
"""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import Rows, take_path, take_urls_inside
from pipeline.parsers.auditd import audit_event, is_audit
from pipeline.parsers.clock import moment
from pipeline.parsers.linux import PROGRAMS, source_of
from pipeline.parsers.shape import Topic, first
from schemas.event import Event, Format

JOURNALD = Format("journald", "json")
#: A message of bytes: it stands in the record as numbers.
_BYTES = Format("journald", "opaque")
#: An audit record in a JSON string is no plain text.
_AUDITD = Format("auditd", "opaque")

OBSERVABLES: Final[Rows] = (("message", take_urls_inside), ("_EXE", take_path))

_HOST: Final = ("_HOSTNAME", "HOSTNAME", "host", "hostname")
_PROGRAM: Final = ("SYSLOG_IDENTIFIER", "_COMM", "COMM")
_PID: Final = ("SYSLOG_PID", "_PID", "PID")
_TIMES: Final = (
    "_SOURCE_REALTIME_TIMESTAMP",
    "__REALTIME_TIMESTAMP",
    "SOURCE_REALTIME_TIMESTAMP",
    "REALTIME_TIMESTAMP",
    "timestamp",
    "@timestamp",
    "date",
)
#: Syslog's facilities by their numbers as texts.
_FACILITIES: Final = {str(number): number for number in range(24)}


def is_journald(doc: dict[str, Any]) -> bool:
    """What journald alone writes; Fluent Bit can take its underscores away."""
    return (
        "_BOOT_ID" in doc
        or "__REALTIME_TIMESTAMP" in doc
        or ("BOOT_ID" in doc and "TRANSPORT" in doc)
        or ("SYSLOG_IDENTIFIER" in doc and ("MESSAGE" in doc or "message" in doc))
    )


def journald(doc: dict[str, Any], raw: bytes, _near: int, topic: Topic) -> Event:
    """The fields are the record's own object, with the names that a syslog line's parts have."""
    get = doc.get
    said = get("MESSAGE") if "MESSAGE" in doc else get("message")
    form = JOURNALD
    if isinstance(said, list):
        said, form = _text(said), _BYTES
    message = said if isinstance(said, str) else ""
    host, program, pid = first(get, _HOST), first(get, _PROGRAM), first(get, _PID)
    own = 0
    for name in _TIMES:
        if name in doc and (own := moment(doc[name], topic.zone)):
            break
    record = _audit(doc, message, own)
    if record or is_audit(program, message):
        event = audit_event(record or message, raw, own, host, topic)
        event.format = _AUDITD
        return event
    doc["message"] = message
    named = (("hostname", host), ("program", program), ("pid", pid))
    doc.update((name, value) for name, value in named if value)
    known = source_of(program, _FACILITIES.get(str(get("SYSLOG_FACILITY")), -1), topic.source)
    event = Event(0, raw, form, known, doc, 0, own, False, False, host, "", "", "", program)
    reader = PROGRAMS.get(known.service)
    if reader is not None:
        reader(message, event)
    return event


def _text(numbers: list[Any]) -> str:
    try:
        return bytes(numbers).decode("utf-8", "replace")
    except (TypeError, ValueError):
        return ""


def _audit(doc: dict[str, Any], message: str, own_ms: int) -> str:
    """An audit record's line as the audit daemon writes it; '' for what is none.

    The journal keeps type, number and time apart, and its message begins with the type's name: `USER_LOGIN pid=…`.
    """
    kind = doc.get("_AUDIT_TYPE_NAME") or doc.get("AUDIT_TYPE_NAME")
    serial = doc.get("_AUDIT_ID") or doc.get("AUDIT_ID")
    if not isinstance(kind, str) or not isinstance(serial, (str, int)):
        return ""
    rest = message.removeprefix(kind).lstrip()
    return f"type={kind} msg=audit({own_ms // 1000}.{own_ms % 1000:03}:{serial}): {rest}"
