"""`qorgan demo` as a newcomer runs it: its account balances, and whatever happens it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

pytestmark = [pytest.mark.flow, pytest.mark.timeout(240)]

#: What a user may have set for a Qorgan of his own. Nothing answers there, and nothing may be sent there.
ELSEWHERE = {"QORGAN_KAFKA": "127.0.0.1:1", "QORGAN_CLICKHOUSE": "http://127.0.0.1:1", "QORGAN_RULES": "/nowhere"}


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command, with `folder` for its temporary files."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli.main", "demo", *arguments],
        env={**os.environ, **ELSEWHERE, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def left_behind(folder: Path) -> list[str]:
    """Temporary files, and processes whose environment or arguments name `folder`."""
    found = [str(path) for path in folder.iterdir()]
    for place in Path("/proc").glob("[0-9]*"):
        try:
            said = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in said and int(place.name) != os.getpid():
            found.append(f"process {place.name}")
    return found


def test_a_small_bank_balances_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """3,000 events: every line of the account, the attack's incident and the past contact's."""
    with demo(tmp_path, "--events", "3000", "--json") as process:
        out, err = process.communicate(timeout=230)
    said = [orjson.loads(line) for line in out.splitlines()]
    account = {line["account"]["what"]: line["account"] for line in said if "account" in line}
    assert [line for line in account.values() if not line["ok"]] == [], err.decode()
    assert process.returncode == 0, err.decode()
    assert account["published"]["seen"] == "3,041"
    assert {line["incident"]["number"][5:] for line in said if "incident" in line} == {"000001", "000002"}
    assert left_behind(tmp_path) == []


def test_a_demonstration_that_is_terminated_takes_everything_with_it(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if b"Waiting for the workers" in line:
                break
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 130
    deadline = time.monotonic() + 10
    while left_behind(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_behind(tmp_path) == []


def test_rules_that_do_not_exist_are_refused_before_anything_starts(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text("{}\n")
    with demo(tmp_path, "--input", str(events), "--rules", "/nowhere/at/all") as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert (
        err.decode().strip() == "qorgan: The rules /nowhere/at/all do not exist; name a file or folder of Sigma rules."
    )
