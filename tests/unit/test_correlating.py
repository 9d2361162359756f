"""From events to contributions: in the provider's words, an activity once; and what correlate loads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from pipeline import loading, topics
from pipeline.correlating import Gathering, Shares
from pipeline.detecting import Judgement
from pipeline.loading import Loaded
from pipeline.parsers import Reader
from pipeline.settings import Settings, load
from tests.builders import batch_of
from tests.sigma import rule_text

RULE = rule_text(
    {"s": {"Image|endswith": "\\net.exe"}, "condition": "s"},
    name="net",
    logsource={"product": "windows", "category": "process_creation"},
)
COUNT = b"""---
title: Often
correlation:
  {type: event_count, rules: [net], group-by: [Image, entity.host], timespan: 5m, condition: {gte: %d}}
"""
SYSMON = {
    "Channel": "Microsoft-Windows-Sysmon/Operational",
    "EventID": 1,
    "Hostname": "ws-1.bank.kz",
    "Image": "C:\\Windows\\System32\\net.exe",
    "ProcessId": 4711,
}
SECURITY = {
    "Channel": "Security",
    "EventID": 4688,
    "Hostname": "WS-1",
    "NewProcessName": "C:\\Windows\\System32\\net.exe",
    "NewProcessId": "0x1267",
}


def scene(tmp_path: Path, *texts: bytes, **settings: Any) -> tuple[Settings, Loaded]:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "a.yml").write_bytes(b"".join(texts))
    made = load(rules=(folder,), state_dir=tmp_path / "state", **settings)
    return made, loading.load(made)


def judged(settings: Settings, loaded: Loaded, *events: dict[str, Any]) -> Judgement:
    values = [orjson.dumps({"EventTime": f"2026-03-10T07:00:0{n}.000Z", **event}) for n, event in enumerate(events)]
    reading = Reader(settings).read(batch_of(*values, timestamp=1_773_126_000_000))
    assert not reading.dead
    return loaded.decide.judge("log", "raw.events", 0, reading.events)


def rows(loaded: Loaded, found: Judgement) -> Sequence[dict[str, Any]]:
    gathering = Gathering(loaded.decide.correlations, loaded.decide.attribution, "raw.events")
    gathering.take(Shares(list(found.contributions), found.dropped))
    return gathering.rows()


def test_a_group_is_named_by_sigmas_field_whatever_the_provider_calls_it(tmp_path: Path) -> None:
    settings, loaded = scene(tmp_path, RULE, COUNT % 2)
    found = judged(settings, loaded, SECURITY, {**SECURITY, "NewProcessId": "0x99"})
    assert {one.group for one in found.contributions} == {"c:\\windows\\system32\\net.exe\x1fws-1"}
    (row,) = rows(loaded, found)
    assert row["events"] == 2


def test_a_start_that_two_providers_tell_is_one_event_of_a_correlation(tmp_path: Path) -> None:
    settings, loaded = scene(tmp_path, RULE, COUNT % 2)
    once = judged(settings, loaded, SECURITY, SYSMON)
    assert len(once.contributions) == 2
    assert rows(loaded, once) == []
    (row,) = rows(loaded, judged(settings, loaded, SECURITY, SYSMON, {**SYSMON, "ProcessId": 1}))
    assert row["events"] == 2


def test_a_rule_that_a_correlation_names_is_stored_as_its_contribution_and_belongs_to_no_finding(
    tmp_path: Path,
) -> None:
    settings, loaded = scene(tmp_path, RULE, COUNT % 2)
    (one,) = judged(settings, loaded, SYSMON).detections
    assert (one.kind, one.finding) == ("contribution", None)


def test_a_correlation_over_a_rule_that_is_in_test_is_refused_by_name_and_has_a_stage_itself(tmp_path: Path) -> None:
    stages = tmp_path / "stages.yml"
    stages.write_text("stages: [{stage: test, rules: [0f36dc9e-0000-4000-8000-000000000000]}]")
    draft = rule_text({"s": {"a": 1}, "condition": "s"}, name="draft", id="0f36dc9e-0000-4000-8000-000000000000")
    shadowed = COUNT.replace(b"title: Often", b"title: Often\nid: 0f36dc9e-0000-4000-8000-000000000009") % 2
    over_draft = (COUNT % 2).replace(b"[net]", b"[draft]").replace(b"title: Often", b"title: Over a draft")
    settings, loaded = scene(tmp_path, draft, b"\n---\n", RULE, shadowed, over_draft, stages=stages)
    assert [rule.title for rule in loaded.decide.correlations.ordered] == ["Often"]
    assert "no such rule" in str(loaded.rules.refused[-1])

    stages.write_text("stages: [{stage: shadow, rules: [0f36dc9e-0000-4000-8000-000000000009]}]")
    correlating = loading.correlating(settings)
    assert correlating.shadow == {"0f36dc9e-0000-4000-8000-000000000009"}
    assert correlating.reach == 86_400_000 + 5 * 60_000, "a day's episode, and the timespan before it"
    assert correlating.beyond(correlating.reach) == []
    assert [rule.title for rule in correlating.beyond(correlating.reach - 1)] == ["Often", "Over a draft"]
    assert topics.kept_ms("contributions", settings) >= 30 * 86_400_000
