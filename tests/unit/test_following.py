"""ingest follows indicators: all before the first batch, a slice at a time after it, and what goes goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from detectors.ioc.match import IndicatorIndex
from pipeline import following
from pipeline.delivery import Outgoing
from pipeline.following import Following
from pipeline.gated import GROUPED, TOPIC, Read, changes
from schemas.errors import UnreachableError
from schemas.indicator_record import SETTLED_KEY, Command, settled
from schemas.intake import IndicatorMark, Position
from tests.builders import batch_of
from tests.curate import NOW, Curating, FakeTopics, document


class TopicReader:
    """Reads what curate's fake topic holds, from its beginning, and goes on."""

    def __init__(self, topics: FakeTopics) -> None:
        self._topics, self._at = topics, 0
        self._log = topics.log

    def read(self) -> Read:
        there = self._topics.records.get(TOPIC, []) if self._topics.log == self._log else []
        piece = there[self._at : self._at + 5]
        self._at += len(piece)
        if not piece:
            following.time.sleep(0.005)
        return Read([(one.key or b"", one.value) for one in piece], self._at, self._at >= len(there))

    def close(self) -> None: ...


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the condition is of another thread's making
            await asyncio.sleep(0.005)


@asynccontextmanager
async def followed(
    curating: Curating, *, patience: float = 5.0, expected: bool = True
) -> AsyncIterator[tuple[Following, IndicatorIndex]]:
    index = IndicatorIndex()
    made = Following(
        index,
        lambda: TopicReader(curating.topics),  # type: ignore[arg-type,return-value] # what is asked of the reader
        curating.topics,
        curating.topics,
        curating.metrics,
        patience=patience,
        expected=expected,
    )
    await made.start()
    try:
        yield made, index
    finally:
        await made.stop()


def values(index: IndicatorIndex) -> set[str]:
    return {one.value for one in index}


@pytest.fixture
def curating(tmp_path: Path) -> Curating:
    return Curating(tmp_path)


async def test_the_first_batch_waits_until_curate_says_that_all_stands_there(curating: Curating) -> None:
    async with followed(curating) as (following_, index):
        waiting = asyncio.create_task(following_.wait())
        await curating.agent.take([document(str(number)) for number in range(40)])
        await until(lambda: len(index) == 40)
        assert not waiting.done()
        await curating.agent.settle({})
        assert await waiting
        assert len(index) == 40


async def test_where_no_indicators_are_expected_an_empty_topic_is_enough(curating: Curating) -> None:
    async with followed(curating, expected=False) as (following_, index):
        assert await following_.wait()
        assert not following_.waiting
        assert len(index) == 0


async def test_patience_ends_and_judging_begins(curating: Curating) -> None:
    async with followed(curating, patience=0.05) as (following_, _):
        assert await following_.wait()
        assert not following_.waiting


async def test_a_batch_that_waits_is_left_when_its_partition_is_given_up(curating: Curating) -> None:
    async with followed(curating) as (following_, _):
        waiting = asyncio.create_task(following_.wait())
        await asyncio.sleep(0.02)
        following_.give_up()
        assert await waiting is False
        assert following_.waiting, "the next batch waits again"


async def test_what_is_revoked_or_loses_a_value_goes(curating: Curating) -> None:
    async with followed(curating, expected=False) as (_, index):
        await curating.agent.take([document("1", "a.example", "b.example"), document("2")])
        await until(lambda: values(index) == {"a.example", "b.example", "2.example"})
        await curating.agent.take([document("1", "b.example", "c.example", at=NOW + 1)])
        await until(lambda: values(index) == {"b.example", "c.example", "2.example"})
        await curating.agent.take([Command(kind="revoke", source="soc", id="1", at=NOW + 2)])
        await until(lambda: values(index) == {"2.example"})


async def test_a_topic_that_was_made_anew_is_read_anew_and_what_it_does_not_hold_goes(
    curating: Curating, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MARK_S", 0.01)
    monkeypatch.setattr(following, "LOOK_S", 0.02)
    async with followed(curating, expected=False) as (_, index):
        await curating.agent.take([document("1"), document("2")])
        await until(lambda: len(index) == 2)
        kept = [one for one in curating.topics.records[TOPIC] if b'"id":"2"' in one.value]
        curating.topics.records[TOPIC] = kept
        curating.topics.log = "log-2"
        await asyncio.sleep(0.2)
        assert len(index) == 2, "nothing goes before all is there"
        await curating.topics.send(TOPIC, [Outgoing(SETTLED_KEY, settled(NOW, 1, {}))])
        await until(lambda: values(index) == {"2.example"})


async def test_what_came_into_force_is_marked_with_the_positions_from_which_on_it_judges(
    curating: Curating, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MARK_S", 0.01)
    at = Position(log="log0", topic="raw.events", partition=0, position=3)
    async with followed(curating, expected=False) as (following_, index):
        assert await following_.wait()
        following_.owns([at, at.model_copy(update={"partition": 1, "position": 9})])
        following_.judging(batch_of(b"x", b"y", first=5))
        following_.owns([at, at.model_copy(update={"partition": 1, "position": 9})])
        await curating.agent.take([document("1")])
        await until(lambda: len(index) == 1)
        await until(lambda: bool(curating.topics.records.get("intake")))
        mark = IndicatorMark.from_bytes(curating.topics.records["intake"][-1].value)
        assert (mark.log, mark.offset) == ("log-1", 1)
        assert {one.partition: one.position for one in mark.positions} == {0: 7, 1: 9}, "a batch in hand is below it"


async def test_a_reading_that_fails_is_begun_anew(curating: Curating, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "AGAIN_S", 0.01)
    read, failures = TopicReader.read, [UnreachableError("Kafka is away."), KeyError("a fault of ours")]

    def fails(self: TopicReader) -> Read:
        if failures:
            raise failures.pop()
        return read(self)

    monkeypatch.setattr(TopicReader, "read", fails)
    async with followed(curating, expected=False) as (_, index):
        await curating.agent.take([document("1")])
        await until(lambda: values(index) == {"1.example"})


def test_a_record_of_somebody_else_is_told_and_skipped() -> None:
    records = [(b"", b"{"), (b"", b"[]"), (b"", b'{"kind": "gated"}'), (SETTLED_KEY, settled(NOW, 0, {}))]
    assert [each if each is None else type(each).__name__ for each in changes(records)] == [None] * 3 + ["Settled"]


async def test_an_authoritys_indicator_that_is_seen_widely_says_so_to_triage(curating: Curating) -> None:
    from tests.curate import seen_on

    curating.sweep.found = seen_on("1.example", 50)
    await curating.agent.take([document("1", source="regulator", authority="regulator", tags=("apt",))], feed="r")
    ((_, _, (row,)),) = [change for change in changes([(b"", curating.topics.records[TOPIC][0].value)]) if change]  # type: ignore[misc] # a change, not a word that all is there
    assert row.tags == ("apt", GROUPED)
    assert (row.authority, row.revision) == ("regulator", curating.topics.gated()[0].content)
