"""Indicators on a running stream: published, gated, matched within two seconds; held, released, revoked; restarts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from pipeline.bench.rig import Rig, Worker, rig, wait_for
from pipeline.embedded.children import start_broker
from pipeline.settings import load
from pipeline.submitting import add, import_now
from schemas.detection import Detection
from schemas.indicator_record import Command, Document, Value, record_key
from tests.sigma import rule_text

pytestmark = [pytest.mark.flow, pytest.mark.timeout(240)]

TOPIC = "raw.events"
QUICK_S = 2.0


def looked_up(name: str) -> bytes:
    """A host asks for a name."""
    said = {
        "EventTime": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "EventID": 22,
        "Hostname": "ws-1",
        "QueryName": name,
    }
    return json.dumps(said).encode()


class Bank:
    """What is published, and what is found of it."""

    def __init__(self, address: str) -> None:
        self._producer = Producer({"bootstrap.servers": address})
        self._consumer = Consumer(
            {"bootstrap.servers": address, "group.id": "test", "auto.offset.reset": "earliest", "fetch.wait.max.ms": 20}
        )
        there = self._consumer.list_topics("detections", 10).topics["detections"].partitions
        self._consumer.assign([TopicPartition("detections", number, 0) for number in there])

    def say(self, said: Document | Command) -> None:
        self._producer.produce("indicators", said.to_bytes(), record_key(*said.key))
        self._producer.flush(10)

    def sees(self, name: str) -> set[str]:
        """Publish the name, another behind it, and say which indicators were found until that one was."""
        for one in (name, "marker.example"):
            self._producer.produce(TOPIC, looked_up(one), partition=0)
        self._producer.flush(10)
        found: set[str] = set()
        deadline = time.monotonic() + 10
        while "marker" not in found:
            assert time.monotonic() < deadline, "nothing is judged any more"
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                found.add(Detection.from_bytes(message.value()).subject)
        return found - {"marker"}

    def takes(self, name: str, wanted: set[str]) -> float:
        """Seconds until the name is found as wanted."""
        started = time.monotonic()
        wait_for(f"{name} to be found as {wanted}", lambda: self.sees(name) == wanted, 10, 0.01)
        return time.monotonic() - started


def about(ident: str, name: str, **also: Any) -> Document:
    return Document(source="soc", id=ident, values=(Value(type="domain", value=name),), title=name, **also)


@contextmanager
def running(scene: Rig) -> Iterator[tuple[Worker, Worker]]:
    curate, ingest = scene.worker("curate"), scene.worker("ingest")
    wait_for("the workers to be ready", lambda: curate.ready() and ingest.ready(), 60)
    yield curate, ingest


def in_force(ingest: Worker, count: int) -> Callable[[], bool]:
    return lambda: ingest.total("qorgan_indicators_loaded") == count


def submitted(scene: Rig, folder: Path) -> dict[str, str]:
    """What `qorgan indicators add` says of a bulletin; said again it is known, and a poll is answered."""
    bulletin = folder / "bulletin.csv"
    bulletin.write_text("type,value,id\ndomain,told.example,t1\ndomain,google.com,t2\n")
    settings = load(kafka=scene.broker.address, state_dir=folder, indicators=(folder / "feed",))
    done = add(settings, [bulletin], "cert", seconds=30)
    again = add(settings, [bulletin], "cert", seconds=30)
    assert (again.changed, again.unchanged) == ([], 2)
    assert import_now(settings, "files", seconds=30).polls == {"files": ""}
    return {one.id: str(one.state) for one in done.changed}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Rig]:
    (tmp_path / "feed").mkdir()
    (tmp_path / "feed" / "watched.csv").write_text("type,value,id\ndomain,marker.example,marker\n")
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "one.yml").write_bytes(rule_text({"s": {"EventID": 1}, "condition": "s"}))
    with rig(
        tmp_path, raw_topics=TOPIC, rules=str(rules), indicators=str(tmp_path / "feed"), rules_watch="0.2"
    ) as made:
        made.create_topics(TOPIC, partitions=1)
        yield made


def test_an_indicator_lives_from_its_publication_to_its_end_through_restarts(scene: Rig, tmp_path: Path) -> None:
    with running(scene) as (curate, ingest):
        bank = Bank(scene.broker.address)
        assert bank.sees("bad.example") == set(), (
            "the first batch is judged by what the files hold, and by nothing else"
        )

        bank.say(about("bad", "bad[.]example"))
        assert bank.takes("www.bad.example", {"bad"}) < QUICK_S

        bank.say(about("wide", "google.com"))
        wait_for("it to be held", lambda: curate.total("qorgan_indicator_entries", state="held") == 1, 10)
        assert bank.sees("google.com") == set(), "what is held is not matched"
        bank.say(Command(kind="release", source="soc", id="wide", by="a.analyst", reason="seen in the case"))
        assert bank.takes("google.com", {"wide"}) < QUICK_S

        bank.say(Command(kind="revoke", source="other", id="bad"))
        bank.say(about("after", "after.example"))
        bank.takes("after.example", {"after"})
        assert bank.sees("bad.example") == {"bad"}, "another source cannot revoke it"
        bank.say(Command(kind="revoke", source="soc", id="after"))
        assert bank.takes("after.example", set()) < QUICK_S

        bank.say(about("marker", "marker.example"))
        wait_for("another source to name the same value", in_force(ingest, 4), 10)
        (tmp_path / "feed" / "watched.csv").write_text("type,value,id\ndomain,new.example,new\n")
        bank.takes("new.example", {"new"})
        wait_for("the file's entry to be withdrawn", in_force(ingest, 4), 10)

        assert submitted(scene, tmp_path) == {"t1": "active", "t2": "held"}
        wait_for("what was added to be in force", in_force(ingest, 5), 10)

        assert curate.terminate() == 0
        bank.say(about("late", "late.example"))
        again = scene.worker("curate")
        wait_for("what waited to be in force", in_force(ingest, 6), 30)
        assert bank.sees("late.example") == {"late"}, "what came while nobody curated is taken in"
        assert again.total("qorgan_indicator_revisions_total") == 1, "nothing else is said again"
        assert ingest.alive
        for worker in scene.workers:
            worker.terminate()

    port = int(scene.broker.address.rpartition(":")[2])
    scene.broker.kill()
    with start_broker(port) as fresh:
        scene.create_topics(TOPIC, partitions=1)
        with running(scene):
            bank = Bank(fresh.address)
            assert bank.sees("bad.example") == {"bad"}, "a broker that forgot is told again before events are judged"
            assert bank.sees("after.example") == set()
            for worker in scene.workers:
                worker.terminate()
