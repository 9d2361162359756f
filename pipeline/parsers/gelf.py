"""Graylog's GELF 1.0 and 1.1: `version`, `host`, `short_message`, and additional fields behind a `_`.

Additional fields stand without their underscore too. What NXLog sends this way is a Windows event with all its fields
and is read as one. Chunks and compression are the transport's, and are undone before Kafka. Source: the GELF page of
Graylog's documentation.
"""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import Rows, take_urls_inside
from pipeline.parsers import plain_json
from pipeline.parsers.shape import Topic
from schemas.event import Event, Format

GELF = Format("gelf", "json")

OBSERVABLES: Final[Rows] = (
    ("short_message", take_urls_inside),
    ("full_message", take_urls_inside),
    *plain_json.OBSERVABLES,
)


def is_gelf(doc: dict[str, Any]) -> bool:
    """What every GELF message must have."""
    return "short_message" in doc and "host" in doc and str(doc.get("version"))[:2] in ("1.", "1")


def gelf(doc: dict[str, Any], raw: bytes, near_ms: int, topic: Topic) -> Event:
    """One message."""
    fields = {name.removeprefix("_"): value for name, value in doc.items() if name != "_id"}
    fields |= {name: value for name, value in doc.items() if name[:1] != "_"}  # GELF's own names are not overridden
    inner = _windows(fields, raw, near_ms, topic)
    if inner is not None:
        return inner
    event = plain_json.plain_json(fields, raw, near_ms, topic)
    event.format = GELF
    return event


def _windows(fields: dict[str, Any], raw: bytes, near_ms: int, topic: Topic) -> Event | None:
    if "EventID" not in fields:
        return None
    from pipeline.parsers.formats import SHAPES  # here, since this format stands in that table

    fields.setdefault("Hostname", fields["host"])
    fields.setdefault("EventTime", fields.get("timestamp"))
    shape = SHAPES["nxlog"]
    return shape.parse(fields, raw, near_ms, topic) if shape.sniff(fields) else None
