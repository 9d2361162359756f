"""Two storers, failing and dying between any two steps, store every record exactly once.

The oracle is a set difference: what stands in events and dead letters against what was published, each once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.storing_rules import landing_time
from sinks.clickhouse.ledger import broken
from tests.storing_world import (
    CHAIN,
    TIMEOUT,
    FakeKafka,
    FakeLog,
    FakeStore,
    FakeTabulator,
    Fate,
    Process,
    run_in_virtual_time,
)

Seeds = st.integers(0, 2**32)


def stored(store: FakeStore) -> list[int]:
    """All offsets that stand in the tables, sorted; twice where they stand twice."""
    return sorted(offset for rows in store.rows.values() for _, offset, _ in rows)


def log_of(rng: random.Random, length: int = 120) -> FakeLog:
    """A log with some holes (control records), also at its end."""
    offsets = [offset for offset in range(length) if rng.random() > 0.05]
    return FakeLog(offsets, length)


async def storm(rng: random.Random, store: FakeStore, log: FakeLog, tabulators: Callable[[], FakeTabulator]) -> None:
    """Processes come, go, die and overlap, the store comes and goes; then calm until everything is stored."""
    kafka, fate, committed = FakeKafka(log, rng), Fate(rng, rng.choice((0.05, 0.2, 0.5))), [0]
    all_of_them: list[Process] = []
    running: list[Process] = []
    for number in range(rng.randint(2, 6)):
        running.append(Process(f"p{number}", store, kafka, fate, tabulators(), committed))
        all_of_them.append(running[-1])
        await asyncio.sleep(rng.random() * rng.choice((0.5, 5.0, 30.0)))
        store.down = rng.random() < 0.2
        while running and rng.random() < (0.7 if len(running) == 1 else 0.9):
            going = running.pop(rng.randrange(len(running)))
            await going.end() if rng.random() < 0.3 else going.kill()
    store.down, fate.trouble = False, 0.0
    running.append(Process("last", store, kafka, fate, tabulators(), committed))
    all_of_them.append(running[-1])
    for _ in range(2_000):
        tail = store.tail(CHAIN)
        if tail is not None and tail.next > log.offsets[-1] and stored(store) == log.offsets:
            break
        await asyncio.sleep(1.0)
    await asyncio.sleep(30.0)  # whatever is still under way arrives
    for process in all_of_them:
        process.alive = False
        await process.clear()


@given(Seeds)
@settings(max_examples=80, deadline=None)
def test_every_record_is_stored_exactly_once_whatever_dies_between_two_steps(seed: int) -> None:
    rng = random.Random(seed)
    store, log = FakeStore(), log_of(rng)
    run_in_virtual_time(lambda: storm(rng, store, log, FakeTabulator))
    assert stored(store) == log.offsets
    assert broken(sorted(store.ledger, key=lambda claim: claim.number)) is None
    assert sum(claim.count for claim in store.ledger) == len(log.offsets)
    assert len(store.sums) == len(set(store.sums)), "observables of a block were added twice"


@given(Seeds)
@settings(max_examples=80, deadline=None)
def test_builds_that_parse_differently_still_store_every_record_exactly_once(seed: int) -> None:
    rng = random.Random(seed)
    store, log = FakeStore(), log_of(rng)
    builds = (FakeTabulator("r1"), FakeTabulator("r2", dead=lambda offset: offset % 7 in (3, 5)))
    run_in_virtual_time(lambda: storm(rng, store, log, lambda: rng.choice(builds)))
    assert stored(store) == log.offsets


@given(Seeds)
@settings(max_examples=80, deadline=None)
def test_tokens_that_left_the_window_double_nothing(seed: int) -> None:
    rng = random.Random(seed)
    trusted = rng.choice((5.0, 20.0))
    store, log = FakeStore(window=trusted + landing_time(TIMEOUT) + TIMEOUT, trusted=trusted), log_of(rng)
    run_in_virtual_time(lambda: storm(rng, store, log, FakeTabulator))
    assert stored(store) == log.offsets
