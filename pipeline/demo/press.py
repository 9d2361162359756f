"""Publishes the demonstration's records and remembers who each became: (topic, partition, offset), by its mark."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from confluent_kafka import Producer

from pipeline.demo.programme import Marked
from pipeline.kafka import confluent_options
from pipeline.settings import Settings
from schemas.identity import Origin

FLUSH_S: Final = 30.0
#: The live view is served so often while records go out.
TURN_S: Final = 0.05


class Press:
    """One producer. What the broker confirmed is remembered by mark; what it did not is counted."""

    def __init__(self, settings: Settings, logs: Mapping[str, str]) -> None:
        """`logs` names the log of each topic."""
        self._logs = logs
        self._marked: defaultdict[str, list[Origin]] = defaultdict(list)
        self._producer = Producer(
            {
                **confluent_options(settings),
                "compression.type": "lz4",
                "linger.ms": 20,
                "message.max.bytes": 64 << 20,
                "queue.buffering.max.messages": 200_000,
            }
        )
        self.sent = 0
        self.confirmed = 0
        self.failed = 0

    def publish(self, records: Iterable[Marked], rate: float, turn: Callable[[], None]) -> None:
        """Publish all, at most `rate` a second (0: unbounded), and wait for the confirmations.

        `turn` is called often: it serves the live view.
        """
        began = served = time.monotonic()
        for marked in records:
            self._send(marked)
            ahead = True
            while ahead:
                now = time.monotonic()
                ahead = bool(rate) and self.sent > (now - began) * rate
                if ahead or now - served > TURN_S:
                    served = now
                    self._producer.poll(0.01 if ahead else 0)
                    turn()
        self.flush(turn)

    def flush(self, turn: Callable[[], None]) -> None:
        """Wait until the broker has confirmed all that was sent; what it does not confirm in time has failed."""
        deadline = time.monotonic() + FLUSH_S
        while self._producer.flush(TURN_S) and time.monotonic() < deadline:
            turn()
        self.failed = self.sent - self.confirmed

    def published(self, mark: str | None = None) -> frozenset[Origin]:
        """The confirmed records of one mark, or all."""
        if mark is not None:
            return frozenset(self._marked[mark])
        return frozenset().union(*self._marked.values())

    def _send(self, marked: Marked) -> None:
        message = marked.message
        report = partial(self._delivered, marked.mark, self._logs[message.topic])
        while True:
            try:
                self._producer.produce(
                    message.topic, message.value, message.key, timestamp=message.time_ms, on_delivery=report
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                self.sent += 1
                return

    def _delivered(self, mark: str, log: str, error: Any, message: Any) -> None:
        if error is None:
            self.confirmed += 1
            self._marked[mark].append(Origin(log, message.topic(), message.partition(), message.offset()))
