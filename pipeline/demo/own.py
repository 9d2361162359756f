"""A user's own events as a programme: lines of recordings with their own times, each recording a topic of its own.

One topic a recording, because recordings overlap in time and a topic's clock must not jump back between them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pipeline import recordings
from pipeline.demo.programme import Marked
from pipeline.demo.scene import Message
from pipeline.offline import near_ms, read
from pipeline.parsers import Reader
from pipeline.settings import Settings

#: Kafka refuses records an hour ahead of its clock.
_AHEAD_MS: Final = 3_600_000


def topics(files: Sequence[str]) -> dict[str, str]:
    """A raw topic for each file, named after it."""
    named: dict[str, str] = {}
    for number, file in enumerate(files, 1):
        word = re.sub(r"[^a-zA-Z0-9_-]+", "-", Path(file).name.split(".")[0]).strip("-")[:80] or "stdin"
        topic = f"raw.{word}"
        named[file] = topic if topic not in named.values() else f"{topic}-{number}"
    return named


def records(settings: Settings, named: dict[str, str]) -> Iterator[Marked]:
    """Every line of the files, timed by itself where it has a time, else by when the file was written."""
    reader = Reader(settings)
    for file, topic in named.items():
        now = int(time.time() * 1000)
        near = min(near_ms(file), now)
        for lines in recordings.read(file):
            own = {event.offset: event.time_ms for event in read(reader, topic, lines, near).events}
            for number, value in zip(lines.numbers, lines.values, strict=True):
                at = own.get(number, near)
                yield Marked(Message(topic, None, value, at if 0 < at < now + _AHEAD_MS else near))
