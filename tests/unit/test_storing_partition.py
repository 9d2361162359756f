"""One partition's storer, step by step, in virtual time: waiting, catching up, live, halted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator

import pytest

from pipeline.storing_partition import HALTED_S
from schemas.errors import HaltError
from sinks.clickhouse.ledger import Claim, gap
from tests.storing_world import (
    CHAIN,
    FakeCursor,
    FakeKafka,
    FakeLog,
    FakeStore,
    FakeTabulator,
    Fate,
    Process,
    now,
    run_in_virtual_time,
)


class CountingKafka(FakeKafka):
    """Kafka that counts what is read a second time."""

    opened = 0

    async def open(self, chain: object, position: int) -> FakeCursor:
        self.opened += 1
        return await super().open(CHAIN, position)


class World:
    """A log, a store, and processes made on demand."""

    def __init__(self, length: int = 60) -> None:
        self.rng = random.Random(4)
        self.store = FakeStore()
        self.log = FakeLog(list(range(length)), length)
        self.kafka = CountingKafka(self.log, self.rng)
        self.committed = [0]
        self.processes: list[Process] = []

    def process(self, name: str = "p", revision: str = "r1") -> Process:
        made = Process(name, self.store, self.kafka, Fate(self.rng), FakeTabulator(revision), self.committed)
        made.means.budget.limit = 1_000_000
        self.processes.append(made)
        return made

    def publish(self, count: int) -> None:
        self.log.offsets += range(self.log.end, self.log.end + count)
        self.log.end += count

    @property
    def stored(self) -> list[int]:
        return sorted(offset for rows in self.store.rows.values() for _, offset, _ in rows)

    async def all_stored(self, seconds: float = 300.0) -> None:
        await self.until(lambda: self.stored == self.log.offsets, seconds)

    async def until(self, condition: Callable[[], bool], seconds: float = 300.0) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while not condition():
            assert asyncio.get_running_loop().time() < deadline, "the condition did not come true"
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        for process in self.processes:
            process.alive = False
            process._stream.cancel()
            await process.clear()


@pytest.fixture
def world() -> Iterator[World]:
    return World()  # type: ignore[return-value]


def play(world: World, scene: Callable[[], object]) -> None:
    async def main() -> None:
        try:
            await scene()  # type: ignore[misc]
        finally:
            await world.close()

    run_in_virtual_time(main)


class TestStart:
    def test_a_stream_that_starts_at_the_tail_goes_live_at_once_and_nothing_is_read_twice(self, world: World) -> None:
        async def scene() -> None:
            world.process().means.hold_bound = 1_000_000
            await world.all_stored()
            assert world.kafka.opened == 0

        play(world, scene)

    def test_what_the_stream_has_passed_already_is_caught_up_from_kafka(self, world: World) -> None:
        async def scene() -> None:
            world.committed[0] = 40
            process = world.process()
            await world.all_stored()
            await world.until(lambda: process.storer.state == "live")
            world.publish(20)
            await world.all_stored()
            assert world.kafka.opened == 1

        play(world, scene)

    def test_live_rows_at_or_below_the_tail_are_not_stored_again(self, world: World) -> None:
        async def scene() -> None:
            first = world.process("first")
            await world.all_stored()
            first.kill()
            world.committed[0] = 7
            world.process("second")
            await asyncio.sleep(30)
            world.publish(5)
            await world.all_stored()

        play(world, scene)

    def test_a_chain_begins_at_the_logs_first_position(self, world: World) -> None:
        async def scene() -> None:
            world.log.first_position, world.committed[0] = 25, 25
            world.log.offsets = world.log.offsets[25:]
            world.process()
            await world.all_stored()
            assert (world.store.ledger[0].first, world.store.ledger[0].last) == (25, 24)

        play(world, scene)


class TestStoreAway:
    def test_live_rows_are_dropped_and_counted_memory_is_empty_and_all_is_stored_when_it_is_back(
        self, world: World
    ) -> None:
        async def scene() -> None:
            process = world.process()
            await world.all_stored()
            world.store.down = True
            world.publish(80)
            await asyncio.sleep(60)
            assert process.storer.state == "waiting"
            assert "away" in process.storer.status().reason
            assert process.means.budget.held == 0
            dropped = process.means.metrics["dropped_rows_total"].labels(topic=CHAIN.topic)._value.get()
            assert dropped >= 80
            world.store.down = False
            await world.all_stored()

        play(world, scene)

    def test_a_store_that_never_answers_holds_the_stream_for_no_more_than_its_own_time(self, world: World) -> None:
        async def scene() -> None:
            process = world.process()
            await world.all_stored()
            process._fate.trouble = 1.0
            world.publish(2_000)
            process.means.budget.limit = 20_000
            for _ in range(400):
                await asyncio.sleep(0.5)
                assert process.means.budget.held <= 20_000
                assert process.storer._hold.weight <= process.means.hold_bound

        play(world, scene)


class TestHandover:
    def test_a_stream_that_ran_ahead_and_stands_still_is_caught_up_though_nothing_more_is_offered(
        self, world: World
    ) -> None:
        async def scene() -> None:
            process = world.process()
            await world.all_stored()
            process.means.hold_bound = 1  # whatever is held back is let go of at once
            process.storer._fall_back(world.log.read(60, 1))
            world.publish(50)
            await world.all_stored()

        play(world, scene)


class TestSlowStore:
    def test_draining_a_backlog_is_paced_by_the_store_instead_of_reading_twice(self, world: World) -> None:
        async def scene() -> None:
            process = world.process()
            process.patient, process.means.hold_bound, process.means.budget.limit = True, 1_000_000, 30_000
            await world.all_stored()
            process._fate.slow = 0.4  # an insert takes as long as a hundred records of the stream
            world.publish(1_500)
            await world.all_stored(3_000)
            assert world.kafka.opened == 0
            assert process.means.metrics["dropped_rows_total"].labels(topic=CHAIN.topic)._value.get() == 0

        play(world, scene)

    def test_a_backlog_at_the_start_waits_for_the_ledgers_first_answer_instead_of_being_read_twice(self) -> None:
        world = World(length=600)

        async def scene() -> None:
            process = world.process()
            process.patient, process.means.hold_bound = True, 20_000
            process._fate.slow = 3.0
            await world.until(lambda: process.storer.state != "waiting")
            process._fate.slow = 0.0
            await world.all_stored()
            assert world.kafka.opened == 0

        play(world, scene)

    def test_a_store_that_is_away_at_the_start_is_not_waited_for(self) -> None:
        world = World(length=600)

        async def scene() -> None:
            world.store.down = True
            process = world.process()
            process.patient, process.means.hold_bound = True, 20_000
            await world.until(lambda: process.storer.reason != "")
            world.publish(200)
            await asyncio.sleep(5.0)
            assert not process.storer.pressed

        play(world, scene)

    def test_a_stream_that_waits_for_nobody_is_caught_up_from_kafka(self, world: World) -> None:
        async def scene() -> None:
            process = world.process()
            process.means.budget.limit = 30_000
            await world.all_stored()
            process._fate.slow = 0.4
            world.publish(1_500)
            await world.all_stored(3_000)
            assert world.kafka.opened > 0

        play(world, scene)


class TestHalted:
    def test_a_gap_halts_with_its_sentence_and_a_recorded_loss_lets_it_go_on(self, world: World) -> None:
        async def scene() -> None:
            first = world.process("first")
            await world.all_stored()
            await first.end()
            tail = world.store.tail(CHAIN)
            assert tail is not None
            world.publish(60)
            world.log.first_position = 90
            world.log.offsets = [*range(60), *range(90, 120)]
            world.committed[0] = 90
            second = world.process("second")
            await world.until(lambda: second.storer.state == "halted")
            assert "60 to 89" in second.storer.reason
            world.store.ledger.append(gap(tail, 90, int(now() * 1000), "a.person"))
            await world.all_stored(HALTED_S * 3)

        play(world, scene)

    def test_tables_that_are_not_right_halt_storing_until_they_are(self, world: World) -> None:
        wrong = [True]

        def check() -> None:
            if wrong[0]:
                raise HaltError("events remembers 10 blocks")

        async def scene() -> None:
            world.store.check = check  # type: ignore[method-assign]
            process = world.process()
            await world.until(lambda: process.storer.state == "halted")
            assert process.storer.reason == "events remembers 10 blocks"
            wrong[0] = False
            await world.all_stored(HALTED_S * 3)

        play(world, scene)

    def test_a_log_that_ends_inside_a_claimed_block_halts(self, world: World) -> None:
        async def scene() -> None:
            begun = Claim(CHAIN, 0, -1, 0, "", "", int(now() * 1000), "genesis", "x")
            world.store.ledger += [begun, Claim(CHAIN, 0, 99, 100, "c", begun.hash, int(now() * 1000), "r1", "x", 1)]
            process = world.process()
            await world.until(lambda: process.storer.state == "halted")
            assert "the log ends at 60" in process.storer.reason

        play(world, scene)


class TestTakeover:
    def test_who_loses_a_claim_drops_his_block_and_goes_on_after_the_winners(self, world: World) -> None:
        async def scene() -> None:
            both = [world.process("one"), world.process("two")]  # both believe to own it
            await world.all_stored()
            world.publish(200)
            await world.all_stored()
            await world.until(lambda: [process.storer.status().tail for process in both] == [259, 259])

        play(world, scene)

    def test_another_build_waits_until_the_owner_of_a_half_inserted_block_must_be_done(self, world: World) -> None:
        async def scene() -> None:
            insert = world.store.insert

            def half(table: str, data: object, token: str) -> None:
                if table == "events":
                    first.kill()
                    return
                insert(table, data, token)

            world.store.insert = half  # type: ignore[method-assign]
            first = world.process("first", "r1")
            await world.until(lambda: not first.alive)
            world.store.insert = insert  # type: ignore[method-assign]
            claimed = world.store.ledger[-1].received / 1000
            second = world.process("second", "r2")
            await world.until(lambda: "may still be inserted" in second.storer.reason)
            await world.all_stored()
            assert now() - claimed > 2 * second.means.timeout

        play(world, scene)


class TestRecreated:
    def test_a_block_read_before_the_topic_was_recreated_is_dropped_and_the_worker_told(self, world: World) -> None:
        told: list[str] = []

        async def scene() -> None:
            process = world.process()
            process.means.recreated = told.append
            await world.all_stored()
            claims = len(world.store.ledger)
            world.log.log = "log1"
            world.publish(20)
            await world.until(lambda: bool(told))
            assert told == [CHAIN.topic]
            await asyncio.sleep(30)
            assert len(world.store.ledger) == claims
            assert process.means.budget.held == 0

        play(world, scene)


def test_rows_that_cannot_be_made_halt_storing_and_never_reach_the_stream(world: World) -> None:
    class Faulty(FakeTabulator):
        def columns(self) -> object:  # type: ignore[override]
            columns = super().columns()

            def add(*_: object) -> None:
                raise RuntimeError("a fault of ours")

            columns.add = add  # type: ignore[method-assign]
            return columns

    async def scene() -> None:
        process = Process("p", world.store, world.kafka, Fate(world.rng), Faulty(), world.committed)
        world.processes.append(process)
        await world.until(lambda: process.storer.state == "halted")
        assert "fault of ours" in process.storer.reason
        assert not process._stream.done()

    play(world, scene)
