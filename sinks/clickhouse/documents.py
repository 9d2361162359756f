"""Rows of topics whose records are our own JSON documents: detections, incidents, indicators; one row a record.

The whole document lies in `json`; the columns beside it are what people search by. A document of another version has
more or fewer fields, so nothing here insists on one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from schemas.dead_letter import DeadLetter
from schemas.event import Record, RecordBatch
from sinks.clickhouse import arrow
from sinks.clickhouse.ledger import Claim
from sinks.clickhouse.rows import DeadColumns, with_block, within

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Document:
    """One record's value, read. `fields` is never written to."""

    offset: int
    fields: Fields
    raw: bytes


@dataclass(frozen=True, slots=True)
class Documents:
    """What a batch is: each record a document or a dead letter."""

    documents: list[Document]
    dead: list[DeadLetter]


@dataclass(frozen=True, slots=True)
class Kind:
    """A table of documents: its name, and for each column how it is built and what goes into it."""

    table: str
    columns: Mapping[str, tuple[Callable[[Sequence[Any]], pa.Array], Callable[[Fields], Any]]]


class DocumentColumns:
    """The rows of one block of such a topic."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._documents: list[Document] = []
        self._dead = DeadColumns()

    def add(self, batch: RecordBatch, parsed: Documents, digests: Sequence[bytes]) -> None:
        """Append the rows of the batch's records; `parsed` may cover more of them."""
        self._documents += within(parsed.documents, batch)
        dead = within(parsed.dead, batch)
        if dead:
            beside: dict[int, tuple[Record, bytes]] = {
                record.offset: (record, hashed) for record, hashed in zip(batch.records, digests, strict=True)
            }
            self._dead.add(dead, [beside[letter.offset] for letter in dead])

    def tables(self, claim: Claim) -> dict[str, pa.Table]:
        """Dead letters, then documents."""
        tables = {"dead_letters": self._dead.table(claim), self._kind.table: self._table(claim)}
        return {name: table for name, table in tables.items() if table.num_rows}

    def _table(self, claim: Claim) -> pa.Table:
        columns = {
            name: build([take(document.fields) for document in self._documents])
            for name, (build, take) in self._kind.columns.items()
        }
        columns["json"] = arrow.blobs([document.raw for document in self._documents])
        columns["record_offset"] = arrow.offsets([document.offset for document in self._documents])
        return with_block([pa.RecordBatch.from_pydict(columns)], claim, "record_")


def text(name: str) -> Callable[[Fields], str]:
    """A text field, '' where it is missing or something else."""

    def take(fields: Fields) -> str:
        value = fields.get(name, "")
        return value if isinstance(value, str) else ""

    return take


def number(name: str) -> Callable[[Fields], int]:
    """A number, 0 where it is missing or something else."""

    def take(fields: Fields) -> int:
        value = fields.get(name, 0)
        return value if isinstance(value, int) else 0

    return take


def flag(name: str) -> Callable[[Fields], bool]:
    """A truth value, False where it is missing."""
    return lambda fields: fields.get(name) is True


def listed(name: str) -> Callable[[Fields], list[str]]:
    """A list of texts, empty where it is missing."""

    def take(fields: Fields) -> list[str]:
        value = fields.get(name)
        return [part for part in value if isinstance(part, str)] if isinstance(value, list) else []

    return take


def inside(name: str, take: Callable[[Fields], Any], empty: Any) -> Callable[[Fields], Any]:
    """The same of a field's own fields."""

    def taken(fields: Fields) -> Any:
        value = fields.get(name)
        return take(value) if isinstance(value, dict) else empty

    return taken


def first_of(name: str, take: Callable[[Fields], Any], empty: Any) -> Callable[[Fields], Any]:
    """The same of the first in a list."""

    def taken(fields: Fields) -> Any:
        value = fields.get(name)
        return take(value[0]) if isinstance(value, list) and value and isinstance(value[0], dict) else empty

    return taken


def each_of(name: str, take: Callable[[Fields], Any]) -> Callable[[Fields], list[Any]]:
    """The same of each in a list."""

    def taken(fields: Fields) -> list[Any]:
        value = fields.get(name)
        return [take(part) for part in value if isinstance(part, dict)] if isinstance(value, list) else []

    return taken


def _of_document(take: Callable[[Fields], Any], empty: Any) -> Callable[[Fields], Any]:
    return inside("document", take, empty)


def _most_hosts(fields: Fields) -> int:
    return max(each_of("prevalence", number("hosts"))(fields), default=0)


DETECTIONS = Kind(
    "detections",
    {
        "id": (arrow.texts, text("id")),
        "kind": (arrow.low_texts, text("kind")),
        "subject": (arrow.low_texts, text("subject")),
        "revision": (arrow.low_texts, text("revision")),
        "title": (arrow.low_texts, text("title")),
        "level": (arrow.low_texts, text("level")),
        "tags": (arrow.lists, listed("tags")),
        "log": (arrow.low_texts, text("log")),
        "topic": (arrow.low_texts, text("topic")),
        "partition": (arrow.small_numbers, number("partition")),
        "offset": (arrow.large_numbers, number("offset")),
        "time": (arrow.moments, number("time")),
        "kafka_time": (arrow.moments, number("kafka_time")),
        "late": (arrow.flags, flag("late")),
        "doubtful_time": (arrow.flags, flag("doubtful_time")),
        "raw_sha256": (arrow.texts, text("raw_sha256")),
        "format": (arrow.low_texts, text("format")),
        "product": (arrow.low_texts, text("product")),
        "category": (arrow.low_texts, text("category")),
        "service": (arrow.low_texts, text("service")),
        "event_id": (arrow.small_numbers, number("event_id")),
        "host": (arrow.low_texts, text("host")),
        "user": (arrow.texts, text("user")),
        "src_ip": (arrow.texts, text("src_ip")),
        "entities": (arrow.lists, listed("entities")),
        "item": (arrow.low_texts, inside("finding", text("item"), "")),
        "finding": (arrow.texts, inside("finding", text("id"), "")),
        "entity": (arrow.texts, inside("finding", text("entity"), "")),
        "retrospective": (arrow.flags, flag("retrospective")),
    },
)

INCIDENTS = Kind(
    "incidents",
    {
        "id": (arrow.texts, text("id")),
        "number": (arrow.texts, text("number")),
        "revision": (arrow.large_numbers, number("revision")),
        "opened": (arrow.moments, number("opened")),
        "changed": (arrow.moments, number("changed")),
        "respond_by": (arrow.moments, number("respond_by")),
        "first_event": (arrow.moments, number("first_event")),
        "last_event": (arrow.moments, number("last_event")),
        "status": (arrow.low_texts, text("status")),
        "class": (arrow.low_texts, inside("class", text("id"), "")),
        "priority": (arrow.small_numbers, number("priority")),
        "severity": (arrow.low_texts, text("severity")),
        "item": (arrow.low_texts, first_of("items", text("id"), "")),
        "title": (arrow.texts, inside("title", text("en"), "")),
        "entities": (arrow.lists, listed("entities")),
        "retrospective": (arrow.flags, flag("retrospective")),
    },
)

INDICATORS = Kind(
    "indicators",
    {
        "source": (arrow.low_texts, text("source")),
        "id": (arrow.texts, text("id")),
        "revision": (arrow.large_numbers, number("revision")),
        "at": (arrow.moments, number("at")),
        "state": (arrow.low_texts, text("state")),
        "feed": (arrow.low_texts, text("feed")),
        "title": (arrow.texts, _of_document(text("title"), "")),
        "types": (arrow.lists, _of_document(each_of("values", text("type")), [])),
        "values": (arrow.lists, _of_document(each_of("values", text("value")), [])),
        "authority": (arrow.low_texts, _of_document(text("authority"), "")),
        "owner": (arrow.low_texts, _of_document(text("owner"), "")),
        "tlp": (arrow.low_texts, _of_document(text("tlp"), "")),
        "valid_until": (arrow.moments, _of_document(number("valid_until"), 0)),
        "reasons": (arrow.lists, each_of("reasons", text("rule"))),
        "hosts": (arrow.small_numbers, _most_hosts),
    },
)
