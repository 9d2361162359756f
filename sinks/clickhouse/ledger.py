"""The ledger: what is stored, block by block, in one chain per partition of a log.

A block is claimed here before it is inserted. Claims race on a token made of (chain, first) alone, so one wins, and
the row that is read back defines the block for everyone. Each claim names the hash of the one before: the ledger is
also the proof that what was stored is what Kafka gave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from schemas.identity import long_hash

GENESIS = "genesis"


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
    def genesis(self) -> bool:
        """The chain's beginning: it holds no records."""
        return self.revision == GENESIS

    @property
    def hash(self) -> str:
        """What the next claim names."""
        return long_hash(
            *self.chain,
            self.first,
            self.last,
            self.count,
            self.content,
            self.previous,
            self.received,
            self.revision,
            self.owner,
        )

    def token(self, table: str, revision: str = "") -> str:
        """The deduplication token of this block's insert into `table`; `revision` only for a repair by another."""
        return long_hash("block", *self.chain, self.first, self.hash, table, revision)
