"""`python -m pipeline.bench.store_http`: what the store's HTTP costs above the engine itself, Arrow rows of 2.5 KB.

The same rows are inserted by the engine called directly and through the store, each in a fresh process, taking turns,
so that a busy machine slows both. Processor time is that of the engine's process; the ratio is direct / through HTTP.
"""

from __future__ import annotations

import http.client
import io
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa

from pipeline.embedded.children import Store, start_store
from schemas.errors import QorganError

ROW_BYTES = 2_500
TABLE = (
    "CREATE TABLE rows (ts DateTime64(3), host LowCardinality(String), number UInt64, raw String CODEC(ZSTD(3))) "
    "ENGINE = MergeTree ORDER BY number"
)
INSERT = "INSERT INTO rows FORMAT ArrowStream"
SETTINGS = {"async_insert": "0", "max_threads": "1"}


def run(*, events: int = 12_800, repeat: int = 5, seed: int = 90) -> dict[str, Any]:
    """Insert `events` rows `repeat` times each way. Rows a second by the clock (best) and processor µs a row (mean)."""
    data = arrow_rows(events, seed)
    with tempfile.TemporaryDirectory(prefix="qorgan-bench-") as scratch, start_store(Path(scratch)) as store:
        ask(store, TABLE)
        direct = _Direct(data)
        try:
            ways: dict[str, tuple[int, Callable[[], object]]] = {
                "direct": (direct.pid, direct.insert),
                "http": (store.pid, lambda: ask(store, INSERT, data)),
            }
            for _, insert in ways.values():  # the first one of each pays for what is made once
                insert()
            taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
            for _ in range(repeat):
                for name, (pid, insert) in ways.items():
                    taken[name].append(_timed(pid, insert))
            held = store.held_bytes()
        finally:
            direct.close()
    figures = {name: _figures(found, events) for name, found in taken.items()}
    return {
        "rows": events,
        "bytes": len(data),
        **figures,
        "ratio_processor": round(figures["direct"]["processor_us"] / figures["http"]["processor_us"], 2),
        "ratio_rows_per_s": round(figures["http"]["rows_per_s"] / figures["direct"]["rows_per_s"], 2),
        "store_held_bytes": held,
    }


def arrow_rows(count: int, seed: int) -> bytes:
    """An Arrow stream of rows that look like events: few names, many values, `ROW_BYTES` of raw text each."""
    rng = random.Random(seed)  # noqa: S311 - rows to measure with
    values = [f"value-{rng.random():.12f}" for _ in range(3_000)]
    names = [f"Field{number:02d}" for number in range(75)]
    raw = [
        (f'{{"RecordId":{number},' + ",".join(f'"{name}":"{rng.choice(values)}"' for name in names))[: ROW_BYTES - 1]
        + "}"
        for number in range(count)
    ]
    first = 1_700_000_000_000
    table = pa.table(
        {
            "ts": pa.array(range(first, first + count), pa.timestamp("ms")),
            "host": [f"host-{number % 200}" for number in range(count)],
            "number": pa.array(range(count), pa.uint64()),
            "raw": raw,
        }
    )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def ask(store: Store, query: str, body: bytes = b"") -> bytes:
    """One request to a store. Raises QorganError with its answer if it fails."""
    connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=120)
    headers = {"X-ClickHouse-User": "qorgan", "X-ClickHouse-Key": store.password}
    connection.request("POST", "/?" + urlencode({"query": query, **SETTINGS}), body, headers)
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    if answer.status != 200:
        raise QorganError(f"The store answered {answer.status}: {said[:300].decode(errors='replace')}")
    return said


class _Direct:
    """The engine in a process of its own, inserting when it is told to."""

    def __init__(self, data: bytes) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve_direct, args=(theirs, data), daemon=True)
        self._process.start()
        self.pid = self._process.pid or 0
        self._ours.recv()

    def insert(self) -> None:
        self._ours.send(True)
        self._ours.recv()

    def close(self) -> None:
        self._ours.send(False)
        self._process.join(20)


def _serve_direct(told: Connection, data: bytes) -> None:
    import chdb

    with tempfile.TemporaryDirectory(prefix="qorgan-bench-") as scratch:
        connection = chdb.connect(scratch)
        connection.query(TABLE)
        connection.query("SET " + ", ".join(f"{name} = {value}" for name, value in SETTINGS.items()))
        told.send(True)
        while told.recv():
            with connection.send_insert("INSERT INTO rows", "ArrowStream") as stream:
                stream.append(data)
                stream.finish()
            told.send(True)
        connection.close()


def _timed(pid: int, insert: Callable[[], object]) -> tuple[float, float]:
    begun, spent = time.perf_counter(), _processor_s(pid)
    insert()
    return time.perf_counter() - begun, _processor_s(pid) - spent


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _figures(taken: list[tuple[float, float]], rows: int) -> dict[str, float]:
    clock, processor = zip(*taken, strict=True)
    return {
        "rows_per_s": round(rows / min(clock)),
        "processor_us": round(sum(processor) / len(processor) / rows * 1e6, 1),
    }


if __name__ == "__main__":
    import json
    import sys

    sys.stdout.write(json.dumps(run(), indent=2) + "\n")
