"""A new owner looks at the end of the chain first: only the last block can be incomplete, and he makes it whole."""

from __future__ import annotations

import time
from dataclasses import replace

import structlog

from pipeline.storing_blocks import OpenBlock, Tabulator
from pipeline.storing_kafka import Cursor, OutOfRangeError
from pipeline.storing_means import Means, now
from pipeline.storing_rules import (
    cut,
    differs,
    expired,
    incomplete,
    landing_time,
    log_ends_early,
    missing_from_log,
    remembered,
    repair_of,
)
from schemas.errors import UnreachableError
from schemas.event import RecordBatch
from sinks.clickhouse.ledger import Chain, Claim, genesis, mend

#: Fetches without a record before Kafka counts as silent; each waits half a second.
FETCHES = 20

log = structlog.get_logger("storing")


class RecreatedError(Exception):
    """The topic's name belongs to another log now."""


class LaterError(Exception):
    """Nothing is wrong, but it is too early: the sentence says what is waited for."""


async def same_log(means: Means, chain: Chain) -> None:
    """Raise RecreatedError when the topic is another log by now."""
    if await means.logs.current(chain.topic) != chain.log:
        raise RecreatedError(chain.topic)


async def find_tail(means: Means, chain: Chain, tabulator: Tabulator, owner: str) -> Claim:
    """The chain's last claim, begun where there was none, its block complete, and no gap behind it.

    Raises UnreachableError, LaterError, RecreatedError, and HaltError with the reason to stand still.
    """
    await means.checked()
    tail = await means.ask("tail", means.store.tail, chain)
    first = await means.kafka.first(chain.topic, chain.partition)
    await same_log(means, chain)
    if tail is None:
        tail = await means.insist("claim", means.store.claim, genesis(chain, first, _millis(means), owner))
    if tail is None:
        raise UnreachableError("ClickHouse took the beginning of a chain and does not show it yet.")
    if tail.count or tail.mends:
        block = tail if tail.count else await means.ask("tail", means.store.block, chain)
        await _mend(means, block or tail, tail, tabulator, first, owner)
    gap = missing_from_log(tail, first)
    if gap is not None:
        raise gap
    return tail


async def _mend(means: Means, block: Claim, last: Claim, tabulator: Tabulator, first: int, owner: str) -> None:
    """Make the tail block whole, unless it is; `last` is the chain's last row."""
    stands = await _rows(means, block, tabulator)
    if stands > block.count:
        log.error("a block has more rows than records", chain=str(block.chain), first=block.first, rows=stands)
    if stands >= block.count or expired(_age(means, block)):
        return
    until = now() + landing_time(means.timeout)
    since = await means.ask("read", means.store.since, block.received)
    how = repair_of(block, last, tabulator.revision, first, since, _age(means, last), means.timeout)
    log.info("mending the tail block", chain=str(block.chain), first=block.first, how=how, rows=stands, of=block.count)
    if how == "rebuild":
        await _rebuild(means, block, tabulator, until)
        if await _rows(means, block, tabulator) >= block.count:
            return
        how = "take"  # tokens that are remembered without their rows
    if how == "take":
        turn = mend(last, tabulator.revision, _millis(means), owner)
        await means.insist("claim", means.store.claim, turn)
    if how != "fill":
        raise LaterError(f"The block at {block.first} of {block.chain} may still be inserted by another process.")
    await _fill(means, block, last, tabulator, first, until, sums=remembered(since))
    lost = incomplete(block, await _rows(means, block, tabulator))
    if lost is not None:
        raise lost


def _age(means: Means, claim: Claim) -> float:
    return means.clock() - claim.received / 1000


def _millis(means: Means) -> int:
    return int(means.clock() * 1000)


async def _rows(means: Means, claim: Claim, tabulator: Tabulator) -> int:
    return await means.ask("read", means.store.count, claim, tabulator.row_tables)


async def insert(means: Means, claim: Claim, block: OpenBlock, until: float) -> None:
    """Insert a claimed block, table by table, with the tokens of its claim. Any number of times is once.

    `until`: the loop's time after which nothing is sent any more; then it raises UnreachableError.
    """
    stage = means.metrics["stage_seconds_total"]
    started = time.perf_counter()
    tables = await means.run(block.columns.tables, claim)
    stage.labels(stage="arrow").inc(time.perf_counter() - started)
    for name, table in tables.items():
        started = time.perf_counter()
        await means.insert(until, name, table, claim.token(name))
        stage.labels(stage="insert").inc(time.perf_counter() - started)


async def _rebuild(means: Means, tail: Claim, tabulator: Tabulator, until: float) -> None:
    """The same rows again, under the same tokens."""
    block = await _read(means, tail, tabulator, tail.first)
    wrong = differs(tail, block.count, block.content)
    if wrong is not None:
        raise wrong
    await insert(means, tail, block, until)


async def _fill(
    means: Means, tail: Claim, turn: Claim, tabulator: Tabulator, first: int, until: float, *, sums: bool
) -> None:
    """Only what stands nowhere, under tokens of this turn; sums over the block only while the claim's token holds."""
    if sums and first <= tail.first:
        whole = await _read(means, tail, tabulator, tail.first)
        for name, table in (await means.run(whole.columns.tables, tail)).items():
            if name not in tabulator.row_tables:
                await means.insert(until, name, table, tail.token(name))
    present = frozenset(await means.ask("read", means.store.present, tail, tabulator.row_tables))
    missing = await _read(means, tail, tabulator, max(first, tail.first), present)
    for name, table in (await means.run(missing.columns.tables, tail)).items():
        if name in tabulator.row_tables:
            await means.insert(until, name, table, tail.token(name, turn))


async def _read(
    means: Means, tail: Claim, tabulator: Tabulator, position: int, without: frozenset[int] = frozenset()
) -> OpenBlock:
    """The tail block's records from `position` on, without those at some offsets, read from Kafka and parsed."""
    block = OpenBlock(tabulator, position, means.metrics)
    cursor = await means.kafka.open(tail.chain, position)
    try:
        while block.next < tail.next:
            batch = cut(await _fetched(cursor, tail), block.next, tail.next)
            if without:
                batch = replace(batch, records=[record for record in batch.records if record.offset not in without])
            await means.run(_take_in, block, batch, tabulator)
    finally:
        await cursor.close()
    await same_log(means, tail.chain)
    return block


async def _fetched(cursor: Cursor, tail: Claim) -> RecordBatch:
    for _ in range(FETCHES):
        try:
            batch = await cursor.fetch()
        except OutOfRangeError:
            break
        if batch.next > batch.first:
            return batch
        if cursor.end is not None and cursor.end <= batch.first:
            raise log_ends_early(tail, cursor.end)
    raise UnreachableError(f"Kafka does not give the records of the block at {tail.first} of {tail.chain}.")


def _take_in(block: OpenBlock, batch: RecordBatch, tabulator: Tabulator) -> None:
    block.add(batch, tabulator.parse(batch), 0.0)
