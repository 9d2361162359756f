"""An indicator between a feed and the stream: what is submitted, what people say of it, and what became of it.

`indicators` carries documents and commands of anybody, `indicators.gated` what curate made of them, keyed by
`source/id`. Who reads the second from its beginning knows everything: the last record of a key is the whole truth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from schemas.detection import Millis
from schemas.event import Observable
from schemas.indicator import Indicator
from schemas.severity import Level

#: The feed of the files that QORGAN_INDICATORS names.
FILES: Final = "files"
#: One id may stand for so many values (a STIX pattern with IN or OR), and for so many that it no longer has.
MOST_VALUES: Final = 10_000
#: Hosts that a prevalence names.
MOST_SAMPLES: Final = 5

State = Literal["active", "held", "waiting", "released", "expired", "revoked"]
STATES: Final[tuple[State, ...]] = ("active", "held", "waiting", "released", "expired", "revoked")
#: In these an indicator is matched.
MATCHED: Final = ("active", "released")

Pair = tuple[str, str]
Short = Annotated[str, Field(max_length=512)]
Name = Annotated[str, Field(min_length=1, max_length=256)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Value(_Frozen):
    """One value to look for, and what the same event must hold beside it."""

    type: str = Field(max_length=32)
    value: str = Field(min_length=1, max_length=4_096)
    also: Annotated[tuple[Pair, ...], Field(max_length=16)] = ()


class Document(_Frozen):
    """What a source says of one indicator, whole: a later document of the same source and id takes its place."""

    kind: Literal["indicator"] = "indicator"
    source: Name
    id: Name
    values: Annotated[tuple[Value, ...], Field(min_length=1, max_length=MOST_VALUES)]
    title: Short = ""
    level: Level = "high"
    confidence: Annotated[int, Field(ge=0, le=100)] = 50
    valid_from: Annotated[Millis, Field(ge=0)] = 0
    valid_until: Annotated[Millis, Field(ge=0, description="milliseconds UTC; 0: open")] = 0
    first_seen: Annotated[Millis, Field(ge=0)] = 0
    tlp: Literal["clear", "green", "amber", "amber+strict", "red"] = "amber+strict"
    tags: Annotated[tuple[Short, ...], Field(max_length=64)] = ()
    phases: Annotated[tuple[Short, ...], Field(max_length=32)] = ()
    authority: Literal["", "regulator", "sectoral"] = Field(
        default="", description="believed of feeds that the settings name, and of nobody else"
    )
    owner: Short = Field(default="", description="who answers for it")
    at: Annotated[Millis, Field(ge=0, description="when its source said so; 0: when the record was appended")] = 0

    @property
    def key(self) -> Pair:
        """Whose, and which."""
        return self.source, self.id

    @property
    def content(self) -> str:
        """A hash of all but when it was said: 16 hex digits."""
        text = self.model_dump_json(exclude={"at"}, exclude_defaults=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def observables(self) -> list[Observable]:
        """The values to look for."""
        return [Observable(one.type, one.value) for one in self.values]

    def to_bytes(self) -> bytes:
        """The record's value on `indicators`."""
        return self.model_dump_json(exclude_defaults=True).encode()[:-1] + b',"kind":"indicator"}'


class Command(_Frozen):
    """What is said of an indicator that is there. A source revokes its own; people release and expire by name."""

    kind: Literal["revoke", "release", "expire"]
    source: Name
    id: Name
    by: Short = ""
    reason: Annotated[str, Field(max_length=2_048)] = ""
    at: Annotated[Millis, Field(ge=0, description="when it was said; 0: when the record was appended")] = 0

    @property
    def key(self) -> Pair:
        """Of whose, and which."""
        return self.source, self.id

    def to_bytes(self) -> bytes:
        """The record's value on `indicators`."""
        return self.model_dump_json().encode()


class Poll(_Frozen):
    """Ask curate to poll a feed now, or all (`feed` empty)."""

    kind: Literal["poll"] = "poll"
    feed: Short = ""
    by: Short = ""
    at: Millis = 0

    def to_bytes(self) -> bytes:
        """The record's value on `indicators`."""
        return self.model_dump_json().encode()


Submission = Document | Command | Poll
_SUBMISSION: Final[TypeAdapter[Submission]] = TypeAdapter(Annotated[Submission, Field(discriminator="kind")])


def submission(data: bytes) -> Submission:
    """Read a record of `indicators`. Raises pydantic's ValidationError."""
    return _SUBMISSION.validate_json(data)


class Word(_Frozen):
    """Who said what of an indicator, why, and when."""

    by: str = ""
    reason: str = ""
    at: Millis = 0


class Seen(_Frozen):
    """How often a value, or a name below it, was seen in the last three months."""

    type: str
    value: str
    hosts: int
    count: int
    first: Millis
    last: Millis
    samples: Annotated[tuple[str, ...], Field(max_length=MOST_SAMPLES)] = ()


class Reason(_Frozen):
    """One reason to hold an indicator: the rule of the gate, the value, and what the rule found."""

    rule: Literal[
        "prevalence",
        "public_suffix",
        "special_network",
        "own_network",
        "wide_network",
        "empty_file",
        "system_file",
        "warning_list",
    ]
    type: str
    value: str
    detail: str = ""


class Gated(_Frozen):
    """A document with its gate and its life: the record on `indicators.gated`, every revision whole."""

    kind: Literal["gated"] = "gated"
    source: str
    id: str
    state: State
    revision: int = Field(description="1 and up, by one at each change")
    at: Millis = Field(description="when curate said so")
    document: Document
    content: str = Field(description="hash of the document; the indicator's revision in detections")
    feed: str = Field(default="", description="of our feeds, the one that it came by")
    reasons: tuple[Reason, ...] = ()
    prevalence: tuple[Seen, ...] = Field(default=(), description="of the values that were seen at all")
    asked: bool = Field(default=False, description="the store was asked where its values were seen")
    grouped: bool = Field(default=False, description="of an authority and seen widely: groups and does not page")
    released: Word | None = None
    expired: Word | None = None
    revoked: Word | None = None
    since: Millis = Field(default=0, description="since when it is known: what was said of it before is of another")
    values_at: Millis = Field(default=0, description="since when it has these values: a release is of values")
    gone: Annotated[tuple[Pair, ...], Field(max_length=MOST_VALUES)] = Field(
        default=(), description="values that it had once: whoever reads takes them away"
    )

    @property
    def key(self) -> Pair:
        """Whose, and which."""
        return self.source, self.id

    def to_bytes(self) -> bytes:
        """The record's value on `indicators.gated`."""
        return self.model_dump_json(exclude_defaults=True).encode()[:-1] + b',"kind":"gated"}'

    @classmethod
    def from_bytes(cls, data: bytes) -> Gated:
        """Read it back. Raises pydantic's ValidationError."""
        return cls.model_validate_json(data)


def grouped(rows: Iterable[Indicator], owner: str, now: int) -> list[Document]:
    """The documents of some rows: those of one source and id together."""
    by_key: dict[tuple[str, str], list[Indicator]] = {}
    for row in rows:
        by_key.setdefault((row.source, row.id), []).append(row)
    return [document(some, owner, now) for some in by_key.values()]


def document(rows: Sequence[Indicator], owner: str, now: int) -> Document:
    """One indicator of its rows, as it is submitted."""
    first = rows[0]
    values = dict.fromkeys(Value(type=row.type, value=row.value, also=row.also) for row in rows)
    return Document(
        source=first.source,
        id=first.id,
        values=tuple(values),
        title=first.title,
        level=first.level,  # type: ignore[arg-type] # checked where it was read
        confidence=first.confidence,
        valid_from=first.valid_from,
        valid_until=first.valid_until,
        first_seen=first.first_seen,
        tlp=first.tlp,  # type: ignore[arg-type] # checked where it was read
        tags=first.tags,
        phases=first.phases,
        authority=first.authority,  # type: ignore[arg-type] # checked where it was read
        owner=owner,
        at=now,
    )


#: The key of the record that says that everything which curate holds stands before it.
SETTLED_KEY: Final = b"/"


def settled(at: int, entries: int, about: Mapping[str, object]) -> bytes:
    """The record that says so: who waits for indicators waits for this. `about`: what else is told with it."""
    said = {"kind": "settled", "source": "", "id": "", "state": "", "at": at, "entries": entries}
    return orjson.dumps({**said, **about})


def record_key(source: str, ident: str) -> bytes:
    """The key of an indicator's records on both topics."""
    return f"{source}/{ident}".encode()
