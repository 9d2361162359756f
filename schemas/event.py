"""An event: one record of a raw topic, read once.

On the raw path nothing is validated by pydantic and nothing is copied: a batch is what one fetch gave for one
partition, an event keeps the record's own bytes and the dictionary that the parser made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, Protocol

from schemas.field_mapping import FieldMapping


class Record(Protocol):
    """What Kafka gives for one record; aiokafka's records are. `timestamp` is milliseconds, UTC."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def timestamp_type(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Records of one partition of one log in offset order, and the positions around them.

    `first` is the position before the batch and `next` the one after it: control records and compaction leave
    holes in the offsets, and these holes belong to the batch. `records` may be empty.
    """

    log: str
    topic: str
    partition: int
    first: int
    next: int
    records: Sequence[Record]
    _size: int = field(default=-1, init=False, repr=False, compare=False)

    @property
    def size(self) -> int:
        """Bytes of keys and values; added up at the first question."""
        if self._size < 0:
            total = sum([len(r.value or b"") + len(r.key or b"") for r in self.records])
            object.__setattr__(self, "_size", total)
        return self._size


class Source(NamedTuple):
    """Where an event comes from, in Sigma's words; the key by which rules are routed. Lower case throughout.

    On Windows `service` is the channel ("security", "microsoft-windows-sysmon/operational") and `event_id` the
    event's number; elsewhere `event_id` is 0. Parsers hand out one object per distinct source.
    """

    product: str = ""
    category: str = ""
    service: str = ""
    event_id: int = 0


#: Of an event that does not tell its source, and for which no setting does: no rule looks at it.
NOWHERE: Final = Source()
#: Of such an event of a recording: every rule looks at it, by the fields that it names.
EVERYWHERE: Final = Source("*")


@dataclass(frozen=True, slots=True)
class Format:
    """How a format's bytes relate to its values; what the prefilter may conclude from them.

    `form`: "json", values stand in the bytes as JSON strings; "text", as they are; "opaque", not at all.
    `derived`: names of fields whose value is computed by the parser and does not stand in the bytes.
    `mapping`: how its fields stand for those that rules name, where they do not bear the same names.
    """

    name: str
    form: Literal["json", "text", "opaque"]
    derived: frozenset[str] = field(default_factory=frozenset)
    mapping: FieldMapping | None = None


@dataclass(slots=True)
class Event:
    """One parsed record. Written by its parser alone; everyone else reads. Absent columns are '' or 0.

    Not frozen: a frozen dataclass costs three times as much to make, and one is made per record.
    """

    offset: int
    raw: bytes
    format: Format
    source: Source
    fields: dict[str, Any]
    """Field names as Sigma rules write them; values as the shipper sent them; nested where the format nests."""
    kafka_ms: int
    time_ms: int
    """Correlation time, milliseconds UTC: the event's own where it is plausible, else Kafka's."""
    doubtful: bool = False
    """The event's own time was absent or implausible, so `time_ms` is Kafka's."""
    late: bool = False
    """Kafka's time is later than the event's own by more than the source's lateness."""
    host: str = ""
    user: str = ""
    src_ip: str = ""
    dst_ip: str = ""
    process: str = ""
    command_line: str = ""
    domain: str = ""
    observables: tuple[Observable, ...] = ()
    """What indicators are matched against, each (type, value) once, normalised."""


class Observable(NamedTuple):
    """A typed, normalised value: ("ipv4", "10.0.0.1"), ("domain", "evil.example"), ("sha256", "…")."""

    type: str
    value: str
