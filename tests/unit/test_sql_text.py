"""Where an INSERT's data begin, and which format an answer has, whatever strings and comments say."""

from __future__ import annotations

import pytest

from pipeline.embedded.sql_text import Insert, answer_format, insert_with_data, tokens


@pytest.mark.parametrize(
    ("text", "into", "format_", "data"),
    [
        (b"INSERT INTO t FORMAT TSV\n1\n", b"INSERT INTO t ", "TSV", b"1\n"),
        (b"insert into t format JSONEachRow {}", b"insert into t ", "JSONEachRow", b"{}"),
        (b"INSERT INTO t FORMAT RowBinary\n\n\x00", b"INSERT INTO t ", "RowBinary", b"\n\x00"),
        (b"INSERT INTO t FORMAT CSV \t\r\n x", b"INSERT INTO t ", "CSV", b" x"),
        (b"INSERT INTO t (a, `FORMAT x`) VALUES (1)", b"INSERT INTO t (a, `FORMAT x`) ", "Values", b" (1)"),
        (
            b"/* SELECT */ INSERT -- FORMAT A\nINTO db.t FORMAT C\nD",
            b"/* SELECT */ INSERT -- FORMAT A\nINTO db.t ",
            "C",
            b"D",
        ),
        (b"INSERT INTO FUNCTION null('FORMAT A') FORMAT B\nx", b"INSERT INTO FUNCTION null('FORMAT A') ", "B", b"x"),
        (b"INSERT INTO values (format) VALUES (1)", b"INSERT INTO values (format) ", "Values", b" (1)"),
        (b"INSERT INTO {t:Identifier} FORMAT Native\n", b"INSERT INTO {t:Identifier} ", "Native", b""),
        (b"INSERT INTO `select` FORMAT TSV\n'unclosed", b"INSERT INTO `select` ", "TSV", b"'unclosed"),
    ],
)
def test_an_inserts_data_begin_after_its_format(text: bytes, into: bytes, format_: str, data: bytes) -> None:
    found = insert_with_data(text)
    assert isinstance(found, Insert)
    assert (found.into, found.settings, found.format, text[found.data :]) == (into, b"", format_, data)


def test_an_inserts_settings_stay_behind_its_file() -> None:
    found = insert_with_data(b"INSERT INTO t (settings) SETTINGS a = 'FORMAT B', b = 1 FORMAT TSV\n1")
    assert isinstance(found, Insert)
    assert found.from_file("/f").split(b"\n") == [
        b"INSERT INTO t (settings) ",
        b"FROM INFILE '/f' COMPRESSION 'none'",
        b"SETTINGS a = 'FORMAT B', b = 1 ",
        b"FORMAT TSV",
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"SELECT 1 FORMAT TSV",
        b"INSERT INTO t SELECT 1 FORMAT TSV",
        b"INSERT INTO t (a) SELECT 1",
        b"INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x",
        b"INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        b"INSERT INTO t; DROP TABLE t; INSERT INTO t FORMAT TSV\n",
        b"INSERT INTO t 'FORMAT TSV'",
        b"EXPLAIN INSERT INTO t VALUES (1)",
    ],
)
def test_what_brings_no_data_of_its_own_is_a_plain_statement(text: bytes) -> None:
    assert insert_with_data(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"SELECT 1", None),
        (b"SELECT 1 FORMAT JSON", "JSON"),
        (b"SELECT 1 format Native SETTINGS max_threads = 1;", "Native"),
        (b"SELECT 'FORMAT JSON', (SELECT format FROM x) -- FORMAT CSV", None),
        (b"SELECT * FROM (SELECT 1 FORMAT Null) FORMAT CSV", "CSV"),
        (b"SELECT format, name FROM t", None),
        (b"SELECT format FROM t WHERE 1 = format ORDER BY format DESC FORMAT TSV", "TSV"),
        (b"SELECT 1 AS format FROM t", None),
    ],
)
def test_an_answers_format_is_the_last_one_outside_of_brackets(text: bytes, expected: str | None) -> None:
    assert answer_format(text) == expected


def test_the_lexer_covers_any_bytes_in_linear_time() -> None:
    for text in (
        b"'" * 100_000,
        b"(" * 100_000,
        b"/*" * 50_000,
        b"$a$" * 30_000,
        b"\\'" * 50_000,
        bytes(range(256)) * 400,
    ):
        assert sum(token.end - token.start for token in tokens(text)) <= len(text)
