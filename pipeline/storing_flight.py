"""A block on its way to the store: claimed, inserted, confirmed; or given up as a whole."""

from __future__ import annotations

import asyncio

from pipeline.storing_blocks import OpenBlock
from pipeline.storing_means import Means, now
from pipeline.storing_rules import landing_time, ours
from pipeline.storing_tail import insert, same_log
from schemas.errors import UnreachableError
from sinks.clickhouse.ledger import Chain, Claim


class LostClaimError(Exception):
    """Another process claimed the block."""


async def land(means: Means, chain: Chain, owner: str, block: OpenBlock, tail: Claim) -> Claim:
    """Claim a block behind `tail` and insert it; returns its claim when all of it is confirmed.

    The log's name is asked for after the block's last fetch and before its claim. Raises UnreachableError,
    HaltError, RecreatedError, LostClaimError; what of the block is in the store then, the ledger's tail tells.
    """
    try:
        async with means.lanes, asyncio.timeout(landing_time(means.timeout)):
            until = now() + landing_time(means.timeout)
            await same_log(means, chain)
            claim = _claim(chain, owner, block, tail, int(means.clock() * 1000))
            if not ours(claim, await means.insist("claim", means.store.claim, claim)):
                raise LostClaimError
            await insert(means, claim, block, until)
    except TimeoutError:
        raise UnreachableError("ClickHouse takes too long over a block.") from None
    finally:
        means.budget.free(block)
    _measure(means, chain.topic, block)
    return claim


def _claim(chain: Chain, owner: str, block: OpenBlock, tail: Claim, received: int) -> Claim:
    return Claim(
        chain,
        block.first,
        block.next - 1,
        block.count,
        block.content,
        tail.hash,
        received,
        block.revision,
        owner,
        tail.number + 1,
    )


def _measure(means: Means, topic: str, block: OpenBlock) -> None:
    metrics = means.metrics
    metrics["block_rows"].labels(topic=topic).observe(block.count)
    metrics["block_bytes"].labels(topic=topic).observe(block.bytes)
    if block.oldest_ms is not None:
        waited = max(0.0, means.clock() - block.oldest_ms / 1000)
        metrics["searchable_seconds"].labels(topic=topic).observe(waited)
