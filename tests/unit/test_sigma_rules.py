"""Rules from folders: what is read, what is remembered, and when a whole set is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.rules import check_rules, load_rules
from schemas.errors import RefusedError
from tests.sigma import event, rule_text

GOOD = {"s": {"F": "a"}, "condition": "s"}


def _id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def _folder(path: Path, good: int = 3, bad: int = 0) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for number in range(good):
        (path / f"good{number}.yml").write_bytes(rule_text(GOOD, id=_id(number)))
    for number in range(bad):
        (path / f"bad{number}.yaml").write_bytes(b"title: [")
    return path


def test_without_paths_the_shipped_rules_are_in_force() -> None:
    loaded = load_rules(())
    assert len(loaded.rules) >= 35
    assert not loaded.refused
    # These take a topic whose settings name them: `deploy/docs/application-events.md`.
    waiting = {rule.logsource.product for rule in loaded.not_carried}
    assert waiting == {"bank", "oracle", "postgresql", "1c"}


def test_a_file_and_a_folder_are_read_and_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "rules" / "deep")
    loaded = load_rules([folder / "good1.yml", tmp_path / "rules", tmp_path])
    assert [Path(rule.file).name for rule in loaded.rules] == ["good1.yml", "good0.yml", "good2.yml"]
    assert loaded.files == 3


def test_the_engine_is_ready(tmp_path: Path) -> None:
    engine = load_rules([_folder(tmp_path)]).engine
    assert len(engine.match([event({"F": "A"})])) == 3


def test_one_bad_rule_is_named_and_the_others_are_in_force(tmp_path: Path) -> None:
    loaded = load_rules([_folder(tmp_path, good=3, bad=1)])
    assert len(loaded.rules) == 3
    assert [Path(refusal.file).name for refusal in loaded.refused] == ["bad0.yaml"]


def test_a_set_that_is_mostly_refused_is_refused_and_can_still_be_looked_at(tmp_path: Path) -> None:
    folder = _folder(tmp_path, good=2, bad=3)
    with pytest.raises(RefusedError, match=r"3 of 5 rules are refused, the first: .*bad0.yaml:2: not YAML"):
        load_rules([folder])
    assert len(check_rules([folder]).refused) == 3


def test_a_missing_path_and_a_folder_without_rules_are_refused_by_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"do not exist\. Name a file or folder of Sigma rules"):
        load_rules([tmp_path / "nowhere"])
    with pytest.raises(RefusedError, match="there is no rule file"):
        load_rules([tmp_path])


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "rules", good=1)
    (folder / "again").symlink_to(folder)
    (folder / "loop.yml").symlink_to(folder / "loop.yml")
    (folder / "same.yml").symlink_to(folder / "good0.yml")
    loaded = load_rules([folder])
    assert len(loaded.rules) == 1
    assert [(Path(refusal.file).name, "cannot be read" in refusal.reason) for refusal in loaded.refused] == [
        ("loop.yml", True)
    ]


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.rules.MAX_FILES", 2)
    with pytest.raises(RefusedError, match="more than 2 rule files"):
        load_rules([_folder(tmp_path)])


def test_a_rule_that_no_parser_feeds_is_in_force_and_listed(tmp_path: Path) -> None:
    (tmp_path / "okta.yml").write_bytes(rule_text(GOOD, logsource={"product": "okta"}))
    loaded = load_rules([tmp_path])
    assert [rule.logsource.product for rule in loaded.not_carried] == ["okta"]


def test_the_cache_gives_the_same_rules_and_revision(tmp_path: Path) -> None:
    folder, cache = _folder(tmp_path / "rules", good=3, bad=1), tmp_path / "cache"
    cold, warm = load_rules([folder], cache), load_rules([folder], cache)
    assert (cold.from_cache, warm.from_cache) == (False, True)
    assert (cold.rules, cold.refused, cold.revision) == (warm.rules, warm.refused, warm.revision)
    assert cache.stat().st_mode & 0o777 == 0o700


def test_what_the_cache_serves_needs_no_pysigma(tmp_path: Path) -> None:
    folder, cache = _folder(tmp_path / "rules"), tmp_path / "cache"
    load_rules([folder], cache)
    code = (
        "import sys; from pathlib import Path; from pipeline.rules import load_rules\n"
        f"loaded = load_rules([Path({str(folder)!r})], Path({str(cache)!r}))\n"
        "assert loaded.from_cache and len(loaded.rules) == 3 and 'sigma' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_only_a_changed_text_is_read_anew(tmp_path: Path) -> None:
    folder, cache = _folder(tmp_path / "rules"), tmp_path / "cache"
    before = load_rules([folder], cache)
    (folder / "good0.yml").write_bytes(rule_text(GOOD, id=_id(0), title="Changed"))
    after = load_rules([folder], cache)
    assert after.rules[0].title == "Changed"
    assert after.rules[1:] == before.rules[1:]
    assert not after.from_cache
    assert load_rules([folder], cache).from_cache


def test_two_sets_may_share_a_cache_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, cache = _folder(tmp_path / "rules"), tmp_path / "cache"
    load_rules([folder], cache)
    load_rules((), cache)
    assert load_rules([folder], cache).from_cache
    monkeypatch.setattr("pipeline.rules.MAX_REMEMBERED", 3)
    (folder / "new.yml").write_bytes(rule_text(GOOD, id=_id(9)))
    load_rules([folder], cache)
    assert not load_rules((), cache).from_cache


@pytest.mark.parametrize("damage", [b"", b"[]\n{}", b"\xff\xfe", b'["1/2/3/4","0"]\n{"a":1}', b"cut"])
def test_a_damaged_cache_is_ignored_and_written_anew(tmp_path: Path, damage: bytes) -> None:
    folder, cache = _folder(tmp_path / "rules"), tmp_path / "cache"
    load_rules([folder], cache)
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:-9] if damage == b"cut" else damage)
    loaded = load_rules([folder], cache)
    assert (len(loaded.rules), loaded.from_cache) == (3, False)
    assert load_rules([folder], cache).from_cache


def test_a_cache_that_others_may_write_is_not_trusted(tmp_path: Path) -> None:
    folder, cache = _folder(tmp_path / "rules"), tmp_path / "cache"
    load_rules([folder], cache)
    (file,) = cache.iterdir()
    file.chmod(0o666)
    assert not load_rules([folder], cache).from_cache


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "rules")
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert len(load_rules([folder], tmp_path / "cache").rules) == 3


def test_what_is_no_file_is_named_and_takes_no_other_with_it(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "rules")
    os.mkfifo(folder / "pipe.yml")
    (folder / "gone.yml").symlink_to(folder / "nowhere")
    loaded = load_rules([folder])
    assert len(loaded.rules) == 3
    assert [str(refusal).partition("rules/")[2].partition(". ")[0] for refusal in loaded.refused] == [
        "gone.yml: the file cannot be read (No such file or directory)",
        "pipe.yml: the file cannot be read (not a regular file)",
    ]
