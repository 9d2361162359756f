r"""Access logs of web servers, common and combined, with a virtual host before them or not; and their error logs.

The fields have the names of Sigma's `webserver` category. `cs-uri-query` is the request's whole target, as SigmaHQ's
rules use it. Servers write a quote or a control character as `\"` or `\x22`; values stay as they are written.
"""

from __future__ import annotations

import re
from typing import Any, Final

from detectors.ioc.observables import Rows, take_agent, take_host, take_url
from pipeline.parsers.clock import dated
from pipeline.parsers.shape import Topic, address_of, source
from schemas.errors import UnparsableError
from schemas.event import Event, Format

ACCESS = Format("access", "text")

OBSERVABLES: Final[Rows] = (
    ("cs-host", take_host),
    ("cs-referer", take_url),
    ("cs-user-agent", take_agent),
    ("server", take_host),
)

_TEXT = r'((?:[^"\\]|\\.)*)'
_LINE = re.compile(
    r"(?:([\w.-]{1,255})(?::\d{1,5})? )?([0-9A-Fa-f.:]{2,45}|[\w.-]{1,255}) (\S{1,255}) (\S{1,255}|\"[^\"]{0,255}\") "
    rf'\[(\d\d/[A-Z][a-z]{{2}}/\d{{4}}:\d\d:\d\d:\d\d [+-]\d{{4}})\] "{_TEXT}" (\d{{3}}|-) (\d{{1,15}}|-)'
    rf'(?: "{_TEXT}" "{_TEXT}")?(.*)',
    re.DOTALL,
)
_NGINX = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(\w{2,10})\] (\d+)#(\d+): (.*)", re.DOTALL)
_APACHE = re.compile(
    r"\[([A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d(?:\.\d+)? \d{4})\] \[([\w:]{2,64})\] "
    r"(?:\[pid ([^\]]{1,64})\] )?(?:\[client ([0-9A-Fa-f.:]{2,45}?)(?::\d{1,5})?\] )?(.*)",
    re.DOTALL,
)
_SAID = re.compile(r'\b(client|server|host|referrer|request|upstream): ("[^"]{0,4096}"|[^,"]{1,512})')
_SHORT = re.compile(r'(?:[^\s"\[]{1,255} ){3,4}\[\d\d/[A-Z]|(?:[^\s"\[]{1,255} ){2,3}"[^"]{0,255}" \[\d\d/[A-Z]')

_SRC_IP = address_of("c-ip")


def is_access(text: str) -> bool:
    """A time in brackets where an access log has it, or at the start as error logs have."""
    if text[0] == "[":
        return _APACHE.match(text[:512]) is not None
    return (text[4:5] == "/" and _NGINX.match(text[:512]) is not None) or _SHORT.match(text) is not None


def access(text: str, raw: bytes, _near: int, topic: Topic, server: str = "") -> Event:
    """One line. `server`: whose it is, where its frame tells. Raises UnparsableError("format")."""
    found = _LINE.match(text)
    if found is None:
        return _error(text, raw, topic)
    host, client, _, user, stamp, request, status, size, referer, agent, rest = found.groups()
    fields: dict[str, Any] = {"c-ip": client, "request": request, "sc-status": status}
    method, blank, target = request.partition(" ")
    if blank:
        target, _, version = target.rpartition(" ") if " HTTP/" in target else (target, "", "")
        fields["cs-method"] = method
        fields["cs-uri-query"] = target
        fields["cs-uri-stem"] = target.partition("?")[0]
        fields["cs-version"] = version
    said = {"cs-host": host, "cs-username": user.strip('"'), "sc-bytes": size, "cs-referer": referer}
    said |= {"cs-user-agent": agent, "rest": rest.strip()}
    fields |= {name: value for name, value in said.items() if value and value != "-"}
    told = topic.source
    known = source(told.product, told.category or "webserver", told.service or server or "access")
    src = _SRC_IP(fields.get)
    return Event(
        0, raw, ACCESS, known, fields, 0, dated(stamp, topic.zone), False, False,
        host or "", fields.get("cs-username", ""), src,
    )  # fmt: skip


def _error(text: str, raw: bytes, topic: Topic) -> Event:
    fields: dict[str, Any]
    if (found := _NGINX.match(text)) is not None:
        stamp, level, pid, _, message = found.groups()
        fields = {"level": level, "pid": pid, "message": message, "c-ip": ""}
        fields |= {name if name != "client" else "c-ip": value.strip('"') for name, value in _SAID.findall(message)}
        service = "nginx"
    elif (found := _APACHE.match(text)) is not None:
        stamp, level, pid, client, message = found.groups()
        fields = {"level": level, "pid": pid or "", "message": message, "c-ip": client or ""}
        service = "apache"
    else:
        raise UnparsableError("format")
    told = topic.source
    known = source(told.product, told.category, told.service or service)
    at = dated(stamp, topic.zone)
    return Event(0, raw, ACCESS, known, fields, 0, at, False, False, "", "", _SRC_IP(fields.get))
