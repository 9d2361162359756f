"""respond: journaled, then published, then acknowledged; a takeover makes up for whatever a crash cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pipeline.agents.intake_to_incidents import IntakeToIncidents
from pipeline.delivery import Outgoing
from pipeline.metrics import Metrics
from schemas.detection import IndicatorFacts
from schemas.errors import QorganError, RefusedError, UnreachableError
from schemas.event import RecordBatch
from schemas.incident import Incident
from schemas.intake import FindingUpdate, IndicatorMark, Position, Revocation, Revocations
from schemas.journal import BrokenJournalError, Sealed
from sinks.journal.files import read, verify
from tests.builders import batch_of
from tests.triage import DUMP, LEAK, LIST, MOVE, T0, FakeDelivery, LocalJournal, found, update


class Scene:
    """One respond process after another over the same journal and the same topics."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.delivery = FakeDelivery()
        self.clock = 0.0
        self.acked: list[int] = []
        self.fail: Callable[[Sequence[Sealed]], None] = lambda _entries: None
        self.metrics = Metrics()

    def process(self) -> IntakeToIncidents:
        """A new process; the one before is dead and lets nothing go by itself."""
        return IntakeToIncidents(
            LocalJournal(self.folder, lambda entries: self.fail(entries)),
            LIST,
            self.delivery,
            self.metrics,
            "Asia/Almaty",
            clock=lambda: self.clock,
            wall=lambda: T0 + int(self.clock * 1000),
        )

    async def handle(self, process: IntakeToIncidents, batch: RecordBatch) -> None:
        await process.handle(batch, lambda: self.acked.append(batch.next))

    @property
    def last(self) -> Incident:
        return self.delivery.incidents[-1]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "journal")


def intake(*updates: FindingUpdate, first: int = 0, log: str = "intake0") -> RecordBatch:
    return batch_of(*(one.to_bytes() for one in updates), first=first, topic="intake", log=log)


async def test_an_update_is_journaled_published_and_acknowledged(scene: Scene) -> None:
    process = scene.process()
    await scene.handle(process, intake(update(found(0))))
    assert [sealed.entry.body.kind for sealed in read(scene.folder)] == ["registered", "finding_added", "notified"]
    assert [(one.number, one.revision) for one in scene.delivery.incidents] == [("2026-000001", 1)]
    assert scene.delivery.sent["incidents"][0].key == scene.last.id.encode()
    assert scene.acked == [1]


async def test_nothing_is_published_or_acknowledged_that_is_not_journaled(scene: Scene) -> None:
    def full(_entries: Sequence[Sealed]) -> None:
        raise QorganError("the disk is full")

    scene.fail = full
    with pytest.raises(QorganError):
        await scene.handle(scene.process(), intake(update(found(0))))
    assert (scene.delivery.sent, scene.acked) == ({}, [])


async def test_what_was_journaled_but_not_published_is_published_by_the_next_process(scene: Scene) -> None:
    scene.delivery.refuse = lambda topic, _records: topic == "incidents"
    batch = intake(update(found(0)))
    with pytest.raises(UnreachableError):
        await scene.handle(scene.process(), batch)
    assert scene.acked == []
    scene.delivery.refuse = lambda _topic, _records: False
    await scene.handle(scene.process(), batch)
    assert [(one.number, one.revision) for one in scene.delivery.incidents] == [("2026-000001", 1)]
    assert verify(scene.folder).head.seq == 3, "nothing was decided twice"
    assert scene.acked == [1]


async def test_what_was_published_but_not_acknowledged_is_the_same_revision_with_the_same_bytes(scene: Scene) -> None:
    batch = intake(update(found(0)), update(found(1, tags=MOVE)))
    first = scene.process()
    await scene.handle(first, batch)
    await first.release()
    scene.clock = 30.0
    await scene.handle(scene.process(), batch)
    one, again = scene.delivery.sent["incidents"]
    assert one.value == again.value


async def test_what_waits_for_its_second_is_not_acknowledged_and_not_lost_by_a_crash(scene: Scene) -> None:
    process = scene.process()
    await scene.handle(process, intake(update(found(0))))
    await scene.handle(process, intake(update(found(1)), first=1))
    assert (scene.acked, scene.last.revision) == ([1], 1)
    await process._let_go()  # it is killed: nothing more is said by it
    second = scene.process()
    await scene.handle(second, intake(update(found(1)), first=1))
    await second.release()
    assert (scene.last.revision, scene.last.counts.detections) == (2, 2)
    assert scene.acked == [1, 2]


async def test_a_second_later_what_waited_is_told(scene: Scene) -> None:
    process = scene.process()
    await scene.handle(process, intake(update(found(0))))
    for number in range(1, 4):
        await scene.handle(process, intake(update(found(number)), first=number))
    scene.clock = 0.9
    await process.tick()
    assert scene.last.revision == 1
    scene.clock = 1.0
    await process.tick()
    assert (scene.last.revision, scene.last.counts.detections) == (2, 4)
    assert scene.acked == [1, 2, 3, 4]


async def test_a_higher_severity_does_not_wait_and_takes_along_what_does(scene: Scene) -> None:
    process = scene.process()
    await scene.handle(process, intake(update(found(0, level="medium"))))
    await scene.handle(process, intake(update(found(1, level="medium")), first=1))
    await scene.handle(process, intake(update(found(2, level="critical")), first=2))
    assert (scene.last.revision, scene.last.severity, scene.last.counts.detections) == (2, "critical", 3)
    assert scene.last.counts.notices == 2
    assert scene.acked == [1, 2, 3]


async def test_giving_the_partition_up_finishes_what_waits_and_lets_the_next_process_in(scene: Scene) -> None:
    first, second = scene.process(), scene.process()
    await scene.handle(first, intake(update(found(0))))
    await scene.handle(first, intake(update(found(1)), first=1))
    await first.release()
    await first.release()
    assert not first.active
    assert scene.acked == [1, 2]
    await scene.handle(second, intake(update(found(2, tags=LEAK)), first=2))
    assert (scene.last.number, scene.last.revision) == ("2026-000001", 3)
    await second.release()
    await scene.handle(first, intake(update(found(3, tags=DUMP, host="ws-999", user="x")), first=3))
    assert scene.last.number == "2026-000002"
    assert [sealed.entry.epoch for sealed in read(scene.folder)][-1] == 3


async def test_a_batch_that_waited_while_the_partition_was_given_up_does_not_take_the_journal_back(
    scene: Scene,
) -> None:
    first, second = scene.process(), scene.process()
    await scene.handle(first, intake(update(found(0))))
    async with first._lock:  # it is at work when the partition is taken from it
        late = asyncio.create_task(scene.handle(first, intake(update(found(1, tags=LEAK)), first=1)))
        await asyncio.sleep(0)
        gone = asyncio.create_task(first.release())
        await asyncio.sleep(0)
    await asyncio.gather(late, gone)
    assert not first.active
    assert scene.acked == [1]
    await scene.handle(second, intake(update(found(1, tags=LEAK)), first=1))
    assert (scene.last.revision, scene.acked) == (2, [1, 2])


async def test_revisions_that_a_broker_forgot_are_sent_again_to_its_successor(scene: Scene) -> None:
    first = scene.process()
    await scene.handle(first, intake(update(found(0)), first=50))
    await first.release()
    scene.delivery = FakeDelivery()
    await scene.handle(scene.process(), intake(update(found(1, host="ws-999", user="x")), log="intake1"))
    assert [one.number for one in scene.delivery.incidents] == ["2026-000001", "2026-000002"]


async def test_a_broken_journal_stops_the_process_before_it_says_anything(scene: Scene) -> None:
    first = scene.process()
    await scene.handle(first, intake(update(found(0))))
    await first.release()
    path = next(scene.folder.glob("*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b"2026-000001", b"2026-000002"))
    scene.delivery = FakeDelivery()
    with pytest.raises(BrokenJournalError, match="entry 1"):
        await scene.handle(scene.process(), intake(update(found(1)), first=1))
    assert scene.delivery.sent == {}


async def test_records_that_are_no_updates_become_dead_letters_and_hold_nothing_back(scene: Scene) -> None:
    batch = batch_of(b"{", None, update(found(0)).to_bytes(), b"\x00", topic="intake")
    await scene.handle(scene.process(), batch)
    letters: list[Outgoing] = scene.delivery.sent["dead-letters"]
    assert [dict(one.headers)["offset"] for one in letters] == [b"0", b"1", b"3"]
    assert scene.acked == [4]


async def test_a_mark_of_indicators_is_no_finding_no_fault_and_holds_nothing_back(scene: Scene) -> None:
    at = Position(log="log0", topic="raw.events", partition=0, position=7)
    mark = IndicatorMark(log="log1", offset=3, positions=(at,))
    batch = batch_of(mark.to_bytes(), update(found(0)).to_bytes(), mark.to_bytes(), topic="intake")
    await scene.handle(scene.process(), batch)
    assert "dead-letters" not in scene.delivery.sent
    assert scene.acked == [3]
    assert scene.last.number == "2026-000001"


def by_indicator(offset: int, *sources: str) -> FindingUpdate:
    facts = IndicatorFacts(type="domain", value="evil.example", sources=sources, confidence=80)
    return update(found(offset, rule="i-1", indicator=facts, kind="indicator"))


def taken_back(source: str = "feed-a", indicator: str = "i-1", at: int = T0) -> Revocations:
    said = Revocation(source=source, indicator=indicator, by="feed-a", reason="a scanner's address", at=at)
    return Revocations(revoked=(said,))


def taken_back_at(at: int) -> Revocations:
    return taken_back(at=at)


async def test_an_incident_is_told_that_its_indicator_was_taken_back_and_stays(scene: Scene) -> None:
    process = scene.process()
    said = taken_back()
    batch = batch_of(by_indicator(0, "feed-a", "feed-b").to_bytes(), said.to_bytes(), topic="intake")
    await scene.handle(process, batch)
    kinds = [sealed.entry.body.kind for sealed in read(scene.folder)]
    assert kinds == ["registered", "finding_added", "notified", "indicator_revoked"]
    assert scene.last.revoked == said.revoked
    assert (scene.last.revision, scene.last.status, scene.acked) == (2, "registered", [2])


async def test_a_revocation_said_again_after_a_crash_adds_nothing_and_a_later_one_does(scene: Scene) -> None:
    said: list[FindingUpdate | Revocations] = [by_indicator(0, "feed-a"), *map(taken_back_at, (T0, T0, T0 + 1))]
    for first, one in enumerate(said):
        process = scene.process()
        await scene.handle(process, batch_of(one.to_bytes(), first=first, topic="intake", log="intake0"))
        await process.release()
    revoked = [sealed for sealed in read(scene.folder) if sealed.entry.body.kind == "indicator_revoked"]
    assert len(revoked) == 2
    assert [said.at for said in scene.last.revoked] == [T0 + 1]


@pytest.mark.parametrize("said", [taken_back(source="feed-b"), taken_back(indicator="i-2")])
async def test_what_another_source_takes_back_says_nothing_of_this_indicator(scene: Scene, said: Revocations) -> None:
    batch = batch_of(by_indicator(0, "feed-a").to_bytes(), said.to_bytes(), topic="intake")
    await scene.handle(scene.process(), batch)
    assert "indicator_revoked" not in [sealed.entry.body.kind for sealed in read(scene.folder)]
    assert "dead-letters" not in scene.delivery.sent


async def test_the_year_in_a_number_is_the_banks(scene: Scene) -> None:
    new_year_in_almaty = 1_767_207_600_000  # 2025-12-31 19:00 UTC is midnight there
    scene.clock = (new_year_in_almaty - T0) / 1000
    await scene.handle(scene.process(), intake(update(found(0))))
    assert scene.last.number == "2026-000001"
    assert scene.process()._year(new_year_in_almaty - 1) == 2025


@pytest.mark.parametrize("zone", ["Asia/Almatty", "", "../etc/passwd"])
def test_a_time_zone_that_there_is_not_is_refused(tmp_path: Path, zone: str) -> None:
    with pytest.raises(RefusedError, match="QORGAN_TIMEZONE"):
        IntakeToIncidents(LocalJournal(tmp_path), LIST, FakeDelivery(), Metrics(), zone)


async def test_metrics_count_incidents_findings_entries_and_revisions(scene: Scene) -> None:
    await scene.handle(scene.process(), intake(update(found(0)), update(found(1)), update(found(2, tags=LEAK))))

    def value(name: str, **labels: str) -> float | None:
        return scene.metrics.registry.get_sample_value(f"qorgan_{name}", labels)

    assert value("incidents_total", priority="1") == 1
    assert value("findings_total", item="credential-theft") == 1
    assert value("findings_total", item="data-exfiltration") == 1
    assert value("journal_entries_total", kind="finding_added") == 3
    assert value("incident_revisions_total") == 1
    assert value("incident_seconds_count") == 3
