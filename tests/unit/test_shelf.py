"""What one process worked out is there for the next: believed only where it is our own, and never needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detectors.sigma import compile as compiling
from detectors.sigma import engine as deciding
from detectors.sigma import prefilter
from detectors.sigma.engine import Engine
from detectors.sigma.readings import READINGS, Reading
from pipeline import shelf as module
from pipeline.rules import load_rules
from pipeline.shelf import FileShelf
from schemas.event import Source
from tests.sigma import event, pairs, rule, rule_text, tree_rule

TREES: tuple[list[Any], ...] = (
    ["has", "F", ["needle"], False],
    ["not", ["eq", "F", ["hay"], False]],
    ["and", ["eq", "EventID", ["7"], False], ["ends", "F", ["dle"], False]],
    ["has", "F", ["ұлттық", "Қазына"], False],
)
EVENTS = [event({"F": text}) for text in ("a needle", "hay", "ҰЛТТЫҚ банк", "", "\\u212a")]
WANT = [(0, "rule-0"), (0, "rule-1"), (2, "rule-1"), (2, "rule-3"), (3, "rule-1"), (4, "rule-1")]


def made(shelf: Any) -> Engine:
    return Engine([tree_rule(tree, number) for number, tree in enumerate(TREES)], shelf=shelf)


def want(engine: Engine) -> None:
    """The engine finds what there is."""
    assert pairs(engine, EVENTS) == WANT


def test_a_second_engine_finds_the_same_and_works_nothing_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    want(made(FileShelf(tmp_path)))

    def fail(*_: Any) -> Any:
        raise AssertionError("worked out again")

    monkeypatch.setattr(deciding, "needs", fail)
    monkeypatch.setattr(prefilter, "_compiled", fail)
    second = made(FileShelf(tmp_path))
    want(second)
    assert not second.tally.failed


def test_the_loaded_rules_have_a_shelf_in_the_folder_of_caches(tmp_path: Path) -> None:
    (tmp_path / "rule.yml").write_bytes(rule_text({"s": {"F": "needle"}, "condition": "s"}))
    load_rules([tmp_path / "rule.yml"], tmp_path / "cache").engine.match(EVENTS)
    assert len(list((tmp_path / "cache").glob("route-*"))) == 2


def test_a_changed_rule_is_not_met_by_what_another_needed(tmp_path: Path) -> None:
    want(made(FileShelf(tmp_path)))
    changed = Engine([tree_rule(["has", "F", ["hay"], False])], shelf=FileShelf(tmp_path))
    assert pairs(changed, EVENTS) == [(1, "rule-0")]


def test_changed_code_believes_nothing_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FileShelf(tmp_path).put(b"key", b"content")
    assert FileShelf(tmp_path).get(b"key") == b"content"
    monkeypatch.setattr(module, "_code", lambda: b"other")
    assert FileShelf(tmp_path).get(b"key") is None


def _foreign(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: file.stat().st_uid + 1)


def _altered(_: pytest.MonkeyPatch, file: Path) -> None:
    said = file.read_bytes()
    file.write_bytes(said[:-1] + bytes([said[-1] ^ 1]))


def _linked(_: pytest.MonkeyPatch, file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to(file.with_name("elsewhere"))


def _renamed(_: pytest.MonkeyPatch, file: Path) -> None:
    """Another key's file in this one's place."""
    content = file.read_bytes()
    FileShelf(file.parent).put(b"other", b"other")
    next(path for path in file.parent.iterdir() if path.read_bytes() != content).replace(file)


@pytest.mark.parametrize(
    "spoil",
    [
        _foreign,
        lambda _, file: file.chmod(0o620),
        _altered,
        lambda _, file: file.write_bytes(b""),
        _linked,
        _renamed,
        lambda _, file: (file.unlink(), file.mkdir()),
    ],
)
def test_a_file_that_is_not_what_we_wrote_is_not_believed(
    spoil: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = FileShelf(tmp_path)
    shelf.put(b"key", b"content")
    (file,) = tmp_path.iterdir()
    spoil(monkeypatch, file)
    assert shelf.get(b"key") is None


def test_a_shelf_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    want(made(FileShelf(tmp_path / "file")))


def test_a_database_of_another_kind_of_machine_is_compiled_anew(tmp_path: Path) -> None:
    class Foreign(FileShelf):
        def get(self, key: bytes) -> bytes | None:
            return b"not for this processor" if key.startswith(b"database") else super().get(key)

    want(made(Foreign(tmp_path)))


def test_names_that_shippers_write_do_not_fill_the_shelf(tmp_path: Path) -> None:
    engine = made(FileShelf(tmp_path))
    engine.match([event({"F": "x"}, Source("windows", "", f"channel-{n}", n)) for n in range(50)])
    assert len(list(tmp_path.iterdir())) <= 3


def test_what_is_too_much_goes_and_the_newest_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 3)
    for number in range(6):
        FileShelf(tmp_path).put(b"%d" % number, b"x")
    assert len(list(tmp_path.iterdir())) <= 4
    assert FileShelf(tmp_path).get(b"5") == b"x"


def test_only_rules_that_are_candidates_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    real = compiling.Compiler.condition
    monkeypatch.setattr(
        compiling.Compiler, "condition", lambda self, tree: (compiled.append(tree), real(self, tree))[1]
    )
    engine = Engine([tree_rule(["has", "F", [f"needle-{n}"], False], n) for n in range(100)])
    for _ in range(3):
        assert pairs(engine, [event({"F": "a needle-77 and needle-5x"})]) == [
            (0, "rule-5"),
            (0, "rule-7"),
            (0, "rule-77"),
        ]
    assert len(compiled) == 3


def test_what_rules_share_of_a_provider_is_read_once_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    path = READINGS["path"]

    def read(fields: Any, name: str) -> list[str]:
        asked.append(name)
        return path.read(fields, name)

    monkeypatch.setitem(READINGS, "path", Reading(read, path.needs))  # type: ignore[arg-type]  # a dict behind Mapping
    said = [{"Image|startswith": "C:\\Win"}, {"Image": "C:\\Windows\\a.exe"}, {"Image|startswith": "C:\\W"}]
    starts = {"product": "windows", "category": "process_creation"}
    ids = [f"3f2a0f3e-3c0b-4f7e-9a55-0b6f0a9a1d1{n}" for n in range(len(said))]
    engine = Engine([rule({"s": s, "condition": "s"}, logsource=starts, id=i) for i, s in zip(ids, said, strict=True)])
    told = {"EventID": 4688, "NewProcessName": "\\Device\\HarddiskVolume3\\Windows\\a.exe"}
    assert len(engine.match([event(told, Source("windows", "", "security", 4688))])) == 3
    assert len(asked) == 1 + 3  # for all rules together, and for the activity that each match tells


def test_a_text_a_list_of_texts_and_a_number_are_decided_alike() -> None:
    engine = Engine([tree_rule(["or", ["ends", "F", ["7"], False], ["eq", "F", ["x"], True]])])
    values: list[Any] = ["a7", 7, ["b", "7"], ["b", 17], [], None, {"F": "7"}, "X", "x", True]
    told = [event({"F": value}) for value in values]
    assert [at for at, _ in pairs(engine, told)] == [0, 1, 2, 3, 8]
