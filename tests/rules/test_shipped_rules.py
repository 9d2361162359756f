"""Each rule we ship finds what it is for and leaves alone what only looks like it: its cases lie beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from pipeline.rulecases import beside
from pipeline.rules import CASES, load_rules
from pipeline.ruletests import run, without
from pipeline.settings import load
from schemas.severity import Severity

FOLDER = Path(str(resources.files("detectors.sigma"))) / "rules"
BANK = ZoneInfo("Asia/Almaty")
LOADED = load_rules((FOLDER,), zone=BANK)
RULES = {Path(rule.file).stem: rule for rule in LOADED.rules}

Case = dict[str, Any]


def cases() -> Iterator[tuple[str, Case]]:
    """(rule, case), of all rules."""
    for name in RULES:
        said = yaml.safe_load((FOLDER / f"{name}{CASES[0]}").read_text())
        yield from ((name, case) for case in said["cases"])


def test_every_rule_finds_its_cases_and_leaves_the_others_alone() -> None:
    """As `qorgan rules test --strict` says it: whole records through the parsers, both kinds for every rule."""
    results = list(run(load(), LOADED, beside(LOADED), BANK))
    assert [(each.case.where.name, each.case.name, each.fault) for each in results if each.fault] == []
    assert without(LOADED, results) == []


def test_every_record_of_a_case_counts() -> None:
    for name, case in cases():
        if case.get("match", True):
            assert case.get("at_least", 1) == len(case["records"]), (name, case["name"])


def test_every_rule_has_its_line_in_the_readme_and_no_case_lacks_its_rule() -> None:
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
