"""Indicator files are read whole and checked; what cannot be trusted is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

import pipeline.indicators as subject
from pipeline.indicators import load_indicators
from schemas.errors import RefusedError

GOOD = "type,value\nip,10.0.0.1\ndomain,evil.example\n"
BUNDLE = {
    "type": "bundle",
    "objects": [{"type": "indicator", "id": "indicator--1", "pattern": "[ipv4-addr:value = '10.0.0.9']"}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text(GOOD)
    (tmp_path / "in" / "b.json").write_bytes(orjson.dumps(BUNDLE))
    (tmp_path / "in" / "README.md").write_text("not read")
    (tmp_path / "in" / ".a.csv.part").write_text("not read")
    return tmp_path / "in"


def test_a_folder_is_read_by_suffix_and_a_named_file_by_content(folder: Path, tmp_path: Path) -> None:
    named = tmp_path / "bulletin.txt"
    named.write_bytes(b"\xef\xbb\xbf" + orjson.dumps(BUNDLE).replace(b"10.0.0.9", b"10.0.0.8"))
    loaded = load_indicators([folder, named])
    assert {one.value for one in loaded.index} == {"10.0.0.1", "evil.example", "10.0.0.9", "10.0.0.8"}
    assert loaded.count == 4
    assert loaded.faults == ()
    assert loaded.revision == loaded.index.revision


def test_no_paths_are_no_indicators() -> None:
    assert load_indicators([]).count == 0


def test_a_fault_names_file_and_line(folder: Path) -> None:
    (folder / "a.csv").write_text(GOOD + "ip,secret-value\n")
    (fault,) = load_indicators([folder]).faults
    assert fault.where == "a.csv: line 4"
    assert "secret-value" not in fault.why


def test_more_faulty_than_not_is_refused(folder: Path) -> None:
    (folder / "a.csv").write_text("type,value\nip,x\nip,y\nip,z\nip,10.0.0.1\n")
    with pytest.raises(RefusedError, match=r"3 of 5 entries are faulty, the first in a\.csv: line 2"):
        load_indicators([folder])


def test_a_missing_path_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"none\.csv does not exist"):
        load_indicators([tmp_path / "none.csv"])


def test_too_large_and_too_many_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MAX_ENTRIES", 2)
    with pytest.raises(RefusedError, match="more than 2 entries"):
        load_indicators([folder])
    monkeypatch.setattr(subject, "MAX_FILE_BYTES", 10)
    with pytest.raises(RefusedError, match="more than 10 bytes"):
        load_indicators([folder])
