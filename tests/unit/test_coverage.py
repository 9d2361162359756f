"""`qorgan rules coverage`: states decided on the condition, and what recordings add to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from detectors.sigma.coverage import Coverage, covered, lacks
from detectors.sigma.providers import providers
from detectors.sigma.rule import LogSource, Node
from pipeline import coverage
from pipeline.cli.main import app
from tests import parsing
from tests.sigma import rule, rule_text

OTHER = "3f2a0f3e-3c0b-4f7e-9a55-0b6f0a9a1d12"
STARTS = {"product": "windows", "category": "process_creation"}
A: Node = ["eq", "A", ["x"], False]
B: Node = ["eq", "B", ["x"], False]


@pytest.mark.parametrize(
    ("tree", "state"),
    [
        (A, Coverage("cannot fire", (), ("A",))),
        (B, Coverage("full")),
        (["and", A, B], Coverage("cannot fire", (), ("A",))),
        (["or", A, B], Coverage("narrower", (), ("A",))),
        (["and", B, ["not", A]], Coverage("weaker", ("A",), ())),
        (["and", B, ["not", ["or", A, B]]], Coverage("weaker", ("A",), ())),
        (["and", B, ["not", ["null", "A"]]], Coverage("cannot fire")),
        (["and", B, ["exists", "A", True]], Coverage("cannot fire", (), ("A",))),
        (["and", B, ["exists", "A", False]], Coverage("full")),
        (["and", B, ["null", "A"]], Coverage("full")),
        (["and", B, ["ref", "B", "A", False, False, False]], Coverage("cannot fire", (), ("A",))),
        (["or", B, ["has", None, ["word"], False]], Coverage("full")),
        (["not", A], Coverage("weaker", ("A",), ())),
    ],
)
def test_the_state_follows_from_where_an_absent_field_stands(tree: Node, state: Coverage) -> None:
    assert covered(tree, lambda field: field == "A") == state


def test_4688_lacks_what_sysmon_has_and_sysmon_lacks_nothing() -> None:
    sysmon, audit = providers(LogSource("windows", "process_creation"))
    assert lacks(audit)("Hashes")
    assert not lacks(audit)("IntegrityLevel")
    assert not lacks(audit)("EventID")
    assert not lacks(sysmon)("Hashes")


def test_recordings_tell_events_silent_sources_and_fields_that_never_came() -> None:
    made = [
        rule({"s": {"Image": "a", "CommandLine|contains": "b"}, "condition": "s"}, logsource=STARTS),
        rule(
            {"s": {"F": "a"}, "condition": "s"},
            id="3f2a0f3e-3c0b-4f7e-9a55-0b6f0a9a1d12",
            logsource={"product": "okta"},
        ),
    ]
    audit = {"EventTime": 1, "Channel": "Security", "EventID": 4688, "NewProcessName": "C:\\a.exe"}
    observed: coverage.Observed = {}
    coverage.observe([parsing.event(audit)], observed)
    rows = list(coverage.rows(made, observed))
    by_provider = {row["provider"]: row for row in rows}
    assert by_provider["Security 4688"]["events"] == 1
    assert by_provider["Security 4688"]["fields_never_seen"] == ["CommandLine"]
    assert by_provider["Sysmon 1"]["events"] == 0
    assert [row["logsource"] for row in coverage.silent(rows)] == ["product: okta"]
    assert [(row["field"], row["rules"]) for row in coverage.never_seen(rows)] == [("CommandLine", 1)]


def test_a_field_that_a_mapping_renames_counts_as_seen() -> None:
    made = [rule({"s": {"Image": "a", "CommandLine": "b"}, "condition": "s"}, logsource=STARTS)]
    told = {"@timestamp": 1, "ecs": {}, "event": {"category": ["process"], "type": ["start"]}}
    told |= {"host": {"os": {"type": "windows"}}, "process": {"executable": "a"}}
    observed: coverage.Observed = {}
    coverage.observe([parsing.event(told)], observed)
    (row,) = [row for row in coverage.rows(made, observed) if row["events"]]
    assert row["provider"].startswith("ECS")
    assert row["fields_never_seen"] == ["CommandLine"]


def test_the_command_prints_what_is_not_full_and_as_json_all(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_bytes(rule_text({"s": {"Hashes|contains": "x"}, "condition": "s"}, logsource=STARTS))
    lines = tmp_path / "lines.jsonl"
    lines.write_bytes(orjson.dumps({"EventTime": 1, "Channel": "Security", "EventID": 4688}) + b"\n")
    said = _run("--rules", str(tmp_path / "r.yml"))
    assert "cannot fire" in said
    assert "Sysmon 1" not in said
    told = [orjson.loads(line) for line in _run("--rules", str(tmp_path / "r.yml"), "--json", str(lines)).splitlines()]
    states = {row["provider"]: row["state"] for row in told if row["kind"] == "rule"}
    assert states["Sysmon 1"] == "full"
    assert states["Security 4688"] == "cannot fire"
    assert [row["field"] for row in told if row["kind"] == "field"] == ["Hashes"]


def _run(*words: Any) -> str:
    result = CliRunner().invoke(app, ["rules", "coverage", *words])
    assert result.exit_code == 0, result.output
    return result.stdout
