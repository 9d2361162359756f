"""`qorgan query` on the store: the answer as it is, in bounds, and nothing but reading."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.embedded.children import Store
from pipeline.querying import ask
from pipeline.settings import Settings, load
from schemas.errors import QorganError, RefusedError, UnreachableError
from tests import embedded
from tests.builders import free_port

pytestmark = pytest.mark.flow


@pytest.fixture
def settings(embedded_store: Store) -> Settings:
    return load(clickhouse=embedded_store.url, database="default")


def test_values_keep_their_types(settings: Settings) -> None:
    answer = ask(settings, "SELECT 'a' AS s, toUInt64(18446744073709551615) AS n, [1, 2] AS l, NULL AS z -- comment\n;")
    assert answer.columns == ("s", "n", "l", "z")
    assert list(answer.rows) == [{"s": "a", "n": 18446744073709551615, "l": [1, 2], "z": None}]


def test_no_row_is_an_answer_too(settings: Settings) -> None:
    answer = ask(settings, "SELECT 1 AS a LIMIT 0")
    assert (answer.columns, list(answer.rows)) == (("a",), [])


def test_the_limit_is_kept(settings: Settings) -> None:
    assert len(list(ask(settings, "SELECT number FROM numbers(100)", limit=7).rows)) == 7
    assert len(list(ask(settings, "SELECT number FROM numbers(100)").rows)) == 100


def test_parameters_are_bound_by_the_server(settings: Settings) -> None:
    answer = ask(settings, "SELECT {name:String} AS name", parameters={"name": "a' OR 1 = 1"})
    assert list(answer.rows) == [{"name": "a' OR 1 = 1"}]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE asked (a Int32) ENGINE = Memory",
        "INSERT INTO kept VALUES (1)",
        "DROP TABLE kept",
        "SELECT 1; DROP TABLE kept",
        "SELECT 1 SETTINGS readonly = 0",
        "INSERT INTO FUNCTION file('{file}', 'CSV') SELECT 1 AS a",
        "SELECT 1 INTO OUTFILE '{file}'",
        "SELECT * FROM file('/etc/hostname', 'RawBLOB')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'RawBLOB', 'a String')",
    ],
)
def test_nothing_but_reading_tables(settings: Settings, embedded_store: Store, tmp_path: Path, sql: str) -> None:
    writer = embedded.client(embedded_store)
    writer.command("CREATE TABLE IF NOT EXISTS kept (a Int32) ENGINE = Memory")
    with pytest.raises(RefusedError):
        ask(settings, sql.replace("{file}", str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()
    assert writer.query("SELECT count() FROM kept").result_rows == [(0,)]


def test_a_wrong_question_is_answered_in_clickhouses_words(settings: Settings) -> None:
    with pytest.raises(RefusedError, match=r"does not understand the question: .*nowhere"):
        ask(settings, "SELECT * FROM nowhere")


def test_too_long_is_too_much(settings: Settings) -> None:
    with pytest.raises(QorganError, match="needs more than it may have"):
        ask(settings, "SELECT sleep(3)", seconds=1)


def test_an_error_after_the_first_rows_is_an_error(settings: Settings) -> None:
    with pytest.raises(QorganError):
        list(ask(settings, "SELECT throwIf(number = 3000000) FROM numbers(5000000)").rows)


def test_a_wrong_password_and_an_absent_store_are_told_apart(embedded_store: Store) -> None:
    with pytest.raises(UnreachableError, match="does not let us in: check QORGAN_CLICKHOUSE"):
        ask(load(clickhouse=embedded_store.url.replace(embedded_store.password, "wrong")), "SELECT 1")
    with pytest.raises(UnreachableError, match="does not answer"):
        ask(load(clickhouse=f"http://127.0.0.1:{free_port()}"), "SELECT 1")
