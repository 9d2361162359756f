"""Reading one record in a test, in a line."""

from __future__ import annotations

from typing import Any

import orjson

from pipeline.parsers import Reader
from pipeline.settings import Settings, TopicSettings
from schemas.event import Event, Observable, Source
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


def whole(event: Event) -> None:
    """Every column is of its type, so that a store of columns takes it."""
    for name in ("host", "user", "src_ip", "dst_ip", "process", "command_line", "domain"):
        assert type(getattr(event, name)) is str, name
        getattr(event, name).encode()
    assert isinstance(event.fields, dict)
    assert isinstance(event.source, Source)
    assert 0 <= event.source.event_id < 2**32
    assert type(event.time_ms) is type(event.kafka_ms) is int
    assert len(set(event.observables)) == len(event.observables) <= 64
    assert all(isinstance(one, Observable) and one.value for one in event.observables)
