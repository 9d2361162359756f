"""The documented record of bank applications is what the rules read and what the parsers understand."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pipeline.parsers import Reader
from pipeline.settings import TopicSettings, load
from schemas.event import Event, RecordBatch
from tests.builders import FakeRecord

DOCUMENT = Path("deploy/docs/application-events.md").read_text()
WORDS = {word for text in re.findall(r"`([^`\n]+)`", DOCUMENT) for word in re.split(r"[\s,]+", text)}
#: 2026-05-04T06:20:00.153Z, the time of the example.
TIME_MS = 1_777_875_600_153


def blocks(kind: str) -> list[str]:
    """The document's code blocks of one language."""
    return re.findall(rf"```{kind}\n(.*?)```", DOCUMENT, re.DOTALL)


def maps(part: Any) -> Iterator[tuple[str, Any]]:
    """(field with modifiers, value) of a rule's detection."""
    for value in part if isinstance(part, list) else [part]:
        if isinstance(value, dict):
            yield from value.items()


def example() -> Event:
    (settings,) = blocks("toml")
    topics = tuple(TopicSettings(**each) for each in tomllib.loads(settings)["topics"])
    (record,) = blocks("json")
    batch = RecordBatch("log", topics[0].topic, 0, 0, 1, [FakeRecord(0, record.strip().encode(), TIME_MS + 500)])
    (event,) = Reader(load().model_copy(update={"topics": topics})).read(batch).events
    return event


def test_the_examples_record_has_its_source_time_and_columns() -> None:
    event = example()
    assert event.source[:3] == ("bank", "application", "")
    assert (event.host, event.user, event.src_ip) == ("abs-core-02", "a.kim", "10.20.0.27")
    assert (event.time_ms, event.doubtful) == (TIME_MS, False)


def test_every_field_and_word_that_a_rule_reads_is_documented() -> None:
    read = 0
    rules = [
        (path, rule)
        for path in Path("detectors/sigma/rules").glob("*.yml")
        if not path.name.endswith(".cases.yml")
        for rule in yaml.safe_load_all(path.read_text())
    ]
    for path, rule in rules:
        if rule.get("logsource", {}).get("product") != "bank":
            continue
        detection = rule["detection"]
        for key, value in (pair for name, part in detection.items() if name != "condition" for pair in maps(part)):
            field = key.partition("|")[0]
            assert set(field.split(".")) <= WORDS, (path.name, field)
            if key in ("event", "channel", "reason", "account_type", "outcome", "payment.status"):
                said = value if isinstance(value, list) else [value]
                assert {word for word in said if word} <= WORDS, (path.name, field)
            read += 1
    assert read > 40
