"""Syslog as it is deployed: RFC 5424, RFC 3164, and what devices make of them; what a line carries is read as itself.

Bytes that are no UTF-8 are replaced, not refused: one odd byte must not hide a line from detection. A service is
told by the program's name, else by the facility, unless the topic names another product than Linux. The usual line is
read by one expression; sequence numbers, years, zones, missing hosts and framing are looked for in all others.
"""

from __future__ import annotations

import re
from typing import Any, Final

from detectors.ioc.observables import Rows, take_urls_inside
from pipeline.parsers.auditd import audit_event, is_audit
from pipeline.parsers.carried import MARKS, ODD, carried
from pipeline.parsers.cisco import device
from pipeline.parsers.clock import MONTHS, dated, moment, without_year
from pipeline.parsers.linux import PROGRAMS, source_of
from pipeline.parsers.logfmt import is_device, logfmt
from pipeline.parsers.shape import Topic, ip
from schemas.errors import UnparsableError
from schemas.event import NOWHERE, Event, Format, Source

SYSLOG = Format("syslog", "text")
#: Structured data with escapes: its values do not stand in the bytes.
SYSLOG_ESCAPED = Format("syslog", "opaque")

OBSERVABLES: Final[Rows] = (("message", take_urls_inside),)

_PROGRAM_PID = r"([^\s:\[]{1,64})(?:\[([^\]\s]{0,32})\])?:(?: |\Z)"
_USUAL = re.compile(
    r"(?:<(\d{1,3})>)?([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) ([^\s:\[%]+) " + rf"(?:(?=CEF:|LEEF:)|{_PROGRAM_PID})"
)
_RFC5424 = re.compile(r"<(\d{1,3})>\d{1,2} (\S+) (\S+) (\S+) (\S+) (\S+)(?: |\Z)")
_COUNTED = re.compile(r"\d{1,8} (?=<\d)")
_PRIORITY = re.compile(r"<(\d{1,3})>")
#: Cisco: a sequence number, the device, both, or a lone colon, and `*` or `.` of a clock that is not sure.
_BEFORE = re.compile(r"(?:(\d{1,10}): )?(?:([\w.-]{1,255}): )?:?[*.]?(?=[A-Z][a-z]{2} )")
_STAMP = re.compile(
    r"(?:([A-Z][a-z]{2} {1,2}\d{1,2} (?:\d{4} )?\d\d?:\d\d:\d\d)(\.\d{1,9})?( (?:19|20)\d\d(?=[ :]))?"
    r"|(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*)|(\d{10}\.\d{1,9}))"
    r"(?: (?:[A-Z]{1,5}|[+-]\d\d:?\d\d)(?=:))?(?: ?:)?(?: |\Z)"
)
_HOST = re.compile(r"([^\s:\[%][^\s\[%]{0,254}?)(?: ?:(?= %)| (?=\S)|\Z):? ?")
_PROGRAM = re.compile(_PROGRAM_PID)
_VALUE = r'[^"\\\]]*(?:\\.[^"\\\]]*)*'
_ELEMENT = re.compile(rf'\[([^\s\]="]{{1,64}})((?: [^\s\]="]{{1,64}}="{_VALUE}")*)\]', re.DOTALL)
_PARAM = re.compile(rf' ([^\s\]="]{{1,64}})="({_VALUE})"', re.DOTALL)
_ESCAPE = re.compile(r'\\(["\\\]])')

_SENSORS: Final = frozenset({"suricata", "zeek"})


def is_syslog(text: str) -> bool:
    """A priority, or a time at the start of the line; behind the count of its bytes, too."""
    if text[0] == "<":
        return text[1:2].isdigit()
    if text[0].isdigit():
        return text[4:5] == "-" or _COUNTED.match(text) is not None
    return text[:3] in MONTHS


def syslog(text: str, raw: bytes, near_ms: int, topic: Topic) -> Event:
    """One line. Raises UnparsableError("format") for a text without priority and time."""
    found = _USUAL.match(text)
    if found is not None:
        priority, stamp, host, program, pid = found.groups()
        own = without_year(stamp, near_ms, topic.zone)
        if program is None:
            inside = carried("", text[found.end() :], raw, near_ms, topic)
            if inside is not None:
                return _framed(inside, own, host, "", priority, topic)
        return _event(
            raw, SYSLOG, priority, own, host, program or "", pid or "", text[found.end() :], {}, near_ms, topic
        )
    at = text.find(">", 0, 6) + 1
    if text[at : at + 1] in ("d", "l") and is_device(text[at:]):  # a firewall's pairs right behind the priority
        return logfmt(text[at:], raw, near_ms, topic)
    if text[0] != "<" and (counted := _COUNTED.match(text)) is not None:
        return syslog(text[counted.end() :], raw, near_ms, topic)
    found = _RFC5424.match(text)
    if found is not None:
        return _of_5424(found, text, raw, near_ms, topic)
    return _of_3164(text, raw, near_ms, topic)


def _of_3164(text: str, raw: bytes, near_ms: int, topic: Topic) -> Event:
    """The line part by part, whatever of it is missing."""
    priority = _PRIORITY.match(text)
    at = priority.end() if priority is not None else 0
    fields: dict[str, Any] = {}
    host = ""
    before = _BEFORE.match(text, at)
    if before is not None:
        at, host = before.end(), before[2] or ""
        if before[1]:
            fields["sequence"] = before[1]
    own = 0
    stamp = _STAMP.match(text, at)
    if stamp is not None:
        at, own = stamp.end(), _time(stamp, near_ms, topic)
        program = _PROGRAM.match(text, at)
        # `sshd[7]:` where the host should be is a program without one; `fw01: %ASA-…` is a host.
        if not host and (program is None or text.startswith("%", program.end())) and text[at : at + 1] != "%":
            named = _HOST.match(text, at)
            if named is not None:
                at, host = named.end(), named[1]
    elif priority is None:
        raise UnparsableError("format")
    said = _PROGRAM.match(text, at) if stamp is not None and not text.startswith("%", at) else None
    name, pid = said.groups() if said is not None else ("", "")
    message = text[said.end() if said is not None else at :]
    return _event(
        raw, SYSLOG, priority and priority[1], own, host, name, pid or "", message, fields, near_ms, topic
    )  # fmt: skip


def _time(stamp: re.Match[str], near_ms: int, topic: Topic) -> int:
    named, fraction, year, iso, epoch = stamp.groups()
    if iso or epoch:
        return moment((iso or epoch).rstrip(":"), topic.zone)
    if year or named.count(" ") - named.count("  ") > 2:
        return dated(f"{named}{fraction or ''}{year or ''}", topic.zone)
    whole = without_year(named, near_ms, topic.zone)
    return whole + int((fraction[1:] + "00")[:3]) if whole and fraction else whole


def _of_5424(found: re.Match[str], text: str, raw: bytes, near_ms: int, topic: Topic) -> Event:
    priority, stamp, host, program, pid, msgid = ("" if part == "-" else part for part in found.groups())
    at = found.end()
    fields: dict[str, Any] = {"msgid": msgid} if msgid else {}
    form = SYSLOG
    if text.startswith("[", at):
        at, escaped = _structured(text, at, fields)
        form = SYSLOG_ESCAPED if escaped else SYSLOG
    elif text.startswith("-", at) and text[at + 1 : at + 2] in ("", " "):
        at += 1
    message = text[at:].removeprefix(" ").removeprefix("\ufeff")
    own = moment(stamp, topic.zone)
    return _event(raw, form, priority, own, host, program, pid, message, fields, near_ms, topic)


def _structured(text: str, at: int, fields: dict[str, Any]) -> tuple[int, bool]:
    """Structured data into fields by parameter name; where the message starts, and whether anything was escaped."""
    escaped = False
    while (element := _ELEMENT.match(text, at)) is not None:
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
    near_ms: int,
    topic: Topic,
) -> Event:
    start = message[:1]
    if start in MARKS or program in ODD:
        if is_audit(program, message):
            return audit_event(message, raw, own_ms, host, topic)
        inside = carried(program, message, raw, near_ms, topic)
        if inside is not None:
            return _framed(inside, own_ms, host, program, priority, topic)
    fields["message"] = message
    if start == "%" and (known := device(message, fields)) is not None:
        return _of_device(raw, known, host, program, fields, own_ms, topic)
    if host:
        fields["hostname"] = host
    if program:
        fields["program"] = program
    if pid:
        fields["pid"] = pid
    known = source_of(program, int(priority) >> 3 if priority else -1, topic.source)
    event = Event(0, raw, form, known, fields, 0, own_ms, False, False, host, "", "", "", program)
    reader = PROGRAMS.get(known.service)
    if reader is not None:
        reader(message, event)
    return event


def _framed(inside: Event, own_ms: int, host: str, program: str, priority: str | None, topic: Topic) -> Event:
    """What a line carried, completed by the line: its time and host; a sensor's name is no party of what it saw."""
    inside.time_ms = inside.time_ms or own_ms
    if inside.source.product not in _SENSORS:
        inside.host = inside.host or host
    if inside.source == NOWHERE:
        inside.source = source_of(program, int(priority) >> 3 if priority else -1, topic.source)
        inside.process = inside.process or program
    return inside


def _of_device(
    raw: bytes, known: Source, host: str, program: str, fields: dict[str, Any], own_ms: int, topic: Topic
) -> Event:
    """A device's message; a number where a program's name would be is the message's own."""
    if program:
        fields["sequence" if program.isdigit() else "program"] = program
    if host:
        fields["hostname"] = host
    get = fields.get
    told = topic.source
    event = Event(0, raw, SYSLOG, told if told.product else known, fields, 0, own_ms, host=host)
    event.user, event.src_ip, event.dst_ip = get("user", ""), ip(get("src_ip", "")), ip(get("dst_ip", ""))
    return event
