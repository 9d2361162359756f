"""The scene of respond being killed: two processes, one active, findings keep coming, the active one dies, repeatedly.

Afterwards the journal, its topic and the topic of incidents must tell one story.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from threading import Thread

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from detectors.triage.fold import Incidents
from pipeline.bench.rig import Rig, Worker, wait_for
from pipeline.embedded.children import Broker
from schemas.incident import Incident
from schemas.journal import GENESIS, Registered, unseal
from tests.triage import DUMP, LEAK, MOVE, T0, found, update


class Findings:
    """Publishes updates to `intake` in a thread: new findings, more of old ones, higher levels, some of them twice."""

    def __init__(self, address: str, seconds: float, rate: float, seed: int) -> None:
        self.expected: set[str] = set()
        self._producer = Producer({"bootstrap.servers": address, "linger.ms": 5})
        self._seconds, self._rate, self._chance = seconds, rate, random.Random(seed)
        self._stopped = False
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> Findings:
        self._thread.start()
        return self

    def finish(self) -> None:
        self._thread.join(self._seconds + 30)
        assert not self._thread.is_alive(), "the findings did not end in time"
        assert self._producer.flush(30) == 0, "not every finding was published"

    def _run(self) -> None:
        began, number = time.monotonic(), 0
        while time.monotonic() - began < self._seconds:
            self._publish(number)
            number += 1
            time.sleep(max(0.0, number / self._rate - (time.monotonic() - began)))

    def _publish(self, number: int) -> None:
        host = f"ws-{self._chance.randrange(40)}"
        one = found(
            number,
            host=host,
            user="",
            tags=self._chance.choice((DUMP, MOVE, LEAK)),
            level=self._chance.choice(("high", "high", "critical")),
            time=T0 + self._chance.randrange(3) * 90_000_000,
        )
        self.expected.add(one.id)
        for _ in range(self._chance.choice((1, 1, 1, 2))):
            self._producer.produce("intake", update(one).to_bytes(), key=b"intake")
        self._producer.poll(0)


def kills(folder: Path, broker: Broker, *, rounds: int, session: float, seed: int) -> None:
    """`rounds` times the active process is killed at a random moment and started again as the one that stands by."""
    environment = {
        "QORGAN_KAFKA": broker.address,
        "QORGAN_STATE_DIR": str(folder / "state"),
        "QORGAN_SESSION_TIMEOUT": str(session),
        "QORGAN_LOG_FORMAT": "json",
    }
    scene = Rig(folder, broker, None, environment)  # type: ignore[arg-type] # respond needs no store
    chance = random.Random(seed)
    workers = [scene.worker("respond"), scene.worker("respond")]
    try:
        active_one(workers)
        findings = Findings(broker.address, seconds=rounds * (session + 3), rate=60, seed=seed).start()
        for _ in range(rounds):
            time.sleep(chance.uniform(0.5, 2.0))
            victim = active_one(workers)
            workers[victim].kill()
            workers[victim] = scene.worker("respond")
            active_one(workers)
        findings.finish()
        wait_for("every finding to be told", lambda: told(broker.address) >= findings.expected, 60, 0.5)
        wait_for("the other one to stand by", lambda: all(worker.ready() for worker in workers), 60)
        codes = [worker.terminate() for worker in workers]
        assert codes == [0, 0], f"they were told to stop and ended with {codes}"
    finally:
        for worker in workers:
            worker.terminate()
    assert_one_story(broker.address, findings.expected)


def active_one(workers: list[Worker]) -> int:
    """The place of the process that holds the partition; waits for one, since a rebalance leaves none for a moment."""
    found_at: list[int] = []

    def look() -> bool:
        found_at[:] = [at for at, worker in enumerate(workers) if worker.total("qorgan_role_active", role="respond")]
        return bool(found_at)

    wait_for("one process to be active", look, 60)
    return found_at[0]


def told(address: str) -> set[str]:
    """The detections that the last revisions on `incidents` tell of."""
    latest: dict[str, Incident] = {}
    for value in values(address, "incidents", 4):
        one = Incident.from_bytes(value)
        if one.id not in latest or one.revision >= latest[one.id].revision:
            latest[one.id] = one
    return {piece.id for one in latest.values() for piece in one.evidence}


def assert_one_story(address: str, expected: set[str]) -> None:
    """The chain is whole, no number stands twice, and each revision was published, always with the same content."""
    folded, head, numbers = Incidents(), GENESIS, []
    for line in values(address, "journal", 1):
        if orjson.loads(line)["seq"] <= head.seq:
            continue  # a copy may repeat what its writer was killed over
        sealed = unseal(head, line)
        head = sealed.head
        folded.apply(sealed.entry)
        if isinstance(sealed.entry.body, Registered):
            numbers.append(sealed.entry.body.number)
    assert len(numbers) == len(set(numbers)) == len(folded.cases)
    assert sorted(int(number.split("-")[1]) for number in numbers) == list(range(1, len(numbers) + 1))
    published: dict[tuple[str, int], bytes] = {}
    for value in values(address, "incidents", 4):
        one = Incident.from_bytes(value)
        assert published.setdefault((one.id, one.revision), value) == value, f"{one.number} has two revisions alike"
    for case in folded.cases.values():
        absent = [n for n in range(1, case.revision + 1) if (case.id, n) not in published]
        assert not absent, f"revisions {absent} of {case.number} were never published"
        assert published[case.id, case.revision] == case.incident().to_bytes()
    assert {piece.id for case in folded.cases.values() for piece in case.incident().evidence} == expected


def values(address: str, topic: str, partitions: int) -> list[bytes]:
    """Every value of a topic now, committed ones only; partition by partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "reader",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    found_values: list[bytes] = []
    ended: set[int] = set()
    deadline = time.monotonic() + 30
    try:
        while len(ended) < partitions and time.monotonic() < deadline:
            for message in consumer.consume(500, 0.2):
                if message.error() is None:
                    found_values.append(message.value() or b"")
                elif message.error().name() == "_PARTITION_EOF":
                    ended.add(message.partition() or 0)
        assert len(ended) == partitions, f"the topic {topic} could not be read to its end"
    finally:
        consumer.close()
    return found_values
