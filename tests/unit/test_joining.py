"""Joined audit events judged: detections that are the same on the stream and over files, and none beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detectors.audit.join import Joins
from detectors.audit.parcels import packed
from detectors.audit.piece import Key, joined_id
from detectors.correlation.fold import Limits
from detectors.correlation.parcels import Marks
from detectors.ioc.match import IndicatorIndex
from detectors.sigma.engine import Engine
from detectors.triage.attribution import Attribution
from pipeline import offline
from pipeline.agents.contributions_to_detections import CHECKPOINT_S, ContributionsToDetections
from pipeline.checkpoints import Checkpoints, parted, together
from pipeline.correlating import Correlating
from pipeline.detecting import DetectionSet
from pipeline.event_list import load_event_list
from pipeline.joining import Joining, wanted
from pipeline.metrics import Metrics
from pipeline.rules import load_rules
from pipeline.settings import load
from schemas.event import RecordBatch
from tests.audit import number, parts, started, written
from tests.builders import FakeRecord, batch_of
from tests.correlation import in_force
from tests.parsing import NOW_MS, READER
from tests.sigma import rule
from tests.unit.test_contributions_to_detections import Delivery, Topic

SOURCE = {"product": "linux", "category": "process_creation"}
STARTS = rule({"s": {"Image|endswith": "/crontab", "CurrentDirectory": "/home/d"}, "condition": "s"}, logsource=SOURCE)
SINGLE = rule(
    {"s": {"type": "EXECVE", "a1": "-r"}, "condition": "s"},
    logsource={"product": "linux", "service": "auditd"},
    id="11111111-2222-4333-8444-555555555555",
)
ATTRIBUTION = Attribution(load_event_list(None))
RULES = (STARTS, SINGLE)
START = started(7, ["crontab", "-r"], exe="/usr/bin/crontab", cwd="/home/d")
KEY = Key("srv01", number(7))


def decide(*rules: Any) -> DetectionSet:
    return DetectionSet(Engine(rules), IndicatorIndex(), ATTRIBUTION, joins=wanted(rules))


def test_a_detection_names_the_record_of_the_call_and_is_of_a_finding() -> None:
    joins = Joins()
    joins.take(parts(*START[3:], lane="log0/raw.b/1", first=3))
    told = joins.take(parts(*START[:3], lane="log0/raw.a/2", first=40))
    (found,) = Joining.of(decide(*RULES)).judge(told).detections
    assert found.id == joined_id(STARTS.id, KEY)
    assert (found.log, found.topic, found.partition, found.offset) == ("log0", "raw.a", 2, 40)
    assert (found.kind, found.format, found.category, found.time) == (
        "rule", "auditd-joined", "process_creation", NOW_MS,
    )  # fmt: skip
    assert found.raw_sha256 == parts(START[0])[0].sha256
    assert found.matched == {"Image": "/usr/bin/crontab", "CurrentDirectory": "/home/d"}
    assert "host:srv01" in found.entities


def test_single_records_are_no_second_detection_of_what_is_joined() -> None:
    """The rule asks for EXECVE's own words too: the joined view replaces that, and nothing else."""
    typed = rule(
        {"s": {"CommandLine|contains": "crontab"}, "condition": "s"}, logsource=SOURCE, id=SINGLE.id[:-1] + "6"
    )
    events = READER.read(batch_of(*START)).events
    engine = decide(typed, SINGLE)
    assert {match.rule.id for match in engine.engine.match(events)} == {typed.id, SINGLE.id}
    assert [one.subject for one in engine.detect("log0", "raw", 0, events)] == [SINGLE.id]
    assert wanted([SINGLE]) == frozenset()


def test_a_correlation_goes_on_counting_single_records(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(
        """title: crontab
name: crontab
logsource: {product: linux, category: process_creation}
detection: {s: {CommandLine|contains: crontab}, condition: s}
---
title: many
correlation: {type: event_count, rules: [crontab], timespan: 5m, condition: {gte: 1}}
"""
    )
    loaded = load_rules([tmp_path])
    known = DetectionSet(loaded.engine, IndicatorIndex(), ATTRIBUTION, correlations=loaded.correlations)
    judged = known.judge("log0", "raw", 0, READER.read(batch_of(*START)).events)
    assert judged.detections == []
    assert [one.offset for one in judged.contributions] == [1], "that of its EXECVE"


def test_a_rule_that_asks_for_the_parent_is_judged_when_all_starts_before_are_known() -> None:
    """The parent's records come after the child's, which is whole long before: the watermark has not passed it."""
    child = rule(
        {"s": {"ParentImage|endswith": "/java", "Image|endswith": "/sh"}, "condition": "s"},
        logsource=SOURCE,
        id=SINGLE.id[:-1] + "7",
    )
    any_start = rule({"s": {"Image|endswith": "/sh"}, "condition": "s"}, logsource=SOURCE, id=SINGLE.id[:-1] + "8")
    joining = Joining.of(decide(child, any_start))
    joins = Joins(parents=joining.parents)
    started_by = started(8, ["sh", "-c", "id"], exe="/bin/sh", ppid=20_007)
    parent = started(7, ["java", "-jar", "x"], exe="/opt/java", ms=NOW_MS - 60_000)
    told = [joins.take(parts(*started_by)), joins.take(parts(*parent)), joins.advance(NOW_MS - 1), joins.finish()]
    found = [[one.subject for one in joining.judge(each).detections] for each in told]
    assert found == [[any_start.id], [], [], [child.id]]
    assert not Joining.of(decide(any_start)).parents


def test_files_give_what_the_stream_gives(tmp_path: Path) -> None:
    """Records of two events mixed, over two files."""
    records = [record for pair in zip(START, written(8, "x"), strict=False) for record in pair]
    for name, lines in (("a.log", records[:5]), ("b.log", records[5:])):
        (tmp_path / name).write_bytes(b"\n".join(lines) + b"\n")
    files = [str(tmp_path / "a.log"), str(tmp_path / "b.log")]
    known = decide(*RULES)
    judged = offline.detect(offline.Judge(load(), known, "raw"), files, 1)
    rows = [row for part in offline.joined(judged, Joining.of(known), "raw") for row in part.detections]
    assert [(row["rule_id"], row["file"], row["line"]) for row in rows] == [
        (SINGLE.id, files[0], 3),
        (STARTS.id, files[0], 1),
    ]


class Scene:
    """One correlate after another over one folder and one topic."""

    def __init__(self, folder: Path, *values: bytes) -> None:
        self.values = values
        self.topic, self.delivery, self.metrics = Topic(*values), Delivery(), Metrics()
        self.checkpoints = Checkpoints(folder / "correlate")
        self.now = 0.0

    def agent(self) -> ContributionsToDetections:
        return ContributionsToDetections(
            Correlating(in_force(), ATTRIBUTION, joining=Joining.of(decide(*RULES))),
            self.checkpoints,
            self.topic,  # type: ignore[arg-type] # a fake
            self.delivery,
            self.metrics,
            Limits(),
            clock=lambda: self.now,
            wall=lambda: NOW_MS,
        )

    async def handle(self, agent: ContributionsToDetections, first: int, until: int) -> list[str]:
        records = [FakeRecord(at, self.values[at], NOW_MS) for at in range(first, until)]
        await agent.handle(RecordBatch("log1", "contributions", 2, first, until, records), lambda: None)
        said, self.delivery.detections = self.delivery.detections, []
        return [one.subject for one in said]


def parcels() -> list[bytes]:
    """The start's records one by one but the last, and marks that are beyond it."""
    values = [value for record in START[:5] for value in packed(parts(record))]
    return [*values, Marks({"log0/raw/0": NOW_MS + 60_000}, {"raw": ("log0", 1)}, 1_000).to_bytes()]


@pytest.mark.parametrize("how", ["one process", "killed", "released", "checkpoint, then killed"])
async def test_an_event_is_told_once_whoever_held_its_records(tmp_path: Path, how: str) -> None:
    scene = Scene(tmp_path, *parcels())
    agent = scene.agent()
    for at in range(6):
        if how == "checkpoint, then killed" and at == 2:
            scene.now += CHECKPOINT_S
        if how == "killed" or (how == "checkpoint, then killed" and at == 4):
            agent = scene.agent()
        elif how == "released":
            await agent.release()
            agent = scene.agent()
        assert await scene.handle(agent, at, at + 1) == ([STARTS.id] if at == 5 else [])
    assert await scene.handle(scene.agent(), 6, 6) == [], "what was told before is not told again"
    assert scene.metrics.registry.get_sample_value("qorgan_audit_held") == 0
    assert scene.metrics.registry.get_sample_value("qorgan_rule_hits_total", {"rule": STARTS.id}) == 1


async def test_a_damaged_parcel_is_a_dead_letter(tmp_path: Path) -> None:
    scene = Scene(tmp_path, b'{"audit":1,"names":[],"rows":[[0]]}')
    assert await scene.handle(scene.agent(), 0, 1) == []
    assert scene.delivery.letters == 1


def test_a_checkpoint_from_before_there_were_joins_is_read() -> None:
    assert parted(together(b"state", b"joins")) == (b"state", b"joins")
    assert parted(b"\0\0\0\0\0\0\0\x02[]rest") == (b"\0\0\0\0\0\0\0\x02[]rest", b"")
