"""The account at the end of a demonstration: what was published against what became of it.

A pure function over identities and facts, so that every way in which it can fail is tested. Sets of
(log, topic, partition, offset) are compared, not counts: two errors that cancel out would hide in a count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.identity import Origin

#: Identities named in a line that failed; enough to look them up.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Found:
    """What the account needs of a detection. `finding` is empty where no item of the event list claims it."""

    id: str
    origin: Origin
    subject: str
    finding: str
    retrospective: bool
    contribution: bool = False


@dataclass(frozen=True, slots=True)
class Raised:
    """What the account needs of an incident's last revision; `caption` is what people read of it."""

    number: str
    findings: frozenset[str]
    caption: str


@dataclass(frozen=True, slots=True)
class Books:
    """All that is compared. `stored` and `dead` are rows as they stand, so that a doubled one shows.

    `stages` maps a stage's title to its records, `early` holds the record that the new indicator must uncover; both
    are None with a user's own events, of which nothing is known beforehand. `undelivered` counts records that the
    broker never confirmed. `kept_detections` are the ids in the store's table, `journal` is why it is not sound or "".
    """

    published: frozenset[Origin]
    stored: Sequence[Origin]
    dead: Sequence[Origin]
    detections: Sequence[Found]
    kept_detections: frozenset[str]
    incidents: Sequence[Raised]
    journal: str = ""
    undelivered: int = 0
    stages: Mapping[str, frozenset[Origin]] | None = None
    early: frozenset[Origin] | None = None
    damaged: frozenset[Origin] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the account: what was to hold, whether it does, and what was seen."""

    what: str
    ok: bool
    seen: str


def balance(books: Books) -> list[Line]:
    """Every line of the account, in the order in which people read it."""
    lines = [_delivered(books), _complete(books), _once(books)]
    if books.damaged:
        lines.append(_damaged(books))
    lines.append(_kept(books))
    if books.stages is not None:
        lines += [_stage(books, title, records) for title, records in books.stages.items()]
        lines += [_one_incident(books, books.stages), _nothing_else(books, books.stages)]
    if books.early is not None:
        lines.append(_uncovered(books, books.early))
    if books.stages is None:
        lines.append(_any_incident(books))
    lines.append(Line("journal verified", not books.journal, books.journal or "every entry follows the one before"))
    return lines


def _delivered(books: Books) -> Line:
    seen = f"{len(books.published):,}"
    if books.undelivered:
        seen += f"; the broker did not confirm {books.undelivered:,} more"
    return Line("published", bool(books.published) and not books.undelivered, seen)


def _complete(books: Books) -> Line:
    stored, dead = frozenset(books.stored), frozenset(books.dead)
    missing = books.published - stored - dead
    foreign = (stored | dead) - books.published
    seen = f"{len(books.published):,} = {len(stored):,} + {len(dead):,}"
    for word, origins in (("missing", missing), ("never published", foreign)):
        if origins:
            seen += f"; {len(origins):,} {word}: {_named(origins)}"
    return Line("published = stored + dead letters", not missing and not foreign, seen)


def _once(books: Books) -> Line:
    times = Counter([*books.stored, *books.dead])
    twice = [origin for origin, count in times.items() if count > 1]
    return Line("duplicates 0", not twice, f"{len(twice):,}" + (f": {_named(twice)}" if twice else ""))


def _damaged(books: Books) -> Line:
    stored, dead = books.damaged & frozenset(books.stored), books.damaged & frozenset(books.dead)
    lost = books.damaged - stored - dead
    seen = f"{_many(len(dead), 'dead letter')}, {len(stored)} stored"
    return Line(
        f"{len(books.damaged)} damaged records kept", not lost, seen + (f"; lost {_named(lost)}" if lost else "")
    )


def _kept(books: Books) -> Line:
    ids = {found.id for found in books.detections}
    missing, foreign = len(ids - books.kept_detections), len(books.kept_detections - ids)
    part = sum(found.contribution for found in books.detections)
    seen = f"{len(ids):,}" + (f", {part:,} of them contributions to correlations" if part else "")
    if missing:
        seen += f"; {missing:,} not in the store"
    if foreign:
        seen += f"; {foreign:,} in the store alone"
    return Line("detections published = detections stored", not missing and not foreign, seen)


def _stage(books: Books, title: str, records: frozenset[Origin]) -> Line:
    subjects = {found.subject for found in books.detections if found.finding and found.origin in records}
    findings = _findings(books, records)
    seen = "no finding on its records"
    if findings:
        seen = f"{_many(len(findings), 'finding')} by {_many(len(subjects), 'rule')}"
    return Line(title, bool(findings), seen)


def _one_incident(books: Books, stages: Mapping[str, frozenset[Origin]]) -> Line:
    what = "the attack is one incident"
    findings = frozenset().union(*(_findings(books, records) for records in stages.values()))
    touched = [incident for incident in books.incidents if incident.findings & findings]
    if not touched:
        return Line(what, False, "no incident holds its findings")
    if len(touched) > 1:
        return Line(what, False, f"it is spread over {', '.join(incident.number for incident in touched)}")
    absent = findings - touched[0].findings
    if absent:
        return Line(what, False, f"{touched[0].number} lacks {len(absent)} of its findings")
    return Line(what, True, touched[0].caption)


def _nothing_else(books: Books, stages: Mapping[str, frozenset[Origin]]) -> Line:
    expected = frozenset().union(*stages.values(), books.early or frozenset())
    alarms = [found for found in books.detections if found.finding and found.origin not in expected]
    seen = f"{_many(len(alarms), 'finding')} on ordinary records"
    if alarms:
        seen += f": {', '.join(sorted({found.subject for found in alarms})[:_NAMED])}"
    return Line("no false alarm", not alarms, seen)


def _uncovered(books: Books, early: frozenset[Origin]) -> Line:
    what = "the new indicator uncovers the past contact"
    hits = [found for found in books.detections if found.retrospective and found.origin in early]
    others = [found for found in books.detections if found.retrospective and found.origin not in early]
    findings = {found.finding for found in hits if found.finding}
    holders = [incident.number for incident in books.incidents if incident.findings & findings]
    if {found.origin for found in hits} != early or others:
        return Line(what, False, f"{len(hits)} of {len(early)} uncovered, {len(others)} other records named")
    if not findings:
        return Line(what, False, "uncovered, but no item of the event list claims it, so there is no finding")
    if not holders:
        return Line(what, False, "uncovered, but no incident holds its finding")
    return Line(what, True, f"{len(hits)} of {len(early)}, in incident {', '.join(holders)}")


def _any_incident(books: Books) -> Line:
    findings = {found.finding for found in books.detections if found.finding}
    held = frozenset().union(*(incident.findings for incident in books.incidents))
    absent = findings - held
    seen = f"{_many(len(findings), 'finding')} in {_many(len(books.incidents), 'incident')}"
    return Line("every finding is in an incident", not absent, seen + (f"; {len(absent):,} in none" if absent else ""))


def _findings(books: Books, records: frozenset[Origin]) -> frozenset[str]:
    return frozenset(found.finding for found in books.detections if found.finding and found.origin in records)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _named(origins: Iterable[Origin]) -> str:
    some = sorted(origins)
    return ", ".join(str(origin) for origin in some[:_NAMED]) + (" …" if len(some) > _NAMED else "")
