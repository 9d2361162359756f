r"""Access logs of web servers, common and combined, with a virtual host before them or not; and their error logs.

The fields have the names of Sigma's `webserver` category. `cs-uri-query` is the request's whole target, as SigmaHQ's
rules use it. Servers write a quote or a control character as `\"` or `\x22`; values stay as they are written.
"""

from __future__ import annotations

import re
from typing import Any, Final

from detectors.ioc.observables import Rows, take_agent, take_host, take_url
from pipeline.parsers.clock import dated
from pipeline.parsers.shape import Topic, ip, source
from schemas.errors import UnparsableError
from schemas.event import Event, Format

ACCESS = Format("access", "text")

OBSERVABLES: Final[Rows] = (
    ("cs-host", take_host),
    ("cs-referer", take_url),
    ("cs-user-agent", take_agent),
    ("server", take_host),
)

_TEXT = r'([^"\\]*(?:\\.[^"\\]*)*)'
_LINE = re.compile(
    r"([^ ]+) ([^ ]+) ([^ \"]+|\"[^\"]*\") \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    rf'"{_TEXT}" (\d{{3}}|-) (\d{{1,15}}|-)(?: "{_TEXT}" "{_TEXT}")?'
)
_NGINX = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(\w{2,10})\] (\d+)#(\d+): (.*)", re.DOTALL)
_APACHE = re.compile(
    r"\[([A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d(?:\.\d+)? \d{4})\] \[([\w:]{2,64})\] "
    r"(?:\[pid ([^\]]{1,64})\] )?(?:\[client ([0-9A-Fa-f.:]{2,45}?)(?::\d{1,5})?\] )?(.*)",
    re.DOTALL,
)
_SAID_LAST: Final = ("cs-host", "cs-username", "sc-bytes", "cs-referer", "cs-user-agent", "rest")
_SAID = re.compile(r'\b(client|server|host|referrer|request|upstream): ("[^"]{0,4096}"|[^,"]{1,512})')


def is_access(text: str) -> bool:
    """A time in brackets where an access log has it, or at the start as error logs have."""
    if text[0] == "[":
        return _APACHE.match(text[:512]) is not None
    if text[4:5] == "/":
        return _NGINX.match(text[:512]) is not None
    at = text.find(" [", 0, 1_024)
    return at > 0 and text[at + 4 : at + 5] == "/" and text[at + 8 : at + 9] == "/" and text.count(" ", 0, at) > 1


def access(text: str, raw: bytes, _near: int, topic: Topic, server: str = "") -> Event:
    """One line. `server`: whose it is, where its frame tells. Raises UnparsableError("format")."""
    host = ""
    found = _LINE.match(text)
    if found is None:  # behind a virtual host and its port
        host, _, rest = text.partition(" ")
        found = _LINE.match(rest)
        if found is None:
            return _error(text, raw, topic)
        text, host = rest, host.partition(":")[0]
    client, _, user, stamp, request, status, size, referer, agent = found.groups()
    fields: dict[str, Any] = {"c-ip": client, "request": request, "sc-status": status}
    method, blank, target = request.partition(" ")
    if blank:
        target, _, version = target.rpartition(" ") if " HTTP/" in target else (target, "", "")
        fields["cs-method"] = method
        fields["cs-uri-query"] = target
        fields["cs-uri-stem"] = target.partition("?")[0]
        fields["cs-version"] = version
    user = "" if user == "-" else user.strip('"')
    said = zip(_SAID_LAST, (host, user, size, referer, agent, text[found.end() :].strip()), strict=True)
    fields |= {name: value for name, value in said if value and value != "-"}
    told = topic.source
    known = source(told.product, told.category or "webserver", told.service or server or "access")
    at = dated(stamp, topic.zone)
    return Event(0, raw, ACCESS, known, fields, 0, at, False, False, host, user, ip(client))


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
    return Event(0, raw, ACCESS, known, fields, 0, at, False, False, "", "", ip(fields["c-ip"]))
