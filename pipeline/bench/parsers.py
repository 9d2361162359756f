"""What reading costs: µs an event by format, beside bare `orjson.loads` of the same bytes.

Records are read in slices as ingest reads them, and each slice's events are dropped before the next: a heap with
hundreds of thousands of live objects makes every allocation dearer, and a worker has none.
"""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from pipeline.parsers import Reader
from pipeline.settings import load
from schemas.event import RecordBatch

SLICE = 256
MOST = 20_000


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
    """Seconds spent on the records of one format."""

    events: int = 0
    bytes: int = 0
    read: float = 0.0
    loads: float = 0.0


def run(files: Iterable[Path], *, rounds: int = 5) -> dict[str, Any]:
    """Read the lines of these files; the best of `rounds`.

    By format: events, bytes an event, and µs an event of `loads` (orjson alone, its objects kept for the slice as
    events are; 0 for text), `read` (the whole Reader), and `beyond`, their difference.
    """
    reader = Reader(load())
    slices = list(_slices(reader, files))
    gc.collect()
    gc.freeze()
    best: dict[str, Cost] = {}
    for _ in range(rounds):
        for name, cost in _round(reader, slices).items():
            known = best.setdefault(name, cost)
            known.read, known.loads = min(known.read, cost.read), min(known.loads, cost.loads)
    return {name: _figures(cost) for name, cost in sorted(best.items())}


def _round(reader: Reader, slices: list[tuple[str, RecordBatch]]) -> dict[str, Cost]:
    costs: dict[str, Cost] = defaultdict(Cost)
    for name, batch in slices:
        cost = costs[name]
        cost.events += len(batch.records)
        cost.bytes += batch.size
        started = time.perf_counter()
        reading = reader.read(batch)
        cost.read += time.perf_counter() - started
        del reading
        if name not in ("syslog", "auditd"):
            values = [record.value or b"" for record in batch.records]
            started = time.perf_counter()
            kept = [orjson.loads(value) for value in values]
            cost.loads += time.perf_counter() - started
            del kept
    return costs


def _slices(reader: Reader, files: Iterable[Path]) -> Iterator[tuple[str, RecordBatch]]:
    """Slices of one format each, at most MOST records of a format."""
    by_format: dict[str, list[BenchRecord]] = defaultdict(list)
    for path in files:
        for number, line in enumerate(path.read_bytes().splitlines()):
            record = BenchRecord(number, -1, line)
            read = reader.read(RecordBatch("bench", "bench", 0, number, number + 1, [record]))
            kept = by_format[read.events[0].format.name] if read.events else []
            if len(kept) < MOST:
                kept.append(record)
    for name, records in by_format.items():
        for at in range(0, len(records), SLICE):
            part = records[at : at + SLICE]
            yield name, RecordBatch("bench", "bench", 0, at, at + len(part), part)


def _figures(cost: Cost) -> dict[str, Any]:
    micro = 1e6 / cost.events
    return {
        "events": cost.events,
        "bytes": round(cost.bytes / cost.events),
        "loads": round(cost.loads * micro, 2),
        "read": round(cost.read * micro, 2),
        "beyond": round((cost.read - cost.loads) * micro, 2),
    }
