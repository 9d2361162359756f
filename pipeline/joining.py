"""Audit records joined: what ingest hands over, and what the rules say of the events that come of it.

    ingest      events ── pieces ── topic `contributions`, by host
    correlate   pieces, marks ── Joins ── Joined ── event ── the rules of joined categories ── detections
    detect      the same in one process, over files

Where a rule of linux/process_creation would look at single EXECVE records too, the joined view takes their place
(`DetectionSet.judge`): a detection of both would be two of one. Correlations go on counting the single records.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Final, NamedTuple

from detectors.audit.activity import CALLS, may_tell
from detectors.audit.piece import KINDS, Joined, Piece, joined_id
from detectors.ioc.match import IndicatorIndex
from detectors.sigma.engine import Engine
from detectors.sigma.rule import Rule
from pipeline.detecting import DetectionSet, Hidden
from pipeline.parsers.audit_joined import event_of
from schemas.detection import Detection
from schemas.event import Event

_NUMBER: Final = re.compile(rb"audit\((\d{1,12}\.\d{3}:\d{1,20})\):")
#: What the parser adds to a record's own fields.
_ADDED: Final = frozenset({"type", "serial", "CommandLine"})
#: Types of records that an activity is told by: of these the bytes' hash travels too.
_HEADS: Final = frozenset({"SYSCALL", "EXECVE"})


def joined_rules(rules: Iterable[Rule]) -> list[Rule]:
    """The rules that look at joined events: of Linux or of any system, of the categories that calls tell."""
    return [
        rule
        for rule in rules
        if rule.logsource.category in CALLS and rule.logsource.product in ("linux", "") and not rule.logsource.service
    ]


def asks_for_parents(rule: Rule) -> bool:
    """Whether a rule names a field of the program that started another."""
    return rule.logsource.category == "process_creation" and b'"Parent' in rule.condition


def wanted(rules: Iterable[Rule]) -> frozenset[str]:
    """The calls of which these rules can say something."""
    return frozenset().union(*(CALLS[rule.logsource.category] for rule in joined_rules(rules)))


def pieces(lane: str, events: Sequence[Event]) -> list[Piece]:
    """The records among these events of one lane that a join may need, in their order."""
    return [
        piece
        for event in events
        if event.source.service == "auditd" and event.fields.get("type") in KINDS and (piece := _piece(lane, event))
    ]


def told(made: Sequence[Piece], calls: frozenset[str]) -> Sequence[Piece]:
    """Those that a join of such calls needs: of an event whose call is here and is another, or failed, none. Where the
    call stands in another batch, nothing tells what the others are for."""
    idle = {piece.key for piece in made if piece.kind == "SYSCALL" and not may_tell(piece.fields, calls)}
    return [piece for piece in made if piece.key not in idle] if idle else made


def late(made: Iterable[Piece], mark: int) -> list[Piece]:
    """Of late ones the others are waited for from now on, as from when they came: `mark` is their lane's."""
    return [piece._replace(due=max(piece.due, mark)) if piece.late else piece for piece in made]


def _piece(lane: str, event: Event) -> Piece | None:
    found = _NUMBER.search(event.raw, 0, 1_024)
    if found is None:
        return None
    fields = event.fields
    kind = fields["type"]
    return Piece(
        event.host[:255],
        found[1].decode(),
        kind,
        {name: value for name, value in fields.items() if name not in _ADDED},
        lane,
        event.offset,
        event.time_ms,
        event.time_ms,
        event.kafka_ms,
        event.late,
        event.doubtful,
        hashlib.sha256(event.raw).hexdigest() if kind in _HEADS else "",
    )


class Said(NamedTuple):
    """What is found in joined events, and what was found and is suppressed."""

    detections: list[Detection]
    hidden: list[Hidden]


@dataclass(frozen=True, slots=True)
class Joining:
    """The rules that judge joined events, and all that makes detections of what they find."""

    decide: DetectionSet
    later: DetectionSet
    """The rules that ask for a start's parent: they judge settled starts."""

    @property
    def parents(self) -> bool:
        """Whether starts must be settled at all."""
        return bool(self.later.engine.rules)

    @classmethod
    def of(cls, decide: DetectionSet, zone: tzinfo = UTC) -> Joining:
        """Those of a set. Single records are what indicators are looked for in, so here are none."""
        rules = joined_rules(decide.engine.rules)
        later = [rule for rule in rules if asks_for_parents(rule)]
        return cls(
            *(
                replace(decide, engine=Engine(some, zone, shelf=decide.engine.shelf), indicators=IndicatorIndex())
                for some in ([rule for rule in rules if rule not in later], later)
            )
        )

    def judge(self, joined: Iterable[Joined], topic: str = "") -> Said:
        """The detections in what was joined. Each names a record of the event, and is the same however the event's
        records were split. `topic`: the one that files are judged as; their lanes are their names."""
        lanes: dict[tuple[str, bool], dict[int, tuple[Joined, Event]]] = {}
        for one in joined:
            event = event_of(one)
            if event is not None:
                lanes.setdefault((one.head.lane, one.settled), {})[event.offset] = (one, event)
        detections: list[Detection] = []
        hidden: list[Hidden] = []
        for (_, settled), known in lanes.items():
            head = next(iter(known.values()))[0]
            place = head.origin[:3] if not topic else ("file", topic, 0)
            rules = self.later if settled else self.decide
            found = rules.judge(*place, [event for _, event in known.values()])
            detections += [_told(one, known[one.offset][0]) for one in found.detections]
            hidden += found.hidden
        return Said(detections, hidden)


def _told(found: Detection, joined: Joined) -> Detection:
    return found.model_copy(update={"id": joined_id(found.subject, joined.key), "raw_sha256": joined.head.sha256})
