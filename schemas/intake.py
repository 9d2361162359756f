"""What triage takes in: detections collapsed by finding, marks of indicators; later also commands, timers, receipts.

Everything in an update is taken as a union, a least or a greatest: read twice, or in pieces cut otherwise, it adds
nothing. That is what makes redelivery harmless all the way from `detections` to the incident.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from schemas.detection import Detection, FindingRef, Millis
from schemas.severity import Level

#: Detections of one finding that are told and counted one by one; beyond it the finding's count stands still.
#: The table `detections` holds them all. It bounds an update (about 100 KB), the journal, and a fold's memory.
COUNTED_PER_FINDING = 250
#: Names in a piece of evidence are cut to this: an incident with 200 pieces must fit into a Kafka record of 1 MB.
NAME_CHARS = 128
MOST_NAMES = 64
MOST_SOURCES = 8
#: Indicators taken back that one record names: with reasons of 2 KB each it stays below Kafka's 1 MB.
MOST_REVOKED = 200


class Evidence(BaseModel):
    """One detection, as an incident shows it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(description="the detection's id")
    kind: Literal["rule", "indicator", "correlation", "contribution"]
    subject: str = Field(description="id of the rule, indicator or correlation")
    title: str
    level: Level
    origin: str = Field(description="log/topic/partition/offset of the record")
    time: Millis
    host: str = ""
    user: str = ""
    source: str = Field(default="", description="source address")
    activity: str = Field(default="", description="key of what happened: two providers' pieces of one count once")
    provider: int = 0
    sources: Annotated[tuple[str, ...], Field(max_length=MOST_SOURCES)] = Field(
        default=(), description="of an indicator: who names it"
    )

    @classmethod
    def of(cls, found: Detection) -> Evidence:
        """The piece that a detection gives."""
        return cls(
            id=found.id,
            kind=found.kind,
            subject=found.subject,
            title=found.title[:NAME_CHARS],
            level=found.level,
            origin=str(found.origin),
            time=found.time,
            host=found.host[:NAME_CHARS],
            user=found.user[:NAME_CHARS],
            source=found.src_ip[:NAME_CHARS],
            activity=found.activity,
            provider=found.provider,
            sources=tuple(name[:NAME_CHARS] for name in found.indicator.sources[:MOST_SOURCES])
            if found.indicator is not None
            else (),
        )


class FindingUpdate(BaseModel):
    """What became known of one finding since the last update. `evidence` holds each detection once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["finding"] = "finding"
    finding: FindingRef
    level: Level = Field(description="the highest in this update")
    evidence: Annotated[tuple[Evidence, ...], Field(min_length=1, max_length=COUNTED_PER_FINDING)]
    entities: Annotated[tuple[str, ...], Field(max_length=MOST_NAMES)] = ()
    tactics: Annotated[tuple[str, ...], Field(max_length=MOST_NAMES)] = ()
    techniques: Annotated[tuple[str, ...], Field(max_length=MOST_NAMES)] = ()
    first: Millis = Field(description="correlation time of the earliest detection")
    last: Millis = Field(description="and of the latest")
    kafka_time: Millis = Field(description="Kafka's time of the earliest record, to measure how long we took")
    retrospective: bool = Field(default=False, description="every detection in it was found in the past")

    def to_bytes(self) -> bytes:
        """The record's value on `intake`."""
        return orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_bytes(cls, data: bytes) -> FindingUpdate:
        """Read it back. Raises pydantic's ValidationError."""
        return cls.model_validate_json(data)


class Position(BaseModel):
    """A position in one partition of a raw topic."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log: str
    topic: str
    partition: int
    position: int


class IndicatorMark(BaseModel):
    """What one ingest process says when indicators have come into force: from where on they judge its partitions.

    A hunt for them covers what lies below these positions. Overlap is harmless, since ids are equal; a hole is not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["indicators"] = "indicators"
    log: str = Field(description="the log of indicators.gated")
    offset: int = Field(description="the position in it up to which records are in force")
    positions: tuple[Position, ...]

    def to_bytes(self) -> bytes:
        """The record's value on `intake`."""
        return self.model_dump_json().encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> IndicatorMark:
        """Read it back. Raises pydantic's ValidationError."""
        return cls.model_validate_json(data)


class Revocation(BaseModel):
    """A source took back one of its indicators."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    indicator: str = Field(description="the indicator's id")
    by: str = ""
    reason: str = ""
    at: Millis = Field(description="when it was said")


class Revocations(BaseModel):
    """Indicators that their sources took back: incidents that rest on them are told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["revocations"] = "revocations"
    revoked: Annotated[tuple[Revocation, ...], Field(min_length=1, max_length=MOST_REVOKED)]

    def to_bytes(self) -> bytes:
        """The record's value on `intake`."""
        return self.model_dump_json().encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Revocations:
        """Read it back. Raises pydantic's ValidationError."""
        return cls.model_validate_json(data)


IntakeItem = FindingUpdate | IndicatorMark | Revocations
_ITEM: Final[TypeAdapter[IntakeItem]] = TypeAdapter(Annotated[IntakeItem, Field(discriminator="kind")])


def intake_item(data: bytes) -> IntakeItem:
    """Read a record of `intake`. Raises pydantic's ValidationError."""
    return _ITEM.validate_json(data)
