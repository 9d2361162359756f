"""Incidents read from the store: the last revision of each, by number or id."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.embedded.children import Store
from pipeline.incidents import list_incidents, show_incident
from pipeline.settings import load
from schemas.errors import RefusedError
from schemas.incident import Incident
from sinks.clickhouse import ddl
from tests.embedded import client
from tests.triage import MOVE, found, raised, triaged, update

pytestmark = pytest.mark.flow

DATABASE = "incidents_read"


def insert(speaks: Client, one: Incident) -> None:
    speaks.insert(
        f"{DATABASE}.incidents",
        [[one.id, one.number, one.revision, datetime.fromtimestamp(one.opened / 1000, UTC), one.to_bytes().decode()]],
        column_names=["id", "number", "revision", "opened", "json"],
    )


def test_the_store_answers_with_each_incidents_last_revision(embedded_store: Store, tmp_path: Path) -> None:
    speaks = client(embedded_store)
    for statement in ddl.statements(DATABASE, 93):
        speaks.command(statement)
    desk = triaged(update(found(0)), update(found(1, host="ws-2", user="b")))
    for one in raised(desk):
        insert(speaks, one)
    triaged(update(found(2, host="ws-2", user="b", tags=MOVE)), into=desk, now=600.0)
    last = raised(desk)[1]
    assert last.revision == 2
    insert(speaks, last)
    insert(speaks, last)
    settings = load(state_dir=tmp_path, clickhouse=embedded_store.url, database=DATABASE)
    listing = list_incidents(settings)
    assert listing.source == "store"
    assert {(one.number, one.revision) for one in listing.incidents} == {("2026-000001", 1), ("2026-000002", 2)}
    assert show_incident(settings, "2026-2") == show_incident(settings, last.id) == last
    with pytest.raises(RefusedError, match="no incident"):
        show_incident(settings, "2026-3' OR 1=1 --")
