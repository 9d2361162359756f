"""What reading costs: µs of CPU an event by format, beside bare `orjson.loads`, or a bare split, of the same bytes.

Records are read in slices as ingest reads them, and each slice's events are dropped before the next: a heap with
hundreds of thousands of live objects makes every allocation dearer, and a worker has none. Without files, records of
the text and network formats are made up, and the simulated bank's events stand for the others.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from pipeline import memory
from pipeline.bench.records import TOPICS, records
from pipeline.bench.sample import lines_of, simulated
from pipeline.parsers import Reader
from pipeline.parsers.formats import OBJECTS
from pipeline.settings import Settings, load
from schemas.event import RecordBatch

SLICE = 256
MOST = 20_000
MADE_UP = 2_048
#: Kafka's time of made up records, milliseconds UTC.
NOW_MS = 1_791_738_900_000


class BenchRecord(NamedTuple):
    """One line of a file as Kafka would give it."""

    offset: int
    timestamp: int
    value: bytes
    key: bytes | None = None
    timestamp_type: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(slots=True)
class Cost:
    """Seconds that the records of one slice took, at best."""

    events: int
    bytes: int
    read: float = math.inf
    bare: float = math.inf


def run(files: Iterable[Path] = (), *, rounds: int = 9) -> dict[str, Any]:
    """Read the lines of these files, or made up ones; for each slice the best of `rounds`: other work only ever adds.

    By format: events, bytes an event, and µs an event of `bare` (orjson alone, its objects kept for the slice as
    events are; of text its decoding and splitting at blanks), of `read` (the whole Reader), their `ratio`, and
    `per_second`, the events that one core reads.
    """
    files = list(files)
    settings = load() if files else Settings(topics=TOPICS)
    reader = Reader(settings)
    slices = list(_slices(reader, files) if files else _made_up(reader))
    costs = [Cost(len(batch.records), batch.size) for _, batch in slices]
    memory.collect_seldom()  # as a worker does
    for _ in range(rounds):
        for (name, batch), cost in zip(slices, costs, strict=True):
            _measure(reader, name, batch, cost)
    by_format: dict[str, list[Cost]] = defaultdict(list)
    for (name, _), cost in zip(slices, costs, strict=True):
        by_format[name].append(cost)
    return {name: _figures(some) for name, some in sorted(by_format.items())}


def _measure(reader: Reader, name: str, batch: RecordBatch, cost: Cost) -> None:
    started = time.thread_time()
    reading = reader.read(batch)
    cost.read = min(cost.read, time.thread_time() - started)
    del reading
    values = [record.value or b"" for record in batch.records]
    if name.partition(" ")[0] in OBJECTS:
        started = time.thread_time()
        kept: list[Any] = [orjson.loads(value) for value in values]
    else:
        started = time.thread_time()
        kept = [value.decode("utf-8", "replace").split() for value in values]
    cost.bare = min(cost.bare, time.thread_time() - started)
    del kept


def _made_up(reader: Reader) -> Iterator[tuple[str, RecordBatch]]:
    """Records of our own, and the simulated bank's by their formats."""
    told = {topic.topic for topic in TOPICS}
    for kind, values in records(MADE_UP):
        topic = f"bench.{kind}"
        yield from _cut(kind, topic if topic in told else "bench", _records(values, NOW_MS))
    by_format: dict[str, list[bytes]] = defaultdict(list)
    for value in simulated(MADE_UP):
        read = reader.read(RecordBatch("bench", "bench", 0, 0, 1, _records([value], -1)))
        if read.events:
            by_format[read.events[0].format.name].append(value)
    for name, some in by_format.items():
        yield from _cut(f"{name} bank", "bench", _records(some, -1))


def _records(values: Iterable[bytes], timestamp: int) -> list[BenchRecord]:
    return [BenchRecord(number, timestamp, value) for number, value in enumerate(values)]


def _slices(reader: Reader, files: Iterable[Path]) -> Iterator[tuple[str, RecordBatch]]:
    """Slices of one format each, at most MOST records of a format."""
    by_format: dict[str, list[BenchRecord]] = defaultdict(list)
    for path in files:
        for record in _records(lines_of([path]), -1):
            read = reader.read(RecordBatch("bench", "bench", 0, record.offset, record.offset + 1, [record]))
            kept = by_format[read.events[0].format.name] if read.events else []
            if len(kept) < MOST:
                kept.append(record)
    for name, some in by_format.items():
        yield from _cut(name, "bench", some)


def _cut(name: str, topic: str, some: Sequence[BenchRecord]) -> Iterator[tuple[str, RecordBatch]]:
    for at in range(0, len(some), SLICE):
        part = some[at : at + SLICE]
        yield name, RecordBatch("bench", topic, 0, at, at + len(part), part)


def _figures(costs: list[Cost]) -> dict[str, Any]:
    events = sum(cost.events for cost in costs)
    read, bare = sum(cost.read for cost in costs), sum(cost.bare for cost in costs)
    micro = 1e6 / events
    return {
        "events": events,
        "bytes": round(sum(cost.bytes for cost in costs) / events),
        "bare": round(bare * micro, 2),
        "read": round(read * micro, 2),
        "ratio": round(read / bare, 2),
        "per_second": round(events / read),
    }
