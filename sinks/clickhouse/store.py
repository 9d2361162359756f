"""ClickHouse as storing sees it: the tables made and checked, the ledger, the rows."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from sinks.clickhouse import check
from sinks.clickhouse.client import Address, Clients
from sinks.clickhouse.ledger import Chain, Claim, Ledger
from sinks.clickhouse.writer import Writer


class ClickHouse:
    """One store. Every method blocks, may be called by several threads, and raises UnreachableError or HaltError."""

    def __init__(self, address: Address, database: str, days: int, *, create: bool = True) -> None:
        """`days` is the retention of events in tables that are created."""
        clients = Clients(address)
        self._clients, self._database, self._days, self._create = clients, database, days, create
        self.ledger = Ledger(clients, database)
        self.writer = Writer(clients, database)

    def check(self) -> None:
        """Make the tables where that is wanted, and look whether they can be stored to."""
        if self._create:
            check.create(self._clients, self._database, self._days)
        check.check(self._clients, self._database)

    def tail(self, chain: Chain) -> Claim | None:
        """The chain's last row."""
        return self.ledger.tail(chain)

    def block(self, chain: Chain) -> Claim | None:
        """The chain's last row that holds records."""
        return self.ledger.block(chain)

    def claim(self, claim: Claim) -> Claim | None:
        """Add a row to a chain; returns the row that stands at its number."""
        return self.ledger.claim(claim)

    def since(self, received: int) -> int:
        """Blocks claimed since then."""
        return self.ledger.since(received)

    def newest_log(self, topic: str, partition: int) -> str | None:
        """The log of the newest chain of a partition."""
        return self.ledger.newest_log(topic, partition)

    def insert(self, table: str, data: pa.Table, token: str) -> None:
        """Insert rows under a token."""
        self.writer.insert(table, data, token)

    def present(self, claim: Claim, tables: Iterable[str]) -> list[int]:
        """Offsets of the block's rows in these tables."""
        return self.writer.present(claim, tables)

    def count(self, claim: Claim, tables: Iterable[str]) -> int:
        """Number of the block's rows in these tables."""
        return self.writer.count(claim, tables)
