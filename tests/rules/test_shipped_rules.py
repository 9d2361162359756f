"""Each rule we ship finds what it is for and leaves alone what only looks like it: its cases lie beside it."""

from __future__ import annotations

from collections import Counter
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from detectors.correlation.correlation import Correlation
from detectors.sigma.engine import Engine
from detectors.triage.attribution import Attribution
from pipeline.correlated import Gathered, below
from pipeline.event_list import load_event_list
from pipeline.offline import read
from pipeline.parsers import Reader
from pipeline.recordings import Lines
from pipeline.rulecases import beside, told
from pipeline.rules import CASES, load_rules
from pipeline.ruletests import NEAR_MS, TOPIC, run, without
from pipeline.settings import TopicSettings, load
from schemas.event import Source
from schemas.severity import Severity

FOLDER = Path(str(resources.files("detectors.sigma"))) / "rules"
BANK = ZoneInfo("Asia/Almaty")
LOADED = load_rules((), zone=BANK)
#: What is told for itself, one of each file. Rules that only stand for correlations have no cases of their own.
RULES = {Path(rule.file).stem: rule for rule in told(LOADED)}
CORRELATIONS = {name: rule for name, rule in RULES.items() if isinstance(rule, Correlation)}

Case = dict[str, Any]


@cache
def cases() -> list[tuple[str, Case]]:
    """(rule, case), of all rules."""
    said = {name: yaml.load((FOLDER / f"{name}{CASES[0]}").read_text(), yaml.CSafeLoader) for name in RULES}
    return [(name, case) for name, file in said.items() for case in file["cases"]]


def records_of(case: Case) -> list[Any]:
    """All of them, whatever source they have."""
    return [record for part in case.get("parts", [case]) for record in part["records"]]


def documents(name: str) -> list[Any]:
    """What a rule file holds."""
    return list(yaml.safe_load_all((FOLDER / f"{name}.yml").read_text()))


def test_every_rule_finds_its_cases_and_leaves_the_others_alone() -> None:
    """As `qorgan rules test --strict` says it: whole records through the parsers, both kinds for every rule."""
    results = list(run(load(), LOADED, beside(LOADED), BANK))
    assert [(each.case.where.name, each.case.name, each.fault) for each in results if each.fault] == []
    assert without(LOADED, results) == []


def test_every_record_of_a_case_counts() -> None:
    for name, case in cases():
        if case.get("match", True) and name not in CORRELATIONS:
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
            ours += len(records_of(case))
        else:
            public += len(records_of(case))
    assert public >= ours


def test_half_of_the_correlations_cases_are_not_of_our_making() -> None:
    origins = [case["origin"] for name, case in cases() if name in CORRELATIONS]
    assert 2 * origins.count("ours") <= len(origins)


def test_every_positive_case_of_a_correlation_says_what_it_comes_to() -> None:
    for name, case in cases():
        if name in CORRELATIONS and case.get("match", True):
            assert case["episodes"], (name, case["name"])


def test_every_negative_case_of_a_correlation_is_a_near_miss() -> None:
    """Some of its records count, so that it is the correlation that leaves them alone."""
    for asked in beside(LOADED):
        correlation = next((rule for rule in CORRELATIONS.values() if rule.id == asked.rule), None)
        if correlation is None or asked.least or asked.name == "recorded, and nothing of the kind":
            continue
        rules = below(LOADED.correlations, [correlation.id])
        gathered = Gathered(rules, asked.places)
        engine = Engine([rule for rule in LOADED.rules if rule.id in rules.members], BANK)
        for source, lines in asked.parts:
            topic = TopicSettings(topic=TOPIC, **source.model_dump())
            reader = Reader(load().model_copy(update={"topics": (topic,)}))
            events = read(reader, TOPIC, Lines(range(1, 1 + len(lines)), lines), NEAR_MS).events
            gathered.take(TOPIC, events, engine.match(events))
        assert gathered.counted, asked


def test_every_correlation_is_on_the_event_list_unless_it_is_low() -> None:
    """Whatever of its log sources the first record comes from."""
    attribution = Attribution(load_event_list(None))
    sources = {rule.id: rule.logsource for rule in LOADED.rules}
    items = {}
    for name, correlation in CORRELATIONS.items():
        if correlation.level < Severity.MEDIUM:
            continue
        for id_ in set(below(LOADED.correlations, [correlation.id]).members) & set(sources):
            finding = attribution.attribute(
                kind="correlation",
                subject=correlation.id,
                tags=correlation.tags,
                level=correlation.level.word,
                source=Source(*(part or "" for part in sources[id_][:3])),
                entities=("user:aigerim",),
                topic="t",
                time_ms=0,
            )
            items.setdefault(name, set()).add(finding.item if finding else None)
    assert {name: found for name, found in items.items() if None in found or len(found) > 1} == {}
    assert items["account_guessed"] == {"brute-force"}
    assert items["password_guessed"] == {"credential-theft"}, "a password that was guessed is an attempt no more"
    assert items["payments_split"] == {"payment-operation"}
    assert items["clients_read_one_by_one"] == {"client-data-access"}
    assert len(items) >= 14


def test_every_rule_says_what_a_responder_needs() -> None:
    for name in RULES:
        rule = documents(name)[-1]
        assert {"id", "level", "status", "description", "tags"} <= set(rule), name
        assert any(tag.startswith("attack.t") for tag in rule["tags"]) or "command-and-control" in str(rule["tags"])


def test_what_only_stands_for_correlations_says_so_and_would_page_nobody() -> None:
    silent = [rule for rule in LOADED.rules if rule.id in LOADED.correlations.silent]
    assert {rule.level for rule in silent} == {Severity.INFORMATIONAL}
    texts = {Path(rule.file).stem for rule in silent}
    described = [one for name in texts for one in documents(name) if one["id"] in LOADED.correlations.silent]
    assert all("stands only for the correlation" in str(one) for one in described if one["title"][:3] != "Log")


def test_every_stage_of_an_attack_has_a_rule_of_high_level() -> None:
    tactics = Counter(
        tag.removeprefix("attack.") for rule in RULES.values() if rule.level >= Severity.HIGH for tag in rule.tags
    )
    for tactic in ("initial-access", "credential-access", "lateral-movement", "collection", "exfiltration", "impact"):
        assert tactics[tactic], tactic
