"""Reading one record in a test, in a line."""

from __future__ import annotations

from typing import Any

import orjson

from pipeline.parsers import Reader
from pipeline.settings import Settings, TopicSettings
from schemas.event import Event
from tests.builders import batch_of

#: 2026-10-11T17:14:15.003Z
NOW_MS = 1_791_738_855_003


def reader(*topics: TopicSettings, timezone: str = "Asia/Almaty") -> Reader:
    """A reader with these topics' settings."""
    return Reader(Settings(topics=topics, timezone=timezone))


READER = reader()


def event(value: bytes | dict[str, Any], kafka_ms: int = NOW_MS, by: Reader = READER) -> Event:
    """The event of one record; fails where it is a dead letter."""
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    reading = by.read(batch_of(raw, timestamp=kafka_ms))
    assert not reading.dead, reading.dead[0].reason
    return reading.events[0]


def reason(value: bytes | None, by: Reader = READER) -> str:
    """Why one record is a dead letter; fails where it is an event."""
    reading = by.read(batch_of(value, timestamp=NOW_MS))
    assert not reading.events, reading.events[0].format.name
    return reading.dead[0].reason
