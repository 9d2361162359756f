"""What the records of each kind of topic become in the store."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import orjson

import sinks.clickhouse
from pipeline.parsers import Reader, Reading
from schemas.dead_letter import DeadLetter
from schemas.event import Record, RecordBatch
from schemas.identity import short_hash
from sinks.clickhouse.documents import (
    DETECTIONS,
    INCIDENTS,
    INDICATORS,
    Document,
    DocumentColumns,
    Documents,
    Kind,
)
from sinks.clickhouse.rows import EventColumns

#: The files that shape rows beside the parsers.
SHAPING = ("arrow.py", "documents.py", "hashing.py", "rows.py")


class EventTabulator:
    """Raw topics: events, dead letters, observables."""

    row_tables = ("events", "dead_letters")

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.revision = short_hash(shaping(), reader.revision)

    def parse(self, batch: RecordBatch) -> Reading:
        """Events and dead letters."""
        return self._reader.read(batch)

    def columns(self) -> EventColumns:
        """An empty block."""
        return EventColumns()


class DocumentTabulator:
    """Topics of our own JSON documents. A value that is no document becomes a dead letter."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self.row_tables = (kind.table, "dead_letters")
        self.revision = short_hash(shaping(), kind.table)

    def parse(self, batch: RecordBatch) -> Documents:
        """Documents and dead letters."""
        read = Documents([], [])
        for record in batch.records:
            _sort(record, read)
        return read

    def columns(self) -> DocumentColumns:
        """An empty block."""
        return DocumentColumns(self._kind)


class DetectionTabulator(DocumentTabulator):
    """The topic `detections`."""

    def __init__(self) -> None:
        super().__init__(DETECTIONS)


class IncidentTabulator(DocumentTabulator):
    """The topic `incidents`."""

    def __init__(self) -> None:
        super().__init__(INCIDENTS)


class IndicatorTabulator(DocumentTabulator):
    """The topic `indicators.gated`."""

    def __init__(self) -> None:
        super().__init__(INDICATORS)


@cache
def shaping() -> str:
    """The revision of the code that makes rows."""
    folder = Path(sinks.clickhouse.__path__[0])
    return short_hash(*((folder / name).read_text() for name in SHAPING))


def _sort(record: Record, read: Documents) -> None:
    value = record.value
    if not value:
        read.dead.append(_dead(record, "empty"))
        return
    try:
        fields: Any = orjson.loads(value)
    except orjson.JSONDecodeError:
        read.dead.append(_dead(record, "json"))
        return
    if isinstance(fields, dict):
        read.documents.append(Document(record.offset, fields, value))
    else:
        read.dead.append(_dead(record, "shape"))


def _dead(record: Record, reason: str) -> DeadLetter:
    return DeadLetter(record.offset, record.timestamp, reason, record.key, record.value)
