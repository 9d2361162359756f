"""Windows events of Vector (`windows_event_log`) and of OpenTelemetry's collector (`windowseventlog`).

Both have lower-case heads around the event's data: Vector `event_id`, `provider_name`, `event_data`, `string_inserts`;
OpenTelemetry `event_id: {id}`, `provider: {name}`, `system_time`, its data as a map or as a list of pairs.
"""

from __future__ import annotations

from typing import Any

from pipeline.parsers.inserts import name_inserts
from pipeline.parsers.shape import Topic, event_number
from pipeline.parsers.windows import windows
from schemas.event import Event, Format

VECTOR = Format("vector", "json")
OTEL = Format("otel", "json")


def is_vector(doc: dict[str, Any]) -> bool:
    """Its lower-case head."""
    return (
        "channel" in doc
        and "event_id" in doc
        and ("event_data" in doc or "provider_name" in doc)
        and "log_name" not in doc
        and not isinstance(doc["event_id"], dict)
    )


def vector(doc: dict[str, Any], raw: bytes, _near: int, topic: Topic) -> Event:
    """The fields are the event's data, with everything else of the record beside it."""
    # Moved, not copied: two thirds of a record are event data, and keywords need not see them twice.
    data, user_data = doc.pop("event_data", None), doc.pop("user_data", None)
    fields = data if isinstance(data, dict) and data else user_data if isinstance(user_data, dict) else {}
    number, provider = doc["event_id"], doc.get("provider_name")
    inserts = doc.get("string_inserts")
    if not fields and isinstance(inserts, list) and inserts:
        name_inserts(provider, number if type(number) is int else event_number(number), inserts, fields)
    return _event(doc, fields, raw, VECTOR, number, provider, doc.get("timestamp") or doc.get("@timestamp"), topic)


def is_otel(doc: dict[str, Any]) -> bool:
    """A number within `event_id`, or a collector's record around that."""
    return isinstance(doc.get("event_id"), dict) or (
        isinstance(doc.get("body"), dict) and isinstance(doc["body"].get("event_id"), dict)
    )


def otel(doc: dict[str, Any], raw: bytes, _near: int, topic: Topic) -> Event:
    """A record, or the body of one."""
    body = doc["body"] if isinstance(doc.get("body"), dict) else doc
    data = body.pop("event_data", None) or body.pop("user_data", None)
    provider = body.get("provider")
    name = provider.get("name") if isinstance(provider, dict) else None
    fields = _pairs(data) if isinstance(data, dict) else {}
    return _event(body, fields, raw, OTEL, body["event_id"].get("id"), name, body.get("system_time"), topic)


def _pairs(data: dict[str, Any]) -> dict[str, Any]:
    """Named values, whether as a map or as `data`, a list of one-pair maps."""
    items = data.get("data")
    if not isinstance(items, list):
        return data
    fields: dict[str, Any] = {}
    loose = []
    for item in items:
        for name, value in item.items() if isinstance(item, dict) else ():
            if name:
                fields[name] = value
            else:
                loose.append(value)
    if loose:
        fields["Data"] = loose[0] if len(loose) == 1 else loose
    return fields


def _event(
    doc: dict[str, Any],
    fields: dict[str, Any],
    raw: bytes,
    form: Format,
    number: Any,
    provider: Any,
    stamp: Any,
    topic: Topic,
) -> Event:
    for name, value in doc.items():
        if name not in fields:
            fields[name] = value
    if "message" in doc:
        fields["Message"] = doc["message"]
    fields["Channel"] = doc.get("channel")
    fields["EventID"] = number
    fields["Computer"] = doc.get("computer")
    fields["Provider_Name"] = provider
    return windows(fields, raw, form, stamp, topic)
