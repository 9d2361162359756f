"""Lines that a collector read from a file or a socket and wrapped: Filebeat, Vector, Logstash (`message`), Fluent Bit
(`log`). What is inside is read as itself, so the same line is the same event by whichever collector it came.

Host and time are those of the inside, else the collector's. Lines of a Zeek log take its name from their file's. What
is of no format that tells itself stays the collector's record.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, Literal

from pipeline.parsers import ecs, plain_json
from pipeline.parsers.clock import moment
from pipeline.parsers.objects import read_object
from pipeline.parsers.shape import Topic, reach, word
from schemas.errors import UnparsableError
from schemas.event import Event, Format

WRAPPED = Format("wrapped", "json")
OBSERVABLES: Final = plain_json.OBSERVABLES

#: Where a collector says the file, the host and the time.
_FILES: Final = (("log", "file", "path"), ("file",), ("filename",), ("path",))
_HOSTS: Final = (("host", "name"), ("host", "hostname"), ("hostname",), ("host",), ("agent", "hostname"))
_TIMES: Final = ("@timestamp", "timestamp", "date", "time")
#: Formats of any pairs and any object: a message may look like them by chance.
_VAGUE: Final = frozenset({"json", "logfmt", "wrapped", "bundle"})
_LOG = re.compile(r"(?:^|[/\\])([a-z0-9_]{1,40})(?:[._-][^/\\]*)?\.log\Z")


def is_wrapped(doc: dict[str, Any]) -> bool:
    """A text in `message` or `log`, and who collected it or where it stood; and nobody took it apart already."""
    line = doc.get("message")
    if type(line) is str:
        if "source_type" in doc or "filename" in doc:
            return "event_id" not in doc
        agent, event = doc.get("agent"), doc.get("event")
        parsed = isinstance(event, dict) and ("module" in event or "category" in event or "kind" in event)
        return isinstance(agent, dict) and agent.get("type") == "filebeat" and not parsed
    return type(doc.get("log")) is str and not isinstance(doc.get("event"), dict)


def wrapped(doc: dict[str, Any], raw: bytes, near_ms: int, topic: Topic) -> Event:
    """The event of the line, or of the collector's record around it."""
    line = doc.get("message")
    text = (line if type(line) is str else doc["log"]).strip("\ufeff \t\r\n\0")
    event = _inside(text, raw, near_ms, topic, _file(doc)) if text else None
    if event is None:
        return ecs.ecs(doc, raw, near_ms, topic) if ecs.is_ecs(doc) else plain_json.plain_json(doc, raw, near_ms, topic)
    if not event.time_ms:
        event.time_ms = next((at for name in _TIMES if (at := moment(doc.get(name), topic.zone))), 0)
    if not event.host and event.source.product not in ("suricata", "zeek"):
        event.host = next((host for path in _HOSTS if (host := word(reach(doc, path)))), "")
    return event


def _inside(text: str, raw: bytes, near_ms: int, topic: Topic, file: str) -> Event | None:
    from pipeline.parsers.formats import TEXT_SHAPES, tell  # here, since this format stands in those tables

    try:
        if text[0] == "{":
            doc = read_object(text.encode())
            shape = tell(doc)
            if shape is None or shape.format.name in _VAGUE:
                return None
            event = shape.parse(doc, raw, near_ms, topic)
            # Within a text an object's own escapes are escaped once more.
            event.format = _framed(event.format, "opaque" if "\\" in text else event.format.form)
            return event
        for shape in TEXT_SHAPES:
            if shape.format.name not in _VAGUE and shape.sniff(text):
                said = _named(topic, file) if shape.format.name == "zeek_tsv" else topic
                event = shape.parse(text, raw, near_ms, said)
                event.format = _framed(event.format, "json" if event.format.form == "text" else event.format.form)
                return event
    except UnparsableError:
        pass
    return None


@lru_cache(maxsize=1_024)
def _framed(form: Format, how: Literal["json", "text", "opaque"]) -> Format:
    """A format whose text stands in a JSON string; one object each, since the engine groups by it."""
    return form if form.form == how else replace(form, form=how)


def _file(doc: dict[str, Any]) -> str:
    return next((text for path in _FILES if (text := word(reach(doc, path)))), "")


def _named(topic: Topic, file: str) -> Topic:
    """The topic's settings for a line of this file: what its name says is the log, where nothing else does."""
    log = _LOG.search(file) if not topic.source.service else None
    return topic if log is None else replace(topic, source=topic.source._replace(service=log[1]))
