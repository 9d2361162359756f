"""`qorgan identities`: what an analyst asks, and what a broken export says."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from schemas.errors import Exit
from tests.identities import FILES, SID, kept, plan
from tests.unit.test_cli import call

AT = "2026-03-10T05:30:00+00:00"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QORGAN_IDENTITIES", str(tmp_path / "identities"))
    return tmp_path


def test_resolve_says_who_a_value_is_at_a_time(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept(folder)
    assert call("identities", "resolve", SID, "--at", AT, "--json") == Exit.OK
    user = orjson.loads(capsys.readouterr().out.splitlines()[0])
    assert (user["as"], user["entities"], user["how"], user["confidence"]) == ("user", ["user:pgustavo"], "sid", 100)
    assert call("identities", "resolve", "10.1.0.7", "--at", AT, "--json") == Exit.OK
    rows = {row["as"]: row for row in map(orjson.loads, capsys.readouterr().out.splitlines())}
    assert rows["host"]["entities"] == ["host:workstation5"]
    assert (rows["src"]["how"], rows["src"]["criticality"]) == ("lease", "low")
    assert call("identities", "resolve", "1001", "--on", "lnx-7", "--at", AT) == Exit.OK
    assert "user:pgustavo" in capsys.readouterr().out
    assert call("identities", "resolve", "nobody.at.all", "--at", AT) == Exit.FOUND_NOTHING


def test_a_time_without_its_offset_and_one_before_the_first_version_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept(folder)
    assert call("identities", "resolve", "a", "--at", "2026-03-10T05:30:00") == Exit.REFUSED
    assert "no time with its offset" in capsys.readouterr().err
    assert call("identities", "resolve", "a", "--at", "2020-03-10T05:30:00Z") == Exit.REFUSED
    assert "No snapshot was in force then" in capsys.readouterr().err


def test_show_tells_of_a_person_a_host_and_a_process(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept(folder)
    for name, said in (("THESHIRE\\pgustavo", "Payments"), ("pay-1", "Head of cards"), ("cards", "Карта төлемдері")):
        assert call("identities", "show", name, "--at", AT) == Exit.OK
        assert said in capsys.readouterr().out
    assert call("identities", "show", "nosuch", "--at", AT) == Exit.FOUND_NOTHING


def test_import_keeps_a_version_and_list_shows_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = plan(folder / "exports", effective_from="2026-01-01T00:00:00+05:00")
    assert call("identities", "list") == Exit.FOUND_NOTHING
    assert call("identities", "import", str(path)) == Exit.OK
    capsys.readouterr()
    assert call("identities", "list", "--json") == Exit.OK
    (row,) = map(orjson.loads, capsys.readouterr().out.splitlines())
    assert (row["state"], row["since"], row["people"], row["accounts"]) == ("in force", "2025-12-31T19:00:00Z", 3, 6)
    assert call("identities", "import", str(path)) == Exit.REFUSED
    assert "that is past, and was decided" in capsys.readouterr().err
    assert call("identities", "import", str(path), "--effective", "2040-01-01T00:00:00Z") == Exit.OK


def test_check_names_bad_rows_without_their_values_and_keeps_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry, text = FILES["ad.csv"]
    path = plan(folder / "exports", {"ad.csv": (entry, text + "=HYPERLINK(1),,,,,,,,\n"), "h.csv": FILES["hubs.csv"]})
    assert call("identities", "check", str(path), "--json") == Exit.REFUSED
    told = capsys.readouterr()
    assert orjson.loads(told.out)["faulty"] == 1
    assert "ad.csv:5: its name is no name" in told.err
    assert "HYPERLINK" not in told.err
    assert not (folder / "identities").exists()


def test_without_a_folder_it_says_which_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("identities", "list") == Exit.REFUSED
    assert "set QORGAN_IDENTITIES" in capsys.readouterr().err
