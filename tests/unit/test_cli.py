"""The command line: quick to start, sentences for errors, the documented exit codes, one answer on stdout."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.cli import main, screen
from schemas.errors import Exit, QorganError, RefusedError, UnreachableError

HEAVY = ("pydantic", "faust", "aiokafka", "confluent_kafka", "pyarrow", "rich", "orjson", "structlog", "sigma", "yaml")
QORGAN = [sys.executable, "-m", "pipeline.cli.main"]


def call(*args: str) -> int:
    """Run a command in this process; returns its exit code."""
    with pytest.raises(SystemExit) as left:
        main.app(list(args), prog_name="qorgan")
    return int(left.value.code or 0)


def test_starting_imports_nothing_that_a_command_may_not_need() -> None:
    code = f"import sys, pipeline.cli.main; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("error", "code"),
    [(RefusedError("a"), 3), (UnreachableError("b"), 4), (QorganError("c"), 5)],
)
def test_an_error_is_one_sentence_and_its_exit_code(
    error: QorganError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setattr("pipeline.settings.load", fail)
    assert call("topics", "show") == code
    assert capsys.readouterr().err == f"qorgan: {error}\n"


def test_an_unexpected_error_is_its_place_and_not_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: Any) -> None:
        raise ValueError("a payload")

    monkeypatch.setattr("pipeline.settings.load", fail)
    assert call("topics", "show") == Exit.FAILED
    err = capsys.readouterr().err
    assert "Unexpected ValueError in test_cli.py, line" in err
    assert "a payload" not in err
    monkeypatch.setenv("QORGAN_LOG_LEVEL", "debug")
    call("topics", "show")
    assert "Traceback" in capsys.readouterr().err


def test_a_wrong_call_is_2() -> None:
    assert call("publish", "no-topic-given.jsonl") == Exit.USAGE


def test_wrong_settings_are_3_and_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("QORGAN_RAW_PARTITIONS", "none")
    assert call("settings") == Exit.REFUSED
    out, err = capsys.readouterr()
    assert "QORGAN_RAW_PARTITIONS" in out, "the table that explains it comes all the same"
    assert "raw_partitions: Input should be a valid integer" in err


def test_a_missing_settings_file_is_refused(tmp_path: Path) -> None:
    done = subprocess.run([*QORGAN, "--settings", str(tmp_path / "none.toml"), "topics", "show"], capture_output=True)
    assert done.returncode == Exit.REFUSED, done.stderr


def test_the_settings_file_counts_and_the_environment_counts_more(tmp_path: Path) -> None:
    (tmp_path / "q.toml").write_text('kafka = "file:1"\ngroup = "of-file"\n')
    done = subprocess.run(
        [*QORGAN, "--settings", str(tmp_path / "q.toml"), "settings", "--json"],
        env={**os.environ, "QORGAN_KAFKA": "environment:2"},
        capture_output=True,
        check=True,
    )
    now = {row["setting"]: row["now"] for row in map(orjson.loads, done.stdout.splitlines())}
    assert (now["QORGAN_KAFKA"], now["QORGAN_GROUP"]) == ("environment:2", "of-file")


def test_settings_show_no_secret(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("QORGAN_CLICKHOUSE", "http://me:hunter2@store:8123")
    monkeypatch.setenv("QORGAN_KAFKA_PASSWORD", "hunter2")
    call("settings", "--json")
    out = capsys.readouterr().out
    assert "hunter2" not in out
    assert '"now":"http://me@store:8123"' in out
    assert '"now":"(set)"' in out


def test_a_reader_that_leaves_is_silent() -> None:
    done = subprocess.run(
        ["/bin/bash", "-c", '"$0" "$@" | head -c 1 > /dev/null; exit ${PIPESTATUS[0]}', *QORGAN, "settings"],
        env={**os.environ, "QORGAN_KAFKA": "x" * 100_000},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (Exit.BROKEN_PIPE, b"")


WAITING = """
import signal, sys, time, pipeline.settings
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job is started with it ignored
from pipeline.cli.main import main
pipeline.settings.load = lambda: (print("waiting", flush=True), time.sleep(60))
sys.argv = ["qorgan", "topics", "show"]
main()
"""


def test_ctrl_c_is_130_without_a_traceback() -> None:
    running = subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None
    assert running.stdout.readline() == b"waiting\n"
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert (running.returncode, err) == (Exit.INTERRUPTED, b"")


ROWS = [{"host": "ws-1", "tags": ["a", "b"], "more": 1}, {"host": "[red]x\ty", "tags": [], "more": None}]


def test_a_pipe_gets_tab_separated_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert screen.show(ROWS, ("host", "tags"), as_json=False) == 2
    assert capsys.readouterr().out == "host\ttags\nws-1\ta, b\n[red]x y\t\n"


def test_json_is_one_object_a_line_with_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert screen.show(ROWS, ("host",), as_json=True) == 2
    assert [orjson.loads(line) for line in capsys.readouterr().out.splitlines()] == ROWS


def test_a_terminal_gets_a_table_in_which_markup_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    screen.show(ROWS, ("host", "tags"), as_json=False, title="Hosts")
    assert "Hosts" in sys.stdout.getvalue()  # type: ignore[attr-defined]
    assert "[red]x" in sys.stdout.getvalue()  # type: ignore[attr-defined]
