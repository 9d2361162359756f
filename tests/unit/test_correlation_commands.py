"""`rules test`, `explain`, `diff` and `stats` of correlations: cases of several events, and what comes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import orjson
import pytest
import yaml

from tests.unit.test_cli import call

FAILED, ACCEPTED, GUESSED, ENTERED = (f"00000000-0000-4000-8000-{number:012}" for number in (1, 2, 3, 4))
SECURITY = {"product": "windows", "service": "security"}
SSHD = {"product": "linux", "service": "sshd"}
RULES: dict[str, dict[str, Any]] = {
    FAILED: {"name": "failed", "logsource": SECURITY, "detection": {"s": {"EventID": 4625}, "condition": "s"}},
    ACCEPTED: {
        "name": "accepted",
        "logsource": SSHD,
        "detection": {"s": {"message|startswith": "Accepted "}, "condition": "s"},
    },
    GUESSED: {
        "name": "guessed",
        "correlation": {
            "type": "event_count",
            "rules": ["failed"],
            "group-by": ["account"],
            "aliases": {"account": {"failed": "TargetUserName"}},
            "timespan": "10m",
            "condition": {"gte": 3},
        },
    },
    ENTERED: {
        "correlation": {
            "type": "temporal_ordered",
            "rules": ["guessed", "accepted"],
            "group-by": ["account"],
            "aliases": {"account": {"accepted": "user"}},
            "timespan": "30m",
        }
    },
}


def failure(minute: int, account: str = "Aigerim") -> dict[str, Any]:
    said = {"Channel": "Security", "EventID": 4625, "TargetUserName": account}
    return said | {"@timestamp": f"2026-05-04T10:{minute:02}:00Z"}


def entry(minute: int, account: str = "aigerim") -> str:
    return f"2026-05-04T10:{minute:02}:00Z gw sshd[1]: Accepted password for {account} from 10.0.0.9 port 5 ssh2"


GUESSES = [failure(0), failure(1), failure(2)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.offline.CACHE", tmp_path / "cache")
    monkeypatch.setattr("pipeline.ruleexplain.CACHE", tmp_path / "cache")


def write(folder: Path, **changed: Any) -> Path:
    """The rules in one file; `changed`: other conditions of `guessed`."""
    folder.mkdir(exist_ok=True)
    said = json.loads(json.dumps(RULES))
    said[GUESSED]["correlation"] |= changed
    documents = [{"title": f"Rule {id_[-1]}", "id": id_, "level": "high"} | rule for id_, rule in said.items()]
    (folder / "logon.yml").write_text(yaml.safe_dump_all(documents))
    return folder


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return write(tmp_path / "rules")


def cases(rules: Path, *said: dict[str, Any]) -> None:
    (rules / "logon.cases.yml").write_text(yaml.safe_dump({"cases": list(said)}))


def recorded(tmp_path: Path, *records: Any) -> str:
    file = tmp_path / "recording.jsonl"
    file.write_text("\n".join(record if isinstance(record, str) else json.dumps(record) for record in records))
    return str(file)


def test_the_one_rule_of_a_file_that_is_told_is_the_one_of_its_cases(
    rules: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Positive and negative: inside the window, outside it, in the wrong order, one fewer, another account."""
    cases(
        rules,
        {"name": "in", "records": [*GUESSES, entry(5)], "episodes": [{"first": 1, "events": 2}]},
        {"name": "outside", "match": False, "records": [*GUESSES, entry(31)]},
        {"name": "before", "match": False, "records": [entry(0), *(failure(minute) for minute in (1, 2, 3))]},
        {"name": "one fewer", "match": False, "records": [*GUESSES[:2], entry(5)]},
        {"name": "another", "match": False, "records": [*GUESSES, entry(5, "dauren")]},
    )
    assert call("rules", "test", str(rules), "--strict", "--junit", str(tmp_path / "junit.xml")) == 0
    assert "5 cases of 1 rules: 5 passed, 0 failed. 0 rules have no case" in capsys.readouterr().err
    (suite,) = Xml.parse(tmp_path / "junit.xml").getroot()
    assert (suite.get("name"), suite.get("tests")) == ("Rule 4", "5")


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ({"records": GUESSES[:2]}, "it tells nothing; expected 1 episodes at least"),
        (
            {"records": GUESSES, "match": False},
            "it tells 3 events from record 1 of account=aigerim; expected nothing",
        ),
        ({"records": GUESSES, "at_least": 2}, "it tells 3 events from record 1 of account=aigerim; expected 2"),
        ({"records": GUESSES, "episodes": [{"events": 2}]}, "expected 2 events from record any"),
        ({"records": GUESSES, "episodes": [{"first": 2}]}, "expected from record 2"),
        ({"records": GUESSES, "episodes": [{"group": {"account": "dauren"}}]}, "from record any of account=dauren"),
        ({"records": GUESSES, "episodes": [{}, {}]}, "expected from record any; from record any"),
    ],
)
def test_a_case_of_a_correlation_says_what_is_told_instead(
    rules: Path, capsys: pytest.CaptureFixture[str], case: dict[str, Any], reason: str
) -> None:
    """A correlation that another names has cases of its own when they name it."""
    cases(rules, {"name": "it", "rule": GUESSED} | case)
    assert call("rules", "test", str(rules), "--json") == 3
    assert reason in orjson.loads(capsys.readouterr().out)["reason"]


def test_the_value_of_a_group_is_compared_as_correlations_fold_it(rules: Path) -> None:
    cases(rules, {"name": "it", "rule": GUESSED, "records": GUESSES, "episodes": [{"group": {"account": "AIGERIM"}}]})
    assert call("rules", "test", str(rules)) == 0


def test_records_without_a_whole_time_are_refused_since_any_order_would_hold(
    rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    timeless = "May  4 10:05:00 gw sshd[1]: Accepted password for aigerim from 10.0.0.9 port 5 ssh2"
    cases(rules, {"name": "it", "records": [*GUESSES, timeless]})
    assert call("rules", "test", str(rules), "--json") == 3
    assert "record 4 bears no whole time" in orjson.loads(capsys.readouterr().out)["reason"]


def test_parts_have_sources_of_their_own_and_their_records_are_counted_through(rules: Path) -> None:
    bank = {"user": "aigerim", "event": "log-in", "time": "2026-05-04T10:05:00Z"}
    other = RULES[ACCEPTED] | {
        "logsource": {"product": "bank"},
        "detection": {"s": {"event": "log-in"}, "condition": "s"},
    }
    documents = [{"title": id_, "id": id_} | (other if id_ == ACCEPTED else rule) for id_, rule in RULES.items()]
    (rules / "logon.yml").write_text(yaml.safe_dump_all(documents))
    parts = [{"source": {"product": "bank"}, "records": [bank]}, {"records": GUESSES}]
    cases(rules, {"name": "it", "parts": parts, "episodes": [{"first": 2}]})
    assert call("rules", "test", str(rules)) == 0
    cases(rules, {"name": "it", "records": [bank, *GUESSES]})
    assert call("rules", "test", str(rules)) == 3


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"records": ["a"], "match": False, "episodes": [{}]}, "must not match has no episodes"),
        ({"records": ["a"], "rule": FAILED, "episodes": [{}]}, "its rule is no correlation"),
        ({"records": ["a"], "parts": [{"records": ["a"]}]}, "name either records or a file, or parts"),
        ({"parts": [{}]}, "name either records or a file"),
    ],
)
def test_cases_of_correlations_that_cannot_be_carried_out_are_refused(
    rules: Path, capsys: pytest.CaptureFixture[str], case: dict[str, Any], said: str
) -> None:
    cases(rules, {"name": "it"} | case)
    assert call("rules", "test", str(rules)) == 3
    assert said in capsys.readouterr().err


def test_explain_tells_what_counts_in_which_groups_and_what_comes_of_it(
    rules: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nameless = {"Channel": "Security", "EventID": 4625, "@timestamp": "2026-05-04T10:00:00Z"}
    file = recorded(tmp_path, *GUESSES, failure(3, "dauren"), nameless)
    monkeypatch.setenv("QORGAN_RULES", str(rules))
    assert call("rules", "explain", GUESSED, file) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"Rule 3 ({GUESSED}): matches",
        "it demands event_count ≥ 3 within 600 s by account",
        "+ Rule 1: in 5 of 5 records",
        "1 matches lack a value to group by and do not count",
        "group account=aigerim: 3 count, from line 1, 2026-05-04T10:00:00.000Z to 2026-05-04T10:02:00.000Z",
        "group account=dauren: 1 count, from line 4, 2026-05-04T10:03:00.000Z to 2026-05-04T10:03:00.000Z",
        "told of account=aigerim: 3 events from line 1, 2026-05-04T10:00:00.000Z to 2026-05-04T10:02:00.000Z",
    ]
    assert call("rules", "explain", str(rules / "logon.yml"), file) == 1, "the file's one rule that is told"
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("does not match")
    assert said[2:4] == ["* Rule 3: a correlation itself", "- Rule 2: in 0 of 5 records"]


def test_diff_tells_episodes_gained_and_lost_and_no_hit_of_a_rule_that_is_not_told(
    rules: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    eager = write(tmp_path / "eager", condition={"gte": 2})
    file = recorded(tmp_path, failure(0, "dauren"), failure(1, "dauren"), entry(5, "dauren"), *GUESSES)
    assert call("rules", "diff", str(rules), str(eager), "--over", file, "--json") == 0
    found = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["change"], row["rule_id"], row["line"]) for row in found if row["change"] in ("gained", "lost")] == [
        ("gained", ENTERED, 1)
    ]
    assert {row["rule_id"] for row in found if row["change"] == "changed"} >= {GUESSED}


def test_diff_says_that_a_rule_is_told_no_more_once_a_correlation_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = {"title": "Rule 1", "id": FAILED} | RULES[FAILED]
    for name, documents in (("old", [base]), ("new", [base, {"title": "Rule 3", "id": GUESSED} | RULES[GUESSED]])):
        (tmp_path / name).mkdir()
        for number, document in enumerate(documents):
            (tmp_path / name / f"{number}.yml").write_text(yaml.safe_dump(document))
    old, new, file = str(tmp_path / "old"), str(tmp_path / "new"), recorded(tmp_path, *GUESSES)
    assert call("rules", "diff", old, new, "--over", file, "--json") == 0
    found = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["change"], row["rule_id"], row["line"]) for row in found] == [
        ("added", GUESSED, None),
        ("lost", FAILED, 1),
        ("lost", FAILED, 2),
        ("lost", FAILED, 3),
        ("gained", GUESSED, 1),
    ]


def test_stats_count_a_correlation_s_contributions_and_episodes(
    rules: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = recorded(tmp_path, *GUESSES, entry(5))
    assert call("rules", "stats", file, "--rules", str(rules), "--json") == 0
    found = {row["rule_id"]: row for row in map(orjson.loads, capsys.readouterr().out.splitlines())}
    assert (found[GUESSED]["tries"], found[GUESSED]["hits"], found[GUESSED]["seconds"]) == (3, 1, None)
    assert (found[FAILED]["tries"], found[FAILED]["hits"]) == (3, 3)
    assert found[ENTERED]["hits"] == 1
