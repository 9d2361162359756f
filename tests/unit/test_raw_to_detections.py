"""ingest's edge: slices meet, outcomes are delivered before anything is done, dead letters keep their bytes."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.correlation.resolve import NO_CORRELATIONS
from pipeline.agents.raw_to_detections import (
    DEAD_LETTER_HEAD,
    DEAD_LETTER_WHOLE,
    SLICE_RECORDS,
    RawToDetections,
    dead_letter,
    slices,
)
from pipeline.contributing import Contributing
from pipeline.delivery import Outgoing
from pipeline.detecting import Judgement
from pipeline.metrics import Metrics
from pipeline.settings import Settings
from schemas.dead_letter import DeadLetter
from schemas.errors import UnreachableError
from schemas.event import RecordBatch
from tests.builders import FakeRecord, batch_of
from tests.fakes_transport import FakeLogs


@given(st.lists(st.integers(1, 3), max_size=1_500), st.integers(0, 3), st.integers(0, 400_000))
def test_slices_cover_a_batch_without_hole_or_overlap_whatever_the_offsets(
    steps: list[int], tail: int, size: int
) -> None:
    offset, records = 10, []
    for number, step in enumerate(steps):
        records.append(FakeRecord(offset, b"x" * (size if number % 97 == 0 else 1)))
        offset += step
    batch = RecordBatch("log0", "raw", 3, 10, offset + tail, records)
    parts = list(slices(batch))
    assert [r for part in parts for r in part.records] == records
    assert (parts[0].first, parts[-1].next) == (batch.first, batch.next)
    assert all(a.next == b.first for a, b in itertools.pairwise(parts))
    assert all(len(part.records) <= SLICE_RECORDS for part in parts)
    assert all(part.first <= r.offset < part.next for part in parts for r in part.records)


@dataclass
class FakeReading:
    events: list[Any] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)


class FakeReader:
    """Finds every record unparsable."""

    def read(self, batch: RecordBatch) -> FakeReading:
        return FakeReading(dead=[DeadLetter(r.offset, r.timestamp, "json", r.key, r.value) for r in batch.records])


class FakeRules:
    correlations = NO_CORRELATIONS
    joins: frozenset[str] = frozenset()

    def judge(self, *_: Any) -> Judgement:
        return Judgement([], [])


@dataclass
class FakeStoring:
    offered: list[tuple[int, int]] = field(default_factory=list)

    async def room(self) -> None: ...

    def offer(self, batch: RecordBatch, _parsed: Any) -> None:
        self.offered.append((batch.first, batch.next))


@dataclass
class FakeDelivery:
    sent: dict[str, list[Outgoing]] = field(default_factory=dict)
    broken: bool = False

    async def send(self, topic: str, records: Any) -> None:
        if self.broken:
            raise UnreachableError("no broker")
        self.sent.setdefault(topic, []).extend(records)


def agent(storing: FakeStoring, delivery: FakeDelivery) -> RawToDetections:
    contributing = Contributing(Settings(), FakeLogs({}), delivery, Metrics())
    return RawToDetections(FakeReader(), FakeRules(), storing, delivery, Metrics(), contributing)  # type: ignore[arg-type]


async def test_every_record_of_a_batch_is_offered_to_storing_and_every_dead_letter_delivered() -> None:
    storing, delivery, acked = FakeStoring(), FakeDelivery(), []
    one = agent(storing, delivery)
    await one.handle(batch_of(*[b"{"] * 600), lambda: acked.append(len(delivery.sent["dead-letters"])))
    await one.drain()
    assert storing.offered == [(0, 128), (128, 256), (256, 384), (384, 512), (512, 600)]
    assert acked == [600], "acknowledged once, after its dead letters were delivered"


async def test_a_batch_without_results_is_acknowledged_at_once() -> None:
    acked: list[int] = []
    await agent(FakeStoring(), FakeDelivery()).handle(batch_of(), lambda: acked.append(1))
    assert acked == [1]


async def test_a_batch_whose_outcome_cannot_be_delivered_is_never_acknowledged_and_stops_the_worker() -> None:
    acked: list[int] = []
    one = agent(FakeStoring(), FakeDelivery(broken=True))
    await one.handle(batch_of(b"{"), lambda: acked.append(1))
    with pytest.raises(UnreachableError):
        await one.drain()
    assert acked == []


async def test_the_next_batch_is_refused_after_a_failed_delivery() -> None:
    one = agent(FakeStoring(), FakeDelivery(broken=True))
    await one.handle(batch_of(b"{"), lambda: None)
    await asyncio.sleep(0.01)  # the delivery is a task of its own
    with pytest.raises(UnreachableError):
        await one.handle(batch_of(b"{", first=1), lambda: None)


def test_a_large_dead_letter_travels_shortened_with_its_length_and_hash() -> None:
    raw = b"x" * (DEAD_LETTER_WHOLE + 1)
    sent = dead_letter(batch_of(raw), DeadLetter(0, 5, "json", None, raw))
    headers = dict(sent.headers)
    assert len(sent.value) == DEAD_LETTER_HEAD
    assert headers["length"] == str(len(raw)).encode()
    assert len(headers["sha256"]) == 64
    assert sent.key == b"log0-raw.events-0-0"


def test_a_dead_letter_keeps_its_original_bytes_and_reason() -> None:
    sent = dead_letter(batch_of(b"\xff{"), DeadLetter(0, 5, "encoding", None, b"\xff{"))
    assert sent.value == b"\xff{"
    assert dict(sent.headers)["reason"] == b"encoding"
    assert dict(dead_letter(batch_of(None), DeadLetter(0, 5, "empty", None, None)).headers)["null"] == b"1"
