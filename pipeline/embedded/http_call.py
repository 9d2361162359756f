"""A request to ClickHouse's HTTP interface, taken apart: what is the interface's own, a setting, a bound value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.embedded.clickhouse_errors import UNKNOWN_SETTING, refused
from pipeline.embedded.http_form import Table

_SETTING = re.compile(r"[A-Za-z_][\w.]{0,200}")
_PARAMETER = re.compile(r"param_(\w{1,200})")
_MAX_SESSION_S = 3600.0

# Parameters that are the interface's own; whatever is left is a setting of the query.
_OWN = frozenset(
    {"query", "database", "default_format", "query_id", "user", "password", "quota_key", "role", "stacktrace"}
    | {"session_id", "session_timeout", "session_check", "close_session", "client_protocol_version"}
    | {"wait_end_of_query", "buffer_size", "compress", "decompress"}
)
_TABLE_SUFFIXES = ("_format", "_types", "_structure")


@dataclass(frozen=True)
class Call:
    """One request, before its body is read."""

    query: str = ""
    database: str = ""
    default_format: str = "TabSeparated"
    query_id: str = ""
    session_id: str = ""
    session_timeout: float = 60.0
    session_must_exist: bool = False
    close_session: bool = False
    protocol: int = 0  # the client's native protocol, which shapes FORMAT Native; 0: none named
    whole: bool = False  # nothing is sent before the query has ended
    reads_only: bool = False
    bound: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    tables: Sequence[Table] = ()

    @property
    def compress(self) -> bool:
        """Whether the answer may be compressed as Accept-Encoding says."""
        return self.settings.get("enable_http_compression", "0").lower() in ("1", "true")


def read_call(
    method: str, headers: Mapping[str, str], parameters: Mapping[str, str], tables: Sequence[Table] = ()
) -> Call:
    """The call that a request line and its headers make. Raises EngineError for what the server would refuse.

    `tables` are the external tables that the request brings: parameters that describe them are no settings.
    """
    if _flag(parameters, "compress") or _flag(parameters, "decompress"):
        raise refused(48, "Blocks in ClickHouse's own compression are not served here; use Content-Encoding")
    own = _OWN.union(table.name + suffix for table in tables for suffix in _TABLE_SUFFIXES)
    bound, settings = {}, {}
    for name, value in parameters.items():
        if parameter := _PARAMETER.fullmatch(name):
            bound[parameter[1]] = value
        elif name not in own:
            if not _SETTING.fullmatch(name):
                raise refused(UNKNOWN_SETTING, "A parameter of the request is no setting's name")
            settings[name] = value
    return Call(
        query=parameters.get("query", ""),
        database=headers.get("X-ClickHouse-Database") or parameters.get("database", ""),
        default_format=headers.get("X-ClickHouse-Format") or parameters.get("default_format") or "TabSeparated",
        query_id=parameters.get("query_id", ""),
        session_id=parameters.get("session_id", ""),
        session_timeout=_session_timeout(parameters.get("session_timeout", "60")),
        session_must_exist=_flag(parameters, "session_check"),
        close_session=_flag(parameters, "close_session"),
        protocol=_whole_number(parameters.get("client_protocol_version", "0")),
        whole=_flag(parameters, "wait_end_of_query"),
        reads_only=method in ("GET", "HEAD"),
        bound=bound,
        settings=settings,
        tables=tables,
    )


def _flag(parameters: Mapping[str, str], name: str) -> bool:
    return parameters.get(name, "0").lower() not in ("", "0", "false")


def _whole_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _session_timeout(text: str) -> float:
    seconds = _whole_number(text)
    if not 0 < seconds <= _MAX_SESSION_S:
        raise refused(374, f"Invalid session timeout: from 1 to {_MAX_SESSION_S:.0f} seconds")
    return float(seconds)
