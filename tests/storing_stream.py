"""Storing alone on a real broker and store: a stream that reads a topic and offers, in this process or in its own.

In its own process, `python -m tests.storing_stream '{"kafka": …, "clickhouse": …, "topic": …}'` writes a line before
every insert, with the table's name, so that whoever started it can kill it in the middle of a block.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from pipeline.logs import Logs
from pipeline.metrics import Metrics
from pipeline.parsers import Reader
from pipeline.settings import Settings
from pipeline.storing import Storing, open_store
from pipeline.storing_rules import cut
from pipeline.tabulators import EventTabulator
from schemas.event import RecordBatch

EVENT = b'{"n": %d, "@timestamp": "2025-10-09T08:53:20Z", "event": {"kind": "event"}, "host": {"name": "h%d"}}'
SLICE = 200


async def publish(kafka: str, topic: str, count: int, partitions: int = 2) -> None:
    """`count` records, one in five of them no event."""
    async with AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=5) as producer:
        sent = [
            await producer.send(topic, EVENT % (n, n % 9) if n % 5 else b"{broken", partition=n % partitions)
            for n in range(count)
        ]
        await asyncio.gather(*sent)


class Stream:
    """Reads all partitions from the first position on, as a worker's stream would, and offers every slice."""

    def __init__(self, settings: Settings, storing: Storing, reader: Reader) -> None:
        self._settings, self._storing, self._reader = settings, storing, reader

    async def run(self, topic: str, log: str, partitions: int = 2) -> None:
        at = [TopicPartition(topic, number) for number in range(partitions)]
        positions = dict.fromkeys(at, 0)
        async with AIOKafkaConsumer(bootstrap_servers=self._settings.kafka, auto_offset_reset="earliest") as consumer:
            consumer.assign(at)
            while True:
                for tp, records in (await consumer.getmany(timeout_ms=200, max_records=500)).items():
                    until = await consumer.position(tp)
                    batch = RecordBatch(log, topic, tp.partition, positions[tp], until, records)
                    positions[tp] = until
                    await self._offer(batch)

    async def _offer(self, batch: RecordBatch) -> None:
        await self._storing.room()
        for first in range(batch.first, batch.next, SLICE):
            part = cut(batch, first, first + SLICE)
            self._storing.offer(part, self._reader.read(part))
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def storing(settings: Settings, topic: str, partitions: int = 2, **options: Any) -> AsyncIterator[Storing]:
    """A storer that owns the whole topic, with a stream that feeds it."""
    reader, logs = Reader(settings), Logs(settings)
    made = Storing(settings, {topic: EventTabulator(reader)}, logs, Metrics(), **options)
    log = await logs.current(topic)
    await made.start()
    for partition in range(partitions):
        made.assigned(topic, partition, log)
    stream = asyncio.create_task(Stream(settings, made, reader).run(topic, log, partitions))
    try:
        yield made
    finally:
        stream.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await stream
        await made.stop(5.0)


async def until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait for a condition; it fails with what it last was."""
    deadline = time.monotonic() + seconds
    while not (last := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {last}"
        await asyncio.sleep(0.1)


def origins(settings: Settings, topic: str) -> Counter[tuple[str, int, int]]:
    """(log, partition, offset) of every row in events and dead letters, counted."""
    rows = open_store(settings).writer._clients.rows(
        f"SELECT log, partition, offset FROM {settings.database}.events WHERE topic = {{topic:String}} UNION ALL "
        f"SELECT log, partition, offset FROM {settings.database}.dead_letters WHERE topic = {{topic:String}}",
        {"topic": topic},
    )
    return Counter((log, partition, offset) for log, partition, offset in rows)


def expected(log: str, count: int, partitions: int = 2) -> Counter[tuple[str, int, int]]:
    """The same, as it must be."""
    return Counter((log, n % partitions, n // partitions) for n in range(count))


def start(settings: dict[str, Any], topic: str) -> subprocess.Popen[str]:
    """A storer in its own process."""
    command = [sys.executable, "-m", "tests.storing_stream", json.dumps({**settings, "topic": topic})]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])


class _Telling:
    """The store, telling on stdout before each insert and being slow about it."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def insert(self, table: str, data: pa.Table, token: str) -> None:
        sys.stdout.write(table + "\n")
        sys.stdout.flush()
        self._store.insert(table, data, token)
        time.sleep(0.05)


async def _main(given: dict[str, Any]) -> None:
    topic = given.pop("topic")
    settings = Settings(**given)
    async with storing(settings, topic, store=_Telling(open_store(settings))):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.argv[1])))
