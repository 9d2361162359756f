"""Which incident a finding belongs to: a proposal, the same whenever the same is known.

First form: a shared entity and nearness in time. An incident takes findings over at most 24 hours of event time; then
a new one opens. What everyone shares (the list's hubs) connects nothing, and findings without any entity join only
those of their own item, since a log source alone says too little.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from detectors.triage.case import Case
from detectors.triage.fold import DAY_MS, Incidents
from schemas.identity import long_hash
from schemas.intake import FindingUpdate

#: Event time over which one incident takes findings.
INTAKE_MS = DAY_MS


def incident_of(incidents: Incidents, update: FindingUpdate, hubs: Iterable[str] = ()) -> str:
    """The id of the incident that a finding is in, should join, or opens.

    A new incident's id is made from its first finding, so that deciding twice opens it once.
    """
    known = incidents.of_finding.get(update.finding.id)
    return known or _joined(incidents, update, frozenset(hubs)) or long_hash("incident", update.finding.id)


def _joined(incidents: Incidents, update: FindingUpdate, hubs: frozenset[str]) -> str | None:
    shared: Counter[str] = Counter()
    for entity in dict.fromkeys((update.finding.entity, *update.entities)):
        if entity in hubs:
            continue
        for case in incidents.near(entity, update.first):
            weak = entity.startswith("logsource:") and update.finding.item not in case.items
            if not weak and _span(case, update) <= INTAKE_MS:
                shared[case.id] += 1
    if not shared:
        return None
    return min(shared, key=lambda case: _rank(incidents.cases[case], shared[case], update))


def _span(case: Case, update: FindingUpdate) -> int:
    return max(case.last, update.last) - min(case.first, update.first)


def _rank(case: Case, shared: int, update: FindingUpdate) -> tuple[int, int, str]:
    """Most shared entities, then nearest in time, then the older number."""
    distance = max(0, case.first - update.first, update.first - case.last)
    return (-shared, distance, case.number)
