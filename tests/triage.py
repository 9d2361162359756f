"""Detections, updates and a triage of one's own, in a line each; a journal in files without a broker behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detectors.triage.attribution import Attribution
from detectors.triage.desk import Desk, Waiting
from enrichers.identity import entities
from pipeline.agents.detections_to_intake import update_of
from pipeline.delivery import Outgoing
from pipeline.event_list import load_event_list
from schemas.detection import Detection, detection_id
from schemas.errors import UnreachableError
from schemas.event import Source
from schemas.identity import Origin
from schemas.incident import Incident
from schemas.intake import FindingUpdate
from schemas.journal import Head, Intake, Sealed
from sinks.journal.files import FileJournal

LIST = load_event_list(None)
ATTRIBUTION = Attribution(LIST)
#: Some moment: 2026-03-10 05:00 UTC, the beginning of an hour.
T0 = 1_773_118_800_000
HOUR = 3_600_000
DUMP = ("attack.credential-access", "attack.t1003.001")
MOVE = ("attack.lateral-movement", "attack.t1021.002")
LEAK = ("attack.exfiltration", "attack.t1048")
GUESS = ("attack.credential-access", "attack.t1110")


def found(
    offset: int,
    *,
    host: str = "ws-017",
    user: str = "aigerim",
    src_ip: str = "",
    rule: str = "",
    tags: tuple[str, ...] = DUMP,
    level: str = "high",
    time: int = T0,
    **other: Any,
) -> Detection:
    """A detection of a rule in record `offset`, attributed by the list that we ship."""
    rule = rule or tags[-1]
    origin = Origin("log0", "raw.events", 0, offset)
    who = entities(host, user, src_ip)
    finding = ATTRIBUTION.attribute(
        kind=other.get("kind", "rule"),
        subject=rule,
        tags=tags,
        level=level,
        source=Source("windows", "process_creation", "sysmon"),
        entities=who,
        topic="raw.events",
        time_ms=time,
        retrospective=other.get("retrospective", False),
    )
    return Detection.model_validate(
        {
            "id": detection_id(origin, rule),
            "kind": "rule",
            "subject": rule,
            "revision": "r1",
            "title": f"Rule {rule}",
            "level": level,
            "tags": tags,
            **origin._asdict(),
            "time": time,
            "kafka_time": time,
            "raw_sha256": "0" * 64,
            "format": "evtx",
            "host": host,
            "user": user,
            "src_ip": src_ip,
            "entities": who,
            "finding": finding,
            **other,
        }
    )


def update(*detections: Detection) -> FindingUpdate:
    """One update from detections of one finding."""
    ref = detections[0].finding
    assert ref is not None, "no item claims this detection"
    assert {one.finding.id for one in detections if one.finding} == {ref.id}, "these are of several findings"
    return update_of(ref, list(detections))


def desk(year: int = 2026) -> Desk:
    """Triage with an empty journal."""
    return Desk(LIST, lambda _at: year)


def triaged(*updates: FindingUpdate, into: Desk | None = None, at: int = T0, now: float = 0.0) -> Desk:
    """Triage after these updates, each judged by itself and a minute apart."""
    into = into or desk()
    for place, one in enumerate(updates):
        into.take([Waiting(one, Intake(log="intake0", offset=place))])
        into.work(at, now + 60 * place)
    return into


def raised(into: Desk) -> list[Incident]:
    """All incidents, by number."""
    return sorted((case.incident() for case in into.incidents.cases.values()), key=lambda one: one.number)


@dataclass
class FakeDelivery:
    """Keeps what is sent. `refuse(topic, records)` may say no before anything is kept."""

    sent: dict[str, list[Outgoing]] = field(default_factory=dict)
    refuse: Callable[[str, Sequence[Outgoing]], bool] = lambda _topic, _records: False

    async def send(self, topic: str, records: Sequence[Outgoing]) -> None:
        if self.refuse(topic, records):
            raise UnreachableError("the broker is away")
        self.sent.setdefault(topic, []).extend(records)

    @property
    def incidents(self) -> list[Incident]:
        """Every revision that was published, in order."""
        return [Incident.from_bytes(record.value) for record in self.sent.get("incidents", [])]


class LocalJournal:
    """The journal in files alone. `fail` is called before an append with its entries, and may raise."""

    def __init__(self, folder: Path, fail: Callable[[Sequence[Sealed]], None] = lambda _entries: None) -> None:
        self._files = FileJournal(folder)
        self._fail = fail

    @property
    def head(self) -> Head:
        return self._files.head

    async def take(self, apply: Callable[[Sealed], None]) -> None:
        self._files.take(wait=5)
        self._files.read(apply)

    async def append(self, entries: Sequence[Sealed]) -> None:
        self._fail(entries)
        self._files.append(entries)

    async def close(self) -> None:
        self._files.close()
