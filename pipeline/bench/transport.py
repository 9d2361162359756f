"""`qorgan bench transport`: how fast records reach an agent, by three ways, one process each over the same topic.

`batch` is our transport, `faust` a plain Faust agent, `aiokafka` the client alone (`getmany`): the upper bound of the
first. Each with and without `orjson.loads` of every value. Start and group join are left out: time runs from the
first records that arrive to the last.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from pipeline.embedded.children import start_broker
from pipeline.settings import Settings, load
from schemas.errors import QorganError

WAYS = ("batch", "faust", "aiokafka")
SESSION_S = 6.0
CHILD_S = 600.0
BATCH_RECORDS = 5_000


def run(
    *,
    events: int = 500_000,
    mean_bytes: int = 900,
    partitions: int = 4,
    ways: Sequence[str] = WAYS,
    faust_events: int | None = None,
    kafka: str | None = None,
    kafka_home: Path | None = None,
) -> dict[str, Any]:
    """Measure each way; `kafka` names a running broker, else one is started (Apache Kafka with `kafka_home`).

    `faust_events` lets the plain agent, 15 times slower, stop early; its figure is a rate all the same. Returns
    rates (records/s), CPU (µs a record), and the two ratios by which the batch path is judged.
    """
    topic = f"bench.transport.{uuid.uuid4().hex[:8]}"
    counts = {way: (faust_events or events) if way == "faust" else events for way in ways}
    with _broker(kafka, kafka_home) as address:
        _publish(address, topic, events, mean_bytes, partitions)
        measured = {
            f"{way}{'_loads' if loads else ''}": _child(address, way, topic, counts[way], loads)
            for loads in (False, True)
            for way in ways
        }
    return {
        "records": events,
        "record_bytes": mean_bytes,
        "partitions": partitions,
        "broker": "given" if kafka else "apache kafka" if kafka_home else "embedded",
        **{f"{name}_records_per_s": figures["records_per_s"] for name, figures in measured.items()},
        **{f"{name}_cpu_us_per_record": figures["cpu_us"] for name, figures in measured.items()},
        **_ratios(measured),
    }


def _ratios(measured: dict[str, dict[str, float]]) -> dict[str, float]:
    rates = {name: figures["records_per_s"] for name, figures in measured.items()}
    return {
        f"batch_to_{other}{loads}": round(rates[f"batch{loads}"] / rates[f"{other}{loads}"], 2)
        for loads in ("", "_loads")
        for other in ("faust", "aiokafka")
        if f"batch{loads}" in rates and f"{other}{loads}" in rates
    }


@contextlib.contextmanager
def _broker(kafka: str | None, kafka_home: Path | None) -> Iterator[str]:
    if kafka is not None:
        yield kafka
        return
    with start_broker(kafka_home=kafka_home) as broker:
        yield broker.address


def _publish(address: str, topic: str, records: int, size: int, partitions: int) -> None:
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)
    producer = Producer({"bootstrap.servers": address, "linger.ms": 20, "queue.buffering.max.kbytes": 1 << 17})
    for number in range(records):
        value = _value(number, size)
        while True:
            try:
                producer.produce(topic, value, partition=number % partitions)
                break
            except BufferError:
                producer.poll(0.05)
        if number % 1_000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise QorganError("The benchmark's records were not published within two minutes.")


def _value(number: int, size: int) -> bytes:
    """A JSON object of about `size` bytes: twenty short fields, as a flat event has them."""
    fields = {f"field_{at:02}": f"value {number + at} {'x' * max(0, size // 20 - 32)}" for at in range(20)}
    return orjson.dumps(fields)


def _child(address: str, way: str, topic: str, count: int, loads: bool) -> dict[str, float]:
    command = [sys.executable, "-m", "pipeline.bench.transport", way, topic, str(count), str(int(loads))]
    environment = {**os.environ, "QORGAN_KAFKA": address, "QORGAN_SESSION_TIMEOUT": str(SESSION_S)}
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command, env=environment, capture_output=True, timeout=CHILD_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise QorganError(f"The way {way} did not read {count} records within {CHILD_S:.0f} s.") from None
    if done.returncode != 0:
        raise QorganError(f"The way {way} ended with code {done.returncode}: {done.stderr.decode()[-500:]}")
    figures: dict[str, float] = orjson.loads(done.stdout.splitlines()[-1])
    return figures


class Count:
    """Counts records from the first that arrive; `full` is set when all have come."""

    def __init__(self, wanted: int, loads: bool) -> None:
        self.wanted, self.loads = wanted, loads
        self.full = asyncio.Event()
        self._read = self._before = 0
        self._began = self._cpu = 0.0

    def add(self, values: Sequence[bytes]) -> None:
        """These records have come."""
        if self._read == 0:
            self._before, self._began, self._cpu = len(values), time.perf_counter(), time.process_time()
        if self.loads:
            for value in values:
                orjson.loads(value)
        self._read += len(values)
        if self._read >= self.wanted and not self.full.is_set():
            self._report(self._read - self._before)
            self.full.set()

    def _report(self, counted: int) -> None:
        seconds, cpu = time.perf_counter() - self._began, time.process_time() - self._cpu
        figures = {"records_per_s": round(counted / seconds), "cpu_us": round(cpu / counted * 1e6, 2)}
        sys.stdout.write(orjson.dumps(figures).decode() + "\n")
        sys.stdout.flush()


async def _by_batch(settings: Settings, topic: str, count: Count) -> None:
    from pipeline.app import build_app, serve
    from pipeline.transport import batches

    app = build_app(settings, "ingest", "batch", fast_join=True)

    async def read(stream: Any) -> None:
        async for event in stream.noack().events():
            count.add([record.value for record in event.value.records])
            event.ack()

    app.agent(batches(app, topic), concurrency=1)(read)
    await serve(app, count.full)


async def _by_faust(settings: Settings, topic: str, count: Count) -> None:
    import faust

    from pipeline.app import serve

    with tempfile.TemporaryDirectory(prefix="qorgan-bench-") as folder:  # Faust makes one for tables, used or not
        app = faust.App(
            settings.group,
            broker=f"kafka://{settings.kafka}",
            value_serializer="raw",
            broker_session_timeout=SESSION_S,
            broker_heartbeat_interval=1.0,
            topic_disable_leader=True,
            store="memory://",
            web_enabled=False,
            env={},
            datadir=folder,
        )

        async def read(stream: Any) -> None:
            async for value in stream:
                count.add((value,))

        app.agent(app.topic(topic, value_type=bytes), concurrency=1)(read)
        await serve(app, count.full)


async def _by_aiokafka(settings: Settings, topic: str, count: Count) -> None:
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=settings.kafka,
        group_id=settings.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=int(SESSION_S * 1000),
        max_partition_fetch_bytes=settings.fetch_bytes,
    )
    await consumer.start()
    try:
        while not count.full.is_set():
            for records in (await consumer.getmany(timeout_ms=1000, max_records=BATCH_RECORDS)).values():
                count.add([record.value for record in records])
    finally:
        await consumer.stop()


def main(way: str, topic: str, wanted: str, loads: str) -> None:
    """One child: read, print the figures as one line of JSON, leave."""
    settings = load(group=f"bench-{uuid.uuid4().hex[:8]}")
    by = {"batch": _by_batch, "faust": _by_faust, "aiokafka": _by_aiokafka}[way]
    asyncio.run(by(settings, topic, Count(int(wanted), loads == "1")))


if __name__ == "__main__":
    main(*sys.argv[1:])
