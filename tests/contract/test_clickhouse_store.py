"""What storing relies on, on the real engine: claims that race, tokens that last, tables that are checked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.embedded.children import Store
from schemas.errors import HaltError, UnreachableError
from schemas.event import RecordBatch
from sinks.clickhouse import client, ddl
from sinks.clickhouse.client import Address
from sinks.clickhouse.hashing import ContentHash
from sinks.clickhouse.ledger import Chain, Claim, broken, gap, genesis
from sinks.clickhouse.rows import EventColumns
from sinks.clickhouse.store import ClickHouse
from tests import embedded
from tests.builders import FakeRecord, batch_of
from tests.unit.test_clickhouse_rows import read

NOON = 1_795_348_800_000
ROWS = ("events", "dead_letters")


def open_at(child: Store, database: str, **options: Any) -> ClickHouse:
    return ClickHouse(Address("127.0.0.1", child.port, "qorgan", child.password), database, 100, **options)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A database of the test's own."""
    return "s_" + str(abs(hash(request.node.nodeid)))


@pytest.fixture
def clickhouse(embedded_store: Store, name: str) -> Iterator[ClickHouse]:
    store = open_at(embedded_store, name)
    store.check()
    yield store
    embedded.client(embedded_store).command(f"DROP DATABASE {name}")


def claim_after(tail: Claim, count: int, owner: str = "me", received: int = NOON) -> Claim:
    return Claim(
        tail.chain, tail.next, tail.next + count - 1, count, "c", tail.hash, received, "r1", owner, tail.number + 1
    )


def begun(store: ClickHouse, partition: int = 0) -> Claim:
    tail = store.claim(genesis(Chain("log0", "raw.events", partition), 0, NOON, "me"))
    assert tail is not None
    return tail


def insert(
    store: ClickHouse, claim: Claim, batch: RecordBatch, tables: tuple[str, ...] = ("observables", *ROWS)
) -> None:
    columns = EventColumns()
    columns.add(batch, read(batch), ContentHash().add(batch.records))
    for table, rows in columns.tables(claim).items():
        if table in tables:
            store.insert(table, rows, claim.token(table))


class TestClaims:
    def test_of_racing_claims_each_block_is_won_once_and_the_chain_has_no_gap(self, clickhouse: ClickHouse) -> None:
        chain, won = begun(clickhouse).chain, []

        def race(owner: str, size: int) -> None:
            tail = clickhouse.tail(chain)
            while tail is not None and tail.next < 100:
                mine = claim_after(tail, size, owner)
                tail = clickhouse.claim(mine)
                if tail is not None and tail.owner == owner:
                    won.append(tail.first)

        racers = [threading.Thread(target=race, args=(f"owner{size}", size)) for size in (3, 4, 5)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        claims = clickhouse.ledger.chain(chain)
        assert broken(claims) is None
        assert claims[-1].next >= 100
        assert sorted(won) == [claim.first for claim in claims[1:]]

    def test_a_claim_that_does_not_go_on_from_the_tail_is_refused(self, clickhouse: ClickHouse) -> None:
        tail = begun(clickhouse)
        assert clickhouse.claim(claim_after(claim_after(tail, 5), 5)) is None
        assert clickhouse.tail(tail.chain) == tail

    def test_a_chain_begins_once(self, clickhouse: ClickHouse) -> None:
        tail = begun(clickhouse)
        assert clickhouse.claim(genesis(tail.chain, 500, NOON, "other")) == tail

    def test_what_was_claimed_reads_back_to_the_last_field(self, clickhouse: ClickHouse) -> None:
        mine = claim_after(begun(clickhouse), 5, received=NOON + 123)
        assert clickhouse.claim(mine) == mine

    def test_an_accepted_loss_is_a_link_of_the_chain(self, clickhouse: ClickHouse) -> None:
        tail = begun(clickhouse)
        clickhouse.claim(gap(tail, 300, NOON, "a.person"))
        after = clickhouse.tail(tail.chain)
        assert after is not None
        assert after.next == 300
        assert broken(clickhouse.ledger.chain(tail.chain)) is None

    def test_the_newest_log_of_a_partition_is_the_one_begun_last(self, clickhouse: ClickHouse) -> None:
        for number, log in enumerate(("old", "new")):
            clickhouse.claim(genesis(Chain(log, "raw.events", 0), 0, NOON + number, "me"))
        assert clickhouse.newest_log("raw.events", 0) == "new"
        assert clickhouse.newest_log("raw.events", 1) is None


class TestRows:
    def test_the_same_token_adds_nothing_however_the_block_was_cut(self, clickhouse: ClickHouse) -> None:
        claim = claim_after(begun(clickhouse), 600)
        batches = [batch_of(*[b"v"] * 200, first=first) for first in (0, 200, 400)]
        whole = batch_of(*[b"v"] * 600)
        for parts in (batches, [whole], batches):
            columns = EventColumns()
            for part in parts:
                columns.add(part, read(part), ContentHash().add(part.records))
            for table, rows in columns.tables(claim).items():
                clickhouse.insert(table, rows, claim.token(table))
        assert clickhouse.present(claim, ROWS) == list(range(600))

    def test_a_retry_after_midnight_adds_nothing_because_received_is_the_claims(self, clickhouse: ClickHouse) -> None:
        late = claim_after(begun(clickhouse), 10, received=NOON + 12 * 3_600_000 - 1)
        batch = batch_of(*[b"v"] * 10)
        insert(clickhouse, late, batch)
        insert(clickhouse, late, batch)  # what day it is now plays no part
        assert clickhouse.count(late, ROWS) == 10

    def test_bytes_come_back_as_they_were(self, clickhouse: ClickHouse, embedded_store: Store, name: str) -> None:
        values = [None, b"", b"\x00\xff" * 700, b"\xf0\x9f" + b"x" * 3_000_000]
        records = [
            FakeRecord(number * 3, value, key=b"\x00k" if number else None, headers=[("h", b"\xff")])
            for number, value in enumerate(values)
        ]
        batch = RecordBatch("log0", "raw.events", 0, 0, 10, records)
        claim = replace(claim_after(begun(clickhouse), 10), count=4)
        insert(clickhouse, claim, batch)
        assert clickhouse.count(claim, ROWS) == 4
        rows = embedded.client(embedded_store).query(
            f"SELECT offset, hex(raw), raw IS NULL, hex(raw_sha256) = hex(SHA256(assumeNotNull(raw))), hex(key) "
            f"FROM {name}.dead_letters ORDER BY offset"
        )
        assert [(offset, bytes.fromhex(raw) if not null else None) for offset, raw, null, *_ in rows.result_rows] == [
            (number * 3, value) for number, value in enumerate(values)
        ]
        assert [same for *_, same, _ in rows.result_rows] == [0, 1, 1, 1]
        assert [key for *_, key in rows.result_rows] == [None, "006B", "006B", "006B"]

    def test_over_a_network_bodies_are_compressed_and_read_the_same(
        self, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client, "_LOOPBACK", ())
        claim = claim_after(begun(clickhouse), 90)
        insert(clickhouse, claim, batch_of(*[b"v" * 300] * 90))
        assert clickhouse.present(claim, ROWS) == list(range(90))

    def test_rows_of_another_log_are_not_taken_for_the_blocks(self, clickhouse: ClickHouse) -> None:
        claim = claim_after(begun(clickhouse), 10)
        insert(clickhouse, claim, batch_of(*[b"v"] * 10))
        other = replace(claim, chain=claim.chain._replace(log="log1"))
        assert clickhouse.present(other, ROWS) == []


class TestRestart:
    def test_tokens_and_claims_outlive_a_kill_of_the_store(self, tmp_path: Path) -> None:
        batch = batch_of(*[b"v"] * 10)
        with embedded.store(tmp_path) as child:
            store = open_at(child, "q")
            store.check()
            claim = claim_after(begun(store), 10)
            assert store.claim(claim) == claim
            insert(store, claim, batch)
            child.kill()
        with embedded.store(tmp_path) as child:
            store = open_at(child, "q")
            store.check()
            assert store.claim(replace(claim, owner="other")) == claim
            insert(store, claim, batch)
            assert store.present(claim, ROWS) == list(range(10))


class TestTables:
    def test_workers_may_create_them_at_once(self, embedded_store: Store, name: str) -> None:
        failed: list[Exception] = []

        def create() -> None:
            try:
                open_at(embedded_store, name).check()
            except Exception as error:
                failed.append(error)

        workers = [threading.Thread(target=create) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert failed == []

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ("ALTER TABLE {}.events MODIFY SETTING non_replicated_deduplication_window = 10", "remembers 10 blocks"),
            ("ALTER TABLE {}.events MODIFY TTL toDateTime(received) + INTERVAL 30 DAY", "keeps rows for 30 days"),
            ("ALTER TABLE {}.ledger MODIFY TTL toDateTime(received) + INTERVAL 1 YEAR", "ledger keeps rows for 365"),
            ("ALTER TABLE {}.dead_letters DROP COLUMN headers", "dead_letters lacks the column headers"),
            ("DROP TABLE {}.observables", "observables is missing"),
        ],
    )
    def test_a_table_that_would_lose_something_halts_with_the_reason(
        self, clickhouse: ClickHouse, embedded_store: Store, name: str, change: str, said: str
    ) -> None:
        embedded.client(embedded_store).command(change.format(name))
        with pytest.raises(HaltError, match=said):
            open_at(embedded_store, name, create=False).check()

    def test_a_detection_counts_once_and_an_incident_as_it_is_last(
        self, clickhouse: ClickHouse, embedded_store: Store, name: str
    ) -> None:
        sql = embedded.client(embedded_store)
        sql.command(
            f"INSERT INTO {name}.detections (id, revision, received, record_offset) VALUES "
            "('d', 'second', '2026-01-01 00:00:01', 9), ('d', 'first', '2026-01-01 00:00:00', 3)"
        )
        sql.command(f"INSERT INTO {name}.incidents (id, revision, status) VALUES ('i', 2, 'b'), ('i', 1, 'a')")
        assert sql.query(f"SELECT revision FROM {name}.detections_first").result_rows == [("first",)]
        assert sql.query(f"SELECT revision, status FROM {name}.incidents_last").result_rows == [(2, "b")]


class TestErrors:
    def test_a_wrong_password_is_said_and_shown_to_nobody(self, embedded_store: Store) -> None:
        store = ClickHouse(Address("127.0.0.1", embedded_store.port, "qorgan", "s3cret-wrong"), "q", 100)
        with pytest.raises(UnreachableError, match="does not let us in") as caught:
            store.check()
        assert "s3cret" not in repr(caught.value)
        assert caught.value.__cause__ is None

    def test_no_store_is_worth_another_attempt(self) -> None:
        with pytest.raises(UnreachableError, match="does not answer"):
            ClickHouse(Address("127.0.0.1", 1, "qorgan", "x", timeout=1.0), "q", 100).check()

    def test_a_table_that_is_gone_halts_instead_of_trying_for_ever(self, clickhouse: ClickHouse, name: str) -> None:
        claim = claim_after(begun(clickhouse), 1)
        clickhouse.writer._clients.command(f"DROP TABLE {name}.events")
        with pytest.raises(HaltError, match="UNKNOWN_TABLE"):
            clickhouse.count(claim, ROWS)


def test_every_table_remembers_its_tokens() -> None:
    assert all(f"non_replicated_deduplication_window = {ddl.WINDOW}" in t.create("q", 100) for t in ddl.TABLES)
