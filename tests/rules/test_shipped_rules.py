"""Each rule we ship finds what it is for and leaves alone what only looks like it: its cases lie beside it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from detectors.sigma.engine import Engine
from detectors.sigma.rule import Rule
from pipeline.parsers import Reader
from pipeline.rules import CASES, load_rules
from pipeline.settings import TopicSettings, load
from schemas.event import RecordBatch
from schemas.severity import Severity
from tests.builders import FakeRecord

FOLDER = Path(str(resources.files("detectors.sigma"))) / "rules"
BANK = ZoneInfo("Asia/Almaty")
RULES = {Path(rule.file).stem: rule for rule in load_rules((), zone=BANK).rules}
#: 2026-01-01 UTC: when records without a time of their own happened.
NEAR_MS = 1_767_225_600_000

Case = dict[str, Any]


@lru_cache
def said(name: str) -> dict[str, Any]:
    """The file of a rule's cases."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}{CASES[0]}").read_text())
    return found


def cases() -> Iterator[tuple[str, Case]]:
    """(rule, case), of all rules."""
    return ((name, case) for name in RULES for case in said(name)["cases"])


def found(rule: Rule, source: dict[str, str], records: list[Any]) -> int:
    """How many of these records the rule finds, each read by the parsers as a record of such a topic."""
    topics = (TopicSettings(topic="case", **source),)
    values = [each.encode() if isinstance(each, str) else json.dumps(each, default=str).encode() for each in records]
    batch = [FakeRecord(place, value, NEAR_MS) for place, value in enumerate(values)]
    reading = Reader(load().model_copy(update={"topics": topics})).read(
        RecordBatch("log", "case", 0, 0, len(batch), batch)
    )
    assert not reading.dead, f"{rule.file}: record {reading.dead[0].offset} is no event"
    return len({match.index for match in Engine([rule], BANK).match(reading.events)})


@pytest.mark.parametrize("name", RULES)
def test_a_rule_finds_its_cases_and_leaves_the_others_alone(name: str) -> None:
    source = said(name).get("source", {})
    for case in said(name)["cases"]:
        least = case.get("at_least", 1) if case.get("match", True) else 0
        count = found(RULES[name], source, case["records"])
        assert count >= least, (name, case["name"])
        assert not count or least, (name, case["name"])


def test_every_rule_has_cases_of_both_kinds_and_its_line_in_the_readme() -> None:
    kinds = {(name, case.get("match", True)) for name, case in cases()}
    assert {(name, match) for name in RULES for match in (True, False)} == kinds
    files = {path.name.removesuffix(CASES[0]) for path in FOLDER.glob(f"*{CASES[0]}")}
    assert files == set(RULES)
    readme = (FOLDER / "README.md").read_text()
    assert [name for name in RULES if f"| `{name}` |" not in readme] == []


def test_half_of_the_cases_records_are_not_of_our_making() -> None:
    """Every case says where its records' values come from; a case of a recording or of a document names it."""
    ours = public = 0
    for name, case in cases():
        assert case.get("origin"), (name, case["name"])
        if case["origin"] == "ours":
            ours += len(case["records"])
        else:
            public += len(case["records"])
    assert public >= ours


def test_every_rule_says_what_a_responder_needs() -> None:
    for name in RULES:
        rule = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
        assert {"id", "level", "status", "description", "tags"} <= set(rule), name
        assert any(tag.startswith("attack.t") for tag in rule["tags"]) or "command-and-control" in str(rule["tags"])


def test_every_stage_of_an_attack_has_a_rule_of_high_level() -> None:
    tactics = Counter(
        tag.removeprefix("attack.") for rule in RULES.values() if rule.level >= Severity.HIGH for tag in rule.tags
    )
    for tactic in ("initial-access", "credential-access", "lateral-movement", "collection", "exfiltration", "impact"):
        assert tactics[tactic], tactic
