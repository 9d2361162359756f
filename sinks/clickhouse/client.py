"""Requests to ClickHouse: bounded in time, one client a thread, and errors sorted by what happens next.

ClickHouse's messages quote data, and the driver's quote addresses; what we raise names the code and nothing else.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import clickhouse_connect
import orjson
import pyarrow as pa
import urllib3.exceptions
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.external import ExternalData

from schemas.errors import HaltError, UnreachableError

T = TypeVar("T")

#: Codes that a repetition cannot cure: the tables are not those we know. Everything else is tried again.
_FATAL = {
    6: "CANNOT_PARSE_TEXT",
    16: "NO_SUCH_COLUMN_IN_TABLE",
    20: "NUMBER_OF_COLUMNS_DOESNT_MATCH",
    36: "BAD_ARGUMENTS",
    43: "ILLEGAL_TYPE_OF_ARGUMENT",
    44: "ILLEGAL_COLUMN",
    47: "UNKNOWN_IDENTIFIER",
    48: "NOT_IMPLEMENTED",
    53: "TYPE_MISMATCH",
    60: "UNKNOWN_TABLE",
    62: "SYNTAX_ERROR",
    81: "UNKNOWN_DATABASE",
    115: "UNKNOWN_SETTING",
    117: "INCORRECT_DATA",
    349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
}
_REFUSES = {192: "UNKNOWN_USER", 194: "REQUIRED_PASSWORD", 497: "ACCESS_DENIED", 516: "AUTHENTICATION_FAILED"}
_FULL = {243: "NOT_ENOUGH_SPACE", 241: "MEMORY_LIMIT_EXCEEDED", 252: "TOO_MANY_PARTS"}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Address:
    """Where ClickHouse's HTTP interface is, and how long a request may take (seconds)."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    secure: bool = False
    ca: str | None = None
    timeout: float = 30.0

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.user}@{self.host}:{self.port}"


class Clients:
    """A clickhouse-connect client for each thread that asks, made at its first request.

    Every method blocks, for the address's timeout at most, and raises UnreachableError (try again with the same
    token) or HaltError (the tables are not ours).
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._local = threading.local()
        # The driver warns of every failed request beside raising it; one of the two is enough.
        logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> Sequence[Sequence[Any]]:
        """The rows of a query, with its parameters."""
        return self._ask(lambda client: client.query(sql, parameters=parameters).result_rows)

    def rows_of(self, sql: str, values: Iterable[str], parameters: dict[str, Any] | None = None) -> Sequence[Any]:
        """The rows of a query that names the table `wanted` (value String), which is sent with it.

        As literals in the query the same values take ClickHouse ten times as long to read.
        """
        data = b"\n".join([orjson.dumps({"value": value}) for value in values])
        wanted = ExternalData(file_name="wanted.json", fmt="JSONEachRow", structure="value String", data=data)
        return self._ask(lambda client: client.query(sql, parameters=parameters, external_data=wanted).result_rows)

    def command(self, sql: str, parameters: dict[str, Any] | None = None, token: str = "") -> None:
        """A statement. With a token, it may be sent again whatever became of it."""
        self._ask(lambda client: client.command(sql, parameters=parameters, settings=_insert(token) if token else None))

    def insert(self, table: str, data: pa.Table, token: str) -> None:
        """Insert one block. The same token with the same rows is the same insert, however often it is sent."""
        sink = pa.BufferOutputStream()
        # On loopback compressing costs more than sending; over a network it halves what is sent, and more.
        options = pa.ipc.IpcWriteOptions(compression=None if self.address.host in _LOOPBACK else "lz4")
        with pa.ipc.new_stream(sink, data.schema, options=options) as writer:
            writer.write_table(data)
        body = memoryview(sink.getvalue())
        self._ask(lambda client: client.raw_insert(table, data.column_names, body, _insert(token), "ArrowStream"))

    def _ask(self, request: Callable[[Any], T]) -> T:
        try:
            client = getattr(self._local, "client", None)
            if client is None:
                client = self._local.client = self._connect()
            return request(client)
        except (ClickHouseError, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._sorted(error) from None

    def _connect(self) -> Any:
        address = self.address
        return clickhouse_connect.get_client(
            host=address.host,
            port=address.port,
            username=address.user,
            password=address.password,
            secure=address.secure,
            ca_cert=address.ca,
            autogenerate_session_id=False,
            query_retries=0,
            connect_timeout=max(1, min(5, round(address.timeout))),
            send_receive_timeout=max(1, round(address.timeout)),
            compress=False,
        )

    def _sorted(self, error: BaseException) -> UnreachableError | HaltError:
        code = getattr(error, "code", None)
        if code in _FATAL:
            return HaltError(
                f"ClickHouse at {self.address} refused a request (code {code}, {_FATAL[code]}): "
                "its tables are not those that this version makes. Put them right, or move the database away."
            )
        if code in _REFUSES:
            return UnreachableError(
                f"ClickHouse at {self.address} does not let us in (code {code}, {_REFUSES[code]}). "
                "Check QORGAN_CLICKHOUSE, its password and the rights of that user."
            )
        if code in _FULL:
            return UnreachableError(
                f"ClickHouse at {self.address} has no room (code {code}, {_FULL[code]}): give it disk or memory."
            )
        reason = f"code {code}" if code else type(error).__name__
        return UnreachableError(
            f"ClickHouse at {self.address} does not answer ({reason}). Check QORGAN_CLICKHOUSE and that it runs."
        )


def _insert(token: str) -> dict[str, Any]:
    return {"insert_deduplication_token": token, "insert_deduplicate": 1, "async_insert": 0}
