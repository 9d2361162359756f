"""The store as curl sees it: ClickHouse's HTTP interface, byte by byte."""

from __future__ import annotations

import base64
import gzip
import http.client
import io
import json
import re
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import lz4.frame
import pyarrow as pa
import pytest
import zstandard

from pipeline.embedded.children import Store

pytestmark = pytest.mark.flow


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def code(self) -> str | None:
        return self.headers["X-ClickHouse-Exception-Code"]


class Http:
    """One request, one connection."""

    def __init__(self, store: Store, database: str) -> None:
        self.store, self.database = store, database

    def __call__(
        self,
        query: str | None = None,
        body: bytes | str | Iterator[bytes] = b"",
        method: str = "POST",
        path: str = "/",
        headers: dict[str, str] | None = None,
        **parameters: Any,
    ) -> Reply:
        sent = {"X-ClickHouse-User": "qorgan", "X-ClickHouse-Key": self.store.password} if headers is None else headers
        asked = {"database": self.database, **parameters} | ({} if query is None else {"query": query})
        connection = http.client.HTTPConnection("127.0.0.1", self.store.port, timeout=30)
        data = body.encode() if isinstance(body, str) else body
        connection.request(method, f"{path}?{urlencode(asked)}", data, sent)
        answer = connection.getresponse()
        reply = Reply(answer.status, answer.headers, answer.read())
        connection.close()
        return reply

    def with_headers(self, query: str, body: bytes | str = b"", parameters: Any = None, **headers: str) -> Reply:
        ours = {"X-ClickHouse-User": "qorgan", "X-ClickHouse-Key": self.store.password}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self(query, body, headers=ours | named, **(parameters or {}))


@pytest.fixture(scope="module")
def http_(embedded_store: Store) -> Iterator[Http]:
    ask = Http(embedded_store, "test_http")
    Http(embedded_store, "default")("CREATE DATABASE IF NOT EXISTS test_http")
    ask("CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
    yield ask
    Http(embedded_store, "default")("DROP DATABASE test_http")


@pytest.fixture
def table(http_: Http) -> str:
    http_("TRUNCATE TABLE t")
    return "t"


def rows(http_: Http, query: str = "SELECT a, s FROM t ORDER BY a") -> list[Any]:
    return [json.loads(line) for line in http_(f"{query} FORMAT JSONCompactEachRow").body.splitlines()]


# Asking.


def test_health_needs_no_password(http_: Http) -> None:
    for path in ("/ping", "/replicas_status"):
        reply = http_(path=path, method="GET", headers={})
        assert (reply.status, reply.body) == (200, b"Ok.\n")


def test_a_query_comes_in_the_url_in_the_body_or_in_both(http_: Http) -> None:
    assert http_("SELECT 1 + 1", method="GET").body == b"2\n"
    assert http_(None, "SELECT 1 + 1").body == b"2\n"
    assert http_("SELECT 1", "+ 1 AS two FORMAT JSONEachRow").body == b'{"two":2}\n'


def test_a_get_changes_nothing(http_: Http, table: str) -> None:
    reply = http_(f"INSERT INTO {table} VALUES (1, 'x')", method="GET")
    assert (reply.status, reply.code) == (500, "164")
    assert http_(f"DROP TABLE {table}", method="GET").code == "164"
    assert rows(http_) == []


def test_parameters_are_bound_with_their_types(http_: Http) -> None:
    reply = http_(
        "SELECT {n:UInt8} + 1, {s:String}, {names:Array(String)}, {t:Identifier}.a FROM (SELECT 5 AS a) AS x",
        param_n="41",
        param_s="o'clock; DROP",
        param_names="['a','b']",
        param_t="x",
    )
    assert reply.body == b"42\to\\'clock; DROP\t['a','b']\t5\n"
    assert http_("SELECT {n:UInt8}", param_n="nonsense").code == "457"


def test_a_setting_of_the_url_holds_for_its_query_alone(http_: Http) -> None:
    asked = "SELECT getSetting('max_threads'), getSetting('max_block_size')"
    usual = http_(asked).body
    assert http_(asked, max_threads=1, max_block_size=777).body == b"1\t777\n"
    assert http_(asked).body == usual
    assert http_("SELECT 1", no_such_setting=1).code == "115"
    assert http_("SELECT 1", **{"max_threads = 1, readonly": 1}).code == "115"


def test_an_answers_format_is_the_statements_else_the_headers_else_the_default(http_: Http) -> None:
    assert http_("SELECT 1 AS a FORMAT CSVWithNames", default_format="JSON").body == b'"a"\n1\n'
    assert json.loads(http_("SELECT 1 AS a", default_format="JSON").body)["data"] == [{"a": 1}]
    reply = http_.with_headers("SELECT 1 AS a", X_ClickHouse_Format="JSONEachRow")
    assert (reply.body, reply.headers["X-ClickHouse-Format"]) == (b'{"a":1}\n', "JSONEachRow")
    assert reply.headers["Content-Type"].startswith("application/x-ndjson")


def test_a_column_may_be_called_format(http_: Http) -> None:
    assert http_("SELECT format FROM (SELECT 1 AS format) WHERE format = 1").body == b"1\n"


def test_an_answer_names_its_query_its_place_and_what_it_read(http_: Http) -> None:
    headers = http_("SELECT number FROM numbers(10) FORMAT JSON", query_id="my-query").headers
    assert headers["X-ClickHouse-Query-Id"] == "my-query"
    assert headers["X-ClickHouse-Timezone"]
    assert headers["X-ClickHouse-Server-Display-Name"]
    assert json.loads(headers["X-ClickHouse-Summary"])["read_rows"] == "10"


@pytest.mark.parametrize(
    "name", ["Native", "TabSeparated", "CSVWithNames", "JSON", "ArrowStream", "Parquet", "RowBinaryWithNames"]
)
def test_a_result_of_many_blocks_is_one_well_formed_answer(http_: Http, name: str) -> None:
    query = f"SELECT number, toString(number) AS s FROM numbers(300000) ORDER BY number FORMAT {name}"
    streamed = http_(query)
    assert streamed.status == 200
    whole = http_(query, wait_end_of_query=1)
    if name in ("JSON", "Parquet"):  # these hold the time they took
        assert abs(len(streamed.body) - len(whole.body)) < 100
    else:
        assert streamed.body == whole.body
    assert len(streamed.body) > 300_000


# Refusing.


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("SELECT * FROM no_such_table", 404, "60"),
        ("SELECT no_such_column", 404, "47"),
        ("SELEKT 1", 400, "62"),
        ("garbage", 400, "62"),
        ("", 400, "62"),
        ("SELECT 1 FORMAT NoSuchFormat", 404, "73"),
        ("SELECT throwIf(1)", 500, "395"),
        ("SELECT sleepEachRow(0.2) FROM numbers(9) SETTINGS max_execution_time = 0.3, max_block_size = 1", 408, "159"),
        ("SELECT 'unclosed", 400, "62"),
        ("SELECT 1 INTO OUTFILE '/tmp/never'", 500, "358"),
        ("INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV", 404, "78"),
        ("CREATE TABLE k (a Int8) ENGINE = Kafka('a:1', 'b', 'c', 'TSV')", 500, "344"),
    ],
)
def test_an_exception_has_clickhouses_code_in_status_header_and_body(
    http_: Http, query: str, status: int, code: str
) -> None:
    reply = http_(None, query + "\n")
    assert (reply.status, reply.code) == (status, code)
    assert re.match(
        rf"Code: {code}\. DB::Exception: .+\([A-Z_]+\).*\(version [\d.]+\)\n\Z", reply.body.decode(), re.DOTALL
    )


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1; SELECT 2",
        "SELECT 1; garbage !!",
        "CREATE TABLE made (a Int8) ENGINE = Memory; garbage !!",
        "EXPLAIN AST SELECT 1; CREATE TABLE made (a Int8) ENGINE = Memory",
        "SELECT 1 /* ; */; CREATE TABLE made (a Int8) ENGINE = Memory",
        "INSERT INTO t SELECT 1, 'x'; CREATE TABLE made (a Int8) ENGINE = Memory",
    ],
)
def test_a_text_of_two_statements_runs_none_of_them(http_: Http, table: str, text: str) -> None:
    reply = http_(None, text)
    assert (reply.status, reply.code) == (400, "62")
    assert b"Multi-statements are not allowed" in reply.body or b"Syntax error" in reply.body
    assert http_("EXISTS TABLE made").body == b"0\n"
    assert rows(http_) == []


def test_one_statement_may_hold_and_end_with_semicolons(http_: Http) -> None:
    assert http_("SELECT ';', 1 AS `a;b` -- ; SELECT 2\n;").body == b";\t1\n"


def test_a_query_that_fails_while_it_is_sent_ends_with_its_exception_and_no_last_chunk(http_: Http) -> None:
    with pytest.raises(http.client.IncompleteRead) as broken:
        http_("SELECT throwIf(number = 900000, 'too far') FROM numbers(1000000) FORMAT TSV")
    assert b"__exception__\r\n" in broken.value.partial
    assert b"Code: 395. DB::Exception: too far" in broken.value.partial


def test_other_paths_are_not_found(http_: Http) -> None:
    assert http_(path="/play", method="GET").status == 404


# Inserting.


def test_an_inserts_data_follow_its_format_wherever_the_statement_stands(http_: Http, table: str) -> None:
    http_("INSERT INTO t FORMAT JSONEachRow", '{"a":1,"s":"one"}\n{"a":2,"s":"two"}')
    http_(None, "INSERT INTO t (s, a) FORMAT TSV\nthree\t3\n")
    http_(None, "INSERT INTO t VALUES (4, lower('FOUR')), (5, 'fi;ve')")
    http_("INSERT INTO t (a, s) VALUES", "(6, 'six')")
    http_("INSERT INTO {x:Identifier} (a, s) SETTINGS max_threads = 1 FORMAT CSV", '7,"seven"\n', param_x="t")
    http_(None, "INSERT INTO t SELECT 8, 'eight'")
    assert rows(http_) == [
        [1, "one"],
        [2, "two"],
        [3, "three"],
        [4, "four"],
        [5, "fi;ve"],
        [6, "six"],
        [7, "seven"],
        [8, "eight"],
    ]


def arrow(count: int, stream: bool = False) -> bytes:
    found = pa.table({"a": pa.array(range(count), pa.uint64()), "s": ["x" * 50] * count})
    sink = io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, found.schema) as writer:
        writer.write_table(found)
    return sink.getvalue()


@pytest.mark.parametrize("name", ["Arrow", "ArrowStream"])
def test_arrow_is_inserted_from_the_body_and_the_rows_are_counted(http_: Http, table: str, name: str) -> None:
    reply = http_(f"INSERT INTO t FORMAT {name}", arrow(50_000, name == "ArrowStream"))
    assert json.loads(reply.headers["X-ClickHouse-Summary"])["written_rows"] == "50000"
    assert rows(http_, "SELECT count(), sum(a) FROM t") == [[50_000, 1_249_975_000]]


@pytest.mark.parametrize("name", ["ArrowStream", "JSONEachRow"])
def test_a_large_body_becomes_one_part(http_: Http, table: str, name: str) -> None:
    lines = b"".join(b'{"a":%d,"s":"%s"}\n' % (number, b"x" * 250) for number in range(60_000))
    body = lines if name == "JSONEachRow" else arrow(300_000, stream=True)
    assert len(body) > 15_000_000
    assert http_(f"INSERT INTO t FORMAT {name}", body, async_insert=0).status == 200
    parts = "SELECT count(), sum(rows) FROM system.parts WHERE database = currentDatabase() AND table = 't' AND active"
    assert rows(http_, parts) == [[1, 60_000 if name == "JSONEachRow" else 300_000]]


def test_native_and_rowbinary_are_inserted_as_they_were_answered(http_: Http, table: str) -> None:
    for name in ("Native", "RowBinary"):
        data = http_(f"SELECT toUInt64(number) AS a, toString(number) AS s FROM numbers(1000) FORMAT {name}").body
        assert http_(f"INSERT INTO t FORMAT {name}", data).status == 200
    assert rows(http_, "SELECT count(), uniqExact(a) FROM t") == [[2000, 1000]]


def test_a_body_in_pieces_of_unknown_length_is_inserted(http_: Http, table: str) -> None:
    lines = (b'{"a":%d,"s":"x"}\n' % number for number in range(1000))
    assert http_("INSERT INTO t FORMAT JSONEachRow", lines).status == 200
    assert rows(http_, "SELECT count() FROM t") == [[1000]]


def test_an_insert_of_nothing_inserts_nothing(http_: Http, table: str) -> None:
    assert http_("INSERT INTO t FORMAT JSONEachRow", b"").status == 200
    assert rows(http_) == []


@pytest.mark.parametrize(
    ("data", "code"),
    [(b'{"a":1,"s":"x"}\n{"a":"bad"}\n', "27"), (b'{"a":1,"no_such":1}\n', "117"), (b"\x00\xff", "27")],
)
def test_bad_data_insert_nothing(http_: Http, table: str, data: bytes, code: str) -> None:
    reply = http_("INSERT INTO t FORMAT JSONEachRow", data, input_format_skip_unknown_fields=0)
    assert (reply.status, reply.code) == (400, code)
    assert rows(http_) == []


@pytest.mark.parametrize("name", ["TSV", "Values"])
def test_what_cannot_be_written_is_not_confirmed(http_: Http, name: str) -> None:
    """The engine's streaming insert reports success for both and stores nothing."""
    columns = "a UInt64, CONSTRAINT small CHECK a < 5"
    http_(f"CREATE OR REPLACE TABLE c ({columns}) ENGINE = MergeTree ORDER BY a PARTITION BY a")
    reply = http_(f"INSERT INTO c FORMAT {name}", "9\n" if name == "TSV" else "(9)")
    assert reply.code == "469"
    values = range(4) if name == "TSV" else ["(0)", "(1)", "(2)", "(3)"]
    data = "".join(f"{value}\n" for value in values) if name == "TSV" else ",".join(map(str, values))
    assert http_(f"INSERT INTO c FORMAT {name}", data, max_partitions_per_insert_block=3).code == "252"
    assert http_("SELECT count() FROM c").body == b"0\n"


def test_a_token_is_inserted_once_and_holds_for_its_insert_alone(http_: Http) -> None:
    http_("CREATE TABLE d (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100")
    for token, value in (("one", 1), ("one", 1), ("one", 2), ("two", 1)):
        assert (
            http_("INSERT INTO d FORMAT TSV", f"{value}\n", insert_deduplication_token=token, async_insert=0).status
            == 200
        )
    assert rows(http_, "SELECT a FROM d") == [[1], [1]]
    assert http_("SELECT getSetting('insert_deduplication_token')").body == b"\n"


# Compressing.

COMPRESSED = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": lambda data: zstandard.compress(data[:9]) + zstandard.compress(data[9:]),
    "lz4": lz4.frame.compress,
}
PLAIN = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    "lz4": lz4.frame.decompress,
}


@pytest.mark.parametrize("name", sorted(COMPRESSED))
def test_bodies_and_answers_are_compressed_as_the_headers_say(http_: Http, table: str, name: str) -> None:
    text = b"INSERT INTO t FORMAT JSONEachRow\n" + b'{"a":1,"s":"xxxxxxxxxxxxxxxx"}\n' * 100_000
    assert http_.with_headers("", COMPRESSED[name](text), Content_Encoding=name).status == 200
    compressing = {"enable_http_compression": 1}
    for limit in (10, 100_000):
        reply = http_.with_headers(
            f"SELECT s FROM t LIMIT {limit}", parameters=compressing, Accept_Encoding=f"br, {name};q=0.9"
        )
        assert reply.headers["Content-Encoding"] == name
        assert PLAIN[name](reply.body) == b"xxxxxxxxxxxxxxxx\n" * limit
    assert http_.with_headers("SELECT 1", Accept_Encoding=name).headers["Content-Encoding"] is None


@pytest.mark.parametrize("name", sorted(COMPRESSED))
def test_a_damaged_compressed_body_inserts_nothing(http_: Http, table: str, name: str) -> None:
    whole = COMPRESSED[name](b"INSERT INTO t FORMAT TSV\n" + b"1\tx\n" * 1000)
    for damaged in (whole[: len(whole) // 2], b"nonsense" * 20):
        reply = http_.with_headers("", damaged, Content_Encoding=name)
        assert reply.status in (400, 500)
        assert reply.body.startswith(b"Code: ")
    assert rows(http_) == []


def test_an_unknown_compression_is_named(http_: Http) -> None:
    assert http_.with_headers("", b"x", Content_Encoding="br").code == "89"
    assert http_("SELECT 1", compress=1).status == 501


# Who may ask.


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_one_user_with_one_password_in_three_ways(http_: Http) -> None:
    password = http_.store.password
    assert http_("SELECT 1", headers=basic("qorgan", password)).status == 200
    assert http_("SELECT 1", headers={"X-ClickHouse-User": "qorgan", "X-ClickHouse-Key": password}).status == 200
    assert http_("SELECT 1", headers={}, user="qorgan", password=password).status == 200


def test_nobody_else_is_answered(http_: Http) -> None:
    password = http_.store.password
    nobody = http_("SELECT 1", headers={})
    assert (nobody.status, nobody.code) == (401, "194")
    assert nobody.headers["WWW-Authenticate"].startswith("Basic")
    for headers in (
        basic("qorgan", ""),
        basic("qorgan", password + "x"),
        basic("default", ""),
        basic("default", password),
        basic("", password),
        {"X-ClickHouse-Key": password},
        {"Authorization": "Basic !!"},
        basic("қорған", "ы"),
        {"X-ClickHouse-User": "qorgan"} | basic("qorgan", password),
    ):
        reply = http_("SELECT 1", headers=headers)
        assert (reply.status, reply.code) == (403, "516"), headers
        assert password.encode() not in reply.body
    assert http_("SELECT 1", headers={}, user="qorgan", password="").code == "516"


# Sessions.


def test_a_session_keeps_what_was_set_in_it_and_nothing_of_its_urls(http_: Http) -> None:
    session = {"session_id": "one"}
    assert http_("CREATE TEMPORARY TABLE mine (a Int8)", **session).status == 200
    assert http_("SET max_block_size = 4321", **session).status == 200
    assert (
        http_("SELECT getSetting('max_block_size'), getSetting('max_threads')", max_threads=1, **session).body
        == b"4321\t1\n"
    )
    assert http_("SELECT getSetting('max_threads')", **session).body != b"1\n"
    assert http_("SELECT currentDatabase()", **session | {"database": "system"}).body == b"system\n"
    assert http_("EXISTS TEMPORARY TABLE mine", **session).body == b"1\n"
    assert http_("EXISTS TEMPORARY TABLE mine", session_id="two").body == b"0\n"


def test_a_session_that_must_exist_and_does_not(http_: Http) -> None:
    assert http_("SELECT 1", session_id="never", session_check=1).code == "372"
    assert http_("SELECT 1", session_id="x", session_timeout=99999).code == "374"


def test_a_failed_query_leaves_nothing_behind_in_its_session(http_: Http) -> None:
    session = {"session_id": "failing"}
    assert (
        http_("SELECT throwIf(number = 2) FROM numbers(3) SETTINGS max_block_size = 1 FORMAT JSON", **session).code
        == "395"
    )
    assert http_("SELECT 5 FORMAT JSONCompactEachRow", **session).body == b"[5]\n"
    assert http_("SELECT 6 FORMAT CSV", **session).body == b"6\n"


# Grafana's plugin, which names a protocol version.

TYPES = [
    "number", "toString(number)", "toLowCardinality(toString(number % 2))", "toDateTime64(number, 3)", "range(number)",
    "map('k', number)", "if(number % 2 = 0, NULL, 'x')", "tuple(number, 'x')", "tuple(1 AS `a b`, 'x' AS c)",
    "toIPv4('1.1.1.1')", "toIPv6('::1')", "CAST('e' AS Enum8('e' = 1, 'f,(' = 2))", "toDecimal128(1.5, 2)",
    "toUUID('00000000-0000-0000-0000-00000000000f')", "true", "toDateTime(0)", "toDate(0)", "NULL", "1.5",
    "[[toString(number)], []]", "toFixedString('ab', 4)", "toIntervalDay(number)", "(1., 2.)::Point",
    "[toLowCardinality(toNullable(toString(number)))]", "map('a', [tuple(number, toLowCardinality('y'))])",
]  # fmt: skip


def test_native_of_a_protocol_version_has_block_info_and_a_byte_after_each_type(http_: Http) -> None:
    """The frame is put around the very bytes that each column has by itself."""
    expected = b"\x01\x00\x02\xff\xff\xff\xff\x00" + bytes([len(TYPES), 5])
    for position, expression in enumerate(TYPES):
        alone = http_(f"SELECT {expression} AS c{position:02d} FROM numbers(5) FORMAT Native").body
        header_end = 2 + 4 + 1 + alone[6]  # columns, rows; the name and its length; the type's length and the type
        expected += alone[2:header_end] + b"\x00" + alone[header_end:]
    listed = ", ".join(f"{expression} AS c{position:02d}" for position, expression in enumerate(TYPES))
    asked = f"SELECT {listed} FROM numbers(5)"
    assert http_(asked, default_format="Native", client_protocol_version=54_460).body == expected
    refused = http_("SELECT CAST('{}' AS JSON)", default_format="Native", client_protocol_version=54_460)
    assert (refused.status, refused.code) == (501, "48")


def test_native_of_many_blocks_frames_every_block(http_: Http) -> None:
    asked = {"query": "SELECT number FROM numbers(200000)", "default_format": "Native"}
    plain, framed = http_(**asked).body, http_(**asked, client_protocol_version=54_460).body
    assert len(framed) - len(plain) == 9 * framed.count(b"\x01\x00\x02\xff\xff\xff\xff\x00\x01")
    assert framed.count(b"\x01\x00\x02\xff\xff\xff\xff\x00\x01") > 1
