"""Routing against SigmaHQ's corpus and recordings of real attacks."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from detectors.ioc.match import IndicatorIndex
from detectors.sigma.coverage import covered, lacks
from detectors.sigma.providers import providers
from detectors.sigma.rule import LogSource
from detectors.triage.attribution import Attribution
from pipeline.detecting import DetectionSet
from pipeline.event_list import load_event_list
from pipeline.routing_page import sigmahq, status
from pipeline.rules import LoadedRules
from schemas.activity import Sighting, distinct
from schemas.detection import Detection
from tests.integration.test_sigma_recordings import _values, every_rule, read, recordings, unpacked

pytestmark = [pytest.mark.shared, pytest.mark.timeout(600)]
__all__ = ["every_rule", "unpacked"]

SETS = ("rules", "rules-emerging-threats", "rules-threat-hunting", "rules-placeholder", "rules-compliance")


def test_the_table_lists_every_log_source_of_the_corpus(unpacked: Path) -> None:
    found: Counter[LogSource] = Counter()
    for name in SETS:
        for file in (unpacked / name).rglob("*.yml"):
            for rule in yaml.load_all(file.read_bytes(), yaml.CSafeLoader):
                said = rule["logsource"]
                words = (str(said.get(word) or "").lower() for word in ("product", "category", "service"))
                found[LogSource(*words)] += 1
    assert len(found) == 138
    assert found == {known.source: known.rules for known in sigmahq()}


def test_what_the_table_calls_carried_is_most_of_the_rules() -> None:
    rules = Counter[str]()
    for known in sigmahq():
        rules[status(known.source)] += known.rules
    assert rules == {"carried": 3_653, "by map": 89, "not": 38}


#: Sysmon 1 → Security 4688: what an auditing Windows would have written of the same start.
def as_4688(fields: dict[str, Any]) -> dict[str, Any]:
    levels = {"Low": 4096, "Medium": 8192, "High": 12288, "System": 16384}
    domain, _, user = str(fields.get("User", "-")).rpartition("\\")
    told = {
        "Channel": "Security",
        "EventID": 4688,
        "Computer": fields.get("Computer"),
        "NewProcessName": fields.get("Image"),
        "NewProcessId": hex(int(fields.get("ProcessId") or 0)),
        "ProcessId": hex(int(fields.get("ParentProcessId") or 0)),
        "ParentProcessName": fields.get("ParentImage"),
        "CommandLine": fields.get("CommandLine"),
        "SubjectUserName": user,
        "SubjectDomainName": domain or "-",
        "SubjectLogonId": fields.get("LogonId"),
        "MandatoryLabel": f"S-1-16-{levels.get(str(fields.get('IntegrityLevel')), 8192)}",
    }
    return {name: value for name, value in told.items() if value is not None}


def test_process_cases_written_as_4688_are_found_unless_coverage_says_that_they_cannot(
    unpacked: Path, every_rule: LoadedRules
) -> None:
    rules = {rule.id: rule for rule in every_rule.rules}
    audit = next(
        place for place in providers(LogSource("windows", "process_creation")) if place.title == "Security 4688"
    )
    tried, missed = 0, []
    for case in sorted((unpacked / "regression_data").rglob("*.json")):
        rule = rules.get(case.stem)
        if rule is None or rule.logsource != LogSource("windows", "process_creation"):
            continue
        events = read([json.dumps(each).encode() for each in _values(case.read_text())])
        starts = [as_4688(event.fields) for event in events if event.source.event_id == 1]
        found = Counter(
            match.rule.id for match in every_rule.engine.match(read([json.dumps(each).encode() for each in starts]))
        )
        count = re.search(r"match_count:\s*(\d+)", (case.parent / "info.yml").read_text())
        tried += 1
        if found[rule.id] < (int(count[1]) if count else 1):
            missed.append((rule.title, covered(rule.tree, lacks(audit)).state))
    assert tried > 30
    assert [title for title, state in missed if state == "full"] == []
    assert len(missed) < tried / 4, missed


def test_a_start_that_sysmon_and_the_audit_log_tell_is_one_finding_and_counts_once(every_rule: LoadedRules) -> None:
    decide = DetectionSet(every_rule.engine, IndicatorIndex([]), Attribution(load_event_list(None)))
    told: defaultdict[tuple[str, str, str], list[Detection]] = defaultdict(list)
    for name, lines in recordings():
        for found in decide.detect("log", "topic", 0, read(lines)):
            if found.activity:
                told[name, found.subject, found.activity].append(found)
    twice = [found for found in told.values() if len({each.provider for each in found}) > 1]
    assert len(twice) > 30
    for found in twice:
        assert distinct([Sighting(each.time, each.provider) for each in found]) < len(found)
        assert len({each.finding.id if each.finding else "" for each in found}) == 1
        assert len({each.id for each in found}) == len(found)
