"""correlate: the first, the worse and the new go on at once, the rest once a second; nothing is acknowledged early."""

from __future__ import annotations

from itertools import count

import pytest

from pipeline.agents.detections_to_intake import Collapse, DetectionsToIntake
from pipeline.metrics import Metrics
from schemas.detection import Detection
from schemas.errors import UnreachableError
from schemas.event import RecordBatch
from schemas.intake import COUNTED_PER_FINDING, FindingUpdate
from tests.builders import batch_of
from tests.triage import DUMP, LEAK, T0, FakeDelivery, found


def levels(updates: list[FindingUpdate]) -> list[tuple[str, int]]:
    return [(update.level, len(update.evidence)) for update in updates]


def test_the_first_detection_of_a_finding_goes_on_at_once_and_the_next_wait_a_second() -> None:
    collapse = Collapse()
    assert levels(collapse.judge([found(0)], 1, now=0.0)) == [("high", 1)]
    assert collapse.judge([found(1), found(2)], 2, now=0.1) == []
    assert collapse.flush(0.9) == []
    assert levels(collapse.flush(1.0)) == [("high", 2)]
    assert collapse.flush(5.0) == []


def test_a_higher_level_and_a_new_rule_go_on_at_once_with_what_waited() -> None:
    collapse = Collapse()
    collapse.judge([found(0, level="medium")], 1, now=0.0)
    assert collapse.judge([found(1, level="medium")], 2, now=0.1) == []
    assert levels(collapse.judge([found(2, level="critical")], 3, now=0.2)) == [("critical", 2)]
    assert levels(collapse.judge([found(3, rule="another", level="medium")], 4, now=0.3)) == [("medium", 1)]


def test_a_repeated_id_and_what_no_item_claims_go_nowhere() -> None:
    collapse = Collapse()
    assert len(collapse.judge([found(0), found(0)], 1, now=0.0)[0].evidence) == 1
    assert collapse.judge([found(0), found(1, tags=("attack.t1082",), level="medium")], 2, now=9.0) == []
    assert collapse.oldest is None


def test_one_finding_does_not_hold_back_another() -> None:
    collapse = Collapse()
    collapse.judge([found(0)], 1, now=0.0)
    assert levels(collapse.judge([found(1), found(2, tags=LEAK)], 2, now=0.1)) == [("high", 1)]


def test_a_storm_on_one_finding_is_told_up_to_its_bound_then_once_a_minute() -> None:
    collapse = Collapse()
    sent = [update for second in range(30) for update in collapse.judge(storm(second), second, float(second))]
    assert sum(len(update.evidence) for update in sent) <= COUNTED_PER_FINDING + 1
    late = [update for second in range(30, 210) for update in collapse.judge(storm(second), second, float(second))]
    assert [len(update.evidence) for update in late] == [1, 1, 1]
    assert collapse.oldest is None


def storm(second: int) -> list[Detection]:
    return [found(1_000 * second + place, time=T0 + 1_000 * second) for place in range(100)]


def test_a_worse_one_in_the_midst_of_a_storm_is_never_lost_to_the_bound() -> None:
    collapse = Collapse()
    batch = [found(number, level="medium") for number in range(3 * COUNTED_PER_FINDING)]
    batch.append(found(9_999, level="critical"))
    updates = collapse.judge(batch, 1, now=0.0)
    assert max(len(update.evidence) for update in updates) <= COUNTED_PER_FINDING
    assert "critical" in [update.level for update in updates]


def test_memory_of_ids_and_findings_is_bounded_and_forgetting_only_repeats() -> None:
    collapse = Collapse(remembered_ids=10, remembered_findings=10)
    for number in range(1_000):
        collapse.judge([found(number, host=f"ws-{number}", user="")], number, now=float(number))
    assert len(collapse._ids) == 10
    assert len(collapse._streams) == 10
    assert levels(collapse.judge([found(0, host="ws-0", user="")], 1, now=2_000.0)) == [("high", 1)]


def agent(delivery: FakeDelivery, times: list[float]) -> DetectionsToIntake:
    return DetectionsToIntake(delivery, Metrics(), clock=lambda: times[0])


def batch(*detections: Detection, first: int = 0) -> RecordBatch:
    return batch_of(*(one.to_bytes() for one in detections), first=first, topic="detections")


async def test_a_batch_is_acknowledged_when_all_of_it_is_delivered_and_those_after_it_wait() -> None:
    delivery, times, acked = FakeDelivery(), [0.0], []
    correlate = agent(delivery, times)
    await correlate.handle(batch(found(0)), lambda: acked.append(1))
    assert acked == [1]
    await correlate.handle(batch(found(1)), lambda: acked.append(2))
    await correlate.handle(batch(found(2, tags=LEAK)), lambda: acked.append(3))
    assert acked == [1], "the second batch still waits, and offsets are acknowledged in order"
    times[0] = 1.0
    await correlate.tick()
    assert acked == [1, 2, 3]
    assert [len(FindingUpdate.from_bytes(one.value).evidence) for one in delivery.sent["intake"]] == [1, 1, 1]


async def test_drain_leaves_nothing_waiting() -> None:
    delivery, acked = FakeDelivery(), []
    correlate = agent(delivery, [0.0])
    for number in range(3):
        await correlate.handle(batch(found(number)), lambda: acked.append(1))
    await correlate.drain()
    assert len(acked) == 3


async def test_what_cannot_be_delivered_is_not_acknowledged() -> None:
    acked: list[int] = []
    correlate = agent(FakeDelivery(refuse=lambda *_: True), [0.0])
    with pytest.raises(UnreachableError):
        await correlate.handle(batch(found(0)), lambda: acked.append(1))
    assert acked == []


async def test_a_record_that_is_no_detection_becomes_a_dead_letter_and_the_rest_goes_on() -> None:
    delivery, acked = FakeDelivery(), []
    correlate = agent(delivery, [0.0])
    values = (b"{", None, b"", b"\xff", found(0, tags=DUMP).to_bytes(), b"[1]")
    await correlate.handle(batch_of(*values, topic="detections"), lambda: acked.append(1))
    assert len(delivery.sent["dead-letters"]) == 5
    assert len(delivery.sent["intake"]) == 1
    assert acked == [1]


def test_an_update_carries_what_its_detections_said_together() -> None:
    offsets = count()
    (update,) = Collapse().judge(
        [
            found(next(offsets), src_ip="10.1.2.3", time=T0 + 5, retrospective=True),
            found(next(offsets), level="critical", time=T0 + 1, kafka_time=T0 + 9),
        ],
        1,
        now=0.0,
    )
    assert update.entities == ("host:ws-017", "user:aigerim", "source:10.1.2.3")
    assert (update.tactics, update.techniques) == (("credential-access",), ("t1003.001",))
    assert (update.first, update.last, update.kafka_time) == (T0 + 1, T0 + 5, T0 + 5)
    assert (update.level, update.retrospective) == ("critical", False)


def test_what_a_correlation_withdraws_is_no_news_and_what_it_says_again_is_told_once() -> None:
    collapse = Collapse()
    assert collapse.judge([found(0, kind="correlation", face="withdrawn")], 1, now=0.0) == []
    said = [found(1, kind="correlation", face=face) for face in ("provisional", "final", "closed", "withdrawn")]
    assert levels(collapse.judge(said, 2, now=0.1)) == [("high", 1)]
