"""Scenes of failure on a whole Qorgan, with one oracle: published = stored, as sets and as multisets."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

from pipeline.bench.latency import marker
from pipeline.bench.rig import Identity, Rig, Worker, rig, wait_for
from pipeline.demo.bank import events
from pipeline.embedded.children import start_store

TOPIC = "raw.events"


class Load:
    """Publishes simulated events, one damaged in fifty and one that a rule finds in a hundred, in a thread."""

    def __init__(self, scene: Rig, count: int, rate: float) -> None:
        self.published: list[Identity] = []
        self.markers = 0
        self.error: Exception | None = None
        self._scene, self._count, self._rate = scene, count, rate
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> Load:
        self._thread.start()
        return self

    def finish(self, seconds: float) -> list[Identity]:
        """Wait until all is published; what was published."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the load did not end in time"
        if self.error is not None:
            raise self.error
        return self.published

    def _run(self) -> None:
        try:
            self._scene.publish(TOPIC, self._values(), rate=self._rate, into=self.published)
        except Exception as error:
            self.error = error

    def _values(self) -> Iterator[bytes | None]:
        for number, message in enumerate(events(11, self._count, int(time.time() * 1000) - 3_600_000, 3_600_000)):
            if number % 100 == 7:
                self.markers += 1
                yield marker(number, int(time.time() * 1000))
            elif number % 50 == 3:
                yield (b'{"broken": ', b"\xff\xfe{", b"", None, b"[" * 2_000)[number % 5]
            else:
                yield message.value


def assert_each_once(scene: Rig, published: list[Identity]) -> None:
    """Every published record is stored exactly once, nothing else is. Says which are missing or doubled."""
    stored = Counter(scene.stored())
    missing = set(published) - set(stored)
    alien = set(stored) - set(published)
    doubled = {identity: count for identity, count in stored.items() if count > 1}
    assert not missing, f"{len(missing)} records lost, e.g. {sorted(missing)[:3]}"
    assert not alien, f"{len(alien)} rows of no published record, e.g. {sorted(alien)[:3]}"
    assert not doubled, f"{len(doubled)} records doubled, e.g. {sorted(doubled.items())[:3]}"


def wait_until_stored(scene: Rig, count: int, seconds: float) -> None:
    """Wait for that many distinct records in the store."""

    def stored() -> bool:
        return scene.stored_count() >= count

    wait_for(f"{count} records to be stored", stored, seconds, 0.5)


def kills(folder: Path, *, rounds: int, seed: int, kafka_home: Path | None = None) -> None:
    """Two ingest workers under load; every few seconds one of them is killed at random and started again."""
    rng = random.Random(seed)
    with rig(folder, kafka_home=kafka_home, raw_topics=TOPIC, block_age="0.5") as scene:
        scene.create_topics(TOPIC)
        workers: list[Worker] = [scene.worker("ingest"), scene.worker("ingest")]
        wait_for("both workers to be ready", lambda: all(w.ready() for w in workers), 90)
        load = Load(scene, count=1_500 * (6 * rounds + 4), rate=1_500).start()
        for _ in range(rounds):
            time.sleep(rng.uniform(1.0, 5.0))
            victim = rng.randrange(2)
            workers[victim].kill()
            workers[victim] = scene.worker("ingest")
        published = load.finish(60 + 10 * rounds)
        wait_until_stored(scene, len(published), 120)
        codes = [worker.terminate() for worker in workers]
        assert codes == [0, 0]
        assert_each_once(scene, published)


def store_away(folder: Path, *, seconds: float) -> None:
    """The store stops under load and comes back: detections go on, memory is bounded, everything is stored once."""
    with rig(folder, raw_topics=TOPIC) as scene:
        scene.create_topics(TOPIC)
        worker = scene.worker("ingest")
        others = [scene.worker("correlate"), scene.worker("respond")]
        wait_for("all roles to be ready", lambda: all(w.ready() for w in (worker, *others)), 90)
        load = Load(scene, count=int(2_000 * (seconds + 10)), rate=2_000).start()
        wait_until_stored(scene, 4_000, 60)
        before, found, raised = worker.rss_bytes(), _found(worker), _raised(others[1])
        port = scene.store.port
        scene.store.stop()
        wait_for("the metric to say that the store is away", lambda: worker.total("qorgan_store_up") == 0, 30)
        time.sleep(seconds)
        assert _found(worker) > found, "detections stopped with the store"
        assert _raised(others[1]) > raised, "incidents stopped with the store"
        assert worker.ready(), "a worker without its store is degraded, not dead"
        assert worker.rss_bytes() - before < 200 << 20, "memory grew with the store away"
        scene.store = start_store(folder / "store", port)
        try:
            published = load.finish(60)
            wait_until_stored(scene, len(published), 60 + 2 * seconds)
            assert_each_once(scene, published)
            assert worker.terminate() == 0
        finally:
            for process in (worker, *others):
                process.terminate()
            scene.store.stop()


def _found(worker: Worker) -> float:
    return worker.total("qorgan_detections_total")


def _raised(worker: Worker) -> float:
    return worker.total("qorgan_incidents_total")
