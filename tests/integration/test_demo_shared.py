"""`qorgan demo --input` over real recordings with all of SigmaHQ's rules: incidents, and every record accounted for."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import orjson
import pytest

pytestmark = [pytest.mark.shared, pytest.mark.timeout(600)]

COMMAND = (sys.executable, "-m", "pipeline.cli.main", "demo")


@pytest.fixture(scope="module")
def shared() -> Path:
    named = os.environ.get("QORGAN_SHARED_DATA")
    folder = Path(named) if named else Path(__file__).parents[3] / "shared" / "data"
    assert folder.is_dir(), f"{folder} is missing; set QORGAN_SHARED_DATA to the folder of recordings and rules"
    return folder


def test_real_recordings_raise_incidents_and_every_record_is_accounted_for(shared: Path, tmp_path: Path) -> None:
    with tarfile.open(shared / "sigmahq-rules.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    recordings = sorted(map(str, (shared / "otrf").glob("*.jsonl.xz")))
    assert len(recordings) > 10
    done = subprocess.run(
        [*COMMAND, "--json", "--input", *recordings, "--rules", str(tmp_path / "rules")],
        capture_output=True,
        timeout=580,
    )
    said = [orjson.loads(line) for line in done.stdout.splitlines()]
    account = {line["account"]["what"]: line["account"] for line in said if "account" in line}
    assert [line for line in account.values() if not line["ok"]] == [], done.stderr.decode()
    assert done.returncode == 0, done.stderr.decode()
    assert account["published"]["seen"] == "61,445"
    assert len({line["incident"]["number"] for line in said if "incident" in line}) >= 5
