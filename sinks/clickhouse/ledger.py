"""The ledger: what is stored, block by block, in one chain per partition of a log.

A block is claimed here before it is inserted. Claims race on a token made of (chain, first) alone, so one wins, and
the row that is read back defines the block for everyone. Each claim names the hash of the one before: the ledger is
also the proof that what was stored is what Kafka gave.
"""

# ruff: noqa: S608 - the one name put into statements is our own, checked by the settings; values are bound
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from schemas.identity import long_hash
from sinks.clickhouse.client import Clients

GENESIS = "genesis"
#: Stands for records that left the log before they were stored; written by a person who accepts the loss.
GAP = "gap"

_COLUMNS = "log, topic, partition, first, last, count, content, previous, hash, received, revision, owner"
_CHAIN = "topic = {topic:String} AND partition = {partition:UInt32} AND log = {log:String}"


class Chain(NamedTuple):
    """One partition of one log."""

    log: str
    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition} (log {self.log})"


@dataclass(frozen=True, slots=True)
class Claim:
    """One row of the ledger: the block [first, last] of a chain. Holes of the log lie inside blocks.

    `count` records with content hash `content`; `previous` is the hash of the claim before; `received` (ms UTC) is
    one value for all rows of the block; `revision` names all that shapes rows; `owner` tells whose claim won.
    A chain's genesis has last = first - 1: the next block begins at `first`.
    """

    chain: Chain
    first: int
    last: int
    count: int
    content: str
    previous: str
    received: int
    revision: str
    owner: str

    @property
    def next(self) -> int:
        """Where the next block begins."""
        return self.last + 1

    @property
    def hash(self) -> str:
        """SHA-256 over all of the claim but its owner; what the next claim names as `previous`."""
        facts = (*self.chain, self.first, self.last, self.count, self.content, self.previous, self.received)
        return hashlib.sha256(orjson.dumps((*facts, self.revision))).hexdigest()

    def token(self, table: str, revision: str = "") -> str:
        """The deduplication token of this block's insert into `table`; `revision` only for a repair by another."""
        return long_hash("block", *self.chain, self.first, self.hash, table, revision)


def genesis(chain: Chain, first: int, received: int, owner: str) -> Claim:
    """The row that begins a chain and names the first position to store."""
    return Claim(chain, first, first - 1, 0, "", "", received, GENESIS, owner)


def gap(tail: Claim, until: int, received: int, who: str) -> Claim:
    """The row that accepts the loss of everything from the tail to `until` (exclusive), by a person's decision.

    With `until` right behind the tail it accepts what the tail block lacks.
    """
    return Claim(tail.chain, tail.next, until - 1, 0, "", tail.hash, received, GAP, who)


class Ledger:
    """The table `ledger`. Every method blocks, and raises UnreachableError or HaltError."""

    def __init__(self, clients: Clients, database: str) -> None:
        self._clients = clients
        self._table = f"`{database}`.ledger"

    def tail(self, chain: Chain) -> Claim | None:
        """The chain's last claim; None where it has not begun."""
        return self._one(f"WHERE {_CHAIN} ORDER BY last DESC, first DESC LIMIT 1", _chain(chain))

    def begin(self, claim: Claim) -> Claim | None:
        """Insert a genesis unless the chain has one already; returns the chain's tail."""
        self._insert(claim, f"NOT EXISTS (SELECT 1 FROM {self._table} WHERE {_CHAIN})", GENESIS)
        return self.tail(claim.chain)

    def claim(self, claim: Claim) -> Claim | None:
        """Claim a block and read back the claim that stands at its first position: ours or another's, or None."""
        self._insert(
            claim,
            f"NOT EXISTS (SELECT 1 FROM {self._table} WHERE {_CHAIN} AND last >= {{first:Int64}}) "
            f"AND EXISTS (SELECT 1 FROM {self._table} WHERE {_CHAIN} AND last = {{first:Int64}} - 1)",
            str(claim.first),
        )
        return self._one(
            f"WHERE {_CHAIN} AND first = {{first:Int64}} AND last >= first LIMIT 1",
            {**_chain(claim.chain), "first": claim.first},
        )

    def accept(self, loss: Claim) -> Claim | None:
        """Record a loss (`gap`), perhaps of no position at all but of rows of the tail block; returns the tail."""
        if loss.last >= loss.first:
            return self.claim(loss)
        self._insert(
            loss,
            f"NOT EXISTS (SELECT 1 FROM {self._table} WHERE {_CHAIN} AND first >= {{first:Int64}}) "
            f"AND EXISTS (SELECT 1 FROM {self._table} WHERE {_CHAIN} AND last = {{first:Int64}} - 1)",
            f"{GAP} {loss.first}",
        )
        return self.tail(loss.chain)

    def since(self, received: int) -> int:
        """How many blocks were claimed since then (ms UTC), of all chains: how far a token has moved in its window."""
        rows = self._clients.rows(
            f"SELECT count() FROM {self._table} WHERE received >= fromUnixTimestamp64Milli({{at:Int64}})",
            {"at": received},
        )
        return int(rows[0][0])

    def newest_log(self, topic: str, partition: int) -> str | None:
        """The log whose chain of this partition was begun last."""
        rows = self._clients.rows(
            f"SELECT log FROM {self._table} WHERE topic = {{topic:String}} AND partition = {{partition:UInt32}} "
            "GROUP BY log ORDER BY min(received) DESC, max(received) DESC LIMIT 1",
            {"topic": topic, "partition": partition},
        )
        return str(rows[0][0]) if rows else None

    def chain(self, chain: Chain) -> list[Claim]:
        """The whole chain, genesis first."""
        return self._read(f"WHERE {_CHAIN} ORDER BY last, first", _chain(chain))

    def chains(self) -> list[Chain]:
        """All chains there are."""
        rows = self._clients.rows(f"SELECT DISTINCT log, topic, partition FROM {self._table} ORDER BY ALL")
        return [Chain(*row) for row in rows]

    def _insert(self, claim: Claim, condition: str, name: str) -> None:
        values = (
            "{log:String}, {topic:String}, {partition:UInt32}, {first:Int64}, {last:Int64}, {count:UInt64}, "
            "{content:String}, {previous:String}, {hash:String}, fromUnixTimestamp64Milli({received:Int64}), "
            "{revision:String}, {owner:String}"
        )
        self._clients.command(
            f"INSERT INTO {self._table} ({_COLUMNS}) SELECT {values} WHERE {condition}",
            {
                **_chain(claim.chain),
                "first": claim.first,
                "last": claim.last,
                "count": claim.count,
                "content": claim.content,
                "previous": claim.previous,
                "hash": claim.hash,
                "received": claim.received,
                "revision": claim.revision,
                "owner": claim.owner,
            },
            token=long_hash("claim", *claim.chain, name),
        )

    def _one(self, rest: str, parameters: dict[str, Any]) -> Claim | None:
        found = self._read(rest, parameters)
        return found[0] if found else None

    def _read(self, rest: str, parameters: dict[str, Any]) -> list[Claim]:
        rows = self._clients.rows(f"SELECT {_COLUMNS} FROM {self._table} {rest}", parameters)
        return [_claim(row) for row in rows]


def broken(claims: Sequence[Claim]) -> str | None:
    """What is wrong with a chain, genesis first: the first gap, overlap or altered claim; None where it holds."""
    for before, claim in pairwise(claims):
        if claim.first != before.next:
            return f"{claim.chain}: a block ends at {before.last}, the next begins at {claim.first}"
        if claim.previous != before.hash:
            return f"{claim.chain}: the block at {claim.first} does not name the hash of the one before"
    return None


def _chain(chain: Chain) -> dict[str, Any]:
    return chain._asdict()


def _claim(row: Sequence[Any]) -> Claim:
    log, topic, partition, first, last, count, content, previous, _, received, revision, owner = row
    return Claim(
        Chain(log, topic, partition), first, last, count, content, previous, _millis(received), revision, owner
    )


def _millis(moment: datetime) -> int:
    whole = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(whole.timestamp() * 1000)
