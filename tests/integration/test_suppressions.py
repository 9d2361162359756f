"""`qorgan rules suppressions`: the list with who answers for each, and over files how often each hid what and where."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from pipeline import offline
from pipeline.cli import main
from tests.sigma import rule_text
from tests.tuning import FILTER_ID, RULE_ID, filter_text

OTHER_ID = "4f2a0f3e-3c0b-4f7e-9a55-0b6f0a9a1d12"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "CACHE", tmp_path / "cache")


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "rule.yml").write_bytes(rule_text({"s": {"F": "a"}, "condition": "s"}))
    (folder / "other.yml").write_bytes(rule_text({"s": {"F|expand": "%x%"}, "condition": "s"}, id=OTHER_ID))
    (folder / "filter.yml").write_bytes(filter_text(qorgan={"owner": "SOC", "reason": "r", "expires": "2099-01-01"}))
    (tmp_path / "off.yml").write_text(
        f"disabled:\n- {{rule: {OTHER_ID}, owner: SOC, reason: noise, expires: 2021-01-01, approval: Head}}\n"
    )
    (tmp_path / "values.yml").write_text("x: {values: [a], owner: IAM}\n")
    monkeypatch.setenv("QORGAN_SUPPRESSIONS", str(tmp_path / "off.yml"))
    monkeypatch.setenv("QORGAN_PLACEHOLDERS", str(tmp_path / "values.yml"))
    return folder


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Three events of 2020 that match; the filter hides the second and third."""
    lines = [
        {"EventTime": "2020-09-20T13:19:31.123Z", "Channel": "Application", "EventID": 1, "F": "a", "User": user}
        for user in ("x", "adm_y", "adm_z")
    ]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    return file


def call(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, list[dict[str, object]], str]:
    with pytest.raises(SystemExit) as left:
        main.app([*map(str, args), "--json"], prog_name="qorgan")
    out, err = capsys.readouterr()
    return int(left.value.code or 0), [orjson.loads(line) for line in out.splitlines()], err


def test_each_is_listed_with_owner_reason_expiry_approval_and_state(
    rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, rows, err = call(capsys, "rules", "suppressions", "--rules", rules)
    assert code == 3, "one has expired"
    keys = ("state", "kind", "id", "owner", "reason", "expires", "approval", "rules")
    assert [[row.get(key) for key in keys] for row in rows] == [
        ["in force", "filter", FILTER_ID, "SOC", "r", "2099-01-01", "", [RULE_ID]],
        ["expired", "disabled", f"disabled-{OTHER_ID}", "SOC", "noise", "2021-01-01", "Head", [OTHER_ID]],
        ["in force", "placeholder", "%x%", "IAM", "", None, None, [OTHER_ID]],
    ]
    assert "1 suppressions in force, 1 expired or refused" in err


def test_a_refused_one_is_listed_with_place_reason_and_what_to_do(
    rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (rules / "filter.yml").write_bytes(filter_text({"condition": "selection"}))
    code, rows, _ = call(capsys, "rules", "suppressions", "--rules", rules)
    (row,) = (row for row in rows if row["state"] == "refused")
    assert code == 3
    assert (row["file"], row["line"]) == (str(rules / "filter.yml"), 5)
    assert str(row["reason"]).startswith("it inverts itself")
    assert "not selection" in str(row["do"])


def test_over_files_each_says_how_often_it_hid_what_and_where(
    rules: Path, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, rows, _ = call(capsys, "rules", "suppressions", recording, "--rules", rules)
    by_id = {row["id"]: row for row in rows}
    place = {"rule": RULE_ID, "file": str(recording), "time": "2020-09-20T13:19:31.123Z"}
    assert by_id[FILTER_ID]["hidden"] == 2
    assert by_id[FILTER_ID]["samples"] == [place | {"line": 2}, place | {"line": 3}]
    off = by_id[f"disabled-{OTHER_ID}"]
    assert (off["hidden"], off["by_rule"]) == (3, {OTHER_ID: 3}), "in 2020 it was in force, whatever the clock says now"


def test_detect_leaves_out_what_is_suppressed_and_says_how_much(
    rules: Path, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, rows, err = call(capsys, "detect", recording, "--rules", rules)
    assert (code, [(row["rule_id"], row["line"]) for row in rows]) == (0, [(RULE_ID, 1)])
    assert "5 matches are suppressed" in err


def test_people_see_a_table_without_lists(rules: Path, recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.app(["rules", "suppressions", str(recording), "--rules", str(rules)], prog_name="qorgan")
    head, first, *_ = capsys.readouterr().out.splitlines()
    assert head.split("\t")[-2:] == ["hidden", "first"]
    assert first.split("\t")[-2:] == ["2", f"{recording}:2"]


def test_rules_check_names_a_refused_filter(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (rules / "filter.yml").write_bytes(filter_text(qorgan=None))
    code, rows, _ = call(capsys, "rules", "check", rules)
    assert code == 3
    assert [row["reason"] for row in rows if row["state"] == "refused"] == [
        "nobody answers for it: owner, reason, expires missing"
    ]
