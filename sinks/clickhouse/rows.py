"""Events, dead letters and observables of one block: columns gathered batch by batch, Arrow at the end.

Python objects of rows live only until SEALED of them are there; then they are Arrow. A heap with tens of thousands of
small live strings makes parsing several times slower.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Protocol

import pyarrow as pa

from schemas.dead_letter import DeadLetter
from schemas.errors import HaltError
from schemas.event import Event, Observable, Record, RecordBatch
from sinks.clickhouse import arrow
from sinks.clickhouse.hashing import packed_headers
from sinks.clickhouse.ledger import Claim

#: Rows that are kept as Python objects before they become Arrow.
SEALED = 2_048
#: Hosts that an observable names; `host_count` tells how many there were.
HOSTS = 16

_row = attrgetter(
    "time_ms",
    "kafka_ms",
    "late",
    "doubtful",
    "host",
    "user",
    "src_ip",
    "dst_ip",
    "process",
    "command_line",
    "domain",
    "offset",
    "format",
    "source",
)


class Reading(Protocol):
    """What a parser made of a batch (`pipeline.parsers.Reading`): each record an event or a dead letter."""

    @property
    def events(self) -> Sequence[Event]: ...
    @property
    def dead(self) -> Sequence[DeadLetter]: ...


class EventColumns:
    """The rows of one block of a raw topic."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._beside: list[tuple[Record, bytes]] = []
        self._sealed: list[pa.RecordBatch] = []
        self._raw = arrow.Blobs()
        self._dead = DeadColumns()
        self._seen: dict[Observable, list[Any]] = {}

    def add(self, batch: RecordBatch, reading: Reading, digests: Sequence[bytes]) -> None:
        """Append the rows of the batch's records; `reading` may cover more records than the batch.

        `digests` are the SHA-256 of the records' values, in the same order. Raises HaltError when a record is neither
        an event nor a dead letter, or both: such a block would never be complete.
        """
        events, dead = reading.events, reading.dead
        beside = list(zip(batch.records, digests, strict=True))
        if len(events) + len(dead) != len(beside):
            events, dead = within(events, batch), within(dead, batch)
        if len(events) + len(dead) != len(beside):
            raise HaltError(
                f"The parsers made {len(events) + len(dead)} rows of {len(beside)} records of {batch.topic}/"
                f"{batch.partition} from offset {batch.first}: this is a fault of ours; report it with that offset."
            )
        if dead:
            by_offset = {record.offset: (record, hashed) for record, hashed in beside}
            self._dead.add(dead, [by_offset[letter.offset] for letter in dead])
            beside = [by_offset[event.offset] for event in events]
        self._raw.extend([event.raw for event in events])
        self._rows += map(_row, events)  # no event is kept: its fields weigh ten times its columns
        self._beside += beside
        observe(self._seen, events)
        if len(self._rows) >= SEALED:
            self._seal()

    def tables(self, claim: Claim) -> dict[str, pa.Table]:
        """Observables, dead letters, events: `events` stands last, so that its rows prove the others' insertion."""
        self._seal()
        events = with_block(joined(self._sealed), claim)
        if events.num_rows:
            events = events.append_column("raw", self._raw.column())
        tables = {
            "observables": _observables(self._seen, claim),
            "dead_letters": self._dead.table(claim),
            "events": events,
        }
        return {name: table for name, table in tables.items() if table.num_rows}

    def _seal(self) -> None:
        if self._rows:
            self._sealed.append(_events(self._rows, self._beside))
            self._rows, self._beside = [], []


class DeadColumns:
    """The dead letters of one block."""

    def __init__(self) -> None:
        self._letters: list[DeadLetter] = []
        self._beside: list[tuple[Record, bytes]] = []

    def add(self, letters: Sequence[DeadLetter], beside: Sequence[tuple[Record, bytes]]) -> None:
        """Append letters with their records and the digests of their values."""
        self._letters += letters
        self._beside += beside

    def table(self, claim: Claim) -> pa.Table:
        """All of them; a table of no rows for none."""
        letters, beside = self._letters, self._beside
        columns = {
            "offset": arrow.offsets([letter.offset for letter in letters]),
            "kafka_time": arrow.moments([letter.kafka_ms for letter in letters]),
            "reason": arrow.low_texts([letter.reason for letter in letters]),
            **_key_and_headers(beside),
            "raw": arrow.blobs([letter.raw for letter in letters]),
            "raw_sha256": arrow.digests([hashed for _, hashed in beside]),
        }
        return with_block([pa.RecordBatch.from_pydict(columns)], claim)


def within(rows: Sequence[Any], batch: RecordBatch) -> list[Any]:
    """The rows whose offset lies in the batch."""
    return [row for row in rows if batch.first <= row.offset < batch.next]


def observe(seen: dict[Observable, list[Any]], events: Iterable[Event]) -> None:
    """Count the events' observables: value → [first time, last time, count, hosts]."""
    for event in events:
        when, host = event.time_ms, event.host
        for observable in event.observables:
            known = seen.get(observable)
            if known is None:
                seen[observable] = [when, when, 1, {host}]
                continue
            if when < known[0]:
                known[0] = when
            elif when > known[1]:
                known[1] = when
            known[2] += 1
            known[3].add(host)


def joined(parts: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """The parts as one: an insert must be one block, or its token would be several."""
    return pa.Table.from_batches(parts).combine_chunks().to_batches() if len(parts) > 1 else parts


def with_block(parts: Sequence[pa.RecordBatch], claim: Claim, prefix: str = "") -> pa.Table:
    """One table of at most one part, with the columns that are the same for the whole block."""
    if not parts:
        return pa.table({})
    table = pa.Table.from_batches(parts)
    for name, column in _block(claim, table.num_rows, prefix).items():
        table = table.append_column(name, column)
    return table


def _block(claim: Claim, count: int, prefix: str = "") -> dict[str, pa.Array]:
    log, topic, partition = claim.chain
    return {
        f"{prefix}log": arrow.constant(log, count),
        f"{prefix}topic": arrow.constant(topic, count),
        f"{prefix}partition": arrow.repeated(partition, pa.uint32(), count),
        "received": arrow.repeated(claim.received, arrow.MOMENT, count),
    }


def _events(rows: Sequence[tuple[Any, ...]], beside: Sequence[tuple[Record, bytes]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    time, kafka, late, doubtful, host, user, src, dst, process, command, domain, offset, formats, sources = columns
    product, category, service, event_id = zip(*sources, strict=True)
    return pa.RecordBatch.from_pydict(
        {
            "offset": arrow.offsets(offset),
            "time": arrow.moments(time),
            "kafka_time": arrow.moments(kafka),
            "late": arrow.flags(late),
            "doubtful": arrow.flags(doubtful),
            "format": arrow.low_texts([form.name for form in formats]),
            "product": arrow.low_texts(product),
            "category": arrow.low_texts(category),
            "service": arrow.low_texts(service),
            "event_id": arrow.small_numbers(event_id),
            "host": arrow.low_texts(host),
            "user": arrow.texts(user),
            "src_ip": arrow.texts(src),
            "dst_ip": arrow.texts(dst),
            "process": arrow.texts(process),
            "command_line": arrow.texts(command),
            "domain": arrow.texts(domain),
            **_key_and_headers(beside),
            "raw_sha256": arrow.digests([hashed for _, hashed in beside]),
        }
    )


def _key_and_headers(beside: Sequence[tuple[Record, bytes]]) -> dict[str, pa.Array]:
    return {
        "key": arrow.blobs([record.key for record, _ in beside]),
        "headers": arrow.blobs([packed_headers(r.headers) if r.headers else b"" for r, _ in beside]),
    }


def _observables(seen: dict[Observable, list[Any]], claim: Claim) -> pa.Table:
    """Sorted, so that the same block gives the same bytes whatever the order of its batches was."""
    known = sorted(seen.items())
    count = len(known)
    hosts = [sorted(host for host in facts[3] if host) for _, facts in known]
    columns = {
        "type": arrow.low_texts([observable.type for observable, _ in known]),
        "value": arrow.texts([observable.value for observable, _ in known]),
        "first": arrow.moments([facts[0] for _, facts in known]),
        "last": arrow.moments([facts[1] for _, facts in known]),
        "count": pa.array([facts[2] for _, facts in known], pa.uint64()),
        "hosts": pa.array([names[:HOSTS] for names in hosts], pa.list_(pa.string())),
        "host_count": pa.array([len(names) for names in hosts], pa.uint32()),
        **_block(claim, count),
        "block_first": arrow.repeated(claim.first, pa.uint64(), count),
        "block_last": arrow.repeated(claim.last, pa.uint64(), count),
    }
    return pa.table(columns)
