"""A running worker takes rules as they change, stays with them, and goes back when the new ones flood."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipeline.bench.rig import Rig, rig, wait_for
from tests.faults.scenes import TOPIC
from tests.sigma import rule_text

pytestmark = [pytest.mark.flow, pytest.mark.timeout(180)]

SHADOW, NOISY = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
SECURITY = {"product": "windows", "service": "security"}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig(tmp_path_factory.mktemp("rule-life"), raw_topics=TOPIC) as made:
        made.create_topics(TOPIC, partitions=1)
        yield made


def test_changed_rules_are_taken_without_a_signal_and_go_again_when_they_flood(scene: Rig, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    write(rules, SHADOW, {"EventID": 4625})
    stages = tmp_path / "stages.yml"
    stages.write_text(yaml.safe_dump({"stages": [{"stage": "shadow", "rules": [SHADOW]}]}))
    worker = scene.worker("ingest", rules=str(rules), stages=str(stages), rules_watch="0.3", group="rule-life")
    wait_for("the worker to be ready", worker.ready, 60)

    quiet = [b'{"Channel": "Security", "EventID": 1}'] * 3_000
    scene.publish(TOPIC, [*quiet, b'{"Channel": "Security", "EventID": 4625}'])
    wait_for("the records to be judged", lambda: worker.total("qorgan_records_total") == 3_001, 30)
    wait_for("the shadow to be counted", lambda: worker.total("qorgan_shadow_detections_total") == 1, 10)

    write(rules, NOISY, {"EventID": 1})
    wait_for("the swap", lambda: worker.total("qorgan_reloads_total", outcome="swapped") == 1, 60)
    assert worker.total("qorgan_rules_loaded") == 2
    scene.publish(TOPIC, quiet[:1_500])
    wait_for("the rollback", lambda: worker.total("qorgan_reloads_total", outcome="rolled_back") == 1, 30)
    assert worker.total("qorgan_rules_loaded") == 1

    found = worker.total("qorgan_detections_total")
    scene.publish(TOPIC, quiet[:1_000])
    wait_for("the rest to be judged", lambda: worker.total("qorgan_records_total") == 5_501, 30)
    assert worker.total("qorgan_detections_total") == found, "the old set judges, and the new one is not tried again"
    assert worker.total("qorgan_reloads_total", outcome="swapped") == 1
    assert worker.terminate() == 0
    assert "rolled back" in worker.log.read_text()


def write(folder: Path, rule: str, selection: dict[str, int]) -> None:
    text = rule_text({"s": selection, "condition": "s"}, id=rule, logsource=SECURITY)
    (folder / f"{rule}.yml").write_bytes(text)
