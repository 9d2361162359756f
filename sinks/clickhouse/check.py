"""What the tables must be before anything is stored: made where they are missing, then looked at, once per process.

A table without its deduplication window doubles rows on a retry, one with a shorter retention deletes what the law
wants kept; neither says so. Hence a failed check halts storing, and only storing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.errors import HaltError
from sinks.clickhouse import ddl
from sinks.clickhouse.client import Clients

_WINDOW = re.compile(r"deduplication_window\s*=\s*(\d+)")
_SECONDS = re.compile(r"deduplication_window_seconds\s*=\s*(\d+)")
_TTL = re.compile(r"\bTTL\b(.*?)(?:\bSETTINGS\b|$)", re.DOTALL)
_INTERVAL = re.compile(r"toInterval(Second|Minute|Hour|Day|Week|Month|Quarter|Year)\((\d+)\)")
_DAYS = {"Second": 1 / 86_400, "Minute": 1 / 1_440, "Hour": 1 / 24, "Day": 1, "Week": 7, "Month": 28, "Quarter": 89}
_DAYS["Year"] = 365

WINDOW_SECONDS = 7 * 86_400


class Found(NamedTuple):
    """A table as the server describes it."""

    engine: str
    engine_full: str
    partition_key: str
    columns: Mapping[str, str]


def create(clients: Clients, database: str, days: int) -> None:
    """Make what is missing. Safe by several workers at once."""
    for statement in ddl.statements(database, days):
        clients.command(statement)


def check(clients: Clients, database: str) -> None:
    """Raise HaltError with every fault of the tables in one sentence; nothing when all is well."""
    faults = judge(_read(clients, database))
    if faults:
        raise HaltError(f"ClickHouse's tables in `{database}` cannot be stored to: {'; '.join(faults)}.")


def judge(found: Mapping[str, Found]) -> list[str]:
    """What is wrong with the tables that were found, a phrase each."""
    faults: list[str] = []
    for table in ddl.TABLES:
        if table.name not in found:
            faults.append(f"{table.name} is missing (let QORGAN_CREATE make it, or create it)")
        else:
            faults += [f"{table.name} {fault}" for fault in _faults(table, found[table.name])]
    return faults


def _faults(table: ddl.Table, found: Found) -> list[str]:
    faults = []
    if "MergeTree" not in found.engine:
        faults.append(f"has the engine {found.engine}, which knows no tokens")
    window = max([int(number) for number in _WINDOW.findall(found.engine_full)], default=0)
    if window < ddl.WINDOW:
        faults.append(f"remembers {window} blocks, and {ddl.WINDOW} are needed: a late retry would double rows")
    seconds = [int(number) for number in _SECONDS.findall(found.engine_full)]
    if "Replicated" in found.engine and (not seconds or min(seconds) < WINDOW_SECONDS):
        faults.append(f"must remember tokens for {WINDOW_SECONDS} s (replicated_deduplication_window_seconds)")
    if bool(table.partition) != bool(found.partition_key):
        faults.append(f"is partitioned by `{found.partition_key}`, not by `{table.partition}`")
    faults += _columns(table, found.columns)
    fault = _retention(found.engine_full, ddl.LEAST_EVENT_DAYS if table.expires else ddl.LEAST_PROOF_DAYS)
    return [*faults, fault] if fault else faults


def _columns(table: ddl.Table, found: Mapping[str, str]) -> Sequence[str]:
    wrong = [
        f"lacks the column {column.name} {column.type}"
        if column.name not in found
        else f"has {column.name} as {found[column.name]}, not {column.type}"
        for column in table.columns
        if found.get(column.name) != column.type
    ]
    return wrong[:3]


def _retention(engine_full: str, least: int) -> str | None:
    """A TTL that deletes too early. What moves or groups rows is not told apart: it must be long enough as well."""
    ttl = _TTL.search(engine_full)
    if ttl is None:
        return None
    days = [int(number) * _DAYS[unit] for unit, number in _INTERVAL.findall(ttl.group(1))]
    if not days:
        return "has a TTL that is not understood: write it with INTERVAL n DAY"
    return f"keeps rows for {min(days):g} days, and {least} are needed" if min(days) < least else None


def _read(clients: Clients, database: str) -> dict[str, Found]:
    columns: dict[str, dict[str, str]] = {}
    for table, name, kind in clients.rows(
        "SELECT table, name, type FROM system.columns WHERE database = {database:String}", {"database": database}
    ):
        columns.setdefault(table, {})[name] = kind
    return {
        name: Found(engine, engine_full, partition_key, columns.get(name, {}))
        for name, engine, engine_full, partition_key in clients.rows(
            "SELECT name, engine, engine_full, partition_key FROM system.tables WHERE database = {database:String}",
            {"database": database},
        )
    }
