"""A full disk: the store says so and is away, detection goes on, and with room again everything is stored once."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from pipeline.bench.latency import marker
from pipeline.bench.rig import Identity, rig, wait_for
from schemas.errors import Exit
from tests.faults.scenes import TOPIC, assert_each_once, wait_until_stored

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

MIB = 1 << 20
PAGE = 4 << 10


@contextmanager
def small_disk(at: Path, size: int) -> Iterator[Path]:
    """A file system of `size` bytes in memory; mounting one needs root."""
    at.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Take all room of a disk but `leave` bytes; removing the file gives it back."""
    room = os.statvfs(disk)
    filler = disk / "filler"
    with filler.open("wb") as out:
        for _ in range((room.f_bavail * room.f_frsize - leave) // PAGE):
            out.write(bytes(PAGE))
    return filler


def incompressible(number: int) -> bytes:
    """An event that a disk cannot hold many of."""
    return orjson.dumps(
        {"Channel": "Security", "EventID": 1, "Hostname": f"h{number}", "Noise": os.urandom(4_000).hex()}
    )


def test_with_a_full_disk_under_the_store_detection_goes_on_and_all_is_stored_when_there_is_room(
    tmp_path: Path,
) -> None:
    (tmp_path / "scene").mkdir()
    with (
        small_disk(tmp_path / "scene" / "store", 512 * MIB) as disk,
        rig(tmp_path / "scene", raw_topics=TOPIC) as scene,
    ):
        scene.create_topics(TOPIC)
        worker = scene.worker("ingest")
        published: list[Identity] = []
        scene.publish(TOPIC, [marker(0, 1_790_000_000_000)], into=published)
        wait_until_stored(scene, 1, 60)
        filler = fill(disk, 12 * MIB)
        scene.publish(TOPIC, (incompressible(number) for number in range(8_000)), into=published)
        wait_for("the store to be away", lambda: worker.total("qorgan_store_up") == 0, 60)
        scene.publish(TOPIC, [marker(1, 1_790_000_000_000)], into=published)
        wait_for("detection to go on", lambda: worker.total("qorgan_detections_total") >= 2, 30)
        assert worker.ready()
        wait_for("the sentence that says what is wrong", lambda: "no room" in worker.log.read_text(), 30)
        filler.unlink()
        wait_until_stored(scene, len(published), 120)
        assert_each_once(scene, published)
        assert worker.terminate() == 0


def test_with_a_full_disk_under_the_journal_respond_leaves_with_a_sentence_and_loses_no_incident(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "state", 64 * MIB) as disk, rig(tmp_path, raw_topics=TOPIC) as scene:
        scene.create_topics(TOPIC)
        workers = [scene.worker("ingest"), scene.worker("correlate")]
        respond = scene.worker("respond")
        wait_for("all roles to be ready", lambda: all(one.ready() for one in (*workers, respond)), 90)
        filler = fill(disk, 0)
        scene.publish(TOPIC, [marker(number, 1_790_000_000_000) for number in range(200)])
        wait_for("respond to leave", lambda: not respond.alive, 60)
        assert respond.process.returncode not in (0, Exit.REFUSED)
        said = respond.log.read_text()
        assert "Traceback" not in said
        assert "No space left" in said or "no room" in said
        filler.unlink()
        again = scene.worker("respond")
        wait_for("every incident to be raised", lambda: again.total("qorgan_incidents_total") >= 200, 60)
