"""What cannot work is said in one sentence that tells what to do, with the documented exit code, no trace."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.bench.rig import Rig, free_ports, rig, wait_for
from pipeline.supervise import role_command
from schemas.errors import Exit
from tests.faults.scenes import TOPIC

pytestmark = [pytest.mark.flow, pytest.mark.timeout(180)]

GOOD_RULE = """
title: A rule
id: 5f2f1a52-8a1c-4d0e-9d0a-6a4dbb2b8f0e
logsource: {product: windows, service: security}
detection: {selection: {EventID: 1}, condition: selection}
level: high
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A broker and a store that work."""
    with rig(tmp_path_factory.mktemp("refusals"), raw_topics=TOPIC) as made:
        made.create_topics(TOPIC, partitions=1)
        yield made


def refused(scene: Rig, seconds: float = 30, **settings: str) -> tuple[int, str]:
    """Exit code and output of an ingest worker with these settings."""
    changed = {f"QORGAN_{name.upper()}": value for name, value in settings.items()}
    done = subprocess.run(
        role_command("ingest"),
        env={**os.environ, **scene.environment, "QORGAN_METRICS_PORT": str(free_ports(3)), **changed},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_an_unknown_topic_that_may_not_be_created_is_named(scene: Rig) -> None:
    code, said = refused(scene, raw_topics="raw.nowhere", create="false")
    assert code == Exit.REFUSED
    assert "raw.nowhere" in said
    assert "topics apply" in said


def test_an_unreachable_broker_is_named_with_the_setting(scene: Rig) -> None:
    code, said = refused(scene, 120, kafka="127.0.0.1:9", start_timeout="3")
    assert code == Exit.UNREACHABLE
    assert "127.0.0.1:9" in said
    assert "QORGAN_KAFKA" in said


def test_a_missing_rules_folder_is_named(scene: Rig, tmp_path: Path) -> None:
    code, said = refused(scene, rules=str(tmp_path / "nowhere"))
    assert code == Exit.REFUSED
    assert str(tmp_path / "nowhere") in said


def test_a_folder_of_mostly_broken_rules_is_refused_at_start(scene: Rig, tmp_path: Path) -> None:
    fill_with_broken_rules(tmp_path)
    code, said = refused(scene, rules=str(tmp_path))
    assert code == Exit.REFUSED
    assert "rules check" in said


def test_a_broken_event_list_is_refused_with_its_file(scene: Rig, tmp_path: Path) -> None:
    (tmp_path / "list.yml").write_text("items: 3\n")
    code, said = refused(scene, event_list=str(tmp_path / "list.yml"))
    assert code == Exit.REFUSED
    assert "list.yml" in said


def test_a_wrong_setting_is_named_and_no_secret_is_shown(scene: Rig) -> None:
    code, said = refused(scene, clickhouse="nonsense://qorgan:topsecret@x", block_rows="0")
    assert code == Exit.REFUSED
    assert "block_rows" in said
    assert "topsecret" not in said


def test_with_a_wrong_password_of_the_store_the_worker_is_degraded_and_says_so(scene: Rig) -> None:
    wrong = scene.store.url.replace(scene.store.password, "wrong-password")
    worker = scene.worker("ingest", clickhouse=wrong, group="wrong-password")
    wait_for("the worker to be ready, degraded", worker.ready, 60)
    wait_for("the metric to say that the store is away", lambda: worker.total("qorgan_store_up") == 0, 20)
    assert worker.terminate() == 0
    said = worker.log.read_text()
    assert "wrong-password" not in said
    assert "password" in said.lower() or "authentication" in said.lower()


def test_a_running_worker_keeps_its_rules_when_the_new_ones_are_refused_and_swaps_when_they_are_good(
    scene: Rig, tmp_path: Path
) -> None:
    (tmp_path / "good.yml").write_text(GOOD_RULE)
    worker = scene.worker("ingest", rules=str(tmp_path), group="reload")
    wait_for("the worker to be ready", worker.ready, 60)
    assert worker.total("qorgan_rules_loaded") == 1
    fill_with_broken_rules(tmp_path)
    worker.process.send_signal(signal.SIGHUP)
    wait_for("the refusal", lambda: worker.total("qorgan_reloads_total", outcome="refused") == 1, 30)
    assert worker.total("qorgan_rules_loaded") == 1
    for broken in tmp_path.glob("broken*"):
        broken.unlink()
    (tmp_path / "second.yml").write_text(GOOD_RULE.replace("5f2f1a52", "6f2f1a52"))
    worker.process.send_signal(signal.SIGHUP)
    wait_for("the swap", lambda: worker.total("qorgan_reloads_total", outcome="swapped") == 1, 30)
    assert worker.total("qorgan_rules_loaded") == 2
    assert worker.terminate() == 0


def test_sigterm_ends_a_worker_within_ten_seconds_also_while_the_store_is_away(tmp_path: Path) -> None:
    with rig(tmp_path, raw_topics=TOPIC) as own:
        own.create_topics(TOPIC)
        worker = own.worker("ingest")
        wait_for("the worker to be ready", worker.ready, 60)
        own.publish(TOPIC, [b'{"Channel": "Security", "EventID": 1}'] * 5_000)
        own.store.kill()
        wait_for("the records to be judged", lambda: worker.total("qorgan_records_total") >= 5_000, 30)
        assert worker.terminate(10) == 0


def fill_with_broken_rules(folder: Path) -> None:
    for number in range(5):
        (folder / f"broken{number}.yml").write_text("title: broken\ndetection: [")
