"""A new owner makes the tail block whole on the real engine: by rebuilding, or by filling in what stands nowhere."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from pipeline import storing_rules
from pipeline.embedded.children import Store
from pipeline.metrics import Metrics
from pipeline.settings import Settings
from pipeline.storing_blocks import Budget, OpenBlock
from pipeline.storing_gap import accept_loss
from pipeline.storing_means import Means
from pipeline.storing_rules import Limits, owners_time
from pipeline.storing_tail import LaterError, find_tail
from pipeline.storing_threads import Threads
from schemas.dead_letter import DeadLetter
from schemas.errors import HaltError, RefusedError
from schemas.event import Event, Observable, RecordBatch
from sinks.clickhouse import ddl
from sinks.clickhouse.ledger import Claim, broken, genesis
from sinks.clickhouse.rows import EventColumns
from sinks.clickhouse.store import ClickHouse
from tests import embedded
from tests.contract.test_clickhouse_store import open_at
from tests.storing_world import CHAIN, FakeKafka, FakeLog
from tests.unit.test_clickhouse_rows import FORMAT, SOURCE, FakeReading

LENGTH = 40
ROWS = ("events", "dead_letters")


@dataclass
class Build:
    """A build that cannot parse some records, the real rows otherwise."""

    revision: str
    dead: Callable[[int], bool]
    row_tables: tuple[str, ...] = ROWS

    def parse(self, batch: RecordBatch) -> FakeReading:
        reading = FakeReading([], [])
        for r in batch.records:
            if self.dead(r.offset):
                reading.dead.append(DeadLetter(r.offset, r.timestamp, "json", r.key, r.value))
            else:
                seen = (Observable("ipv4", f"10.0.0.{r.offset % 5}"),)
                reading.events.append(
                    Event(r.offset, r.value or b"", FORMAT, SOURCE, {}, r.timestamp, r.timestamp, observables=seen)
                )
        return reading

    def columns(self) -> EventColumns:
        return EventColumns()


OLD = Build("r1", lambda offset: offset % 4 == 0)
NEW = Build("r2", lambda offset: offset % 8 == 0)


class Scene:
    """One chain with a claimed block of which some tables were inserted by the old build before it died."""

    def __init__(self, store: ClickHouse) -> None:
        self.store, self.log = store, FakeLog(list(range(LENGTH)), LENGTH)
        self.late = 0.0
        kafka = FakeKafka(self.log, random.Random(1))
        self.means = Means(
            store, Threads(2), kafka, kafka, Metrics(), Budget(10**8), Limits(10**6, 10**8, 2.0), 5.0, 10**6,
            lambda: time.time() + self.late, random.random, lambda topic: None,
        )  # fmt: skip

    def claimed(self, *inserted: str) -> Claim:
        """Claim the whole log as one block of the old build; insert these tables only."""
        begun = self.store.claim(genesis(CHAIN, 0, int(time.time() * 1000), "old"))
        assert begun is not None
        block, batch = OpenBlock(OLD, 0, Metrics()), self.log.read(0, LENGTH)
        block.add(batch, OLD.parse(batch), 0.0)
        claim = Claim(
            CHAIN, 0, LENGTH - 1, LENGTH, block.content, begun.hash, int(time.time() * 1000), OLD.revision, "old", 1
        )
        assert self.store.claim(claim) == claim
        for name, table in block.columns.tables(claim).items():
            if name in inserted:
                self.store.insert(name, table, claim.token(name))
        return claim

    async def find(self, build: Build) -> Claim:
        return await find_tail(self.means, CHAIN, build, "new")

    async def in_turn(self, build: Build) -> Claim:
        """The build takes its turn, and comes back when the others must be done."""
        with pytest.raises(LaterError):
            await self.find(build)
        self.late += owners_time(self.means.timeout) + 1
        return await self.find(build)

    def sums(self, database: str) -> int:
        rows = self.store.writer._clients.rows(f"SELECT sum(count) FROM {database}.observables")
        return int(rows[0][0])


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return "t_" + str(abs(hash(request.node.nodeid)))


@pytest.fixture
def scene(embedded_store: Store, name: str) -> Iterator[Scene]:
    store = open_at(embedded_store, name)
    store.check()
    yield Scene(store)
    embedded.client(embedded_store).command(f"DROP DATABASE {name}")


@pytest.mark.parametrize("inserted", [(), ("observables",), ("observables", "dead_letters"), ("observables", *ROWS)])
async def test_the_same_build_rebuilds_whatever_was_missing(scene: Scene, name: str, inserted: tuple[str, ...]) -> None:
    claim = scene.claimed(*inserted)
    assert await scene.find(OLD) == claim
    assert scene.store.present(claim, ROWS) == list(range(LENGTH))
    assert scene.sums(name) == LENGTH * 3 // 4


async def test_a_build_that_parses_more_neither_loses_nor_doubles_the_records_it_sees_otherwise(
    scene: Scene, name: str
) -> None:
    claim = scene.claimed("observables", "dead_letters")  # offset 4 stands in dead_letters; the new build parses it
    assert (await scene.in_turn(NEW)).next == claim.next
    assert scene.store.present(claim, ROWS) == list(range(LENGTH))
    assert scene.sums(name) == LENGTH * 3 // 4


async def test_a_build_that_parses_more_takes_over_a_block_of_which_nothing_was_inserted(scene: Scene) -> None:
    claim = scene.claimed()
    await scene.in_turn(NEW)
    assert scene.store.present(claim, ROWS) == list(range(LENGTH))


async def test_tokens_that_left_the_window_are_not_relied_on(
    embedded_store: Store, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ddl, "WINDOW", 4)
    monkeypatch.setitem(ddl.SETTINGS, "non_replicated_deduplication_window", 4)
    monkeypatch.setattr(storing_rules, "TRUSTED_WINDOW", 2)
    store = open_at(embedded_store, name)
    store.check()
    scene = Scene(store)
    claim = scene.claimed("dead_letters")
    for number in range(8):  # other partitions go on meanwhile, until no table remembers the block's tokens
        chain = CHAIN._replace(partition=1 + number)
        begun = store.claim(genesis(chain, 0, claim.received + 1, "x"))
        assert begun is not None
        batch = scene.log.read(0, LENGTH)
        columns = EventColumns()
        columns.add(batch, OLD.parse(batch), [bytes(32)] * LENGTH)
        other = Claim(chain, 0, LENGTH - 1, LENGTH, "c", begun.hash, claim.received + 1, OLD.revision, "x", 1)
        store.claim(other)
        for table, rows in columns.tables(other).items():
            store.insert(table, rows, other.token(table))
    await scene.in_turn(OLD)
    assert store.present(claim, ROWS) == list(range(LENGTH))


async def test_the_part_of_a_block_that_the_log_still_has_is_filled_in(scene: Scene) -> None:
    claim = scene.claimed("observables", "dead_letters")
    scene.log.first_position = 1  # offset 0 left the log, and stands in dead_letters
    await scene.in_turn(OLD)
    assert scene.store.present(claim, ROWS) == list(range(LENGTH))


async def test_two_builds_that_mend_the_same_block_take_turns(scene: Scene) -> None:
    claim = scene.claimed("dead_letters")
    with pytest.raises(LaterError):
        await scene.find(NEW)
    with pytest.raises(LaterError):  # the claim's own build may not rebuild any more: it is the other's turn
        await scene.find(OLD)
    scene.late += owners_time(scene.means.timeout) + 1
    await scene.find(NEW)
    await scene.find(OLD)
    assert scene.store.present(claim, ROWS) == list(range(LENGTH))


async def test_a_block_whose_rows_may_have_expired_is_not_called_incomplete(scene: Scene) -> None:
    claim = scene.claimed()
    scene.late = ddl.LEAST_EVENT_DAYS * 86_400.0
    assert await scene.find(OLD) == claim
    assert scene.store.present(claim, ROWS) == []


async def test_a_loss_that_a_person_accepted_is_in_the_chain_and_storing_goes_on(
    scene: Scene, embedded_store: Store, name: str
) -> None:
    settings = Settings(clickhouse=embedded_store.url, database=name)
    kafka = FakeKafka(scene.log, random.Random(1))
    claim = scene.claimed("observables", "events")
    scene.log.first_position = 30
    with pytest.raises(HaltError, match="neither in ClickHouse nor in the log"):
        await scene.in_turn(OLD)
    accepted = await accept_loss(settings, CHAIN.topic, 0, "a.person", kafka=kafka, logs=kafka)
    assert (accepted.owner, accepted.first, accepted.next) == ("a.person", claim.next, claim.next)
    assert await scene.find(OLD) == accepted
    scene.log.first_position = 100
    with pytest.raises(HaltError, match="40 to 99"):
        await scene.find(OLD)
    accepted = await accept_loss(settings, CHAIN.topic, 0, "a.person", kafka=kafka, logs=kafka)
    assert (await scene.find(OLD)).next == 100
    assert broken(scene.store.ledger.chain(CHAIN)) is None
    with pytest.raises(RefusedError, match="Nothing of"):
        await accept_loss(settings, CHAIN.topic, 0, "a.person", kafka=kafka, logs=kafka)
