"""A worker that only reads, in this process or in one of its own, and a topic full of numbered records to read.

In its own process: `python -m tests.transporting '{"kafka": …}'` writes a line to `out` for every record, before it
acknowledges the batch, so that what was processed can be compared with what was published.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from pipeline.app import build_app, group_of, serve
from pipeline.settings import Settings
from pipeline.transport import batches
from schemas.errors import Exit
from schemas.event import RecordBatch

SESSION_S = 2.0

Work = Callable[[RecordBatch], Awaitable[None]]


def fresh(prefix: str = "t") -> str:
    """A name that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def reading(kafka: str, group: str, **more: Any) -> Settings:
    """Settings of a worker that only reads; its session is short, so that joins are."""
    return Settings(kafka=kafka, group=group, session_timeout=SESSION_S, **{"stop_timeout": 6.0, **more})


def create(kafka: str, topic: str, partitions: int = 1, **config: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic].result(20)


def delete(kafka: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_topics([topic])[topic].result(20)


async def committed(kafka: str, settings: Settings, topic: str, partitions: int = 1) -> dict[int, tuple[int, str]]:
    """What the broker has for the ingest group: partition → (offset, metadata), without those that have none.

    By aiokafka: confluent-kafka's answer runs on behind the metadata's end.
    """
    async with group_member(kafka, settings) as consumer:
        asked = [TopicPartition(topic, partition) for partition in range(partitions)]
        found = await consumer._coordinator.fetch_committed_offsets(asked)
    return {at.partition: (known.offset, known.metadata or "") for at, known in found.items()}


@contextlib.asynccontextmanager
async def group_member(kafka: str, settings: Settings) -> AsyncIterator[Any]:
    """A consumer with the group's name that does not join it."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, group_id=group_of(settings, "ingest"), enable_auto_commit=False
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def publish(kafka: str, topic: str, values: Iterable[bytes], partitions: int = 1, **options: Any) -> None:
    """Value n to partition n modulo `partitions`; returns when all are acknowledged."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=5, max_request_size=64 << 20, **options)
    await producer.start()
    try:
        sent = [await producer.send(topic, value, partition=number % partitions) for number, value in enumerate(values)]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


def numbered(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


@dataclass
class Reader:
    """A worker in this process. `seen` has every batch, in the order in which the agent finished it."""

    app: Any
    settings: Settings
    seen: list[RecordBatch] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def values(self) -> list[bytes | None]:
        return [record.value for batch in self.seen for record in batch.records]

    async def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Until the condition holds; raises what the worker ended of, or TimeoutError."""
        async with asyncio.timeout(seconds):
            while not condition():
                if self.task is not None and self.task.done():
                    self.task.result()
                    raise AssertionError("the worker ended")
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self.stopping.set()
        if self.task is not None:
            await self.task


def reader(settings: Settings, *topics: str, work: Work | None = None, **options: Any) -> Reader:
    """A worker whose agent does `work` and acknowledges; not started."""
    made = Reader(build_app(settings, "ingest", "batch", fast_join=True, **options), settings)

    async def read(stream: Any) -> None:
        async for event in stream.noack().events():
            if work is not None:
                await work(event.value)
            made.seen.append(event.value)
            event.ack()

    made.app.agent(batches(made.app, *topics), name=fresh("agent"), concurrency=1)(read)
    return made


@contextlib.asynccontextmanager
async def running(made: Reader) -> AsyncIterator[Reader]:
    """Serve it for the block; a crash is raised by `until` or here."""
    made.task = asyncio.create_task(serve(made.app, made.stopping))
    try:
        yield made
    except BaseException:
        made.stopping.set()
        with contextlib.suppress(Exception):
            await made.task
        raise
    await made.stop()


@dataclass
class Process:
    """A worker in a process of its own."""

    child: subprocess.Popen[bytes]
    out: Path

    def lines(self) -> list[str]:
        """`partition value` of every record it processed; a line cut by a kill does not count."""
        if not self.out.exists():
            return []
        return [line for line in self.out.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def end(self, signum: int, seconds: float = 15.0) -> tuple[int, float]:
        """Send the signal; the exit code and the seconds until it came."""
        started = time.monotonic()
        self.child.send_signal(signum)
        return self.child.wait(seconds), time.monotonic() - started


def start(settings: Settings, *topics: str, folder: Path, delay: float = 0.0, mode: str = "work") -> Process:
    """Start a worker. `delay` seconds for each batch; `mode` is work, raise (at the first batch) or stuck."""
    out = folder / f"{fresh('seen')}.txt"
    told = {
        "settings": settings.model_dump(mode="json", include={"kafka", "group", "session_timeout", "stop_timeout"}),
        "topics": topics,
        "out": str(out),
        "delay": delay,
        "mode": mode,
    }
    command = [sys.executable, "-m", "tests.transporting", json.dumps(told)]
    log = (folder / f"{out.stem}.log").open("wb")
    return Process(subprocess.Popen(command, stdout=log, stderr=log), out)


def processed(processes: Iterable[Process]) -> Counter[str]:
    return Counter(line.strip() for process in processes for line in process.lines())


async def until_consuming(kafka: str, settings: Settings, topic: str) -> None:
    """Until a worker has partitions: it commits its start at once."""
    async with asyncio.timeout(30):
        while not await committed(kafka, settings, topic):
            await asyncio.to_thread(time.sleep, 0.1)


async def until(condition: Callable[[], bool], seconds: float) -> None:
    """Until the condition, which may block, holds. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(condition):
            await asyncio.to_thread(time.sleep, 0.1)


async def serve_process(told: dict[str, Any]) -> int:
    """Read until SIGTERM or a crash; the exit code."""
    settings = Settings(**told["settings"], state_dir=Path(tempfile.gettempdir()))
    app = build_app(settings, "ingest", "batch", fast_join=True)
    out = await asyncio.to_thread(Path(told["out"]).open, "a")

    async def read(stream: Any) -> None:
        async for event in stream.noack().events():
            if told["mode"] == "raise":
                raise RuntimeError("the agent raises")
            await asyncio.sleep(1_000 if told["mode"] == "stuck" else told["delay"])
            batch = event.value
            out.write("".join(f"{batch.partition} {record.value.decode()}\n" for record in batch.records))
            out.flush()
            event.ack()

    app.agent(batches(app, *told["topics"]), name="read", concurrency=1)(read)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    try:
        await serve(app, stopping)
    except Exception as error:
        sys.stderr.write(f"{error!r}\n")
        return Exit.FAILED
    return Exit.OK


if __name__ == "__main__":
    sys.exit(asyncio.run(serve_process(json.loads(sys.argv[1]))))
