"""What a syslog line carries is read as itself: CEF, LEEF, a JSON object, a web server's line, a firewall's pairs.

So the same event is the same whether its shipper framed it or not. What is broken inside stays a syslog message.
"""

from __future__ import annotations

from typing import Final

from pipeline.parsers.access import access, is_access
from pipeline.parsers.cef import cef, is_cef
from pipeline.parsers.leef import is_leef, leef
from pipeline.parsers.logfmt import is_device, logfmt
from pipeline.parsers.objects import read_object
from pipeline.parsers.shape import Topic
from schemas.errors import UnparsableError
from schemas.event import Event

#: Programs whose messages may be lines of an access log.
_WEB: Final = {"nginx": "nginx", "httpd": "apache", "apache": "apache", "apache2": "apache", "access": ""}
#: What may be carried begins so, or comes from such a program; nearly all messages need not be looked at.
MARKS: Final = frozenset("CL{@dltn")
ODD: Final = frozenset((*_WEB, "kernel", "CEF", "LEEF"))


def carried(program: str, message: str, raw: bytes, near_ms: int, topic: Topic) -> Event | None:
    """The event within a syslog message, or None: the message is just that."""
    try:
        if program in ("CEF", "LEEF"):  # `CEF: 0|`, as some write it
            message = f"{program}:{message}"
        if is_cef(message):
            return cef(message, raw, near_ms, topic)
        if is_leef(message):
            return leef(message, raw, near_ms, topic)
        if message.startswith(("{", "@cee:")):
            return _object(message.removeprefix("@cee:").lstrip(), raw, near_ms, topic)
        if program in _WEB and is_access(message):
            return access(message, raw, near_ms, topic, _WEB[program])
        if is_device(message):
            return logfmt(message, raw, near_ms, topic)
    except UnparsableError:
        pass
    return None


def _object(text: str, raw: bytes, near_ms: int, topic: Topic) -> Event | None:
    from pipeline.parsers.formats import tell  # here, since syslog stands in that table

    if not text.startswith("{"):
        return None
    doc = read_object(text.encode())
    shape = tell(doc)
    return None if shape is None else shape.parse(doc, raw, near_ms, topic)
