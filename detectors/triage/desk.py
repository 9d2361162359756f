"""Triage at work: updates of findings in, facts out, paced so that a storm gives each incident few revisions.

Urgent updates (a new finding, a higher severity) are judged at once, others wait until their incident's last revision
is a second old. What waits is in no journal yet, and its intake record not acknowledged. Pure but for its state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from detectors.triage.decisions import is_urgent, judge
from detectors.triage.fold import Incidents
from schemas.event_list import EventList
from schemas.incident import Incident
from schemas.intake import FindingUpdate, Revocation
from schemas.journal import Body, Fact, IndicatorRevoked, Intake

#: Seconds between two revisions of one incident that say nothing urgent.
PACE_S = 1.0


class Waiting(NamedTuple):
    """An update that came in with a record of `intake`."""

    update: FindingUpdate
    intake: Intake


class Judged(NamedTuple):
    """What came of updates that were judged together: facts to journal, then revisions to publish."""

    facts: list[Fact]
    incidents: list[str]
    updates: list[FindingUpdate]
    opened: list[str]
    """Items of findings that were new."""


class Desk:
    """The state of triage. `now` is a monotonic clock in seconds, `at` the wall clock in milliseconds.

    `year` gives the year of the bank's calendar for `at`; it stands in an incident's number.
    """

    def __init__(self, event_list: EventList, year: Callable[[int], int]) -> None:
        self.event_list = event_list
        self.incidents = Incidents()
        self._year = year
        self._waiting: list[Waiting] = []
        self._revised: dict[str, float] = {}

    def take(self, waiting: Iterable[Waiting]) -> None:
        """Put updates on the desk."""
        self._waiting.extend(waiting)

    @property
    def waiting(self) -> Sequence[Waiting]:
        """What has not been judged yet, in the order in which it came."""
        return self._waiting

    def work(self, at: int, now: float, *, most: int = 500, everything: bool = False) -> Judged:
        """Judge what is due, at most `most` updates; one revision for each incident that changes."""
        ready = self._ready(now, most, everything)
        facts: list[Fact] = []
        changed: dict[str, int] = {}
        year = self._year(at)
        opened = []
        for member in ready:
            if member.update.finding.id not in self.incidents.of_finding:
                opened.append(member.update.finding.item)
            self._judge(member, at, year, facts, changed)
        self._revised = {name: since for name, since in self._revised.items() if now - since < PACE_S}
        self._revised |= dict.fromkeys(changed, now)
        return Judged(facts, list(changed), [member.update for member in ready], opened)

    def revoke(self, said: Iterable[Revocation], intake: Intake, at: int) -> Judged:
        """Tell the incidents that rest on indicators that their sources took back; told twice, it adds nothing."""
        facts: list[Fact] = []
        changed: dict[str, int] = {}
        for one in said:
            for case in self.incidents.with_indicator(one.indicator):
                if case.rests_on(one):
                    revision = changed.setdefault(case.id, 1 + case.revision)
                    body = IndicatorRevoked(revocation=one)
                    facts.append(Fact(at=at, incident=case.id, revision=revision, intake=intake, body=body))
                    self.incidents.apply(facts[-1])
        return Judged(facts, list(changed), [], [])

    def since(self, log: str, offset: int, not_before: int) -> list[Incident]:
        """The present revision of incidents that a writer before us may have journaled but not published.

        These answer records of `intake` from `offset` on, or of another log than `log` (a broker that forgot its
        topics) and changed after `not_before`, wall clock.
        """
        return [
            case.incident()
            for case in self.incidents.cases.values()
            if (case.intake.offset >= offset if case.intake.log == log else case.changed >= not_before)
        ]

    def _ready(self, now: float, most: int, everything: bool) -> list[Waiting]:
        """Take from the desk what is due, and with it whatever waits for the same incidents."""
        of_finding = self.incidents.of_finding
        homes = [of_finding.get(member.update.finding.id) for member in self._waiting]
        due = {
            home
            for member, home in zip(self._waiting, homes, strict=True)
            if everything or home is None or self._is_due(home, now) or is_urgent(self.incidents, member.update)
        }
        ready = [member for member, home in zip(self._waiting, homes, strict=True) if home in due][:most]
        taken = {id(member) for member in ready}
        self._waiting = [member for member in self._waiting if id(member) not in taken]
        return ready

    def _is_due(self, incident: str, now: float) -> bool:
        return now - self._revised.get(incident, -PACE_S) >= PACE_S

    def _judge(self, member: Waiting, at: int, year: int, facts: list[Fact], changed: dict[str, int]) -> None:
        def record(incident: str, body: Body) -> None:
            if incident not in changed:
                case = self.incidents.cases.get(incident)
                changed[incident] = 1 + (case.revision if case else 0)
            fact = Fact(at=at, incident=incident, revision=changed[incident], intake=member.intake, body=body)
            self.incidents.apply(fact)
            facts.append(fact)

        judge(self.incidents, member.update, self.event_list, year, record)
