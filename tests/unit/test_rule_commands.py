"""`rules explain`, `stats`, `diff`, `stages`, `detect --stage`: what a detection engineer asks before a change."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from detectors.sigma.compile import Compiler
from detectors.sigma.engine import SAMPLED, Engine
from detectors.sigma.explain import Explainer
from detectors.sigma.fields import View
from detectors.sigma.predicates import MAKERS
from pipeline import verdicts
from pipeline.health import HealthState, serve
from pipeline.metrics import Metrics
from pipeline.rulecounts import RuleCounts
from pipeline.rulestats import Stopwatch
from schemas.errors import RefusedError
from tests.builders import free_port
from tests.sigma import event, rule_text, tree_rule
from tests.tuning import ACCOUNT, filter_text
from tests.unit.test_cli import call

ID, OTHER, THIRD = (f"00000000-0000-4000-8000-{number:012}" for number in (1, 2, 3))
SYSMON = "Microsoft-Windows-Sysmon/Operational"
PROCESS = {"product": "windows", "category": "process_creation"}
DUMP = {
    "tool": {"Image|endswith": ["\\a.exe", "\\b.exe"], "CommandLine|contains": "dump"},
    "filter_own": {"User": "backup"},
    "condition": "tool and not filter_own",
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.offline.CACHE", tmp_path / "cache")
    monkeypatch.setattr("pipeline.ruleexplain.CACHE", tmp_path / "cache")


def write(folder: Path, number: int = 1, detection: dict[str, Any] = DUMP, **also: Any) -> Path:
    folder.mkdir(exist_ok=True)
    name = f"00000000-0000-4000-8000-{number:012}"
    file = folder / f"rule{number}.yml"
    file.write_bytes(rule_text(detection, id=name, **({"title": f"Rule {number}", "logsource": PROCESS} | also)))
    return file


def record(tmp_path: Path, **fields: Any) -> str:
    said = {"Channel": SYSMON, "EventID": 1, "Image": "C:\\a.exe", "CommandLine": "a dump", "User": "aigerim"}
    (tmp_path / "record.json").write_text(json.dumps(said | fields, indent=1))
    return str(tmp_path / "record.json")


def explained(rule: str, event: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    call("rules", "explain", rule, event)
    return capsys.readouterr().out.splitlines()


def test_explain_names_selections_fields_values_and_what_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = str(write(tmp_path / "rules"))
    assert explained(rule, record(tmp_path, User="Backup"), capsys) == [
        f"Rule 1 ({ID}): does not match",
        f"the record is of product: windows, service: {SYSMON.lower()}, event_id: 1",
        "- all of",
        '  + [tool] Image ends with "\\\\a.exe" or "\\\\b.exe"   ← "C:\\\\a.exe"',
        '  + [tool] CommandLine contains "dump"   ← "a dump"',
        "  - not",
        '    + [filter_own] User is "backup"   ← "Backup"',
    ]
    said = explained(rule, record(tmp_path, CommandLine=None), capsys)
    assert said[0].endswith("does not match")
    assert '  - [tool] CommandLine contains "dump"   ← absent' in said
    assert call("rules", "explain", rule, record(tmp_path)) == 0


def test_explain_follows_the_provider_s_names_and_says_when_the_rule_looks_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = str(write(tmp_path / "rules"))
    other = record(tmp_path, Channel="Security", EventID=4688, NewProcessName="C:\\a.exe", Image=None)
    said = explained(rule, other, capsys)
    assert said[0].endswith(": matches")
    assert any(line.startswith("  + [tool] NewProcessName ends with") for line in said)
    said = explained(rule, record(tmp_path, EventID=3), capsys)
    assert said[0].endswith(": does not match")
    assert "a worker never asks it about this record" in said[2]
    assert said[3].startswith("+ all of"), "what it would be is told all the same"


def test_explain_takes_an_id_a_title_a_file_and_standard_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "rules")
    write(tmp_path / "rules", 2)
    sent = record(tmp_path)
    assert call("rules", "explain", "Root logs in over SSH", sent) == 1
    assert "[accepted] message matches" in capsys.readouterr().out, "a rule that we ship, by its selections too"
    monkeypatch.setenv("QORGAN_RULES", str(tmp_path / "rules"))
    for rule in (ID, "rule 1", str(file)):
        capsys.readouterr()
        assert call("rules", "explain", rule, sent, "--json") == 0
        said = orjson.loads(capsys.readouterr().out)
        assert (said["rule_id"], said["matches"], said["condition"]["holds"]) == (ID, True, True)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(b'{"EventID": 1}\n'))))
    assert call("rules", "explain", ID, "-") == 1
    assert call("rules", "explain", "nothing", sent) == 3
    assert "There is no rule nothing" in capsys.readouterr().err


SAMPLES: dict[str, tuple[list[Any], str]] = {
    "eq": (["eq", "F", ["a"], True], 'F is "a" (by case)'),
    "starts": (["starts", "F", ["a"], False], 'F starts with "a"'),
    "ends": (["ends", "F", ["a"], False], 'F ends with "a"'),
    "has": (["has", None, ["a"], False], 'any value contains "a"'),
    "like": (["like", "F", [["a", 0, "b", 1]], False], "F is like a*b?"),
    "num": (["num", "F", [*range(9)]], "F is 0 or 1 or 2 or 3 or 4 or 5 or one of 3 more"),
    "re": (["re", "F", "a+", "i"], "F matches /a+/i"),
    "cidr": (["cidr", "F", ["10.0.0.0/8"]], 'F is in "10.0.0.0/8"'),
    "cmp": (["cmp", "F", "gte", 3], "F >= 3"),
    "null": (["null", "F"], "F is null or absent"),
    "exists": (["exists", "F", False], "F is not there"),
    "any": (["any", "F"], "F has a value"),
    "ref": (["ref", "F", "G", False, True, False], "F ends with the value of G"),
    "time": (["time", "F", "hour", "gte", 3], "F has hour >= 3"),
    "via": (["via", "F", [["X", "F", "path"]], ["eq", "X", ["a"], False]], 'X is "a", read from F'),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_every_kind_of_leaf_is_said_in_words_and_decided_as_the_engine_does(kind: str) -> None:
    node, said = SAMPLES[kind]
    fields = {"F": "a", "G": "b"}
    part = Explainer(View(fields), Compiler(ZoneInfo("UTC")).condition, {}, {}).explain(node)
    assert part.says == said
    assert part.holds is bool(Engine([tree_rule(node)]).match_plain(event(fields)))


def test_stats_measures_each_rule_the_worst_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "rules")
    many = {"s": {"CommandLine|re": [f"{n}[a-z]+x{{1,9}}y" for n in range(60)]}, "condition": "s"}
    write(tmp_path / "rules", 2, many)
    lines = tmp_path / "lines.jsonl"
    found = {"Channel": SYSMON, "EventID": 1, "Image": "C:\\a.exe", "CommandLine": "a dump 7aaa" + "b" * 500}
    lines.write_text((json.dumps(found) + "\n") * 50 + json.dumps(found | {"CommandLine": "none"}) + "\n")
    assert call("rules", "stats", str(lines), "--rules", str(tmp_path / "rules"), "--json") == 0
    rows = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["rule_id"] for row in rows] == [OTHER, ID]
    assert (rows[1]["tries"], rows[1]["hits"], rows[0]["hits"]) == (50, 50, 0)
    assert rows[0]["seconds"] > rows[1]["seconds"] > 0


def test_stats_with_verdicts_say_how_precise_a_rule_is_the_least_precise_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "rules")
    write(tmp_path / "rules", 2, {"s": {"CommandLine|contains": "dump"}, "condition": "s"})
    lines = tmp_path / "lines.jsonl"
    lines.write_text(json.dumps({"Channel": SYSMON, "EventID": 1, "Image": "C:\\a.exe", "CommandLine": "dump"}) + "\n")
    assert call("rules", "stats", str(lines), "--rules", str(tmp_path / "rules"), "--json") == 0
    assert "precision" not in orjson.loads(capsys.readouterr().out.splitlines()[0])

    seen = tmp_path / "seen.jsonl"
    said = [(ID, 1, "true-positive"), (ID, 2, "true-positive"), (ID, 3, "false-positive"), (OTHER, 1, "true-positive")]
    again = [*said, (ID, 3, "false-positive"), (ID, 4, "false-positive"), (ID, 2, "false-positive")]
    seen.write_bytes(b"\n".join(orjson.dumps({"rule_id": r, "line": n, "verdict": v}) for r, n, v in again) + b"\n\n")
    options = ("--rules", str(tmp_path / "rules"), "--verdicts", str(seen), "--json")
    assert call("rules", "stats", str(lines), *options) == 0
    rows = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["rule_id"], row["verdicts"], row["precision"]) for row in rows] == [(ID, 4, 0.25), (OTHER, 1, 1.0)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "no detection"),
        (b"[]", "no detection"),
        (b'{"id": "x", "verdict": "true-positive"}', "no detection"),
        (b'{"rule_id": "x", "verdict": "false-positive", "wrong": "weather"}', "its `wrong` is none of rule"),
        (b'{"rule_id": "x"}', "its `verdict` is neither"),
        (b'{"rule_id": "x", "verdict": "yes"}', "its `verdict` is neither"),
    ],
)
def test_a_verdict_that_is_none_is_named_with_its_line(tmp_path: Path, line: bytes, said: str) -> None:
    seen = tmp_path / "seen.jsonl"
    seen.write_bytes(b'{"rule_id": "x", "line": 1, "verdict": "true-positive"}\n' + line)
    with pytest.raises(RefusedError, match=f"seen.jsonl:2: {said}"):
        verdicts.read([seen])
    with pytest.raises(RefusedError, match="cannot be read"):
        verdicts.read([tmp_path / "none"])


def test_the_stopwatch_leaves_out_its_own_cost() -> None:
    now = [0]

    def clock() -> int:
        now[0] += 100  # each look at the clock costs 100 ns
        return now[0]

    def slow(_view: View) -> bool:
        now[0] += 5_000
        return True

    watch = Stopwatch(clock)
    test = watch.wrap(0, slow)
    assert all(test(View({})) for _ in range(10))
    assert watch.tries[0] == 10
    assert watch.seconds(0) == pytest.approx(50_000e-9)


def test_stats_of_the_running_worker_are_its_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "rules")
    monkeypatch.setenv("QORGAN_RULES", str(tmp_path / "rules"))
    port, metrics = free_port(), Metrics()
    monkeypatch.setenv("QORGAN_METRICS_PORT", str(port))
    assert call("rules", "stats") == 4
    assert f"No worker answers on 127.0.0.1:{port}" in capsys.readouterr().err
    metrics["rule_tries_total"].labels(rule=ID).inc(7)
    metrics["rule_hits_total"].labels(rule=ID).inc(2)
    metrics["rule_tries_total"].labels(rule="other").inc(90)
    server = serve(HealthState("ingest"), metrics, "127.0.0.1", port)
    try:
        assert call("rules", "stats", "--json") == 0
    finally:
        server.close()
    rows = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["rule_id"], row["title"], row["tries"], row["hits"], row["seconds"]) for row in rows] == [
        ("other", "", 90, 0, None),
        (ID, "Rule 1", 7, 2, None),
    ]


def test_what_an_engine_counts_is_what_stats_reads() -> None:
    metrics = Metrics()
    engine = Engine([tree_rule(["eq", "F", ["a"], False])])
    for _ in range(SAMPLED):
        engine.match([event({"F": "a"})])
    RuleCounts(metrics).tell(engine)
    names = {sample.name for metric in metrics.registry.collect() for sample in metric.samples}
    assert {"qorgan_rule_tries_total", "qorgan_rule_hits_total"} <= names


def test_diff_names_rules_that_changed_and_hits_gained_and_lost_with_their_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        write(folder, 3, {"s": {"User": "aigerim"}, "condition": "s"})
    write(old, 1)
    write(old, 2, {"s": {"CommandLine|contains": "rare"}, "condition": "s"})
    write(new, 1, {"s": {"CommandLine|contains": "other"}, "condition": "s"})
    lines = tmp_path / "lines.jsonl"
    said = {"Channel": SYSMON, "EventID": 1, "Image": "C:\\a.exe", "User": "aigerim"}
    lines.write_text("".join(json.dumps(said | {"CommandLine": c}) + "\n" for c in ("none", "dump", "other", "rare")))
    assert call("rules", "diff", str(old), str(new), "--over", str(lines), "--json") == 0
    got = capsys.readouterr()
    rows = [orjson.loads(line) for line in got.out.splitlines()]
    assert [(row["change"], row["rule_id"], row["line"]) for row in rows] == [
        ("changed", ID, None),
        ("removed", OTHER, None),
        ("lost", ID, 2),
        ("gained", ID, 3),
        ("lost", OTHER, 4),
    ]
    assert {row["file"] for row in rows[2:]} == {str(lines)}
    assert "0 added, 1 removed, 1 changed, 1 gained, 2 lost." in got.err
    assert call("rules", "diff", str(old), str(old)) == 1


def test_a_filter_that_comes_is_a_change_and_what_it_hides_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        write(folder, 3, {"s": {"CommandLine|contains": "dump"}, "condition": "s"})
    hides = {"rules": [THIRD], "selection": {"User": "backup"}}
    (new / "filter.yml").write_bytes(filter_text(hides, logsource=PROCESS, qorgan=ACCOUNT | {"expires": "2199-01-31"}))
    lines = tmp_path / "lines.jsonl"
    said = {"Channel": SYSMON, "EventID": 1, "CommandLine": "dump", "UtcTime": "2026-11-01 10:00:00.000"}
    lines.write_text("".join(json.dumps(said | {"User": user}) + "\n" for user in ("backup", "aigerim")))
    assert call("rules", "diff", str(old), str(new), "--over", str(lines), "--json") == 0
    rows = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["change"], row["rule_id"], row["line"]) for row in rows] == [
        ("changed", THIRD, None),
        ("lost", THIRD, 1),
    ]


def test_stages_are_listed_and_detect_evaluates_from_a_stage_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2, 3):
        write(tmp_path / "rules", number)
    stages = tmp_path / "stages.yml"
    gone = "11111111-0000-4000-8000-000000000000"
    stages.write_text(f"stages: [{{stage: test, rules: [{ID}, {gone}]}}, {{stage: shadow, rules: [{OTHER}]}}]")
    monkeypatch.setenv("QORGAN_STAGES", str(stages))
    monkeypatch.setenv("QORGAN_RULES", str(tmp_path / "rules"))
    assert call("rules", "stages", "--json") == 0
    got = capsys.readouterr()
    rows = [orjson.loads(line) for line in got.out.splitlines()]
    assert [(row["stage"], row["rule_id"]) for row in rows] == [("test", ID), ("shadow", OTHER)]
    assert gone in got.err
    assert "1 in test, 1 in shadow, 1 in production." in got.err
    assert call("rules", "check") == 0
    assert gone in capsys.readouterr().out
    sent = tmp_path / "one.jsonl"
    sent.write_text(json.dumps(json.loads(Path(record(tmp_path)).read_text())) + "\n")

    def found(*options: str) -> dict[str, str]:
        capsys.readouterr()
        assert call("detect", str(sent), "--jobs", "1", "--json", *options) == 0
        return {row["rule_id"]: row["stage"] for row in map(orjson.loads, capsys.readouterr().out.splitlines())}

    assert found() == {OTHER: "shadow", THIRD: "production"}
    assert found("--stage", "test") == {ID: "shadow", OTHER: "shadow", THIRD: "production"}
    assert found("--stage", "production") == {THIRD: "production"}
