"""Questions of people to ClickHouse: read only, bounded in time, memory and rows; the answer comes row by row.

ClickHouse itself refuses to write, and to read files and addresses (`readonly=1`; 2 would allow `INSERT INTO FUNCTION
file(…)`, measured): no reading of the SQL here decides what is harmless.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import clickhouse_connect
import orjson
import urllib3.exceptions
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.settings import Settings
from schemas.errors import QorganError, RefusedError, UnreachableError

SECONDS = 60
MEMORY = 4 << 30
CONNECT_S = 5
#: What ClickHouse blames on the question and not on itself.
_NOT_ALLOWED = frozenset({164, 452, 497})
_NOT_LET_IN = frozenset({192, 193, 194, 516})
_TOO_MUCH = frozenset({158, 159, 160, 241, 307, 396})
_CODE = re.compile(r"Code: (\d+)")


class Answer(NamedTuple):
    """The columns of an answer, and its rows as they come, each as column → value."""

    columns: tuple[str, ...]
    rows: Iterator[dict[str, Any]]


def ask(
    settings: Settings, sql: str, *, limit: int = 0, seconds: int = SECONDS, parameters: dict[str, Any] | None = None
) -> Answer:
    """Ask `sql`; at most `limit` rows (0: all), within `seconds`. `parameters` are bound by the server.

    Raises RefusedError for what may not be asked or is no SQL, QorganError for what exceeds its bounds,
    UnreachableError.
    """
    bounds: dict[str, Any] = {
        "max_execution_time": seconds,
        "max_memory_usage": MEMORY,
        # An error after the first rows would stand among them: the server sends nothing before it has all.
        "wait_end_of_query": 1,
        "output_format_json_quote_64bit_integers": 0,
    }
    if limit:
        bounds["limit"] = limit
    bounds["readonly"] = 1  # the last, since nothing may be set after it
    store = settings.store
    # The driver logs each failure beside raising it; here a person reads both.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    try:
        client = clickhouse_connect.get_client(
            host=store.host,
            port=store.port,
            username=store.user,
            password=store.password.get_secret_value(),
            secure=store.secure,
            ca_cert=str(settings.clickhouse_ca) if settings.clickhouse_ca else None,
            database=settings.database,
            autogenerate_session_id=False,
            connect_timeout=CONNECT_S,
            send_receive_timeout=seconds + 10,
            query_retries=0,
        )
        body = client.raw_stream(
            sql.rstrip().rstrip(";"), parameters=parameters, settings=bounds, fmt="JSONCompactEachRowWithNames"
        )
    except (ClickHouseError, urllib3.exceptions.HTTPError, OSError) as error:
        raise _sorted(error, settings) from None
    lines = iter(body)
    columns = tuple(orjson.loads(next(lines, b"[]")))
    return Answer(columns, (dict(zip(columns, orjson.loads(line), strict=True)) for line in lines))


def _sorted(error: Exception, settings: Settings) -> QorganError:
    code = getattr(error, "code", None) or int(next(iter(_CODE.findall(str(error))), 0))
    if not code or code in _NOT_LET_IN:
        why = "does not let us in" if code else "does not answer"
        return UnreachableError(f"ClickHouse at {settings.store} {why}: check QORGAN_CLICKHOUSE, and that it runs.")
    # The person wrote the question, so ClickHouse's own words about it are for them.
    said = _words(str(error))
    if code in _NOT_ALLOWED:
        return RefusedError(f"That may not be asked here, only read: {said}")
    if code in _TOO_MUCH:
        return QorganError(f"The question needs more than it may have (time, memory or rows): {said}")
    return RefusedError(f"ClickHouse does not understand the question: {said}")


def _words(message: str) -> str:
    """ClickHouse's sentence without the driver's and the server's frame around it."""
    with suppress(ValueError):
        message = message[message.index("DB::Exception: ") + len("DB::Exception: ") :]
    return message.split(" (version ")[0].split(" (for url ")[0].strip()
