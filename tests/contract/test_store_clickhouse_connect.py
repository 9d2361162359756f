"""The store as clickhouse-connect sees it: the client that the worker, the hunts and an analyst's notebook use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData

from pipeline.embedded.children import Store
from tests import embedded

pytestmark = pytest.mark.flow

DATABASE = "test_connect"


@pytest.fixture(scope="module")
def database(embedded_store: Store) -> Iterator[str]:
    with embedded.client(embedded_store) as client:
        client.command(f"CREATE DATABASE {DATABASE}")
        yield DATABASE
        client.command(f"DROP DATABASE {DATABASE}")


@pytest.fixture(params=["lz4", "zstd", "gzip", False])
def client(request: pytest.FixtureRequest, embedded_store: Store, database: str) -> Iterator[Any]:
    """A client for every compression that it knows, and for none."""
    with embedded.client(embedded_store, database=database, compress=request.param) as made:
        made.command(
            "CREATE OR REPLACE TABLE t (a UInt64, s String, at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY a"
        )
        yield made


def test_it_queries_with_parameters_and_settings(client: Any) -> None:
    asked = "SELECT number + {n:UInt64} AS a, getSetting('max_block_size') AS size FROM numbers(3)"
    result = client.query(asked, parameters={"n": 10}, settings={"max_block_size": 123})
    assert result.column_names == ("a", "size")
    assert result.result_rows == [(10, 123), (11, 123), (12, 123)]
    assert client.query("SELECT getSetting('max_block_size')").first_row[0] != 123


def test_it_inserts_rows_columns_arrow_and_raw_lines(client: Any) -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    client.insert("t", [[1, "қорған", at], [2, "b", at]], column_names=["a", "s", "at"])
    client.insert("t", [[3, 4], ["c", "d"], [at, at]], column_names=["a", "s", "at"], column_oriented=True)
    arrow = pa.table(
        {"a": pa.array([5, 6], pa.uint64()), "s": ["e", "f"], "at": pa.array([at, at], pa.timestamp("ms"))}
    )
    assert client.insert_arrow("t", arrow).written_rows == 2
    client.raw_insert("t", ["a", "s"], b'{"a":7,"s":"g"}\n{"a":8,"s":"h"}\n', fmt="JSONEachRow")
    assert client.query("SELECT a, s FROM t ORDER BY a").result_rows == [
        (1, "қорған"),
        (2, "b"),
        (3, "c"),
        (4, "d"),
        (5, "e"),
        (6, "f"),
        (7, "g"),
        (8, "h"),
    ]
    assert client.query("SELECT uniqExact(at) FROM t WHERE a < 7").first_row == (1,)


def test_a_compressed_raw_insert_of_many_pieces(client: Any) -> None:
    if client.write_compression is None:
        client.write_compression = "zstd"
    lines = [b'{"a":%d,"s":"%s"}\n' % (number, b"x" * 200) for number in range(20_000)]
    client.raw_insert(
        "t", ["a", "s"], iter([b"".join(lines[at : at + 1000]) for at in range(0, 20_000, 1000)]), fmt="JSONEachRow"
    )
    assert client.query("SELECT count(), sum(a) FROM t").first_row == (20_000, sum(range(20_000)))


def test_it_streams_what_does_not_fit_in_one_block(client: Any) -> None:
    query = "SELECT number AS a, toString(number) AS s FROM numbers(300000)"
    with client.query_row_block_stream(query) as blocks:
        sizes = [len(block) for block in blocks]
    assert sum(sizes) == 300_000
    assert len(sizes) > 1
    with client.query_arrow_stream(query) as batches:
        assert sum(batch.num_rows for batch in batches) == 300_000
    assert client.query_arrow(query).num_rows == 300_000


def test_an_exception_keeps_its_code_and_name(client: Any) -> None:
    with pytest.raises(DatabaseError, match=r"Code: 60.*UNKNOWN_TABLE"):
        client.query("SELECT * FROM no_such_table")
    with pytest.raises(DatabaseError, match=r"Code: 62"):
        client.command("SELECT 1; SELECT 2")
    with pytest.raises(DatabaseError, match=r"Code: 16|Code: 117|Code: 10"):
        client.insert_arrow("t", pa.table({"no_such_column": [1]}))


def test_an_exception_in_the_middle_of_a_stream_reaches_the_reader(client: Any) -> None:
    query = "SELECT throwIf(number = 2900000, 'too far') AS a, number FROM numbers(3000000)"
    with pytest.raises(Exception, match=r"too far|395"), client.query_row_block_stream(query) as blocks:
        for _ in blocks:
            pass


def test_ddl_and_commands_answer_as_the_server_does(client: Any) -> None:
    assert client.command("SELECT 1") == 1
    assert client.command("EXISTS TABLE t") == 1
    assert client.command("SHOW TABLES") == "t"
    assert client.ping()
    client.command("ALTER TABLE t ADD COLUMN extra LowCardinality(String)")
    assert [row[0] for row in client.query("DESCRIBE TABLE t").result_rows][-1] == "extra"
    assert client.query("SELECT extra FROM t WHERE 0").result_rows == []


def test_tables_of_the_request_can_be_asked(client: Any) -> None:
    data = ExternalData(file_name="wanted", data=b"1\n3\n", fmt="TSV", structure="a UInt64")
    result = client.query(
        "SELECT number FROM numbers(5) WHERE number IN (SELECT a FROM wanted) ORDER BY 1", external_data=data
    )
    assert result.result_rows == [(1,), (3,)]
    with pytest.raises(DatabaseError, match="Code: 60"):
        client.query("SELECT * FROM wanted")


def test_a_client_with_sessions_works_as_by_default(embedded_store: Store, database: str) -> None:
    with clickhouse_connect.get_client(
        host="127.0.0.1",
        port=embedded_store.port,
        username="qorgan",
        password=embedded_store.password,
        database=database,
    ) as client:
        client.command("CREATE TEMPORARY TABLE mine (a UInt8)")
        client.insert("mine", [[1], [2]], ["a"])
        assert client.query("SELECT sum(a) FROM mine", settings={"max_threads": 1}).first_row == (3,)


def test_forms_carry_query_and_parameters(embedded_store: Store, database: str) -> None:
    with embedded.client(embedded_store, database=database, form_encode_query_params=True) as client:
        assert client.query("SELECT {a:String} AS a", parameters={"a": "x" * 100_000}).first_row == ("x" * 100_000,)


def test_threads_insert_and_ask_at_once_and_no_setting_strays(embedded_store: Store, database: str) -> None:
    with embedded.client(embedded_store, database=database) as client:
        client.command("CREATE TABLE busy (thread UInt8, a UInt64) ENGINE = MergeTree ORDER BY a")
        usual = client.query("SELECT getSetting('max_block_size')").first_row[0]
        together = threading.Barrier(4)

        def insert(thread: int) -> None:
            together.wait(10)
            for part in range(10):
                table = pa.table(
                    {
                        "thread": pa.array([thread] * 500, pa.uint8()),
                        "a": pa.array(range(part * 500, part * 500 + 500), pa.uint64()),
                    }
                )
                client.insert_arrow(
                    "busy", table, settings={"insert_deduplication_token": f"{thread}-{part}", "async_insert": 0}
                )

        def ask(size: int) -> set[int]:
            together.wait(10)
            asked = "SELECT getSetting('max_block_size'), count() FROM busy"
            mine = {client.query(asked, settings={"max_block_size": size}).first_row[0] for _ in range(25)}
            bare = {client.query(asked).first_row[0] for _ in range(25)}
            assert bare == {usual}
            return mine

        with ThreadPoolExecutor(4) as pool:
            inserting = [pool.submit(insert, thread) for thread in (1, 2)]
            asking = [pool.submit(ask, size) for size in (111, 222)]
            assert [each.result(60) for each in asking] == [{111}, {222}]
            for each in inserting:
                each.result(60)
        assert client.query("SELECT thread, count(), uniqExact(a) FROM busy GROUP BY 1 ORDER BY 1").result_rows == [
            (1, 5000, 5000),
            (2, 5000, 5000),
        ]
