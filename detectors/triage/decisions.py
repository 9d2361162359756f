"""What an update of a finding adds to the journal: state and update in, facts out.

Facts follow from what the state lacks, never from what was written last. So an update that is judged again after a
crash, wherever the crash cut the entries, gives exactly those that are missing, and one that is repeated gives none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from detectors.triage.case import Case
from detectors.triage.fold import Incidents
from detectors.triage.grouping import incident_of
from schemas.event_list import EventList
from schemas.intake import FindingUpdate
from schemas.journal import Body, FindingAdded, Notified, Registered, SeverityRaised
from schemas.severity import Severity

#: A finding that is full tells that it goes on once in so much event time.
SIGN_OF_LIFE_MS = 60_000

#: Takes a fact into the journal and the state: (incident id, fact).
Record = Callable[[str, Body], None]


def judge(incidents: Incidents, update: FindingUpdate, event_list: EventList, year: int, record: Record) -> str:
    """Record every fact that an update adds; returns the id of its incident.

    `record` must apply each fact to `incidents` before it returns. `year` is that of the bank's calendar, for a number.
    """
    incident = incident_of(incidents, update, event_list.hubs)
    if incident not in incidents.cases:
        record(incident, Registered(number=incidents.next_number(year), severity=update.level))
    case = incidents.cases[incident]
    for fact in _finding(case, update, event_list):
        record(incident, fact)
    if case.highest > case.severity:
        record(incident, SeverityRaised(before=case.severity.word, severity=case.highest.word))
    for notice in _notices(case):
        record(incident, notice)
    return incident


def is_urgent(incidents: Incidents, update: FindingUpdate) -> bool:
    """Whether an update cannot wait a second: a new finding, or a higher severity than its incident had."""
    incident = incidents.of_finding.get(update.finding.id)
    return incident is None or Severity.of(update.level) > incidents.cases[incident].severity


def _finding(case: Case, update: FindingUpdate, event_list: EventList) -> Iterator[FindingAdded]:
    tally = case.findings.get(update.finding.id)
    lacking = tuple(piece for piece in update.evidence if tally is None or tally.lacks(piece))
    entities = tuple(name for name in update.entities if name not in case.entities)
    goes_on = update.last >= case.last + SIGN_OF_LIFE_MS or update.first < case.first
    if not (lacking or entities or goes_on):
        return
    item = update.finding.item
    yield FindingAdded(
        finding=update.finding,
        item=None if item in case.items else event_list.facts(item, update.level),
        evidence=lacking,
        entities=entities,
        tactics=tuple(name for name in update.tactics if name not in case.tactics),
        techniques=tuple(name for name in update.techniques if name not in case.techniques),
        first=update.first,
        last=update.last,
        retrospective=update.retrospective,
    )


def _notices(case: Case) -> Iterator[Notified]:
    severity, priority = case.severity, case.lead.priority
    if case.notified_severity is None:
        yield Notified(reason="registered", severity=severity.word, priority=priority)
    elif severity > case.notified_severity:
        yield Notified(reason="severity", severity=severity.word, priority=priority)
    elif priority < case.notified_priority:
        yield Notified(reason="priority", severity=severity.word, priority=priority)
