"""`qorgan detect` over files: one JSON line a detection with file and line, and every line accounted for."""

from __future__ import annotations

import lzma
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from pipeline import offline
from pipeline.cli import main

RULE = """
title: A program that nobody should start
id: 6c0ffee0-0000-4000-8000-000000000001
status: test
level: high
logsource: {product: windows, service: security}
detection:
  selection: {EventID: 4688, NewProcessName|endswith: '\\evil.exe'}
  condition: selection
"""
BROKEN = "title: nothing to match on\nlogsource: {product: windows}\n"
INDICATOR = "type,value,id,title\nipv4,203.0.113.9,ioc-1,A bad address\n"


def event(time: str = "2020-09-20T13:19:31.123Z", **fields: object) -> bytes:
    return orjson.dumps({"EventTime": time, "Channel": "Security", "Hostname": "ws-1", "EventID": 4688, **fields})


EVIL = {"NewProcessName": "C:\\evil.exe"}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "CACHE", tmp_path / "cache")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "evil.yml").write_text(RULE)
    return folder


def detect(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, list[dict[str, object]], str]:
    with pytest.raises(SystemExit) as left:
        main.app(["detect", *map(str, args), "--json"], prog_name="qorgan")
    out, err = capsys.readouterr()
    return int(left.value.code or 0), [orjson.loads(line) for line in out.splitlines()], err


def test_a_detection_names_rule_file_line_and_time(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, packed = tmp_path / "a.jsonl", tmp_path / "b.jsonl.xz"
    plain.write_bytes(b"\n".join([event(), b"", event(**EVIL)]))
    packed.write_bytes(lzma.compress(event(**EVIL)))
    code, found, err = detect(capsys, plain, packed, "--rules", rules)
    assert code == 0
    assert [(row["file"], row["line"]) for row in found] == [(str(plain), 3), (str(packed), 1)]
    assert (
        found[0]
        | {
            "rule_id": "6c0ffee0-0000-4000-8000-000000000001",
            "title": "A program that nobody should start",
            "level": "high",
            "time": "2020-09-20T13:19:31.123Z",
            "host": "ws-1",
        }
        == found[0]
    )
    assert "3 lines, 2 detections, 0 lines are no event" in err


def test_an_indicator_is_found_the_same_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_bytes(event(IpAddress="203.0.113.9"))
    (tmp_path / "bad.csv").write_text(INDICATOR)
    code, found, _ = detect(capsys, tmp_path / "a.jsonl", "--indicators", tmp_path / "bad.csv")
    assert (code, [(row["indicator_id"], row["line"]) for row in found]) == (0, [("ioc-1", 1)])


def test_nothing_found_is_1(tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_bytes(event())
    assert detect(capsys, tmp_path / "a.jsonl", "--rules", rules)[:2] == (1, [])


def test_lines_that_are_no_event_are_counted_and_the_first_are_named(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl").write_bytes(event(**EVIL) + b"\n" + b"{broken\n" * 50)
    code, found, err = detect(capsys, tmp_path / "a.jsonl", "--rules", rules)
    assert (code, len(found)) == (0, 1)
    assert f"{tmp_path / 'a.jsonl'}:2: no event (json)" in err
    assert err.count("no event (") == 20
    assert "51 lines, 1 detections, 50 lines are no event" in err


def test_a_rule_that_is_refused_is_named_and_the_others_judge(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (rules / "broken.yml").write_text(BROKEN)
    (tmp_path / "a.jsonl").write_bytes(event(**EVIL))
    code, found, err = detect(capsys, tmp_path / "a.jsonl", "--rules", rules)
    assert (code, len(found)) == (0, 1)
    assert "not used: " in err
    assert "broken.yml" in err


@pytest.mark.parametrize("missing", ["file", "rules"])
def test_what_is_missing_is_3(tmp_path: Path, rules: Path, missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(event())
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    code, found, err = detect(capsys, tmp_path / "file", "--rules", rules)
    assert (code, found, err.count("\n")) == (3, [], 1)


def test_every_rule_is_asked_about_a_line_that_tells_no_log_source_and_that_is_said(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody named the file and the rules; a worker would ask no rule. What does tell its source is routed."""
    bare = orjson.dumps({"EventID": 4688, **EVIL})
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([bare, event(**EVIL).replace(b'"Security"', b'"System"'), bare]))
    code, found, err = detect(capsys, tmp_path / "a.jsonl", "--rules", rules)
    assert (code, [row["line"] for row in found]) == (0, [1, 3])
    assert "2 lines tell no log source: every rule was asked" in err


def test_most_rules_may_be_bad_and_a_filter_needs_nobody_who_answers(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here nothing else is in force, and nothing is hidden from anybody; a worker refuses both."""
    for number in range(3):
        (rules / f"broken{number}.yml").write_text(BROKEN)
    (rules / "filter.yml").write_text(
        "title: Known\nlogsource: {product: windows}\nfilter: {rules: any, ours: {User: ours}, condition: not ours}\n"
    )
    (tmp_path / "a.jsonl").write_bytes(event(**EVIL) + b"\n" + event(User="ours", **EVIL))
    code, found, err = detect(capsys, tmp_path / "a.jsonl", "--rules", rules)
    assert (code, [row["line"] for row in found]) == (0, [1])
    assert err.count("not used: ") == 3
    assert "1 filters apply for which nobody answers" in err


CORRELATION = """
title: Such programs on one host, often
id: 6c0ffee0-0000-4000-8000-0000000000c1
level: critical
correlation:
  type: event_count
  rules: 6c0ffee0-0000-4000-8000-000000000001
  group-by: entity.host
  timespan: 10m
  condition: {gte: 3}
"""


def test_a_correlation_is_told_with_its_first_line_and_its_rule_is_not_told_by_itself(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (rules / "often.yml").write_text(CORRELATION)
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    lines = [event(f"2020-09-20T13:{minute}:31Z", **EVIL) for minute in (19, 25, 28, 40)]
    first.write_bytes(b"\n".join([lines[2], event(), lines[0]]))
    second.write_bytes(b"\n".join([lines[1], lines[3], event(Hostname="-", **EVIL)]))
    code, found, err = detect(capsys, first, second, "--rules", rules)
    assert code == 0
    (row,) = found
    assert (row["rule_id"], row["title"], row["level"]) == (
        "6c0ffee0-0000-4000-8000-0000000000c1",
        "Such programs on one host, often",
        "critical",
    )
    assert (row["file"], row["line"], row["time"]) == (str(first), 3, "2020-09-20T13:19:31.000Z")
    assert (row["until"], row["events"], row["matched"]) == ("2020-09-20T13:28:31.000Z", 3, {"entity.host": "ws-1"})
    assert "Such programs on one host, often: 1 matches lack a value to group by and do not count" in err


def test_with_generate_the_rule_is_told_as_well(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (rules / "often.yml").write_text(CORRELATION + "  generate: true\n")
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(event(**EVIL) for _ in range(3)))
    _, found, _ = detect(capsys, tmp_path / "a.jsonl", "--rules", rules)
    assert [str(row["rule_id"])[-2:] for row in found] == ["01", "01", "01", "c1"]


SMALL_PARTS = """
import sys
from pipeline import recordings
from pipeline.cli.main import main
recordings.read.__defaults__ = (2_000,)
main()
"""


def test_more_processes_give_the_same_in_the_same_order(tmp_path: Path, rules: Path) -> None:
    """In a process of its own, as on the command line: forking the one that runs the tests would copy its threads."""
    (rules / "often.yml").write_text(CORRELATION + "  generate: true\n")
    files = [tmp_path / f"{n}.jsonl" for n in range(3)]
    for n, file in enumerate(files):
        file.write_bytes(b"\n".join(event(**EVIL) if i % 7 == n else event() for i in range(200)))
    call = [sys.executable, "-c", SMALL_PARTS, "detect", *map(str, files), "--rules", str(rules), "--json", "--jobs"]
    alone, three = (
        subprocess.run([*call, jobs], env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, timeout=100)
        for jobs in ("1", "3")
    )
    assert alone.stdout.count(b"\n") == 29 + 29 + 29 + 1
    assert (three.returncode, three.stdout, three.stderr) == (alone.returncode, alone.stdout, alone.stderr)


def test_a_line_without_a_year_is_of_the_files_year(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "auth.log"
    log.write_text("Mar 14 09:26:53 gate sshd[811]: Accepted password for root from 203.0.113.9 port 50022 ssh2\n")
    os.utime(log, (1_552_600_000, 1_552_600_000))  # 2019-03-14 21:46 UTC
    (tmp_path / "bad.csv").write_text(INDICATOR)
    _, found, _ = detect(capsys, log, "--rules", rules, "--indicators", tmp_path / "bad.csv")
    assert [str(row["time"])[:10] for row in found] == ["2019-03-14"]
