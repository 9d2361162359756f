"""The journal of incidents (clauses 4.6, 4.12, 9): hash-chained entries, each of them a fact that never changes.

An entry's canonical bytes are JSON with sorted keys and neither floats nor names outside ASCII, the subset on which
RFC 8785 and orjson agree. Its hash is SHA-256 of these bytes; the next entry names it. A sealed line is the canonical
object with its own hash as the last member, so that it stays readable JSON and is checked without writing it anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.detection import FindingRef, Millis
from schemas.errors import RefusedError
from schemas.event_list import ItemFacts
from schemas.intake import Evidence, Revocation
from schemas.severity import Level

_HASH_MEMBER = b',"hash":"'
_SEAL = len(_HASH_MEMBER) + 64 + len(b'"}')


class BrokenJournalError(RefusedError):
    """The first entry that does not fit. `seq` is its number, 1 for the first."""

    def __init__(self, seq: int, reason: str) -> None:
        super().__init__(
            f"The journal is broken at entry {seq}: {reason}. Nothing is written to it; restore it from a copy."
        )
        self.seq = seq
        self.reason = reason


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Registered(_Frozen):
    """Gives an incident its number, once."""

    kind: Literal["registered"] = "registered"
    number: str
    severity: Level


class FindingAdded(_Frozen):
    """A finding, or more of one, is part of the incident. `item` is told when the incident meets it first."""

    kind: Literal["finding_added"] = "finding_added"
    finding: FindingRef
    item: ItemFacts | None
    evidence: tuple[Evidence, ...]
    entities: tuple[str, ...]
    tactics: tuple[str, ...]
    techniques: tuple[str, ...]
    first: Millis
    last: Millis
    retrospective: bool


class SeverityRaised(_Frozen):
    """A detection of a higher level than all before."""

    kind: Literal["severity_raised"] = "severity_raised"
    before: Level
    severity: Level


class Notified(_Frozen):
    """The team is to be told, and why. Whom and how, and the receipt, come with the outbox."""

    kind: Literal["notified"] = "notified"
    reason: Literal["registered", "severity", "priority"]
    severity: Level
    priority: int


class IndicatorRevoked(_Frozen):
    """An indicator that evidence rests on was taken back by its source. What was found stays; people judge it anew."""

    kind: Literal["indicator_revoked"] = "indicator_revoked"
    revocation: Revocation


Body = Annotated[Registered | FindingAdded | SeverityRaised | Notified | IndicatorRevoked, Field(discriminator="kind")]


class Intake(_Frozen):
    """The record of `intake` that an entry answers."""

    log: str
    offset: int


class Fact(_Frozen):
    """What happened to one incident. `revision` is the one that it belongs to; several facts may make up one."""

    at: Millis = Field(description="the writer's wall clock")
    incident: str
    revision: int = Field(ge=1)
    intake: Intake
    body: Body


class Entry(Fact):
    """A fact in its place in the chain."""

    seq: int = Field(ge=1)
    epoch: int = Field(ge=1, description="counts the takeovers of the writer")
    previous: str = Field(description="hash of the entry before; 64 zeros for the first")
    complete: bool = Field(description="true on the last of those written together; a torn write is cut back to it")

    def canonical(self) -> bytes:
        """The bytes that are hashed."""
        return orjson.dumps(self.model_dump(mode="json", by_alias=True), option=orjson.OPT_SORT_KEYS)


class Head(NamedTuple):
    """The end of a chain."""

    seq: int
    hash: str
    epoch: int


GENESIS = Head(0, "0" * 64, 0)


class Sealed(NamedTuple):
    """An entry with the line that stands in the journal, without a line feed, and the head after it."""

    entry: Entry
    line: bytes
    head: Head


def seal(entry: Entry) -> Sealed:
    """Hash an entry and write its line."""
    data = entry.canonical()
    digest = hashlib.sha256(data).hexdigest()
    line = data[:-1] + _HASH_MEMBER + digest.encode() + b'"}'
    return Sealed(entry, line, Head(entry.seq, digest, entry.epoch))


def chained(head: Head, epoch: int, facts: Sequence[Fact]) -> list[Sealed]:
    """Chain facts that are written together behind `head`."""
    sealed: list[Sealed] = []
    for place, fact in enumerate(facts, start=1):
        chain = {"seq": head.seq + 1, "epoch": epoch, "previous": head.hash, "complete": place == len(facts)}
        sealed.append(seal(Entry.model_construct(**{**dict(fact), **chain})))
        head = sealed[-1].head
    return sealed


def unseal(head: Head, line: bytes) -> Sealed:
    """Read the line that follows `head`, and prove that it does. Raises BrokenJournalError."""
    seq = head.seq + 1
    data = line[:-_SEAL] + b"}"
    digest = hashlib.sha256(data).hexdigest()
    if line[-_SEAL:] != _HASH_MEMBER + digest.encode() + b'"}':
        raise BrokenJournalError(seq, "its hash does not fit its content")
    try:
        entry = Entry.model_validate_json(data)
    except ValidationError as error:
        faults = ", ".join(".".join(map(str, fault["loc"])) or "shape" for fault in error.errors(include_input=False))
        raise BrokenJournalError(seq, f"it cannot be read ({faults})") from None
    if entry.seq != seq:
        raise BrokenJournalError(seq, f"entry {entry.seq} stands in its place")
    if entry.previous != head.hash:
        raise BrokenJournalError(seq, "it does not follow the entry before it")
    if entry.epoch < head.epoch:
        raise BrokenJournalError(seq, f"a writer of epoch {entry.epoch} wrote after epoch {head.epoch}")
    return Sealed(entry, line, Head(seq, digest, entry.epoch))
