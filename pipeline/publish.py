"""`qorgan publish`: the lines of recordings as records of a raw topic, at full speed or at a given rate.

A line counts as published when the broker has confirmed it, and not before. With `event` timestamps a record's
timestamp is the event's own time, read by the worker's own parsers, so that a recording is judged by its own clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer

from pipeline import recordings
from pipeline.kafka import EMBEDDED_PREFIX, confluent_options
from pipeline.offline import read
from pipeline.parsers import Reader
from pipeline.settings import Settings
from schemas.errors import QorganError, RefusedError, UnreachableError

CONNECT_S = 8.0
CONFIRM_S = 30.0
#: Slices a second while a rate is kept: fine enough for a live view, coarse enough to cost nothing.
SLICES = 20
#: Kafka refuses records an hour ahead of its clock (`message.timestamp.after.max.ms`).
AHEAD_MS = 3_600_000
#: Refusals that concern one record; after any other the rest would fail as well, and publishing stops.
OF_ONE_RECORD = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_TIMESTAMP, KafkaError.INVALID_RECORD})

Timestamps = Literal["event", "now"]


class Published(NamedTuple):
    """What was confirmed: records, bytes of their values, seconds until the last confirmation."""

    records: int
    bytes: int
    seconds: float


def publish(
    settings: Settings,
    files: Sequence[str],
    topic: str,
    *,
    rate: float = 0.0,
    timestamps: Timestamps = "event",
    progress: Callable[[int], None] = lambda records: None,
) -> Published:
    """Publish every line of `files` (`-` is standard input) to `topic`; `rate` in records a second, 0 is unbounded.

    Raises RefusedError for a file or topic that cannot be used, UnreachableError, and QorganError that counts the
    records which were not confirmed.
    """
    for name in files:
        recordings.size(name)
    reader = Reader(settings)
    line = Line(settings, topic)
    try:
        for name in files:
            for lines in recordings.read(name, headed=settings.for_topic(topic).headed):
                times = _times(reader, topic, lines, timestamps)
                for some in _paced(list(zip(lines.values, times, strict=True)), rate, line):
                    line.send(some)
                    progress(len(some))
    except RefusedError:
        line.close()
        raise
    return line.close()


class Line:
    """One connection to one topic: sends, waits while the queue is full, counts what was not confirmed."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._where = f"topic {topic} on {settings.kafka}"
        self._topic = topic
        self._failed = 0
        self._hopeless = False
        self._why = ""
        self._bytes = 0
        self._producer = self._connect(settings)
        self.records = 0
        self.started = time.monotonic()

    def send(self, records: Sequence[tuple[bytes, int]]) -> None:
        """Hand over (value, timestamp in milliseconds) pairs. Returns when the client's queue has taken them."""
        produce, topic = self._producer.produce, self._topic
        for value, timestamp in records:
            while True:
                try:
                    produce(topic, value, timestamp=timestamp)
                    break
                except BufferError:
                    self._producer.poll(0.1)
                except KafkaException as error:  # a record larger than the client may send
                    self._note(error.args[0], None)
                    break
            self._bytes += len(value)
        self.records += len(records)
        self._producer.poll(0)
        if self._hopeless:
            self.close()

    def close(self) -> Published:
        """Wait for every confirmation. Raises QorganError when one is missing."""
        unconfirmed = self._producer.flush(CONFIRM_S + 5)
        missing = self._failed + unconfirmed
        if missing:
            self._producer.purge()
            why = self._why or "no confirmation in time"
            raise QorganError(f"{missing:,} of {self.records:,} records were not published to {self._where}: {why}.")
        return Published(self.records, self._bytes, time.monotonic() - self.started)

    def _connect(self, settings: Settings) -> Producer:
        options = {
            **confluent_options(settings),
            "compression.type": "lz4",
            "linger.ms": 20,
            "batch.size": 1 << 20,
            "batch.num.messages": 20_000,
            "message.max.bytes": 64 << 20,
            "queue.buffering.max.messages": 200_000,
            "queue.buffering.max.kbytes": 128 << 10,
            "delivery.timeout.ms": int(CONFIRM_S * 1000),
            # Confirmations are not worth a call each: what did not fail when the queue is empty was confirmed.
            "delivery.report.only.error": True,
            "on_delivery": self._note,
        }
        probe = Producer(options)
        try:
            metadata = probe.list_topics(timeout=CONNECT_S)
        except KafkaException as error:
            raise UnreachableError(
                f"Kafka at {settings.kafka} does not answer ({error.args[0].str()}): check QORGAN_KAFKA."
            ) from None
        if self._topic not in metadata.topics:
            raise RefusedError(
                f"There is no {self._where}: add it to QORGAN_RAW_TOPICS and run `qorgan topics apply`, or create it."
            )
        if (metadata.cluster_id or "").startswith(EMBEDDED_PREFIX):
            return probe
        # On Apache Kafka a retry inside the client cannot double a record; the embedded broker knows no such thing.
        return Producer({**options, "enable.idempotence": True})

    def _note(self, error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            self._failed += 1
            self._hopeless = self._hopeless or error.code() not in OF_ONE_RECORD
            self._why = error.str()


def _times(reader: Reader, topic: str, lines: recordings.Lines, timestamps: Timestamps) -> Sequence[int]:
    now = int(time.time() * 1000)
    if timestamps == "now":
        return [now] * len(lines.values)
    own = {event.offset: event.time_ms for event in read(reader, topic, lines, now).events}
    times = (own.get(number, now) for number in lines.numbers)
    return [at if 0 < at < now + AHEAD_MS else now for at in times]


def _paced(records: list[tuple[bytes, int]], rate: float, line: Line) -> Iterator[list[tuple[bytes, int]]]:
    """The records in slices, each when it is due at `rate`."""
    if not rate:
        yield records
        return
    rest = iter(records)
    while some := list(islice(rest, max(1, int(rate / SLICES)))):
        due = line.started + line.records / rate
        time.sleep(max(0.0, due - time.monotonic()))
        yield some
