"""EVTX as JSON, as `evtx_dump` renders it, with `#attributes` or `_attributes`; also xmltodict's `@Name`.

Binary EVTX files are read record by record into this shape (`pipeline/recordings_evtx.py`).
"""

from __future__ import annotations

from typing import Any

from pipeline.parsers.shape import Topic
from pipeline.parsers.windows import windows
from schemas.errors import UnparsableError
from schemas.event import Event, Format

EVTX = Format("evtx", "json")

_SYSTEM = ("Computer", "EventRecordID", "Level", "Task", "Opcode", "Keywords", "Version")
_NESTING = frozenset((dict, list))


def is_evtx(doc: dict[str, Any]) -> bool:
    """`{"Event": {"System": …}}`, or the inside of it."""
    return ("Event" in doc and isinstance(doc["Event"], dict)) or (
        isinstance(doc.get("System"), dict) and "EventID" in doc["System"]
    )


def evtx(doc: dict[str, Any], raw: bytes, _near: int, topic: Topic) -> Event:
    """EVTX as evtx_dump renders it, with `#attributes`, or separated attributes (`Provider_attributes`)."""
    inside = doc.get("Event", doc)
    system = inside.get("System") if isinstance(inside, dict) else None
    if not isinstance(system, dict):
        raise UnparsableError("shape")
    fields: dict[str, Any] = {}
    for name in ("EventData", "UserData"):
        data = inside.get(name)
        if isinstance(data, dict):
            fields = lift(data, fields)
    for name in _SYSTEM:
        if name in system and name not in fields:
            fields[name] = system[name]
    # EventData may have names of its own for these; a record's channel and number are the system's.
    fields["EventID"] = text_of(system.get("EventID"))
    fields["Channel"] = text_of(system.get("Channel"))
    provider = attribute(system, "Provider", "Name")
    if provider is not None:
        fields["Provider_Name"] = provider
    stamp = attribute(system, "TimeCreated", "SystemTime")
    if stamp is not None:
        fields.setdefault("TimeCreated", stamp)  # rules ask for its hour
    return windows(fields, raw, EVTX, stamp, topic)


def attribute(system: dict[str, Any], element: str, name: str) -> Any:
    """An XML attribute in any of the ways that converters keep it."""
    holder = system.get(element)
    if isinstance(holder, dict):
        inner = holder.get("#attributes")
        if isinstance(inner, dict):
            return inner.get(name)
        return holder.get(name, holder.get(f"@{name}"))
    separated = system.get(f"{element}_attributes")
    return separated.get(name) if isinstance(separated, dict) else None


def text_of(value: Any) -> Any:
    """An element's text where attributes stand beside it."""
    return value.get("#text", value.get("Value")) if isinstance(value, dict) else value


def lift(data: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with the items of EventData, or of the one element that UserData wraps; `data` itself where it can."""
    if "Data" not in data and _NESTING.isdisjoint(map(type, data.values())):
        data.update(fields)
        return data
    for name, value in data.items():
        if name == "Data":
            _lift_data(value, fields)
        elif isinstance(value, dict):
            if "#text" in value:
                fields[name] = value["#text"]
            else:
                fields.update((key, item) for key, item in value.items() if not key.startswith(("#", "@")))
        elif not name.startswith(("#", "@")):
            fields[name] = value
    return fields


def _lift_data(value: Any, fields: dict[str, Any]) -> None:
    """`Data` without names stays `Data`, one text or a list of them; with names each becomes a field."""
    loose: list[Any] = []
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict):
            loose.append(item)
            continue
        name, text = attribute({"Data": item}, "Data", "Name"), item.get("#text")
        if isinstance(name, str):
            fields[name] = text
        elif isinstance(text, list):
            loose += text
        else:
            loose.append(text)
    if loose:
        fields["Data"] = loose[0] if len(loose) == 1 else loose
