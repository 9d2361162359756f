"""The event list: what is broken is refused whole, with file, line and reason; what we ship covers what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from detectors.triage.attribution import Attribution
from pipeline.event_list import load_event_list
from schemas.errors import RefusedError
from schemas.event import Source
from schemas.event_list import EventList
from schemas.severity import Severity

GOOD = """\
effective_from: 2026-01-01
classes:
  - id: malware
    name: {kk: а, ru: б, en: c}
procedures:
  - id: isolate
    name: {kk: а, ru: б, en: c}
items:
  - id: ransomware
    name: {kk: а, ru: б, en: c}
    description: {kk: а, ru: б, en: c}
    claims:
      - tags: [attack.t1486]
    class: malware
    priority: 1
    response_minutes: 15
    procedure: isolate
    sources: [endpoints]
    basis: our proposal
"""


def test_the_revision_is_the_texts_own() -> None:
    one, same = EventList.parse(GOOD, "a.yml"), EventList.parse(GOOD, "b.yml")
    assert one.revision == same.revision
    assert one.revision != EventList.parse(GOOD.replace("priority: 1", "priority: 2"), "a.yml").revision


@pytest.mark.parametrize(
    ("broken", "with_", "line", "reason"),
    [
        ("priority: 1", "priority: 5", 15, "items.0.priority"),
        ("class: malware", "class: malwear", 14, "items.0.class: malwear is none of"),
        ("procedure: isolate", "procedure: none", 17, "items.0.procedure: none is none of"),
        ("tags: [attack.t1486]", "level: high", 13, "a claim must name"),
        ("tags: [attack.t1486]", "{tags: [attack.t1486], level: low}", 13, "level"),
        ("tags: [attack.t1486]", "indicators: [carrier-pigeon]", 13, "carrier-pigeon is no indicator type"),
        ("{kk: а, ru: б, en: c}\n    claims", "{kk: а, en: c}\n    claims", 11, "description.ru"),
        ("priority: 1", "priority: 1\n    priority: 2", 16, "key stands there twice"),
        ("basis: our proposal", "basis: our proposal\n    pages: true", 20, "pages"),
        ("claims:", "claims: [", 14, "not readable YAML"),
        ("effective_from: 2026-01-01", "effective_from: soon", 1, "effective_from"),
    ],
)
def test_a_fault_is_named_with_file_line_and_reason(broken: str, with_: str, line: int, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        EventList.parse(GOOD.replace(broken, with_), "list.yml")
    said = str(refused.value)
    assert reason in said
    lines = [int(number) for number in re.findall(r"list\.yml:(\d+)", said)]
    assert any(abs(number - line) <= 1 for number in lines), said


@pytest.mark.parametrize("text", ["", "- a\n", "42", "a: b"])
def test_what_is_no_list_at_all_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match=r"list\.yml:1"):
        EventList.parse(text, "list.yml")


def test_a_file_that_is_not_there_is_refused_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="QORGAN_EVENT_LIST"):
        load_event_list(tmp_path / "none.yml")


def test_every_rule_that_we_ship_pages_by_an_item_unless_it_is_low() -> None:
    attribution = Attribution(load_event_list(None))
    unclaimed = []
    for path in Path("detectors/sigma/rules").glob("*.yml"):
        if path.name.endswith(".cases.yml"):
            continue
        rule = next(yaml.safe_load_all(path.read_text()))  # correlations are looked at in tests/rules
        if Severity.of(rule.get("level")) < Severity.MEDIUM or not {"correlation", "detector"}.isdisjoint(rule):
            continue
        source = Source(*(rule["logsource"].get(part, "") for part in ("product", "category", "service")))
        ref = attribution.attribute(
            kind="rule",
            subject=rule["id"],
            tags=rule.get("tags", ()),
            level=rule["level"],
            source=source,
            entities=("host:a",),
            topic="raw.events",
            time_ms=0,
        )
        if ref is None:
            unclaimed.append(path.name)
    assert not unclaimed


def test_every_item_that_we_ship_can_page_and_says_in_three_languages_why() -> None:
    event_list = load_event_list(None)
    assert len(event_list.items) >= 12
    assert len({item.name.kk for item in event_list.items}) == len(event_list.items)
    for item in event_list.items:
        assert item.basis.startswith(("Our proposal", "Clause", "Clauses")), item.id
        letters = set("әғқңөұүһіӘҒҚҢӨҰҮҺІ")
        assert letters & set(item.name.kk + item.description.kk), f"{item.id}: is this Kazakh?"
