"""SigmaHQ's rules against its own regression cases and against recordings of real attacks, through our parsers."""

from __future__ import annotations

import json
import lzma
import os
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from detectors.sigma.engine import Engine
from pipeline.parsers import Reader
from pipeline.rules import LoadedRules, check_rules, load_rules
from pipeline.settings import load as load_settings
from pipeline.tuning import Placeholder, Tuning
from schemas.event import Event
from tests.builders import batch_of
from tests.sigma import WRITERS, pairs, plain_pairs

pytestmark = [pytest.mark.shared, pytest.mark.timeout(1200)]

SETS = ("rules", "rules-emerging-threats", "rules-threat-hunting", "rules-compliance")
READER = Reader(load_settings())


def shared() -> Path:
    """The folder of recordings and rules beside the project."""
    named = os.environ.get("QORGAN_SHARED_DATA")
    folder = Path(named) if named else Path(__file__).parents[3] / "shared" / "data"
    assert folder.is_dir(), f"{folder} is missing; set QORGAN_SHARED_DATA to the folder of recordings and rules"
    return folder


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sigma")
    for name in ("sigmahq-rules", "sigmahq-regression"):
        with tarfile.open(shared() / f"{name}.tar.xz") as archive:
            archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def every_rule(unpacked: Path) -> LoadedRules:
    return load_rules([unpacked / name for name in SETS], unpacked / "cache")


@pytest.fixture(scope="module")
def main_rules(unpacked: Path, every_rule: LoadedRules) -> Engine:
    loaded = load_rules([unpacked / "rules"], unpacked / "cache")
    assert loaded.from_cache
    assert len(loaded.rules) == 3_141
    return loaded.engine


def read(lines: Sequence[bytes]) -> list[Event]:
    """The events of these lines; none of them may be a dead letter."""
    reading = READER.read(batch_of(*lines, timestamp=-1))
    assert not reading.dead
    return reading.events


def recordings() -> Iterator[tuple[str, list[bytes]]]:
    files = sorted((shared() / "otrf").glob("*.jsonl.xz"))
    assert files, f"{shared() / 'otrf'} holds no recording"
    for file in files:
        yield file.name.removesuffix(".jsonl.xz"), lzma.decompress(file.read_bytes()).splitlines()


def test_every_rule_loads_or_says_what_is_wrong_with_it(every_rule: LoadedRules) -> None:
    assert len(every_rule.rules) == 3_755
    assert [refusal.reason for refusal in every_rule.refused] == ["the placeholder %known_cdcs% has no values"] * 2


def test_placeholder_rules_are_refused_by_the_name_of_the_placeholder(unpacked: Path) -> None:
    loaded = check_rules([unpacked / "rules-placeholder"])
    assert not loaded.rules
    assert len(loaded.refused) == 23
    assert all(re.match(r"the placeholders? %[\w-]+%.* ha\w+ no values", each.reason) for each in loaded.refused)
    assert all(each.line for each in loaded.refused)


def test_placeholder_rules_load_when_every_name_has_values(unpacked: Path) -> None:
    files = (unpacked / "rules-placeholder").rglob("*.yml")
    names = {name for file in files for name in re.findall(r"'%([\w-]+)%'", file.read_text())}
    values = {name: Placeholder(name, ("one", "two*"), "values.yml") for name in names}
    loaded = check_rules([unpacked / "rules-placeholder"], tuning=Tuning(values))
    assert (len(loaded.rules), loaded.refused) == (23, ())
    assert {change.placeholder.name for change in loaded.changes} == names


def test_every_regression_case_is_found_by_its_own_rule(unpacked: Path, every_rule: LoadedRules) -> None:
    missed = []
    cases = sorted((unpacked / "regression_data").rglob("*.json"))
    assert len(cases) == 90
    for case in cases:
        count = re.search(r"match_count:\s*(\d+)", (case.parent / "info.yml").read_text())
        events = read([json.dumps(each).encode() for each in _values(case.read_text())])
        found = Counter(match.rule.id for match in every_rule.engine.match(events))
        if found[case.stem] < (int(count[1]) if count else 1):
            missed.append(case.stem)
        assert pairs(every_rule.engine, events) == plain_pairs(every_rule.engine, events)
    assert missed == []


def _values(text: str) -> list[object]:
    """One or more JSON values after one another, lists of events among them."""
    values: list[object] = []
    at = 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = json.JSONDecoder().raw_decode(text, at)
        values += value if isinstance(value, list) else [value]
    return values


def test_the_recordings_give_every_pair_that_another_engine_found(main_rules: Engine) -> None:
    rows = [row.split("\t") for row in (shared() / "otrf" / "expected.tsv").read_text().splitlines()]
    expected = {(name, int(line), rule) for name, line, rule in rows}
    found: dict[tuple[str, int, str], str] = {}
    for name, lines in recordings():
        for match, event in _matches(main_rules, read(lines)):
            found[name, event.offset + 1, match] = f"{event.source.service}/{event.source.event_id}"
    assert expected - set(found) == set()
    # What only we find: 4688 as process_creation, providers by their other name, channels and CloudTrail without hints.
    ours = Counter(place for pair, place in found.items() if pair not in expected)
    assert ours["security/4688"] == 35
    assert sum(ours.values()) == 59


def _matches(engine: Engine, events: list[Event]) -> Iterator[tuple[str, Event]]:
    for match in engine.match(events):
        yield match.rule.id, events[match.index]


@pytest.mark.parametrize("writer", WRITERS)
def test_prefilter_and_engine_equal_plain_evaluation_on_the_recordings(main_rules: Engine, writer: str) -> None:
    write = WRITERS[writer]
    differences = 0
    for _, lines in recordings():
        events = read([write(json.loads(line)) for line in lines[:: max(1, len(lines) // 60)]])
        differences += pairs(main_rules, events) != plain_pairs(main_rules, events)
    assert differences == 0
