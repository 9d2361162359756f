"""An incident, whole, at one revision: what the topic `incidents` carries and the response team reads.

It is rendered from the fold of the journal and never edited. Lists are cut to what a Kafka record can hold; the counts
beside them are not.
"""

from __future__ import annotations

from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from schemas.detection import Millis
from schemas.event_list import ItemFacts
from schemas.intake import Evidence, Revocation
from schemas.severity import Level
from schemas.text import Named, Text

#: Pieces of evidence, findings, entities and rules that a revision lists at most, each.
LISTED = 200


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, serialize_by_alias=True)


class FindingSummary(_Frozen):
    """One finding of the incident."""

    id: str
    item: str
    entity: str
    window_start: Millis
    level: Level
    detections: int = Field(description="counted one by one up to 250; then it stands still")


class Counts(_Frozen):
    """How much there is, listed or not."""

    findings: int
    detections: int
    entities: int
    rules: int
    notices: int


class Incident(_Frozen):
    """One revision. Revisions of an incident count 1, 2, 3…; the same revision always has the same content."""

    id: str
    number: str = Field(pattern=r"^\d{4}-\d{6,}$", description="year of registration and counter; given once")
    revision: int = Field(ge=1)
    status: Literal["registered"] = "registered"
    title: Text
    incident_class: Named = Field(validation_alias="class", serialization_alias="class")
    priority: int = Field(ge=1, le=4, description="1 is the most urgent")
    severity: Level = Field(description="the highest level of its detections")
    items: tuple[ItemFacts, ...] = Field(description="of the event list, the one that leads first")
    procedures: tuple[Named, ...] = Field(description="standard response procedures, the leading item's first")
    opened: Millis = Field(description="when it was registered, by the journal's clock")
    respond_by: Millis = Field(description="when the response must have begun; the earliest of its items' deadlines")
    changed: Millis = Field(description="the journal's clock at this revision")
    first_event: Millis
    last_event: Millis
    entities: tuple[str, ...] = Field(description="type:value")
    findings: tuple[FindingSummary, ...]
    rules: dict[str, int] = Field(description="rule or indicator id → detections")
    levels: dict[str, int] = Field(description="level → detections")
    tactics: tuple[str, ...] = Field(description="ATT&CK tactics seen, as in Sigma's tags without `attack.`")
    techniques: tuple[str, ...]
    evidence: tuple[Evidence, ...] = Field(description="the most severe, then the earliest; in the order of time")
    retrospective: bool = Field(description="everything in it was found in the past")
    revoked: tuple[Revocation, ...] = Field(
        default=(), description="indicators of its evidence that their sources took back"
    )
    counts: Counts

    def to_bytes(self) -> bytes:
        """The record's value on `incidents`: JSON with sorted keys."""
        return orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_bytes(cls, data: bytes) -> Incident:
        """Read it back. Raises pydantic's ValidationError."""
        return cls.model_validate_json(data)
