"""A detection: one rule or indicator found in one record, or a correlation in several, with all to find it again."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.identity import Origin, detection_id, long_hash

Millis = Annotated[int, Field(description="milliseconds since 1970-01-01 UTC")]


class FindingRef(BaseModel):
    """The finding that a detection belongs to: (event list item, entity, window of event time)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    item: str = Field(description="id of the event list's item")
    entity: str = Field(description="type:value, e.g. host:ws-017 or user:aigerim")
    window_start: Millis
    event_list: str = Field(description="revision of the event list that attributed it")


class IndicatorFacts(BaseModel):
    """What an indicator's detection says of the indicator: of several sources' the strongest, and all sources."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str = Field(description="the indicator's type: what was matched may be below it, or inside it")
    value: str
    sources: tuple[str, ...] = Field(description="all that name this value and whose indicator counted")
    confidence: int = Field(ge=0, le=100, description="the highest of theirs, weakened beyond a hunt's look-back")
    tlp: str = Field(default="amber+strict", description="the strictest of theirs: how far it may be passed on")
    authority: Literal["", "regulator", "sectoral"] = ""
    phases: tuple[str, ...] = Field(default=(), description="kill-chain phases, chain:phase")
    rule: str = Field(default="valid", description="by which rule it counted: valid, seen, look-back:30d, beyond:30d")


class Detection(BaseModel):
    """One (record, rule or indicator) pair. Its id holds no revision: the first revision that found it stands.

    Of a correlation the record is the first of its episode, and `time` that record's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    kind: Literal["rule", "indicator", "correlation", "contribution"] = Field(
        description="contribution: of a rule that speaks through correlations alone; stored, shown to nobody"
    )
    subject: str = Field(description="the rule's, the indicator's or the correlation's id")
    revision: str = Field(description="hash of the rule's source text and configuration, or the indicator's revision")
    title: str
    level: Literal["informational", "low", "medium", "high", "critical"]
    tags: tuple[str, ...] = ()
    log: str
    topic: str
    partition: int
    offset: int
    time: Millis
    kafka_time: Millis
    late: bool = False
    doubtful_time: bool = False
    raw_sha256: str
    format: str
    product: str = ""
    category: str = ""
    service: str = ""
    event_id: int = 0
    host: str = ""
    user: str = ""
    src_ip: str = ""
    matched: dict[str, str] = Field(default_factory=dict, description="field → value, at most 20 of 1 KB")
    entities: tuple[str, ...] = Field(default=(), description="resolved entities, type:value")
    finding: FindingRef | None = None
    retrospective: bool = False
    indicator: IndicatorFacts | None = Field(default=None, description="of an indicator's detection")
    activity: str = Field(default="", description="key of what happened, where several providers of a host tell it")
    provider: int = Field(default=0, ge=0, description="which of them told it; 0 is the fullest")
    stage: Literal["shadow", "production"] = Field(default="production", description="shadow: stored, pages nobody")

    face: Literal["", "provisional", "final", "closed", "withdrawn"] = Field(
        default="", description="what a correlation says of its episode: at once, finally, whole, or that it was none"
    )
    until: int = Field(default=0, description="milliseconds UTC: the last time at which a correlation's condition held")
    records: int = Field(default=0, description="contributions of a correlation's episode so far")
    replaces: str = Field(default="", description="id of what was said provisionally and is this now")

    @property
    def origin(self) -> Origin:
        """The record it was found in."""
        return Origin(self.log, self.topic, self.partition, self.offset)

    def to_bytes(self) -> bytes:
        """The record's value on `detections`."""
        return self.model_dump_json().encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Detection:
        """Read it back. Raises pydantic's ValidationError."""
        return cls.model_validate_json(data)


def correlation_id(rule: str, group: str, first: Origin) -> str:
    """The id of a correlation's episode: it begins with the record `first`. No revision, as with a detection's."""
    return long_hash("correlation", rule, group, *first)


def finding_id(item: str, entity: str, window_start: int) -> str:
    """The id of a finding: item, entity and window, without revisions; it never changes."""
    return long_hash("finding", item, entity, window_start)


__all__ = ["Detection", "FindingRef", "IndicatorFacts", "Millis", "correlation_id", "detection_id", "finding_id"]
