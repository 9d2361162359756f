"""correlate's edge: verdicts become detections, nothing is said twice, and a state comes back however it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from detectors.correlation.contribution import About, Contribution
from detectors.correlation.fold import Limits
from detectors.correlation.parcels import Marks, packed
from detectors.triage.attribution import Attribution
from pipeline.agents.contributions_to_detections import CHECKPOINT_S, ContributionsToDetections
from pipeline.checkpoints import At, Checkpoints
from pipeline.correlating import Correlating
from pipeline.event_list import load_event_list
from pipeline.metrics import Metrics
from schemas.detection import Detection
from schemas.errors import UnreachableError
from schemas.event import RecordBatch, Source
from tests.builders import FakeRecord
from tests.correlation import HOUR, MINUTE, SECOND, T0, at, correlation, in_force

RULE = correlation("event_count", ("gte", 3), tags=("attack.t1110",))
ABOUT = About("ws-1", "anna", "10.0.0.1", ("host:ws-1", "user:anna"), Source("windows", "", "security", 4625), "nxlog")
TOPICS = {"raw": ("log", 1)}
KAFKA = T0 + 7 * SECOND


def parcel(*contributions: Contribution) -> bytes:
    (value,) = packed(contributions, {"corr": "r1"})
    return value


def marks(time: int) -> bytes:
    return Marks({"log/raw/0": T0 + time}, TOPICS, 10 * MINUTE).to_bytes()


ONE, TWO, THREE = (parcel(at(n * SECOND, n, about=ABOUT)) for n in range(3))
LATER = marks(HOUR)


def batch(*values: bytes, first: int = 0) -> RecordBatch:
    records = [FakeRecord(first + number, value, KAFKA) for number, value in enumerate(values)]
    return RecordBatch("log1", "contributions", 2, first, first + len(values), records)


class Topic:
    """The topic read again, from memory."""

    def __init__(self, *values: bytes) -> None:
        self.values = values
        self.asked: list[tuple[int | None, int, int]] = []

    async def read(self, where: At, start: int | None, until: int, reach_ms: int) -> AsyncIterator[FakeRecord]:
        self.asked.append((start, until, reach_ms))
        for offset, value in enumerate(self.values):
            if (start or 0) <= offset < until:
                yield FakeRecord(offset, value, KAFKA)


class Delivery:
    def __init__(self) -> None:
        self.detections: list[Detection] = []
        self.letters = 0
        self.broken = False

    async def send(self, topic: str, records: Sequence[Any]) -> None:
        if self.broken:
            raise UnreachableError("no broker")
        if topic == "dead-letters":
            self.letters += len(records)
        else:
            assert topic == "detections"
            self.detections += [Detection.from_bytes(record.value) for record in records]

    def faces(self) -> list[str]:
        said, self.detections = self.detections, []
        return [one.face for one in said]


class Scene:
    """One process after another over one folder and one topic."""

    def __init__(self, folder: Path) -> None:
        self.checkpoints = Checkpoints(folder / "correlate")
        self.topic = Topic(ONE, TWO, THREE, LATER)
        self.delivery = Delivery()
        self.metrics = Metrics()
        self.now = 0.0

    def agent(self, *rules: Any, limits: Limits | None = None, shadow: frozenset[str] = frozenset()) -> Any:
        correlating = Correlating(in_force(*rules or (RULE,)), Attribution(load_event_list(None)), shadow)
        return ContributionsToDetections(
            correlating,
            self.checkpoints,
            self.topic,  # type: ignore[arg-type] # a fake
            self.delivery,
            self.metrics,
            limits or Limits(),
            clock=lambda: self.now,
            wall=lambda: T0 + HOUR,
        )

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"qorgan_{name}", labels) or 0.0


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def handle(agent: Any, given: RecordBatch) -> bool:
    acked: list[int] = []
    await agent.handle(given, lambda: acked.append(1))
    return bool(acked)


async def test_a_verdict_is_a_detection_of_its_first_record(scene: Scene) -> None:
    agent = scene.agent()
    assert await handle(agent, batch(ONE, TWO, THREE))
    (said,) = scene.delivery.detections
    assert (said.kind, said.subject, said.face, said.records) == ("correlation", "corr", "provisional", 3)
    assert (said.log, said.topic, said.partition, said.offset) == ("log", "raw", 0, 0)
    assert (said.time, said.until, said.kafka_time) == (T0, T0 + 2 * SECOND, KAFKA)
    assert (said.host, said.user, said.src_ip, said.product) == ("ws-1", "anna", "10.0.0.1", "windows")
    assert said.matched == {"host": "h"}
    assert said.finding is not None

    await handle(agent, batch(LATER, first=3))
    assert {one.id for one in scene.delivery.detections} == {said.id}, "finally the same"
    assert scene.delivery.faces() == ["provisional", "final", "closed"]
    assert scene.value("contributions_total", outcome="taken") == 3


async def test_a_correlation_in_shadow_belongs_to_no_finding(scene: Scene) -> None:
    await handle(scene.agent(shadow=frozenset({"corr"})), batch(ONE, TWO, THREE))
    (said,) = scene.delivery.detections
    assert (said.stage, said.finding) == ("shadow", None)


async def test_without_a_checkpoint_the_topic_is_read_again_and_nothing_is_said_twice(scene: Scene) -> None:
    await handle(scene.agent(), batch(ONE, TWO, THREE))
    assert scene.delivery.faces() == ["provisional"]

    agent = scene.agent()  # after kill -9
    await handle(agent, batch(LATER, first=3))
    assert scene.topic.asked == [(None, 3, RULE.reach)]
    assert scene.delivery.faces() == ["final", "closed"]


async def test_a_checkpoint_goes_on_where_it_was_written(scene: Scene) -> None:
    agent = scene.agent()
    await handle(agent, batch(ONE, TWO))
    await agent.release()
    await handle(scene.agent(), batch(THREE, first=2))
    assert scene.topic.asked == [], "nothing was read again"
    assert scene.delivery.faces() == ["provisional"]


async def test_from_a_checkpoint_to_the_group_s_position_the_topic_is_read_again(scene: Scene) -> None:
    agent = scene.agent()
    await handle(agent, batch(ONE))
    await agent.release()
    await handle(agent, batch(TWO, first=1))  # killed after this
    await handle(scene.agent(), batch(THREE, first=2))
    assert scene.topic.asked == [(1, 2, RULE.reach)]
    assert scene.delivery.faces() == ["provisional"]


async def test_records_that_a_checkpoint_holds_already_are_not_taken_twice(scene: Scene) -> None:
    """It was written after they were delivered and before the group's offset said so."""
    agent = scene.agent()
    await handle(agent, batch(ONE, TWO, THREE))
    assert scene.delivery.faces() == ["provisional"]
    await agent.release()
    assert await handle(scene.agent(), batch(ONE, TWO, THREE, LATER))
    assert scene.delivery.faces() == ["final", "closed"]


async def test_a_checkpoint_is_written_every_five_minutes(scene: Scene) -> None:
    agent = scene.agent()
    where = At("log1", "contributions", 2)
    await handle(agent, batch(ONE))
    assert scene.checkpoints.load(where) is None
    scene.now += CHECKPOINT_S
    await handle(agent, batch(TWO, first=1))
    assert scene.checkpoints.load(where) is not None


async def test_rules_that_changed_while_no_process_ran_leave_the_others_their_state(scene: Scene) -> None:
    agent = scene.agent()
    await handle(agent, batch(ONE, TWO))
    await agent.release()
    other = replace(RULE, id="other")
    mine = [at(n * SECOND, n, about=ABOUT)._replace(correlation="other") for n in range(3)]
    (new,) = packed(mine, {"other": "r1"})
    scene.topic.values = (ONE, TWO, new)
    await handle(scene.agent(RULE, other), batch(THREE, first=3))
    assert scene.topic.asked == [(2, 3, RULE.reach)], "from the checkpoint, not from the beginning"
    assert [one.subject for one in scene.delivery.detections] == ["other", "corr"], "nobody has said the first before"


async def test_what_cannot_be_delivered_is_not_acknowledged(scene: Scene) -> None:
    scene.delivery.broken = True
    with pytest.raises(UnreachableError):
        await handle(scene.agent(), batch(ONE, TWO, THREE))


async def test_a_record_that_is_none_of_ours_is_a_dead_letter_and_the_rest_counts(scene: Scene) -> None:
    assert await handle(scene.agent(), batch(ONE, b"{", TWO, THREE))
    assert scene.delivery.faces() == ["provisional"]
    assert scene.delivery.letters == 1
    assert scene.value("dead_letters_total", topic="contributions", reason="shape") == 1


async def test_what_goes_for_want_of_room_is_counted_by_rule(scene: Scene) -> None:
    agent = scene.agent(limits=Limits(contributions=10))
    for number in range(30):
        await handle(agent, batch(parcel(at(number, number, group=f"g{number}")), first=number))
    assert scene.value("correlation_evicted_total", rule="corr") == 20
    assert scene.value("correlation_groups") == 10


async def test_new_correlations_take_over_what_is_the_same(scene: Scene) -> None:
    agent = scene.agent()
    await handle(agent, batch(ONE, TWO))
    other = replace(RULE, id="other")
    await agent.use(Correlating(in_force(RULE, other), Attribution(load_event_list(None))))
    await handle(agent, batch(THREE, first=2))
    assert [one.subject for one in scene.delivery.detections] == ["corr"]


async def test_a_release_waits_for_the_batch_under_way(scene: Scene) -> None:
    """A checkpoint must never hold what was not delivered: after a kill nobody would say it."""
    agent, going = scene.agent(), asyncio.Event()
    send = scene.delivery.send

    async def slowly(topic: str, records: Sequence[Any]) -> None:
        await going.wait()
        await send(topic, records)

    scene.delivery.send = slowly  # type: ignore[method-assign] # a fake
    under_way = asyncio.create_task(handle(agent, batch(ONE, TWO, THREE)))
    await asyncio.sleep(0.01)
    releasing = asyncio.create_task(agent.release())
    await asyncio.sleep(0.01)
    assert not releasing.done()
    going.set()
    await asyncio.gather(under_way, releasing)
    assert scene.delivery.faces() == ["provisional"]


def test_a_checkpoint_that_others_can_write_or_that_is_damaged_is_as_none(tmp_path: Path) -> None:
    checkpoints, where = Checkpoints(tmp_path), At("log", "contributions", 0)
    checkpoints.save(where, b"state\nwith a line")
    assert checkpoints.load(where) == b"state\nwith a line"
    assert checkpoints.load(where._replace(log="new")) is None
    (file,) = tmp_path.iterdir()
    file.chmod(0o666)
    assert checkpoints.load(where) is None
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1])
    assert checkpoints.load(where) is None
