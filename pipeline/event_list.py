"""The event list in force, read from its file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from schemas.errors import RefusedError
from schemas.event_list import EventList


def load_event_list(path: Path | None) -> EventList:
    """The bank's event list, or without a path the one that we ship. Raises RefusedError."""
    if path is None:
        shipped = resources.files("detectors.triage") / "event-list.yml"
        return EventList.parse(shipped.read_text(encoding="utf-8"), "event-list.yml")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"The event list {path} cannot be read ({error}). Check QORGAN_EVENT_LIST.") from None
    return EventList.parse(text, str(path))
