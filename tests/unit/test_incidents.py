"""Incidents as people ask for them: while the store is away the journal answers, and it answers the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.incidents import list_incidents, show_incident
from pipeline.settings import Settings, load
from schemas.errors import RefusedError, UnreachableError
from tests.triage import found, update
from tests.unit.test_intake_to_incidents import Scene, intake


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    """A journal with three incidents, and a store that does not answer."""
    scene = Scene(tmp_path / "journal")
    process = scene.process()
    for number, host in enumerate(("ws-1", "ws-2", "ws-3")):
        scene.clock = float(number)
        await scene.handle(process, intake(update(found(number, host=host, user="")), first=number))
    await process.release()
    return load(state_dir=tmp_path, clickhouse="http://qorgan:secret@127.0.0.1:1")


def test_without_the_store_the_journal_lists_them_the_latest_first(settings: Settings) -> None:
    listing = list_incidents(settings)
    assert listing.source == "journal"
    assert [one.number for one in listing.incidents] == ["2026-000003", "2026-000002", "2026-000001"]
    assert len(list_incidents(settings, limit=2).incidents) == 2


@pytest.mark.parametrize("wanted", ["2026-000002", "2026-2", " 2026-02 "])
def test_a_number_is_found_however_it_is_written_and_so_is_an_id(settings: Settings, wanted: str) -> None:
    one = show_incident(settings, wanted)
    assert one.number == "2026-000002"
    assert show_incident(settings, one.id) == one


def test_an_incident_that_there_is_not_is_refused_with_what_to_do(settings: Settings) -> None:
    with pytest.raises(RefusedError, match="incidents list"):
        show_incident(settings, "2026-000009")


def test_with_neither_store_nor_journal_the_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="QORGAN_CLICKHOUSE"):
        list_incidents(load(state_dir=tmp_path, clickhouse="http://qorgan:secret@127.0.0.1:1"))
