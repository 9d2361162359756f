"""The way out of a halted partition: a person accepts that records are lost, and the ledger keeps who and when."""

from __future__ import annotations

import time
from collections.abc import Callable

from pipeline.logs import Logs
from pipeline.settings import Settings
from pipeline.storing import open_store
from pipeline.storing_kafka import AioKafka, Kafka
from pipeline.storing_means import Logs as LogNames
from schemas.errors import RefusedError
from sinks.clickhouse.ledger import Chain, Claim, gap
from sinks.clickhouse.store import ClickHouse


async def accept_loss(
    settings: Settings,
    topic: str,
    partition: int,
    by: str,
    *,
    clock: Callable[[], float] = time.time,
    kafka: Kafka | None = None,
    logs: LogNames | None = None,
) -> Claim:
    """Record that what is missing between the ledger's tail and the log's first position is lost; storers go on.

    Returns the row of the ledger, with `by` as its owner. Raises RefusedError when nothing is missing, and
    UnreachableError.
    """
    if not by.strip():
        raise RefusedError("Accepting a loss needs the name of who accepts it.")
    store, reading = open_store(settings), kafka or AioKafka(settings)
    try:
        chain = Chain(await (logs or Logs(settings)).current(topic), topic, partition)
        first = await reading.first(topic, partition)
    finally:
        await reading.close()
    return _accept(store, chain, first, by, int(clock() * 1000))


def _accept(store: ClickHouse, chain: Chain, first: int, by: str, received: int) -> Claim:
    tail = store.tail(chain)
    if tail is None:
        raise RefusedError(f"Nothing of {chain} was ever stored, so nothing of it is missing.")
    if tail.next >= first and _complete(store, tail):
        raise RefusedError(f"Nothing of {chain} is missing: it is stored up to offset {tail.last}.")
    stands = store.claim(gap(tail, max(first, tail.next), received, by))
    if stands is None or stands.owner != by:
        raise RefusedError(f"Storing of {chain} went on meanwhile; look at `qorgan_store_state` again.")
    return stands


def _complete(store: ClickHouse, tail: Claim) -> bool:
    block = store.block(tail.chain) if tail.count or tail.mends else None
    return block is None or store.count(block, _tables(block.chain.topic)) >= block.count


def _tables(topic: str) -> tuple[str, ...]:
    return (topic if topic in ("detections", "incidents") else "events", "dead_letters")
