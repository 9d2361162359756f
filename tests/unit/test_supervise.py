"""Roles are restarted when they die, ended together when one is refused, and none outlives its parent's stop."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

PYTHON = [sys.executable, "-c"]


def run(script: str, seconds: float = 20) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PYTHON, script], capture_output=True, text=True, timeout=seconds, check=False)


def test_a_role_that_dies_is_started_again(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    child = f"open({str(marks)!r}, 'a').write('x')"
    script = f"""
import sys
from pipeline.supervise import supervise
from pathlib import Path
def tick():
    return "enough" if Path({str(marks)!r}).exists() and len(Path({str(marks)!r}).read_text()) >= 2 else None
sys.exit(supervise({{"a": [sys.executable, "-c", {child!r}]}}, stop_timeout=1, tick=tick))
"""
    assert run(script).returncode == 5
    assert len(marks.read_text()) >= 2


def test_an_ingest_that_is_refused_ends_them_all_with_its_code() -> None:
    script = """
import sys
from pipeline.supervise import supervise
sys.exit(supervise({
    "ingest": [sys.executable, "-c", "import sys; sys.exit(3)"],
    "long": [sys.executable, "-c", "import time; time.sleep(60)"],
}, stop_timeout=1))
"""
    assert run(script).returncode == 3


def test_a_respond_that_is_refused_leaves_the_others_alone() -> None:
    script = """
import sys, time
from pipeline.supervise import supervise
began = time.monotonic()
sys.exit(supervise({
    "respond": [sys.executable, "-c", "import sys; sys.exit(3)"],
    "ingest": [sys.executable, "-c", "import time; time.sleep(60)"],
}, stop_timeout=1, tick=lambda: "still running" if time.monotonic() - began > 2 else None))
"""
    assert run(script).returncode == 5, "ended by the test's own sentence, not by the refusal"


def test_sigterm_stops_the_children_and_one_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    deaf = (
        f"import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open({str(ready)!r},'w'); time.sleep(60)"
    )
    script = f"""
import sys
from pipeline.supervise import supervise
sys.exit(supervise({{"deaf": [sys.executable, "-c", {deaf!r}]}}, stop_timeout=0.5))
"""
    parent = subprocess.Popen([*PYTHON, script])
    deadline = time.monotonic() + 15
    while not ready.exists():
        assert time.monotonic() < deadline, "the child did not start"
        time.sleep(0.05)
    parent.terminate()
    assert parent.wait(10) == 0
