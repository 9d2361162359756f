"""Correlations on the stream: told at once and finally, by whoever owns the group's partition, through kills."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from pipeline.bench.rig import Rig, Worker, rig, wait_for
from tests.identities import SID, kept
from tests.sigma import rule_text

pytestmark = [pytest.mark.flow, pytest.mark.timeout(240)]

TOPIC = "raw.events"
SECURITY = {"product": "windows", "service": "security"}
MANY = "0e7d4b1c-3c1f-4c29-9a5e-5d1c3a1b7f10"
THEN = "0e7d4b1c-3c1f-4c29-9a5e-5d1c3a1b7f11"
NEW = "0e7d4b1c-3c1f-4c29-9a5e-5d1c3a1b7f12"
CORRELATIONS = f"""---
title: Passwords guessed
name: guessed
id: {MANY}
level: high
tags: [attack.t1110]
correlation: {{type: event_count, rules: [failed], group-by: [TargetUserName], timespan: 5m, condition: {{gte: 3}}}}
---
title: Passwords guessed, then a log-in
id: {THEN}
level: critical
tags: [attack.t1110]
correlation:
  {{type: temporal_ordered, rules: [guessed, logon], group-by: [TargetUserName], timespan: 10m, generate: true}}
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rules = tmp_path_factory.mktemp("rules")
    failed = rule_text(
        {"s": {"EventID": 4625}, "condition": "s"}, name="failed", logsource=SECURITY, id=MANY[:-1] + "a"
    )
    logon = rule_text({"s": {"EventID": 4624}, "condition": "s"}, name="logon", logsource=SECURITY, id=MANY[:-1] + "b")
    (rules / "a.yml").write_bytes(failed + b"\n---\n" + logon + CORRELATIONS.encode())
    identities = tmp_path_factory.mktemp("bank") / "identities"
    identities.mkdir()
    lateness = json.dumps([{"topic": TOPIC, "lateness": 1}])
    with rig(
        tmp_path_factory.mktemp("correlations"),
        raw_topics=TOPIC,
        rules=str(rules),
        topics=lateness,
        rules_watch="1",
        identities=str(identities),
    ) as made:
        made.create_topics(TOPIC, partitions=2)
        yield made


def event(number: int, user: str, ago: float = 0.0, host: str = "dc-1") -> bytes:
    at = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat(timespec="milliseconds")
    said = {"EventTime": at, "Channel": "Security", "EventID": number, "TargetUserName": user, "Hostname": host}
    return json.dumps(said).encode()


def told(scene: Rig, rule: str, user: str) -> list[str]:
    """The faces of a correlation's detections of one user, in the order in which they came."""
    rows = scene.query(
        "SELECT JSONExtractString(json, 'face') FROM qorgan.detections "
        f"WHERE subject = '{rule}' AND JSONExtractString(json, 'matched', 'TargetUserName') = '{user}' "
        "ORDER BY record_partition, record_offset"
    )
    return [face for (face,) in rows]


def start(scene: Rig, *roles: str) -> list[Worker]:
    workers = [scene.worker(role) for role in roles]
    wait_for("the workers to be ready", lambda: all(worker.ready() for worker in workers), 90)
    return workers


def test_a_correlation_is_told_at_once_and_finally_and_goes_on_where_a_killed_process_left_it(scene: Rig) -> None:
    ingest, correlate = start(scene, "ingest", "correlate")
    scene.publish(TOPIC, [event(4625, "anna"), event(4625, "boris"), event(4625, "anna"), event(4624, "clara")])
    wait_for(
        "contributions to be taken", lambda: correlate.total("qorgan_contributions_total", outcome="taken") == 4, 60
    )
    correlate.kill()
    (correlate,) = start(scene, "correlate")

    scene.publish(TOPIC, [event(4625, "anna")])
    wait_for("the provisional", lambda: told(scene, MANY, "anna") == ["provisional"], 60)
    scene.publish(TOPIC, [event(4624, "anna"), event(4624, "boris")])
    wait_for("the final", lambda: "final" in told(scene, MANY, "anna"), 90)
    assert told(scene, MANY, "anna") == ["provisional", "final"]
    assert told(scene, MANY, "boris") == []

    shown = scene.query("SELECT kind, count() FROM qorgan.detections_first GROUP BY kind")
    assert dict(shown).keys() == {"correlation", "rule"}, "rules that only feed correlations are shown to nobody"
    kinds = dict(scene.query("SELECT kind, uniqExact(id) FROM qorgan.detections GROUP BY kind"))
    assert (kinds["contribution"], kinds["rule"]) == (4, 3)
    wait_for("the chain, at once", lambda: told(scene, THEN, "anna") == ["provisional"], 30)
    change_rules(scene, ingest, correlate)
    learn_who_is_who(scene, ingest, correlate)
    assert [worker.terminate() for worker in (ingest, correlate)] == [0, 0]
    saved = list((scene.folder / "state" / "correlate").glob("*.checkpoint"))
    assert saved, "what is held is written when a process ends"


def change_rules(scene: Rig, *workers: Worker) -> None:
    """A new correlation is taken by both roles without a restart, and judged."""
    file = Path(scene.environment["QORGAN_RULES"]) / "b.yml"
    file.write_text(
        CORRELATIONS.replace(MANY, NEW)
        .replace(THEN, NEW[:-1] + "f")
        .replace("name: guessed", "name: twice")
        .replace("[guessed, logon]", "[twice, logon]")
        .replace("gte: 3", "gte: 2")
    )
    for worker in workers:
        taken = partial(worker.total, "qorgan_reloads_total", outcome="swapped")
        wait_for(f"{worker.role} to take the rules", lambda taken=taken: taken() > 0, 60)
    scene.publish(TOPIC, [event(4625, "dana"), event(4625, "dana")])
    wait_for("the new correlation", lambda: told(scene, NEW, "dana") == ["provisional"], 60)
    assert told(scene, MANY, "dana") == []


def learn_who_is_who(scene: Rig, *workers: Worker) -> None:
    """A snapshot of identities is taken by both roles without a restart, and is in what they say from then on."""
    before = [worker.total("qorgan_reloads_total", outcome="swapped") for worker in workers]
    kept(Path(scene.environment["QORGAN_IDENTITIES"]).parent)
    for worker, count in zip(workers, before, strict=True):
        taken = partial(worker.total, "qorgan_reloads_total", outcome="swapped")
        wait_for(f"{worker.role} to take it", lambda taken=taken, count=count: taken() > count, 60)
    scene.publish(TOPIC, [event(4625, SID, host="10.2.0.10")] * 2)
    wait_for("the correlation of one whom it knows", lambda: told(scene, NEW, SID.lower()) == ["provisional"], 60)
    rows = scene.query(
        "SELECT DISTINCT kind, has(entities, 'user:pgustavo'), JSONExtractString(json, 'who', 'asset', 'criticality') "
        f"FROM qorgan.detections WHERE user = '{SID}' ORDER BY kind"
    )
    assert [tuple(row) for row in rows] == [("contribution", 1, "critical"), ("correlation", 1, "critical")]
