"""The shipped rules find every stage of the attack and nothing else, and triage makes one incident of it."""

from __future__ import annotations

from collections import defaultdict
from operator import itemgetter

import pytest

from detectors.ioc.match import IndicatorIndex
from detectors.triage.attribution import Attribution
from detectors.triage.decisions import judge
from detectors.triage.fold import Incidents
from pipeline.correlated import Gathered
from pipeline.demo.attack import EARLY
from pipeline.demo.programme import EARLY_CONTACT, Marked, Programme, last_working_day
from pipeline.detecting import DetectionSet
from pipeline.event_list import load_event_list
from pipeline.parsers import Reader
from pipeline.rules import load_rules
from pipeline.settings import load
from schemas.detection import Detection
from schemas.event import RecordBatch
from schemas.indicator import Indicator
from schemas.intake import Evidence, FindingUpdate
from schemas.journal import Body, Fact, Intake
from tests.builders import FakeRecord

START_MS = last_working_day(1_795_600_000_000)
EVENT_LIST = load_event_list(None)
LOADED = load_rules(())
NEW = Indicator("new", "domain", EARLY[0], "Control server", revision="1")

Found = list[tuple[str, Detection]]


@pytest.fixture(scope="module")
def found() -> Found:
    """(mark, detection) over two simulated banks, each in the order in which the records are published."""
    decide = DetectionSet(
        LOADED.engine, IndicatorIndex([NEW]), Attribution(EVENT_LIST), correlations=LOADED.correlations
    )
    reader = Reader(load())
    pairs: Found = []
    for seed in (7, 8):
        topics: defaultdict[str, list[tuple[int, Marked]]] = defaultdict(list)
        for place, marked in enumerate(Programme(seed, 4_000, START_MS).records()):
            topics[marked.message.topic].append((place, marked))
        placed = []
        for topic, some in topics.items():
            records = [FakeRecord(n, each.message.value, each.message.time_ms) for n, (_, each) in enumerate(some)]
            events = reader.read(RecordBatch(f"log{seed}", topic, 0, 0, len(records), records)).events
            made = decide.detect(f"log{seed}", topic, 0, events)
            placed += [(*some[each.offset], each) for each in made if each.kind != "contribution"]
        placed.sort(key=itemgetter(0))
        pairs += [(marked.mark, each) for _, marked, each in placed]
    return pairs


def test_every_stage_is_found_by_a_rule_of_high_level(found: Found) -> None:
    high = {(mark, each.log) for mark, each in found if each.level in ("high", "critical")}
    stages = {stage.name for stage in Programme(7, 1_000, START_MS).stages()}
    assert {(name, log) for name in stages for log in ("log7", "log8")} <= high


def test_ordinary_and_damaged_records_raise_nothing(found: Found) -> None:
    """8,000 of them, with all their near-misses, and not one false alarm of any level."""
    stages = {stage.name for stage in Programme(7, 1_000, START_MS).stages()}
    assert [(mark, each.title) for mark, each in found if mark not in (*stages, EARLY_CONTACT)] == []


def test_no_correlation_sees_more_in_an_ordinary_day_than_there_is() -> None:
    """Thousands of log-ins count in them, and come to nothing."""
    gathered = Gathered(LOADED.correlations)
    reader = Reader(load())
    records = [each.message for each in Programme(7, 4_000, START_MS).records()]
    for topic in {each.topic for each in records}:
        some = [FakeRecord(n, each.value, each.time_ms) for n, each in enumerate(records) if each.topic == topic]
        events = reader.read(RecordBatch("log", topic, 0, 0, len(records), some)).events
        gathered.take(topic, events, LOADED.engine.match(events))
    assert gathered.counted.total() > 100
    assert [(one.correlation.title, one.group) for one in gathered.told()] == []


def test_the_new_indicator_names_the_early_contact_and_no_other_record(found: Found) -> None:
    hits = [(mark, each.subject) for mark, each in found if each.kind == "indicator"]
    assert hits == [(EARLY_CONTACT, "new")] * 2


def test_no_rule_sees_the_early_contact(found: Found) -> None:
    assert [each.title for mark, each in found if mark == EARLY_CONTACT and each.kind == "rule"] == []


def test_every_detection_is_on_the_event_list(found: Found) -> None:
    assert all(each.finding is not None for _, each in found)


@pytest.mark.parametrize("log", ["log7", "log8"])
def test_the_attack_becomes_one_incident(found: Found, log: str) -> None:
    attack = [each for _, each in found if each.log == log and each.kind == "rule"]
    incidents = Incidents()
    homes = {decided(incidents, each) for each in attack}
    assert len(homes) == 1
    incident = incidents.cases[homes.pop()].incident()
    assert incident.priority == 1
    assert {"host:ws-017", "host:srv-app-07", "host:pay-gw-01", "user:svc_payops"} <= set(incident.entities)
    assert {item.id for item in incident.items} >= {
        "malware-delivery",
        "credential-theft",
        "lateral-movement",
        "payment-access",
        "data-exfiltration",
    }


def decided(incidents: Incidents, each: Detection) -> str:
    """The incident of one detection, as triage decides it."""
    assert each.finding is not None

    def record(incident: str, body: Body) -> None:
        case = incidents.cases.get(incident)
        revision = 1 + (case.revision if case else 0)
        incidents.apply(Fact(at=0, incident=incident, revision=revision, intake=Intake(log="l", offset=0), body=body))

    update = FindingUpdate(
        finding=each.finding,
        level=each.level,
        evidence=(Evidence.of(each),),
        entities=each.entities,
        first=each.time,
        last=each.time,
        kafka_time=each.kafka_time,
    )
    return judge(incidents, update, EVENT_LIST, 2026, record)
