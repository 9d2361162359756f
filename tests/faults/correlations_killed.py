"""Correlations while their processes are killed: what is final is what a plain evaluator finds in all contributions."""

from __future__ import annotations

import json
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

from detectors.correlation.contribution import Contribution
from pipeline.bench.rig import Rig, rig, wait_for
from pipeline.rules import load_rules
from tests.correlation import Episode, plainly
from tests.sigma import rule_text

TOPIC = "raw.events"
COUNT = "0e7d4b1c-3c1f-4c29-9a5e-5d1c3a1b7f20"
BASE = "0e7d4b1c-3c1f-4c29-9a5e-5d1c3a1b7f21"
RULES = rule_text(
    {"s": {"EventID": 4625}, "condition": "s"},
    name="failed",
    id=BASE,
    logsource={"product": "windows", "service": "security"},
) + (
    b"\n---\ntitle: Many\nid: " + COUNT.encode() + b"\nlevel: high\n"
    b"correlation: {type: event_count, rules: [failed], group-by: [TargetUserName], timespan: 4s,"
    b" condition: {gte: 3}}\n"
)
LATENESS_S = 3


class Load:
    """Failed log-ins of a few users in another order than that in which they happened, until it is stopped."""

    def __init__(self, scene: Rig, seed: int) -> None:
        self.count = 0
        self._scene, self._chance = scene, random.Random(seed)
        self._end = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self) -> int:
        self._end.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.count

    def _run(self) -> None:
        while not self._end.wait(0.2):
            self.count += self._scene.publish(TOPIC, [self._event() for _ in range(self._chance.randint(0, 6))])

    def _event(self) -> bytes:
        at = datetime.now(UTC) - timedelta(seconds=self._chance.choice((0, 0, 0.5, 1.5)))
        return json.dumps(
            {
                "EventTime": at.isoformat(timespec="milliseconds"),
                "Channel": "Security",
                "EventID": 4625,
                "TargetUserName": f"user-{self._chance.randint(0, 9)}",
            }
        ).encode()


def kills(folder: Path, *, rounds: int, seed: int, kafka_home: Path | None = None) -> None:
    """Kill ingest or correlate, in turn and at random times, while contributions flow; compare what is final."""
    rules = folder / "rules"
    rules.mkdir()
    (rules / "a.yml").write_bytes(RULES)
    topics = json.dumps([{"topic": TOPIC, "lateness": LATENESS_S}])
    chance = random.Random(seed)
    with rig(folder, kafka_home=kafka_home, raw_topics=TOPIC, rules=str(rules), topics=topics) as scene:
        scene.create_topics(TOPIC, partitions=3)
        workers = {role: scene.worker(role) for role in ("ingest", "correlate")}
        wait_for("the workers to be ready", lambda: all(one.ready() for one in workers.values()), 120)
        load = Load(scene, seed)
        for number in range(rounds):
            time.sleep(chance.uniform(2.0, 5.0))
            role = ("correlate", "ingest")[number % 2]
            if number == rounds - 1:  # the last time in good order: a checkpoint is written and used
                workers[role].terminate()
            else:
                workers[role].kill()
            workers[role] = scene.worker(role)
            wait_for(f"{role} to be ready again", workers[role].ready, 120)
        published = load.finish()
        wait_for("all contributions to be stored", lambda: _contributions(scene, "uniqExact(id)") == published, 120)
        expected = _expected(scene, rules)
        assert len(expected) >= rounds, "too little has happened to tell anything"
        wait_for("what is final to be told", lambda: len(_told(scene, "final")) >= len(expected), 60)
        wait_for("all of it", lambda: _told(scene, "closed") == expected, 30)
        assert set(_told(scene, "final")) == {(group, first, 0) for group, first, _ in expected}
        for worker in workers.values():
            assert worker.terminate() == 0


def _contributions(scene: Rig, what: str) -> int:
    return int(scene.query(f"SELECT {what} FROM qorgan.detections WHERE kind = 'contribution'")[0][0])


def _expected(scene: Rig, rules: Path) -> list[tuple[str, str, int]]:
    """(group, first record, until) of every episode that a plain evaluator finds in the stored contributions."""
    rows = scene.query(
        "SELECT toUnixTimestamp64Milli(time), log, topic, partition, offset, JSONExtractString(json, 'user'), late "
        "FROM qorgan.detections WHERE kind = 'contribution' LIMIT 1 BY id"
    )
    assert not any(late for *_, late in rows), "nothing here is so late"
    made = [
        Contribution(COUNT, str(user), int(time_ms), f"{log}/{topic}/{partition}", int(offset), 0)
        for time_ms, log, topic, partition, offset, user, _ in rows
    ]
    (rule,) = load_rules([rules]).correlations.ordered
    found: list[Episode] = plainly(rule, made)
    return sorted((one.group, f"{one.first[0]}/{one.first[1]}", one.until) for one in found)


def _told(scene: Rig, face: str) -> list[tuple[str, str, int]]:
    """The same of what was told; a final says only how it began."""
    rows = scene.query(
        "SELECT DISTINCT JSONExtractString(json, 'matched', 'TargetUserName'), log, topic, partition, offset, "
        "JSONExtractInt(json, 'until') FROM qorgan.detections "
        f"WHERE subject = '{COUNT}' AND JSONExtractString(json, 'face') = '{face}'"
    )
    return sorted(
        (str(group), f"{log}/{topic}/{partition}/{offset}", int(until) if face == "closed" else 0)
        for group, log, topic, partition, offset, until in rows
    )
