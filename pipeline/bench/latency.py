"""`qorgan bench latency`: from publishing an event to its incident on the topic, while other events flow.

All three roles run. Ten times a second one event that a rule finds, each on a host of its own, is published among
`rate` ordinary ones; a consumer of `incidents` takes the time at which that host's incident arrives.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from pipeline.bench.pipeline import TOPIC
from pipeline.bench.rig import Rig, rig, wait_for
from pipeline.bench.sample import recorded, simulated

MARKERS_PER_S = 10
HOST = "bench-"


def marker(number: int, now_ms: int) -> bytes:
    """A record on a host of its own that the shipped rule for opened LSASS memory finds."""
    return orjson.dumps(
        {
            "@timestamp": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_ms / 1000)) + f".{now_ms % 1000:03d}Z",
            "Channel": "Microsoft-Windows-Sysmon/Operational",
            "EventID": 10,
            "SourceName": "Microsoft-Windows-Sysmon",
            "Hostname": f"{HOST}{number:06d}",
            "SourceImage": "C:\\Users\\Public\\upd.exe",
            "TargetImage": "C:\\Windows\\System32\\lsass.exe",
            "GrantedAccess": "0x1410",
        }
    )


def run(
    files: Sequence[Path] = (),
    rules: Sequence[Path] = (),
    *,
    rate: int = 5_000,
    seconds: float = 30.0,
    kafka_home: Path | None = None,
) -> dict[str, Any]:
    """Measure for `seconds` at `rate` events a second. The shipped rules find the markers; `rules` add to them."""
    lines = recorded(files, rate * 4, 2_500) if files else simulated(rate * 4)
    shipped = Path(__file__).parents[2] / "detectors" / "sigma" / "rules"
    with (
        tempfile.TemporaryDirectory(prefix="qorgan-bench-") as folder,
        rig(
            Path(folder),
            kafka_home=kafka_home,
            raw_topics=TOPIC,
            rules=",".join(map(str, (shipped, *rules))),
        ) as bench,
    ):
        bench.create_topics(TOPIC)
        workers = [bench.worker(role) for role in ("ingest", "correlate", "respond")]
        wait_for("all roles to be ready", lambda: all(worker.ready() for worker in workers), 120)
        _flow(bench, lines, rate, 3.0, None)  # warm: first batches, lazily built databases
        arrivals = Arrivals(bench.broker.address)
        sent: dict[int, float] = {}
        with arrivals:
            published = _flow(bench, lines, rate, seconds, sent)
            wait_for("the incidents of all markers", lambda: len(arrivals.seen) >= len(sent), 60)
        return _figures(sent, arrivals.seen, published, seconds)


def _flow(bench: Rig, lines: list[bytes], rate: int, seconds: float, sent: dict[int, float] | None) -> int:
    """Publish at `rate`, in slices of 20 ms; note when each marker went out. Returns how many in all."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bench.broker.address, "compression.type": "lz4", "linger.ms": 5})
    began, count, marked = time.monotonic(), 0, 0
    while (elapsed := time.monotonic() - began) < seconds:
        while count < elapsed * rate:
            producer.produce(TOPIC, lines[count % len(lines)])
            count += 1
        if sent is not None and marked < elapsed * MARKERS_PER_S:
            producer.produce(TOPIC, marker(marked, int(time.time() * 1000)))
            sent[marked] = time.monotonic()
            marked += 1
        producer.poll(0)
        time.sleep(0.02)
    producer.flush(30)
    return count + marked


class Arrivals:
    """Reads `incidents` in a thread; `seen` holds the time of each marker's first revision."""

    def __init__(self, bootstrap: str) -> None:
        self.seen: dict[int, float] = {}
        self._bootstrap = bootstrap
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Arrivals:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _read(self) -> None:
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": "bench-latency",
                "fetch.wait.max.ms": 10,
                "enable.auto.commit": False,
            }
        )
        partitions = consumer.list_topics("incidents", 10).topics["incidents"].partitions
        consumer.assign([TopicPartition("incidents", number, 0) for number in partitions])
        while not self._stop.is_set():
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                self._note(message.value(), time.monotonic())
        consumer.close()

    def _note(self, value: bytes, now: float) -> None:
        for entity in orjson.loads(value)["entities"]:
            if entity.startswith(f"host:{HOST}"):
                self.seen.setdefault(int(entity.removeprefix(f"host:{HOST}")), now)


def _figures(sent: dict[int, float], seen: dict[int, float], published: int, seconds: float) -> dict[str, Any]:
    taken = sorted(seen[number] - at for number, at in sent.items())

    def at(share: float) -> float:
        return round(taken[min(len(taken) - 1, int(len(taken) * share))], 3)

    return {
        "events_per_s": round(published / seconds),
        "incidents": len(taken),
        "p50_s": round(statistics.median(taken), 3),
        "p90_s": at(0.90),
        "p99_s": at(0.99),
        "max_s": round(taken[-1], 3),
    }
