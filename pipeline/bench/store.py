"""`qorgan bench store`: what storing costs an event, step by step: hashing, columns, Arrow, the insert.

Processor time of this process in µs an event; for the insert also the time until ClickHouse has confirmed it. Parsing
stands beside it and is no part of storing.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from pipeline import memory
from pipeline.bench.sample import recorded, simulated
from pipeline.embedded.children import start_store
from pipeline.metrics import Metrics
from pipeline.parsers import Reader
from pipeline.settings import Settings
from pipeline.storing import open_store
from pipeline.storing_blocks import OpenBlock
from pipeline.tabulators import EventTabulator
from schemas.event import Record, RecordBatch
from sinks.clickhouse.ledger import Chain, Claim
from sinks.clickhouse.store import ClickHouse

T = TypeVar("T")

TOPIC = "raw.bench"
SLICE = 256
STEPS = ("parse", "hash_and_columns", "arrow", "insert")


@dataclass(frozen=True, slots=True)
class BenchRecord:
    """A record as the consumer would give it."""

    offset: int
    value: bytes
    timestamp: int
    timestamp_type: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


def run(files: Sequence[Path] = (), *, events: int = 200_000, mean_bytes: int = 2_500) -> dict[str, Any]:
    """Measure with the files' lines, or with the simulated bank's. The first block warms up and does not count."""
    lines = recorded(files, events, mean_bytes) if files else simulated(events)
    with tempfile.TemporaryDirectory(prefix="qorgan-bench-") as folder, start_store(Path(folder)) as child:
        settings = Settings(clickhouse=SecretStr(child.url), raw_topics=(TOPIC,))
        store = open_store(settings)
        store.check()
        memory.collect_seldom()  # as a worker has it
        steps = Steps(store, EventTabulator(Reader(settings)))
        blocks = [lines[at : at + settings.block_rows] for at in range(0, len(lines), settings.block_rows)]
        first = 0
        for number, block in enumerate(blocks):
            steps.store_block(first, block, counts=number > 0 or len(blocks) == 1)
            first += len(block)
        return steps.figures(sum(map(len, lines)) / len(lines))


class Steps:
    """The way of a block, with the time that each step takes."""

    def __init__(self, store: ClickHouse, tabulator: EventTabulator) -> None:
        self._store, self._tabulator = store, tabulator
        self._cpu = dict.fromkeys(STEPS, 0.0)
        self._confirmed = 0.0
        self._events = 0

    def store_block(self, first: int, lines: Sequence[bytes], *, counts: bool) -> None:
        """Parse, hash, make columns, make Arrow, insert."""
        block = OpenBlock(self._tabulator, first, Metrics())
        spent = dict.fromkeys(STEPS, 0.0)
        for batch in _batches(first, lines):
            reading = _timed(spent, "parse", lambda batch=batch: self._tabulator.parse(batch))  # type: ignore[misc]
            _timed(spent, "hash_and_columns", lambda b=batch, r=reading: block.add(b, r, 0.0))  # type: ignore[misc]
        claim = Claim(
            Chain("bench", TOPIC, 0),
            first,
            block.next - 1,
            block.count,
            block.content,
            "",
            int(time.time() * 1000),
            "bench",
            "",
        )
        tables = _timed(spent, "arrow", lambda: block.columns.tables(claim))
        started = time.perf_counter()
        for name, table in tables.items():
            _timed(spent, "insert", lambda n=name, t=table: self._store.insert(n, t, claim.token(n)))  # type: ignore[misc]
        if counts:
            self._confirmed += time.perf_counter() - started
            self._events += len(lines)
            for step, seconds in spent.items():
                self._cpu[step] += seconds

    def figures(self, mean: float) -> dict[str, Any]:
        """µs an event, by step."""
        each = {step: round(seconds / self._events * 1e6, 2) for step, seconds in self._cpu.items()}
        return {
            "events": self._events,
            "mean_bytes": round(mean),
            "cpu_us_per_event": each,
            "storing_us_per_event": round(sum(each.values()) - each["parse"], 2),
            "insert_confirmed_us_per_event": round(self._confirmed / self._events * 1e6, 2),
        }


def _timed(spent: dict[str, float], step: str, work: Callable[[], T]) -> T:
    started = time.thread_time()
    result = work()
    spent[step] += time.thread_time() - started
    return result


def _batches(first: int, lines: Sequence[bytes]) -> Iterator[RecordBatch]:
    for at in range(0, len(lines), SLICE):
        part = lines[at : at + SLICE]
        records: list[Record] = [
            BenchRecord(first + at + index, bytes(bytearray(value)), 1_760_000_000_000)
            for index, value in enumerate(part)
        ]
        yield RecordBatch("bench", TOPIC, 0, first + at, first + at + len(part), records)
