"""Blocks into tables, and what of a block is there already."""

# ruff: noqa: S608 - the names put into statements are our own; values are bound
from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from sinks.clickhouse.client import Clients
from sinks.clickhouse.ledger import Claim

#: Where a record of a chain may stand: table → prefix of the four columns that name the record.
ROW_TABLES = {"events": "", "dead_letters": "", "detections": "record_", "incidents": "record_"}


class Writer:
    """The tables of rows. Every method blocks, and raises UnreachableError or HaltError."""

    def __init__(self, clients: Clients, database: str) -> None:
        self._clients = clients
        self._database = database

    def insert(self, table: str, data: pa.Table, token: str) -> None:
        """Insert rows under a token; nothing happens when that token was inserted before."""
        self._clients.insert(f"`{self._database}`.`{table}`", data, token)

    def present(self, claim: Claim, tables: Iterable[str]) -> list[int]:
        """The offsets of the block's records that stand in these tables, sorted; an offset twice if it is twice."""
        found: list[int] = []
        for table in tables:
            found += [row[0] for row in self._clients.rows(self._select("{prefix}offset", table), _bounds(claim))]
        return sorted(found)

    def count(self, claim: Claim, tables: Iterable[str]) -> int:
        """How many rows of the block stand in these tables; equal to the claim's count when it is complete."""
        return sum(int(self._clients.rows(self._select("count()", table), _bounds(claim))[0][0]) for table in tables)

    def _select(self, what: str, table: str) -> str:
        prefix = ROW_TABLES[table]
        return (
            f"SELECT {what} FROM `{self._database}`.`{table}` "
            "WHERE received = fromUnixTimestamp64Milli({received:Int64}) "
            f"AND {prefix}log = {{log:String}} AND {prefix}topic = {{topic:String}} "
            f"AND {prefix}partition = {{partition:UInt32}} "
            f"AND {prefix}offset BETWEEN {{first:UInt64}} AND {{last:UInt64}}"
        ).replace("{prefix}", prefix)


def _bounds(claim: Claim) -> dict[str, object]:
    return {**claim.chain._asdict(), "first": claim.first, "last": claim.last, "received": claim.received}
