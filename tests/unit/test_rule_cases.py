"""`rules test`: cases beside rules and in SigmaHQ's layout, positive and negative, and what CI reads of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import orjson
import pytest
import yaml

from tests.sigma import rule_text
from tests.unit.test_cli import call

ID, OTHER = (f"00000000-0000-4000-8000-{number:012}" for number in (1, 2))
SECURITY = {"product": "windows", "service": "security"}
LOGON = {"s": {"EventID": 4624, "LogonType": 10}, "condition": "s"}
REMOTE = {"Channel": "Security", "EventID": 4624, "LogonType": 10}
LOCAL = REMOTE | {"LogonType": 2}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.offline.CACHE", tmp_path / "cache")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "logon.yml").write_bytes(rule_text(LOGON, id=ID, title="Remote logon", logsource=SECURITY))
    return folder


def cases(rules: Path, *said: dict[str, Any], **also: Any) -> None:
    (rules / "logon.cases.yml").write_text(yaml.safe_dump({"cases": list(said)} | also))


def test_cases_of_both_kinds_pass_and_a_file_of_cases_is_no_rule(
    rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases(
        rules,
        {"name": "remote", "records": [REMOTE, json.dumps(REMOTE)], "at_least": 2},
        {"name": "local", "match": False, "records": [LOCAL]},
    )
    assert call("rules", "test", str(rules), "--strict") == 0
    assert "2 cases of 1 rules: 2 passed, 0 failed. 0 rules have no case, 0 are refused." in capsys.readouterr().err
    assert call("rules", "check", str(rules)) == 0


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ({"records": [LOCAL]}, "found in 0 of 1 records, expected in 1 at least"),
        ({"records": [REMOTE, LOCAL], "at_least": 2}, "found in 1 of 2 records, expected in 2 at least"),
        ({"records": [LOCAL, REMOTE], "match": False}, "found in record 2, expected in none"),
        ({"records": ["{not json"], "match": False}, "record 1 is no event"),
    ],
)
def test_a_case_that_fails_says_what_was_found_instead(
    rules: Path, capsys: pytest.CaptureFixture[str], case: dict[str, Any], reason: str
) -> None:
    cases(rules, {"name": "it"} | case)
    assert call("rules", "test", str(rules), "--json") == 3
    row = orjson.loads(capsys.readouterr().out)
    assert (row["state"], row["case"], row["rule_id"]) == ("failed", "it", ID)
    assert row["reason"].startswith(reason)


def test_records_come_from_a_recording_and_get_the_log_source_that_a_topic_would_give(rules: Path) -> None:
    (rules / "dns.yml").write_bytes(
        rule_text({"s": {"query": "evil.example"}, "condition": "s"}, id=OTHER, logsource={"category": "dns"})
    )
    (rules / "lines.jsonl").write_text('{"query": "evil.example"}\n{"query": "good.example"}\n')
    (rules / "dns.cases.yml").write_text(
        yaml.safe_dump({"source": {"category": "dns"}, "cases": [{"name": "recorded", "file": "lines.jsonl"}]})
    )
    assert call("rules", "test", str(rules)) == 0
    (rules / "dns.cases.yml").write_text(yaml.safe_dump({"cases": [{"name": "recorded", "file": "lines.jsonl"}]}))
    assert call("rules", "test", str(rules)) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cases: [", "logon.cases.yml:1: the cases are not readable YAML"),
        ("cases: []", "cases: Tuple should have at least 1 item"),
        ("cases: [{name: a}]", "name either records or a file"),
        ("cases: [{name: a, records: [b], expect: c}]", "Extra inputs"),
        ("cases: [{name: a, records: [b], rule: another}]", "the case 'a' must name its rule"),
        ("cases: [{name: a, file: none.jsonl}]", "none.jsonl cannot be read"),
    ],
)
def test_cases_that_cannot_be_carried_out_are_refused_with_their_file(
    rules: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (rules / "logon.cases.yml").write_text(text)
    assert call("rules", "test", str(rules)) == 3
    assert said in capsys.readouterr().err


def test_a_rule_in_a_file_of_several_is_named_by_its_case(rules: Path) -> None:
    both = [rule_text(LOGON, id=name, title=f"Rule {name[-1]}", logsource=SECURITY) for name in (ID, OTHER)]
    (rules / "logon.yml").write_bytes(b"---\n".join(both))
    cases(rules, {"name": "a", "rule": "rule 2", "records": [REMOTE]})
    assert call("rules", "test", str(rules)) == 0


def test_strict_asks_for_both_kinds_of_every_rule(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases(rules, {"name": "remote", "records": [REMOTE]})
    assert call("rules", "test", str(rules)) == 0
    capsys.readouterr()
    assert call("rules", "test", str(rules), "--strict") == 3
    assert "it has no negative case" in capsys.readouterr().out


def test_without_a_case_nothing_is_proved_and_a_refused_rule_fails(rules: Path) -> None:
    assert call("rules", "test", str(rules)) == 1
    cases(rules, {"name": "remote", "records": [REMOTE]})
    (rules / "bad.yml").write_text("title: [")
    assert call("rules", "test", str(rules)) == 3


def regression(folder: Path, count: int, events: str) -> None:
    place = folder / "regression_data" / "logon"
    place.mkdir(parents=True)
    test = {"name": "Positive", "type": "evtx", "match_count": count, "path": f"regression_data/logon/{ID}.evtx"}
    about = {"rule_metadata": [{"id": ID, "title": "x"}], "regression_tests_info": [test]}
    (place / "info.yml").write_text(yaml.safe_dump(about))
    (place / f"{ID}.json").write_text(events)


@pytest.mark.parametrize(("count", "code"), [(1, 0), (2, 0), (3, 3)])
def test_sigmahq_cases_are_found_beside_the_rules_and_the_count_is_a_minimum(
    rules: Path, count: int, code: int
) -> None:
    pretty = json.dumps(REMOTE, indent=2)
    regression(rules.parent, count, f"{pretty}\n{pretty} [{json.dumps(LOCAL)}]")
    assert call("rules", "test", str(rules)) == code


def test_sigmahq_cases_lie_elsewhere_too_and_one_without_events_fails(
    rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    regression(rules.parent / "else", 1, json.dumps(REMOTE))
    assert call("rules", "test", str(rules)) == 1
    assert call("rules", "test", str(rules), "--cases", str(rules.parent / "else")) == 0
    (rules.parent / "else" / "regression_data" / "logon" / f"{ID}.json").unlink()
    capsys.readouterr()
    assert call("rules", "test", str(rules), "--cases", str(rules.parent / "else")) == 3
    assert "is missing beside it" in capsys.readouterr().out


def test_junit_has_a_suite_a_rule_and_a_failure_with_its_reason(rules: Path, tmp_path: Path) -> None:
    cases(
        rules,
        {"name": "remote", "records": [REMOTE]},
        {"name": "wrong \x08 & <odd>", "match": False, "records": [REMOTE]},
    )
    assert call("rules", "test", str(rules), "--junit", str(tmp_path / "cases.xml")) == 3
    root = Xml.parse(tmp_path / "cases.xml").getroot()
    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    (suite,) = root
    assert (suite.get("name"), suite.get("failures")) == ("Remote logon", "1")
    good, bad = suite
    assert (good.get("name"), len(good)) == ("remote", 0)
    assert bad.get("name") == "wrong \ufffd & <odd>"
    assert bad[0].get("message") == "found in record 1, expected in none"
