"""Syslog: RFC 5424 and RFC 3164, with and without priority, and what sshd, sudo and the audit daemon say in it.

Bytes that are no UTF-8 are replaced, not refused: one odd byte must not hide a line from detection. A service is
told by the program's name, else by the facility, unless the topic names another product than Linux.
"""

from __future__ import annotations

import re
from typing import Any, Final

from detectors.ioc.observables import Rows, take_urls_inside
from pipeline.parsers.auditd import audit_event, is_audit
from pipeline.parsers.clock import MONTHS, moment, without_year
from pipeline.parsers.linux import PROGRAMS, SERVICES
from pipeline.parsers.shape import Topic, source
from schemas.errors import UnparsableError
from schemas.event import Event, Format, Source

SYSLOG = Format("syslog", "text")
#: Structured data with escapes: its values do not stand in the bytes.
SYSLOG_ESCAPED = Format("syslog", "opaque")

OBSERVABLES: Final[Rows] = (("message", take_urls_inside),)

_RFC5424 = re.compile(r"<(\d{1,3})>\d{1,2} (\S+) (\S+) (\S+) (\S+) (\S+) ?(.*)", re.DOTALL)
_RFC3164 = re.compile(
    r"(?:<(\d{1,3})>)?(?:([A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d)|(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*)) (\S+) "
    r"(?:([^\s:\[]{1,64})(?:\[([^\]\s]{0,32})\])?: ?)?(.*)",
    re.DOTALL,
)
_PRIORITY = re.compile(r"<(\d{1,3})>(.*)", re.DOTALL)
_VALUE = r'[^"\\\]]*(?:\\.[^"\\\]]*)*'
_ELEMENT = re.compile(rf'\[([^\s\]="]{{1,64}})((?: [^\s\]="]{{1,64}}="{_VALUE}")*)\]', re.DOTALL)
_PARAM = re.compile(rf' ([^\s\]="]{{1,64}})="({_VALUE})"', re.DOTALL)
_ESCAPE = re.compile(r'\\(["\\\]])')

_AUTH: Final = (4, 10)
_CRON: Final = 9


def is_syslog(text: str) -> bool:
    """A priority, or a time at the start of the line."""
    return (text[0] == "<" and text[1:2].isdigit()) or text[:3] in MONTHS or (text[:4].isdigit() and text[4:5] == "-")


def syslog(text: str, raw: bytes, near_ms: int, topic: Topic) -> Event:
    """One line. Raises UnparsableError("format") for a text without priority and time."""
    found = _RFC5424.match(text)
    if found is not None:
        return _of_5424(found, raw, topic)
    found = _RFC3164.match(text)
    if found is not None:
        priority, yearless, full, host, program, pid, message = found.groups()
        own = without_year(yearless, near_ms, topic.zone) if yearless else moment(full, topic.zone)
        return _event(raw, SYSLOG, priority, own, host, program or "", pid or "", message, {}, topic)
    found = _PRIORITY.match(text)
    if found is None:
        raise UnparsableError("format")
    return _event(raw, SYSLOG, found[1], 0, "", "", "", found[2], {}, topic)


def _of_5424(found: re.Match[str], raw: bytes, topic: Topic) -> Event:
    priority, stamp, host, program, pid, msgid, rest = found.groups()
    fields: dict[str, Any] = {} if msgid == "-" else {"msgid": msgid}
    form, message = SYSLOG, rest[2:] if rest.startswith("- ") or rest == "-" else rest
    if rest.startswith("["):
        at, escaped = _structured(rest, fields)
        message = rest[at:].removeprefix(" ")
        form = SYSLOG_ESCAPED if escaped else SYSLOG
    own = 0 if stamp == "-" else moment(stamp, topic.zone)
    absent = "" if program == "-" else program
    return _event(
        raw,
        form,
        priority,
        own,
        "" if host == "-" else host,
        absent,
        "" if pid == "-" else pid,
        message.removeprefix("\ufeff"),
        fields,
        topic,
    )


def _structured(rest: str, fields: dict[str, Any]) -> tuple[int, bool]:
    """Structured data into fields by parameter name; where the message starts, and whether anything was escaped."""
    at, escaped = 0, False
    while (element := _ELEMENT.match(rest, at)) is not None:
        at = element.end()
        for name, value in _PARAM.findall(element[2]):
            if "\\" in value:
                value, escaped = _ESCAPE.sub(r"\1", value), True
            fields.setdefault(name, value)
    return at, escaped


def _event(
    raw: bytes,
    form: Format,
    priority: str | None,
    own_ms: int,
    host: str,
    program: str,
    pid: str,
    message: str,
    fields: dict[str, Any],
    topic: Topic,
) -> Event:
    if is_audit(program, message):
        return audit_event(message, raw, own_ms, host, topic)
    facility = int(priority) >> 3 if priority else -1
    fields["message"] = message
    said = (("hostname", host), ("program", program), ("pid", pid))
    fields.update((name, value) for name, value in said if value)
    event = Event(0, raw, form, _source(program, facility, topic), fields, 0, own_ms, host=host, process=program)
    reader = PROGRAMS.get(event.source.service)
    if reader is not None:
        reader(message, event)
    return event


def _source(program: str, facility: int, topic: Topic) -> Source:
    told = topic.source
    if told.product not in ("", "linux"):
        return told
    service = SERVICES.get(program.rpartition("/")[2].lower())
    if service is None:
        service = "auth" if facility in _AUTH else "cron" if facility == _CRON else told.service or "syslog"
    return source("linux", told.category, service)
