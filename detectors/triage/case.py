"""One incident while it is folded: what entries add to it, and the revision that it shows.

Entries only ever add: unions, counts of distinct detections, least and greatest. The order in which evidence comes
changes nothing that is shown, except which of two equally urgent items leads: there the first in the journal does.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from detectors.triage.tactics import in_order
from schemas.activity import Sighting, distinct
from schemas.event_list import ItemFacts
from schemas.incident import LISTED, Counts, FindingSummary, Incident
from schemas.intake import COUNTED_PER_FINDING, Evidence, Revocation
from schemas.journal import Fact, FindingAdded, IndicatorRevoked, Intake, Notified, Registered, SeverityRaised
from schemas.severity import Severity

MINUTE_MS = 60_000


@dataclass(slots=True)
class Tally:
    """One finding: its distinct detections (bounded), its rules and its highest level.

    Of detections that tell one activity, found by one rule in the words of two providers, one is counted.
    """

    item: str
    entity: str
    window_start: int
    level: Severity = Severity.INFORMATIONAL
    detections: set[str] = field(default_factory=set)
    rules: set[str] = field(default_factory=set)
    counted: int = 0
    sightings: dict[tuple[str, str, str], list[Sighting]] = field(default_factory=dict)

    def lacks(self, piece: Evidence) -> bool:
        """Whether this detection adds to it. Beyond the bound only a new rule or a higher level does."""
        if piece.id in self.detections:
            return False
        room = len(self.detections) < COUNTED_PER_FINDING
        return room or piece.subject not in self.rules or Severity.of(piece.level) > self.level

    def add(self, piece: Evidence) -> int:
        """Take in a detection that it lacked; by how much that changes the count."""
        self.detections.add(piece.id)
        self.rules.add(piece.subject)
        self.level = max(self.level, Severity.of(piece.level))
        change = self._activities(piece) if piece.activity else 1
        self.counted += change
        return change

    def _activities(self, piece: Evidence) -> int:
        """1 for what nothing told yet, 0 for what a fuller provider told, less where this one tells it of several."""
        known = self.sightings.setdefault((piece.subject, piece.level, piece.activity), [])
        before = distinct(known)
        known.append(Sighting(piece.time, piece.provider))
        return distinct(known) - before


@dataclass(slots=True)
class Case:
    """An incident's state. Made by its `registered` entry, changed by `apply` alone."""

    id: str
    number: str
    opened: int
    severity: Severity
    intake: Intake
    changed: int = 0
    revision: int = 0
    first: int = 0
    last: int = 0
    respond_by: int = 0
    retrospective: bool = True
    items: dict[str, ItemFacts] = field(default_factory=dict)
    title_entity: dict[str, str] = field(default_factory=dict)
    findings: dict[str, Tally] = field(default_factory=dict)
    entities: dict[str, None] = field(default_factory=dict)
    rules: Counter[str] = field(default_factory=Counter)
    levels: Counter[str] = field(default_factory=Counter)
    tactics: set[str] = field(default_factory=set)
    techniques: set[str] = field(default_factory=set)
    evidence: list[Evidence] = field(default_factory=list)
    indicators: dict[str, set[str]] = field(default_factory=dict)
    """Indicators of its evidence → their sources."""
    revoked: dict[tuple[str, str], Revocation] = field(default_factory=dict)
    """(source, indicator) → the last word of its source."""
    notices: int = 0
    notified_severity: Severity | None = None
    notified_priority: int = 0

    @property
    def lead(self) -> ItemFacts:
        """The most urgent item; of equally urgent ones the first that came."""
        return min(self.items.values(), key=lambda item: item.priority)

    @property
    def highest(self) -> Severity:
        """The highest level of its findings: what `severity` is once it was raised to it."""
        return max((tally.level for tally in self.findings.values()), default=self.severity)

    def apply(self, fact: Fact) -> None:
        """Take in one fact of this incident."""
        self.revision, self.changed, self.intake = fact.revision, fact.at, fact.intake
        match fact.body:
            case Registered():
                pass
            case FindingAdded() as added:
                self._add(added, fact.at)
            case SeverityRaised(severity=severity):
                self.severity = Severity.of(severity)
            case Notified(severity=severity, priority=priority):
                self.notices += 1
                self.notified_severity, self.notified_priority = Severity.of(severity), priority
            case IndicatorRevoked(revocation=said):
                self.revoked[said.source, said.indicator] = said

    def rests_on(self, said: Revocation) -> bool:
        """Whether a piece of evidence is an indicator of this source, and its revocation is news."""
        known = self.revoked.get((said.source, said.indicator))
        return said.source in self.indicators.get(said.indicator, ()) and (known is None or known.at < said.at)

    def _add(self, added: FindingAdded, at: int) -> None:
        ref = added.finding
        if added.item is not None and ref.item not in self.items:
            self.items[ref.item] = added.item
            self.title_entity[ref.item] = ref.entity
            due = at + added.item.response_minutes * MINUTE_MS
            self.respond_by = min(self.respond_by or due, due)
        self.first = min(self.first, added.first) if self.findings else added.first
        self.last = max(self.last, added.last)
        self.retrospective = self.retrospective and added.retrospective
        self.entities.update(dict.fromkeys((ref.entity, *added.entities)))
        self.tactics.update(added.tactics)
        self.techniques.update(added.techniques)
        tally = self.findings.setdefault(ref.id, Tally(ref.item, ref.entity, ref.window_start))
        for piece in added.evidence:
            if tally.lacks(piece):
                self._count(piece, tally.add(piece))
        if len(self.evidence) > 2 * LISTED:
            self.evidence = _foremost(self.evidence)

    def _count(self, piece: Evidence, change: int) -> None:
        self.rules[piece.subject] += change
        self.levels[piece.level] += change
        if piece.kind == "indicator":
            self.indicators.setdefault(piece.subject, set()).update(piece.sources)
        self.evidence.append(piece)

    def incident(self) -> Incident:
        """The incident as it stands."""
        lead = self.lead
        items = (lead, *(item for item in self.items.values() if item.id != lead.id))
        return Incident(
            id=self.id,
            number=self.number,
            revision=self.revision,
            title=lead.name.followed_by(self.title_entity[lead.id].partition(":")[2]),
            incident_class=lead.incident_class,
            priority=lead.priority,
            severity=self.severity.word,
            items=items,
            procedures=tuple({item.procedure.id: item.procedure for item in items}.values()),
            opened=self.opened,
            respond_by=self.respond_by,
            changed=self.changed,
            first_event=self.first,
            last_event=self.last,
            entities=tuple(sorted(self.entities)[:LISTED]),
            findings=self._summaries(),
            rules=dict(sorted(sorted(self.rules.items(), key=lambda rule: (-rule[1], rule[0]))[:LISTED])),
            levels=dict(sorted(self.levels.items())),
            tactics=in_order(self.tactics),
            techniques=tuple(sorted(self.techniques)[:LISTED]),
            evidence=tuple(sorted(_foremost(self.evidence), key=lambda piece: (piece.time, piece.id))),
            retrospective=self.retrospective,
            revoked=tuple(
                sorted(self.revoked.values(), key=lambda said: (said.at, said.source, said.indicator))[:LISTED]
            ),
            counts=self._counts(),
        )

    def _summaries(self) -> tuple[FindingSummary, ...]:
        summaries = (
            FindingSummary(
                id=finding,
                item=tally.item,
                entity=tally.entity,
                window_start=tally.window_start,
                level=tally.level.word,
                detections=tally.counted,
            )
            for finding, tally in self.findings.items()
        )
        return tuple(sorted(summaries, key=lambda found: (found.window_start, found.id))[:LISTED])

    def _counts(self) -> Counts:
        return Counts(
            findings=len(self.findings),
            detections=sum(tally.counted for tally in self.findings.values()),
            entities=len(self.entities),
            rules=len(self.rules),
            notices=self.notices,
        )


def _foremost(evidence: list[Evidence]) -> list[Evidence]:
    """The pieces that an incident lists. The best of a union are among the best of its parts, so order is no matter."""
    return sorted(evidence, key=lambda piece: (-Severity.of(piece.level), piece.time, piece.id))[:LISTED]


def _when(said: Revocation) -> tuple[int, str, str]:
    return said.at, said.source, said.indicator
