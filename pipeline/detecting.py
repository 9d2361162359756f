"""From events to detections: the rules, the indicators and the event list in force, applied to a batch.

One `DetectionSet` is built whole and swapped whole. Everything here is a function of the events and that set, so the
stream, `qorgan detect` and a hunt decide alike.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import NamedTuple

from detectors.audit.activity import CALLS
from detectors.behaviour.heartbeats import heartbeats
from detectors.correlation.contribution import About, Contribution, Found, contribute, lookup
from detectors.correlation.resolve import NO_CORRELATIONS, Correlations
from detectors.ioc.match import IndicatorIndex, IndicatorMatch
from detectors.sigma.activities import Activity
from detectors.sigma.engine import Engine, RuleMatch
from detectors.sigma.rule import Rule
from detectors.sigma.suppress import NO_SUPPRESSIONS, Suppressions
from detectors.triage.attribution import Attribution
from enrichers.geo import NO_PLACES, Places
from enrichers.identity import entities, host_entity
from schemas.activity import activity_key
from schemas.detection import Detection, IndicatorFacts, detection_id
from schemas.event import Event
from schemas.identity import Origin, short_hash

#: What one detection may carry of the record: the matched fields, cut to this.
MAX_MATCHED_FIELDS = 20
MAX_MATCHED_CHARS = 1_000
#: Sources of one value that a detection names.
MAX_SOURCES = 20
#: Characters of a name that correlations keep of a record.
MAX_NAME = 255


class Hidden(NamedTuple):
    """A rule that was found in a record and is in no detection, and the suppression that hides it. No payload."""

    rule: str
    suppression: str
    origin: Origin
    time_ms: int


class Judgement(NamedTuple):
    """What is found in some events, what was found and is suppressed, and what the matches give to correlations.

    `dropped`: matches that gave nothing for want of a value: (correlation, "group"/"value"/"place") → how many.
    """

    detections: list[Detection]
    hidden: list[Hidden]
    contributions: Sequence[Contribution] = ()
    dropped: Mapping[tuple[str, str], int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class DetectionSet:
    """Everything that decides what is found, at one revision."""

    engine: Engine
    indicators: IndicatorIndex
    attribution: Attribution
    suppressions: Suppressions = NO_SUPPRESSIONS
    shadow: frozenset[str] = frozenset()
    """Ids of rules that detect and page nobody: their detections belong to no finding."""
    correlations: Correlations = NO_CORRELATIONS
    """What takes matches as contributions."""
    places: Places = NO_PLACES
    """Where addresses are."""
    joins: frozenset[str] = frozenset()
    """The system calls whose audit records are joined, as rules in force look at what these tell together."""

    @property
    def revision(self) -> str:
        """Changes when a rule or its stage, an indicator or the event list does."""
        parts = (self.engine, self.indicators, self.attribution, self.correlations, self.places)
        return short_hash(*(part.revision for part in parts), *sorted(self.shadow))

    def detect(self, log: str, topic: str, partition: int, events: Sequence[Event]) -> list[Detection]:
        """All detections in these events of one partition, in the events' order."""
        return self.judge(log, topic, partition, events).detections

    def judge(self, log: str, topic: str, partition: int, events: Sequence[Event]) -> Judgement:
        """The same, and what suppressions hide."""
        found: list[tuple[int, Detection]] = []
        matches, hiding = self.suppressions.split(self.engine.match(events), events)
        for match in matches:
            rule, event = match.rule, events[match.index]
            if _joined(rule, event):
                continue
            made = self._make(
                "contribution" if rule.id in self.correlations.silent else "rule",
                rule.id,
                rule.revision,
                rule.title,
                rule.level.word,
                tuple(rule.tags),
                Origin(log, topic, partition, event.offset),
                event,
                match.matched,
                activity=match.activity,
                shadow=rule.id in self.shadow,
            )
            found.append((match.index, made))
        for hit in self.indicators.match(events):
            origin = Origin(log, topic, partition, events[hit.index].offset)
            found.append((hit.index, self.of_indicator(origin, events[hit.index], hit)))
        found.sort(key=lambda pair: pair[0])
        hidden = []
        for match, suppression in hiding:
            event = events[match.index]
            if _joined(match.rule, event):
                continue
            at = Origin(log, topic, partition, event.offset)
            hidden.append(Hidden(match.rule.id, suppression.id, at, event.time_ms))
        dropped: Counter[tuple[str, str]] = Counter()
        lane = f"{log}/{topic}/{partition}"
        shared = contributions(self.correlations, lane, events, matches, dropped, topic=topic, places=self.places)
        return Judgement([made for _, made in found], hidden, list(shared), dropped)

    def of_indicator(
        self, origin: Origin, event: Event, match: IndicatorMatch, *, retrospective: bool = False
    ) -> Detection:
        """The detection of an indicator in one event: the same id on the stream and in a hunt."""
        indicator = match.indicator
        return self._make(
            "indicator",
            indicator.id,
            indicator.revision,
            indicator.title,
            indicator.level,
            tuple(indicator.tags),
            origin,
            event,
            {match.observable.type: match.observable.value},
            retrospective=retrospective,
            indicator=IndicatorFacts(
                type=indicator.type,
                value=indicator.value[:MAX_MATCHED_CHARS],
                sources=match.sources[:MAX_SOURCES],
                confidence=indicator.confidence,
                tlp=indicator.tlp,
                authority=indicator.authority,  # type: ignore[arg-type]  # one of AUTHORITIES; pydantic checks it
                phases=indicator.phases[:MAX_MATCHED_FIELDS],
                rule=match.rule,
            ),
        )

    def _make(
        self,
        kind: str,
        subject: str,
        revision: str,
        title: str,
        level: str,
        tags: tuple[str, ...],
        origin: Origin,
        event: Event,
        matched: dict[str, str],
        *,
        retrospective: bool = False,
        indicator: IndicatorFacts | None = None,
        activity: Activity | None = None,
        shadow: bool = False,
    ) -> Detection:
        who = entities(event.host, event.user, event.src_ip)
        finding = (
            None
            if shadow or kind == "contribution"
            else self.attribution.attribute(
                kind=kind,
                subject=subject,
                tags=tags,
                level=level,
                source=event.source,
                entities=who,
                topic=origin.topic,
                time_ms=event.time_ms,
                retrospective=retrospective,
                indicator_type=indicator.type if indicator is not None else "",
            )
        )
        return Detection.model_validate(
            {
                "id": detection_id(origin, subject),
                "kind": kind,
                "subject": subject,
                "revision": revision,
                "title": title,
                "level": level,
                "tags": tags,
                **origin._asdict(),
                "time": event.time_ms,
                "kafka_time": event.kafka_ms,
                "late": event.late,
                "doubtful_time": event.doubtful,
                "raw_sha256": hashlib.sha256(event.raw).hexdigest(),
                "format": event.format.name,
                **event.source._asdict(),
                "host": event.host,
                "user": event.user,
                "src_ip": event.src_ip,
                "matched": _cut(matched),
                "entities": who,
                "finding": finding,
                "retrospective": retrospective,
                "indicator": indicator,
                "activity": key_of(activity, event),
                "provider": activity.provider if activity is not None else 0,
                "stage": "shadow" if shadow else "production",
            }
        )


def contributions(
    rules: Correlations,
    lane: str,
    events: Sequence[Event],
    matches: Sequence[RuleMatch],
    dropped: Counter[tuple[str, str]],
    *,
    topic: str,
    places: Places = NO_PLACES,
) -> Iterator[Contribution]:
    """What the records give to correlations, in their order. `lane`: the partition or file they are of."""
    yield from heartbeats(rules.silences, topic, lane, events, host_entity)
    members = rules.members
    if not members:
        return
    named = (match for match in matches if match.rule.id in members)
    for index, of_record in groupby(named, key=lambda match: match.index):
        event = events[index]
        who = entities(event.host, event.user, event.src_ip)
        mine = list(of_record)
        told = next((match.activity for match in mine if match.activity is not None), None)
        yield from contribute(
            [Found(members[match.rule.id], lookup(event.fields, who, match.names, places.of)) for match in mine],
            event.time_ms,
            lane,
            event.offset,
            event.late,
            dropped,
            activity=key_of(told, event),
            provider=told.provider if told is not None else 0,
            about=About(
                event.host[:MAX_NAME],
                event.user[:MAX_NAME],
                event.src_ip[:MAX_NAME],
                who,
                event.source,
                event.format.name,
            ),
        )


def _joined(rule: Rule, event: Event) -> bool:
    """Whether a single audit record only tells a part of what the joined view tells this rule (`pipeline.joining`)."""
    return event.source.service == "auditd" and rule.logsource.category in CALLS


def key_of(activity: Activity | None, event: Event) -> str:
    """The key of the activity that an event tells, '' where it tells none; correlations count by it too."""
    return activity_key(activity.category, host_entity(event.host), activity.parts) if activity is not None else ""


def _cut(matched: dict[str, str]) -> dict[str, str]:
    return {name: value[:MAX_MATCHED_CHARS] for name, value in list(matched.items())[:MAX_MATCHED_FIELDS]}
