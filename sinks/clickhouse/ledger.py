"""The ledger: what is stored, block by block, in one chain per partition of a log.

A block is claimed here before it is inserted. The rows of a chain are numbered. Who claims follows the last row he
saw, and claims race on a token made of (chain, number) alone, so one wins, and the row that is read back defines the
block for everyone. Each row names the hash of the one before: the ledger is also the proof that what was stored is what
Kafka gave.

Rows that hold no records stand between blocks: the genesis, which names the first position; the mending of an
incomplete block by a build whose rows differ (`mend`); a loss that a person accepted (`gap`).
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

_COLUMNS = "log, topic, partition, number, first, last, count, content, previous, hash, received, revision, owner"
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

    `count` records with content hash `content`; `previous` is the hash of the row before; `received` (ms UTC) is
    one value for all rows of the block; `revision` names all that shapes rows; `owner` tells whose claim won.
    A row without positions has last = first - 1: the next block begins at `first`.
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
    number: int = 0

    @property
    def next(self) -> int:
        """Where the next block begins."""
        return self.last + 1

    @property
    def mends(self) -> bool:
        """Whether this row only says who mends the block before it."""
        return self.count == 0 and self.revision not in (GENESIS, GAP)

    @property
    def hash(self) -> str:
        """SHA-256 over all of the claim but its owner; what the next one names as `previous`."""
        block = (self.number, self.first, self.last, self.count, self.content, self.previous, self.received)
        return hashlib.sha256(orjson.dumps((*self.chain, *block, self.revision))).hexdigest()

    def token(self, table: str, mending: Claim | None = None) -> str:
        """The deduplication token of this block's insert into `table`: its owner's, or whose turn it is to mend it."""
        return long_hash("block", *self.chain, self.number, self.hash, table, mending.hash if mending else "")


def genesis(chain: Chain, first: int, received: int, owner: str) -> Claim:
    """The row that begins a chain and names the first position to store."""
    return Claim(chain, first, first - 1, 0, "", "", received, GENESIS, owner)


def mend(tail: Claim, revision: str, received: int, owner: str) -> Claim:
    """The row by which a build takes the mending of the incomplete tail block upon itself."""
    return Claim(tail.chain, tail.next, tail.last, 0, "", tail.hash, received, revision, owner, tail.number + 1)


def gap(tail: Claim, until: int, received: int, who: str) -> Claim:
    """The row that accepts the loss of everything from the tail to `until` (exclusive), by a person's decision.

    With `until` right behind the tail it accepts what the tail block lacks.
    """
    return Claim(tail.chain, tail.next, until - 1, 0, "", tail.hash, received, GAP, who, tail.number + 1)


class Ledger:
    """The table `ledger`. Every method blocks, and raises UnreachableError or HaltError."""

    def __init__(self, clients: Clients, database: str) -> None:
        self._clients = clients
        self._table = f"`{database}`.ledger"

    def tail(self, chain: Chain) -> Claim | None:
        """The chain's last row; None where it has not begun."""
        return self._one(f"WHERE {_CHAIN} ORDER BY number DESC LIMIT 1", _chain(chain))

    def block(self, chain: Chain) -> Claim | None:
        """The chain's last row that holds records; None where there is none."""
        return self._one(f"WHERE {_CHAIN} AND count > 0 ORDER BY number DESC LIMIT 1", _chain(chain))

    def claim(self, claim: Claim) -> Claim | None:
        """Insert a row after the one it names, if that is still the last; returns what stands at its number.

        That is ours, or another's who was faster; None when the row before is not there.
        """
        after = f"AND EXISTS (SELECT 1 FROM {self._table} WHERE {_CHAIN} AND hash = {{previous:String}})"
        self._insert(
            claim,
            f"NOT EXISTS (SELECT 1 FROM {self._table} WHERE {_CHAIN} AND number >= {{number:UInt64}}) "
            f"{after if claim.number else ''}",
        )
        return self._one(
            f"WHERE {_CHAIN} AND number = {{number:UInt64}} LIMIT 1", {**_chain(claim.chain), "number": claim.number}
        )

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
        return self._read(f"WHERE {_CHAIN} ORDER BY number", _chain(chain))

    def chains(self) -> list[Chain]:
        """All chains there are."""
        rows = self._clients.rows(f"SELECT DISTINCT log, topic, partition FROM {self._table} ORDER BY ALL")
        return [Chain(*row) for row in rows]

    def _insert(self, claim: Claim, condition: str) -> None:
        values = (
            "{log:String}, {topic:String}, {partition:UInt32}, {number:UInt64}, {first:Int64}, {last:Int64}, "
            "{count:UInt64}, {content:String}, {previous:String}, {hash:String}, "
            "fromUnixTimestamp64Milli({received:Int64}), {revision:String}, {owner:String}"
        )
        self._clients.command(
            f"INSERT INTO {self._table} ({_COLUMNS}) SELECT {values} WHERE {condition}",
            {
                **_chain(claim.chain),
                "number": claim.number,
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
            token=long_hash("claim", *claim.chain, claim.number),
        )

    def _one(self, rest: str, parameters: dict[str, Any]) -> Claim | None:
        found = self._read(rest, parameters)
        return found[0] if found else None

    def _read(self, rest: str, parameters: dict[str, Any]) -> list[Claim]:
        rows = self._clients.rows(f"SELECT {_COLUMNS} FROM {self._table} {rest}", parameters)
        return [_claim(row) for row in rows]


def broken(claims: Sequence[Claim]) -> str | None:
    """What is wrong with a chain, genesis first: the first gap, overlap or altered row; None where it holds."""
    for before, claim in pairwise(claims):
        if (claim.first, claim.number) != (before.next, before.number + 1):
            return f"{claim.chain}: a block ends at {before.last}, the next begins at {claim.first}"
        if claim.previous != before.hash:
            return f"{claim.chain}: the block at {claim.first} does not name the hash of the one before"
    return None


def _chain(chain: Chain) -> dict[str, Any]:
    return chain._asdict()


def _claim(row: Sequence[Any]) -> Claim:
    log, topic, partition, number, first, last, count, content, previous, _, received, revision, owner = row
    chain = Chain(log, topic, partition)
    return Claim(chain, first, last, count, content, previous, _millis(received), revision, owner, number)


def _millis(moment: datetime) -> int:
    whole = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(whole.timestamp() * 1000)
