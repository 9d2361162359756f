"""All incidents, as the fold of the journal: the same entries give the same incidents, byte for byte."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from detectors.triage.case import Case
from schemas.incident import Incident
from schemas.journal import Fact, FindingAdded, Registered
from schemas.severity import Severity

DAY_MS = 86_400_000


class Incidents:
    """The cases that the journal tells of, with what grouping needs to find one quickly."""

    def __init__(self) -> None:
        self.cases: dict[str, Case] = {}
        self.of_finding: dict[str, str] = {}
        self._by_indicator: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._numbers: defaultdict[int, int] = defaultdict(int)
        self._by_entity_day: defaultdict[tuple[str, int], dict[str, None]] = defaultdict(dict)

    def apply(self, fact: Fact) -> None:
        """Take in the next fact of the journal."""
        body = fact.body
        if isinstance(body, Registered):
            self.cases[fact.incident] = Case(
                id=fact.incident,
                number=body.number,
                opened=fact.at,
                severity=Severity.of(body.severity),
                intake=fact.intake,
            )
            year, _, count = body.number.partition("-")
            self._numbers[int(year)] = max(self._numbers[int(year)], int(count))
        case = self.cases[fact.incident]
        case.apply(fact)
        if isinstance(body, FindingAdded):
            self.of_finding[body.finding.id] = fact.incident
            self._index(case, body)
            for piece in body.evidence:
                if piece.kind == "indicator":
                    self._by_indicator[piece.subject][case.id] = None

    def next_number(self, year: int) -> str:
        """The number of the next incident registered in `year` of the bank's calendar."""
        return f"{year}-{self._numbers[year] + 1:06d}"

    def incident(self, incident_id: str) -> Incident:
        """One incident at its present revision. Raises KeyError."""
        return self.cases[incident_id].incident()

    def near(self, entity: str, time_ms: int) -> Iterator[Case]:
        """Cases that an entity takes part in, with a finding at most a day from `time_ms` (or somewhat more)."""
        day = time_ms // DAY_MS
        seen: set[str] = set()
        for around in (day - 1, day, day + 1):
            for incident in self._by_entity_day.get((entity, around), ()):
                if incident not in seen:
                    seen.add(incident)
                    yield self.cases[incident]

    def with_indicator(self, indicator: str) -> list[Case]:
        """Cases with evidence of this indicator, in the order in which it came to them."""
        return [self.cases[incident] for incident in self._by_indicator.get(indicator, ())]

    def _index(self, case: Case, added: FindingAdded) -> None:
        for entity in (added.finding.entity, *added.entities):
            for day in {added.first // DAY_MS, added.last // DAY_MS}:
                self._by_entity_day[entity, day][case.id] = None
