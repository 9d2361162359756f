"""Whatever comes, in whatever order, however often and wherever it is cut: one number each, nothing lost, one truth."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.triage.fold import Incidents
from pipeline.agents.detections_to_intake import Collapse
from pipeline.agents.intake_to_incidents import IntakeToIncidents
from pipeline.delivery import Outgoing
from pipeline.metrics import Metrics
from schemas.detection import Detection
from schemas.errors import QorganError
from schemas.incident import Incident
from schemas.journal import GENESIS, BrokenJournalError, Fact, Head, Intake, Registered, Sealed, chained
from sinks.journal.files import FileJournal, read, verify
from tests.builders import batch_of
from tests.triage import DUMP, GUESS, LEAK, LIST, MOVE, T0, FakeDelivery, LocalJournal, found

detections = st.builds(
    found,
    st.integers(0, 200),
    host=st.sampled_from(["ws-1", "ws-2", "ws-3", ""]),
    user=st.sampled_from(["a", "b", "SYSTEM"]),
    src_ip=st.sampled_from(["", "10.0.0.1"]),
    tags=st.sampled_from([DUMP, MOVE, LEAK, GUESS]),
    level=st.sampled_from(["medium", "high", "critical"]),
    time=st.integers(T0, T0 + 3 * 86_400_000),
)


class KilledError(QorganError):
    """The process was killed here."""


class Topics(FakeDelivery):
    """Topics that outlive processes; a send can be killed before or after it arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.kill = ""

    async def send(self, topic: str, records: Sequence[Outgoing]) -> None:
        if topic == "incidents" and self.kill == "before publishing":
            raise KilledError
        await super().send(topic, records)
        if topic == "incidents" and self.kill == "after publishing":
            raise KilledError


class World:
    """`intake`, the journal's files and `incidents`; processes come and go, the offset committed is what was acked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.topics = Topics()
        self.intake: list[bytes] = []
        self.committed = 0
        self.position = 0
        self.clock = 0.0
        self.tear = -1
        self.process = self._new()

    def _new(self) -> IntakeToIncidents:
        return IntakeToIncidents(
            LocalJournal(self.folder, self._torn),
            LIST,
            self.topics,
            Metrics(),
            "Asia/Almaty",
            clock=lambda: self.clock,
            wall=lambda: T0 + int(self.clock * 1000),
        )

    def _torn(self, entries: Sequence[Sealed]) -> None:
        """The write is cut after `tear` bytes, and the process with it."""
        if self.tear < 0:
            return
        data = b"".join(sealed.line + b"\n" for sealed in entries)[: self.tear]
        paths = sorted(self.folder.glob("*.jsonl")) or [self.folder / f"{1:020d}.jsonl"]
        with paths[-1].open("ab") as file:
            file.write(data)
        raise KilledError

    async def read(self, count: int) -> None:
        """The process reads so many records and judges them; it may be killed meanwhile."""
        values = self.intake[self.position : self.position + count]
        if not values:
            return
        batch = batch_of(*values, first=self.position, topic="intake", log="i")
        self.position = batch.next

        def ack() -> None:
            self.committed = max(self.committed, batch.next)

        try:
            await self.process.handle(batch, ack)
        except KilledError:
            await self.restart()

    async def restart(self) -> None:
        """The process is gone; another one starts where the group's offset stands."""
        await self.process._let_go()
        self.process = self._new()
        self.position = self.committed


#: One record has one time and one host: an id stands for one detection.
many = st.lists(detections, min_size=1, max_size=40, unique_by=lambda one: one.id)
steps = st.one_of(
    st.tuples(st.just("read"), st.integers(1, 20)),
    st.tuples(st.just("kill"), st.sampled_from(["before publishing", "after publishing"])),
    st.tuples(st.just("tear"), st.integers(0, 9_000)),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("wait"), st.integers(100, 1_500)),
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(many, st.lists(steps, min_size=2, max_size=20))
def test_no_interleaving_of_duplicates_kills_and_restarts_gives_a_number_twice_or_loses_a_revision(
    what: list[Detection], plan: list[tuple[str, object]]
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(_live(Path(scratch) / "journal", what, plan))


async def _live(folder: Path, what: list[Detection], plan: list[tuple[str, object]]) -> None:
    world = World(folder)
    world.intake = collapsed(what) + collapsed(what[::-1])  # a correlate that was restarted repeats in its own way
    for step, argument in plan:
        world.topics.kill, world.tear = "", -1
        if step == "kill":
            world.topics.kill = str(argument)
        elif step == "tear":
            world.tear = int(argument)  # type: ignore[call-overload] # an int by its strategy
        elif step == "wait":
            world.clock += float(argument) / 1000  # type: ignore[arg-type] # an int by its strategy
            await world.process.tick()
        elif step == "restart":
            await world.restart()
        if step in ("read", "kill", "tear"):
            await world.read(int(argument) if step == "read" else 10)  # type: ignore[call-overload] # as above
    world.topics.kill, world.tear = "", -1
    await world.restart()
    while world.committed < len(world.intake):
        await world.read(len(world.intake))
        await world.process.release()
    assert_true(world, what)


def collapsed(what: list[Detection]) -> list[bytes]:
    """The updates of these detections, cut as a correlate would."""
    collapse = Collapse()
    updates = [update for number, one in enumerate(what) for update in collapse.judge([one], number, number / 3)]
    return [update.to_bytes() for update in updates + collapse.flush(0.0, everything=True)]


def assert_true(world: World, what: list[Detection]) -> None:
    """Numbers once, revisions without holes and always the same, every detection in exactly one incident."""
    assert verify(world.folder).broken is None
    folded = Incidents()
    numbers = []
    for sealed in read(world.folder):
        folded.apply(sealed.entry)
        if isinstance(sealed.entry.body, Registered):
            numbers.append(sealed.entry.body.number)
    assert numbers == [f"2026-{place:06d}" for place in range(1, len(numbers) + 1)]
    published: dict[tuple[str, int], bytes] = {}
    for record in world.topics.sent.get("incidents", []):
        one = Incident.from_bytes(record.value)
        assert published.setdefault((one.id, one.revision), record.value) == record.value
    for case in folded.cases.values():
        assert [key for key in published if key[0] == case.id] == [(case.id, n) for n in range(1, case.revision + 1)]
        assert published[case.id, case.revision] == case.incident().to_bytes()
        assert case.severity == case.highest
        assert case.notified_severity == case.severity
    told = [piece.id for case in folded.cases.values() for piece in case.incident().evidence]
    claimed = {one.id for one in what if one.finding is not None}
    assert set(told) == claimed
    assert sum(case.incident().counts.findings for case in folded.cases.values()) == len(
        {one.finding.id for one in what if one.finding is not None}
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(many)
def test_the_fold_of_what_was_written_is_what_was_decided(what: list[Detection]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(_decided(Path(scratch) / "journal", what))


async def _decided(folder: Path, what: list[Detection]) -> None:
    world = World(folder)
    world.intake = collapsed(what)
    await world.process.take_over()
    await world.read(len(world.intake))
    assert world.process._desk is not None
    live = world.process._desk.incidents
    folded = Incidents()
    for sealed in read(folder):
        folded.apply(sealed.entry)
    assert [case.incident().to_bytes() for case in live.cases.values()] == [
        case.incident().to_bytes() for case in folded.cases.values()
    ]
    assert live.next_number(2026) == folded.next_number(2026)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.data())
def test_a_change_of_one_byte_anywhere_is_named_at_its_entry(groups: list[int], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "journal"
        journal = FileJournal(folder)
        journal.take()
        journal.read(lambda _: None)
        for size in groups:
            journal.append(group(size, journal.head))
        journal.close()
        path = next(folder.glob("*.jsonl"))
        whole = path.read_bytes()
        place = data.draw(st.integers(0, len(whole) - 1))
        byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[place]))
        path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
        broken = verify(folder).broken
        assert isinstance(broken, BrokenJournalError)
        assert broken.seq == 1 + whole[:place].count(b"\n")


def group(size: int, after: Head = GENESIS) -> list[Sealed]:
    facts = [
        Fact(
            at=1,
            incident=f"i{number}",
            revision=1,
            intake=Intake(log="l", offset=number),
            body=Registered(number=f"2026-{after.seq + number + 1:06d}", severity="high"),
        )
        for number in range(size)
    ]
    return chained(after, 1, facts)
