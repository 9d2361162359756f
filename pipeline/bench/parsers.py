"""What reading costs: µs of CPU an event by format, beside bare `orjson.loads` of the same bytes.

Records are read in slices as ingest reads them, and each slice's events are dropped before the next: a heap with
hundreds of thousands of live objects makes every allocation dearer, and a worker has none.
"""

from __future__ import annotations

import gc
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from pipeline.bench.sample import lines_of
from pipeline.parsers import Reader
from pipeline.parsers.formats import TEXT_SHAPES
from pipeline.settings import load
from schemas.event import RecordBatch

SLICE = 256
MOST = 20_000
TEXT_FORMATS = frozenset(shape.format.name for shape in TEXT_SHAPES)


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
    loads: float = math.inf


def run(files: Iterable[Path], *, rounds: int = 7) -> dict[str, Any]:
    """Read the lines of these files; for each slice the best of `rounds`, since other work only ever adds.

    By format: events, bytes an event, and µs an event of `loads` (orjson alone, its objects kept for the slice as
    events are; 0 for text), `read` (the whole Reader), and `beyond`, their difference.
    """
    reader = Reader(load())
    slices = list(_slices(reader, files))
    costs = [Cost(len(batch.records), batch.size) for _, batch in slices]
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        for (name, batch), cost in zip(slices, costs, strict=True):
            _measure(reader, name, batch, cost)
    gc.unfreeze()
    by_format: dict[str, list[Cost]] = defaultdict(list)
    for (name, _), cost in zip(slices, costs, strict=True):
        by_format[name].append(cost)
    return {name: _figures(some) for name, some in sorted(by_format.items())}


def _measure(reader: Reader, name: str, batch: RecordBatch, cost: Cost) -> None:
    started = time.thread_time()
    reading = reader.read(batch)
    cost.read = min(cost.read, time.thread_time() - started)
    del reading
    if name in TEXT_FORMATS:
        cost.loads = 0.0
        return
    values = [record.value or b"" for record in batch.records]
    started = time.thread_time()
    kept = [orjson.loads(value) for value in values]
    cost.loads = min(cost.loads, time.thread_time() - started)
    del kept


def _slices(reader: Reader, files: Iterable[Path]) -> Iterator[tuple[str, RecordBatch]]:
    """Slices of one format each, at most MOST records of a format."""
    by_format: dict[str, list[BenchRecord]] = defaultdict(list)
    for path in files:
        for number, line in enumerate(lines_of([path])):
            record = BenchRecord(number, -1, line)
            read = reader.read(RecordBatch("bench", "bench", 0, number, number + 1, [record]))
            kept = by_format[read.events[0].format.name] if read.events else []
            if len(kept) < MOST:
                kept.append(record)
    for name, records in by_format.items():
        for at in range(0, len(records), SLICE):
            part = records[at : at + SLICE]
            yield name, RecordBatch("bench", "bench", 0, at, at + len(part), part)


def _figures(costs: list[Cost]) -> dict[str, Any]:
    events = sum(cost.events for cost in costs)
    read, loads = sum(cost.read for cost in costs), sum(cost.loads for cost in costs)
    micro = 1e6 / events
    return {
        "events": events,
        "bytes": round(sum(cost.bytes for cost in costs) / events),
        "loads": round(loads * micro, 2),
        "read": round(read * micro, 2),
        "beyond": round((read - loads) * micro, 2),
    }
