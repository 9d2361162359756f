"""Reads the topics `detections` and `incidents` as a responder's console would, and the store as an analyst would."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition

from pipeline.demo.account import Found, Raised
from pipeline.kafka import confluent_options
from pipeline.settings import Settings
from schemas.detection import Detection
from schemas.identity import Origin
from schemas.incident import Incident
from schemas.journal import FindingAdded, Sealed

DETECTIONS: Final = "detections"
INCIDENTS: Final = "incidents"

Query = Callable[[str], list[tuple[Any, ...]]]


class Watch:
    """Everything found so far. The first record of a detection and the last revision of an incident count."""

    def __init__(self, settings: Settings) -> None:
        self._consumer = Consumer(
            {**confluent_options(settings), "group.id": "demo-watch", "enable.auto.commit": False}
        )
        topics = self._consumer.list_topics(timeout=10).topics
        self._consumer.assign(
            [TopicPartition(name, number, 0) for name in (DETECTIONS, INCIDENTS) for number in topics[name].partitions]
        )
        self.detections: dict[str, Detection] = {}
        self.incidents: dict[str, Incident] = {}

    def news(self) -> list[Detection | Incident]:
        """What came since the last call and was not known: detections once, incidents at each revision."""
        fresh: list[Detection | Incident] = []
        for message in self._consumer.consume(1_000, 0.005):
            if message.error() is not None:
                continue
            if message.topic() == DETECTIONS:
                detection = Detection.from_bytes(message.value())
                if self.detections.setdefault(detection.id, detection) is detection:
                    fresh.append(detection)
            else:
                incident = Incident.from_bytes(message.value())
                known = self.incidents.get(incident.id)
                if known is None or known.revision < incident.revision:
                    self.incidents[incident.id] = incident
                    fresh.append(incident)
        return fresh

    def found(self) -> list[Found]:
        """The detections, for the account."""
        return [
            Found(
                each.id,
                each.origin,
                each.title,
                each.finding.id if each.finding else "",
                each.retrospective,
                each.kind == "contribution",
            )
            for each in self.detections.values()
        ]

    def raised(self, journal: Iterable[Sealed], lang: str) -> list[Raised]:
        """The incidents, for the account, in the order of their numbers.

        Which findings they hold is the journal's to say: a revision on the topic lists 200 at most.
        """
        held: defaultdict[str, set[str]] = defaultdict(set)
        for sealed in journal:
            if isinstance(sealed.entry.body, FindingAdded):
                held[sealed.entry.incident].add(sealed.entry.body.finding.id)
        incidents = sorted(self.incidents.values(), key=lambda incident: incident.number)
        return [Raised(each.number, frozenset(held[each.id]), caption(each, lang)) for each in incidents]

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()


def caption(incident: Incident, lang: str) -> str:
    """Number, class, priority and procedure in one line."""
    procedure = getattr(incident.procedures[0].name, lang)
    return f"{incident.number}, {getattr(incident.incident_class.name, lang)}, P{incident.priority}, {procedure}"


def stored(query: Query, table: str) -> list[Origin]:
    """The identities of a table's rows, as often as they stand there."""
    rows = query(f"SELECT log, topic, partition, offset FROM qorgan.{table}")  # noqa: S608 (table is one of ours)
    return [Origin(str(log), str(topic), int(partition), int(offset)) for log, topic, partition, offset in rows]


def kept_detections(query: Query) -> frozenset[str]:
    """The ids in the store's table of detections."""
    return frozenset(str(row[0]) for row in query("SELECT DISTINCT id FROM qorgan.detections"))


def counts(query: Query) -> tuple[int, int]:
    """Rows of events and of dead letters; none while no worker has made the tables."""
    made = query("SELECT count() FROM system.tables WHERE database = 'qorgan' AND name IN ('events', 'dead_letters')")
    if made[0][0] < 2:
        return 0, 0
    rows = query("SELECT (SELECT count() FROM qorgan.events), (SELECT count() FROM qorgan.dead_letters)")
    return int(rows[0][0]), int(rows[0][1])
