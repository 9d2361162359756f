"""A connection of the engine made ready for one request: its database, its settings, its own tables.

A request's settings end with it. A fresh connection takes them along when it closes; a session's is put back.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from pipeline.embedded.clickhouse_errors import READONLY, SYNTAX_ERROR, refused
from pipeline.embedded.http_call import Call
from pipeline.embedded.http_form import Table
from pipeline.embedded.spooled import spooled
from pipeline.embedded.sql_text import Insert


def prepare(connection: Any, call: Call, held: contextlib.ExitStack, spool: Path) -> None:
    """Give the connection the request's database, settings and tables; on a session's, take them back with `held`."""
    settings = {"implicit_select": "0", **call.settings}
    if call.session_id:
        if "readonly" in settings:
            raise refused(READONLY, "readonly cannot be set for one query of a session: SET it, or leave the session")
        held.callback(set_all, connection, _present(connection, {*settings, "max_result_bytes"}))
        if call.database:
            held.callback(connection.query, f"USE {_name(_scalar(connection, 'SELECT currentDatabase()'))}", "Null")
    if call.database:
        connection.query(f"USE {_name(call.database)}", "Null")
    readonly = settings.pop("readonly", None)
    set_all(connection, settings)
    for table in call.tables:
        _fill(connection, table, spool)
        if call.session_id:  # any other connection takes it along when it closes
            held.callback(connection.query, f"DROP TEMPORARY TABLE {_name(table.name)}", "Null")
    if readonly is not None:  # the last one: after it nothing can be set
        set_all(connection, {"readonly": readonly})


def _fill(connection: Any, table: Table, spool: Path) -> None:
    """Make a table that comes with the request: temporary, so only this connection sees it."""
    create = f"CREATE TEMPORARY TABLE {_name(table.name)} ({table.columns})"
    if connection.classify_query(create)["statement_count"] != 1:
        raise refused(SYNTAX_ERROR, f"Syntax error in the structure of the external table {table.name}")
    connection.query(create, "Null")
    with spooled(io.BytesIO(table.data), spool) as data:
        insert = Insert(f"INSERT INTO {_name(table.name)}".encode(), b"", table.format, 0).from_file(str(data))
        if connection.classify_query(insert)["statement_count"] != 1:
            raise refused(SYNTAX_ERROR, f"Syntax error in the format of the external table {table.name}")
        connection.query(insert, "Null")


def _present(connection: Any, names: set[str]) -> dict[str, str | None]:
    """The values that the settings have now; None: the default."""
    listed = ", ".join(quoted(name) for name in names)
    query = f"SELECT name, value, changed FROM system.settings WHERE name IN ({listed})"  # noqa: S608 - quoted
    rows = connection.query(query, "JSONCompactEachRow").data().splitlines()
    return {name: value if changed else None for name, value, changed in map(orjson.loads, rows)}


def set_all(connection: Any, settings: Mapping[str, str | None]) -> None:
    if settings:
        pairs = (f"{name} = {'DEFAULT' if value is None else quoted(value)}" for name, value in settings.items())
        connection.query("SET " + ", ".join(pairs), "Null")


def _scalar(connection: Any, query: str) -> str:
    value: str = connection.query(query, "TSVRaw").data()
    return value.rstrip("\n")


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _name(text: str) -> str:
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"
