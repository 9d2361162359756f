"""Audit records joined on the stream: of two topics, through a kill of the process that joins them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import pytest

from detectors.audit.piece import Key, joined_id
from pipeline.bench.rig import Rig, Worker, rig, wait_for
from tests.audit import killed, number, started
from tests.sigma import rule_text

pytestmark = [pytest.mark.flow, pytest.mark.timeout(240)]

ONE, OTHER = "raw.one", "raw.other"
RULE = "5b1f2c68-6a0e-4f0b-9d55-0c0b7a1e2f30"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rules = tmp_path_factory.mktemp("rules")
    said = {"s": {"Image|endswith": "/crontab", "CommandLine|contains": "-r"}, "condition": "s"}
    source = {"product": "linux", "category": "process_creation"}
    (rules / "a.yml").write_bytes(rule_text(said, logsource=source, id=RULE))
    lateness = json.dumps([{"topic": name, "lateness": 1} for name in (ONE, OTHER)])
    folder = tmp_path_factory.mktemp("audit")
    with rig(folder, raw_topics=f"{ONE},{OTHER}", rules=str(rules), topics=lateness) as made:
        made.create_topics(ONE, OTHER, partitions=1)
        yield made


def told(scene: Rig) -> list[tuple[str, str, str]]:
    """What is found, in the order of the audit system's numbers."""
    rows = scene.query(
        "SELECT DISTINCT id, JSONExtractString(json, 'topic'), JSONExtractString(json, 'matched', 'CommandLine') "
        f"FROM qorgan.detections WHERE subject = '{RULE}' ORDER BY 3"
    )
    return [(row[0], row[1], row[2]) for row in rows]


def start(scene: Rig, *roles: str) -> list[Worker]:
    workers = [scene.worker(role) for role in roles]
    wait_for("the workers to be ready", lambda: all(worker.ready() for worker in workers), 90)
    return workers


def test_records_of_two_topics_are_one_event_whatever_process_joins_them(scene: Rig) -> None:
    ingest, correlate = start(scene, "ingest", "correlate")
    ms = int(datetime.now(UTC).timestamp() * 1000)
    whole = started(1, ["crontab", "-r", "whole"], exe="/usr/bin/crontab", ms=ms)
    ahead = ms + 20_000  # so that the watermark does not pass it while a process starts
    parted = started(2, ["crontab", "-r", "two parts"], exe="/usr/bin/crontab", ms=ahead)
    lacking = started(3, ["crontab", "-r", "untitled"], exe="/usr/bin/crontab", ms=ms)[:5]
    scene.publish(ONE, [*whole, *killed(4, ms=ms), *parted[:3], *lacking])
    wait_for("all to be taken", lambda: correlate.total("qorgan_audit_pieces_total", outcome="taken") == 14, 60)
    wait_for("what is whole", lambda: "crontab -r whole" in {row[2] for row in told(scene)}, 60)
    assert correlate.total("qorgan_audit_held") >= 3
    assert ingest.total("qorgan_audit_pieces_total", outcome="sent") == 14, "EOE is not needed, nor is a kill"
    correlate.kill()
    (correlate,) = start(scene, "correlate")

    scene.publish(OTHER, parted[3:])
    wait_for("what was parted, and at the watermark what is never whole", lambda: len(told(scene)) == 3, 90)
    numbers = (number(2, ahead), number(3, ms), number(1, ms))
    assert [row[0] for row in told(scene)] == [joined_id(RULE, Key("srv01", one)) for one in numbers]
    assert {row[1] for row in told(scene)} == {ONE}, "each is told by the record of its call"

    taken = partial(correlate.total, "qorgan_audit_pieces_total", outcome="taken")
    before = taken()
    scene.publish(OTHER, whole)  # a shipper that sends again: told again, under the same id
    wait_for("what is sent again", lambda: taken() == before + 6, 30)
    assert len(told(scene)) == 3
    assert [worker.terminate() for worker in (ingest, correlate)] == [0, 0]
