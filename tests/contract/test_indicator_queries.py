"""What is read from the table `indicators`: lists, one by id, worth, sightings; from records as curate writes them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.embedded.children import Store
from pipeline.indicatorlist import listed, named, source_of
from pipeline.indicatorstats import stats
from pipeline.settings import Settings, load
from pipeline.sightings import seen
from pipeline.tabulators import IndicatorTabulator
from schemas.errors import RefusedError
from schemas.indicator_record import Command, settled
from sinks.clickhouse import ddl
from sinks.clickhouse.ledger import Chain, genesis
from tests.builders import batch_of
from tests.curate import NOW, Curating, document, seen_on
from tests.embedded import client

pytestmark = pytest.mark.flow

DATABASE = "indicators_read"


@pytest.fixture(scope="module")
def settings(embedded_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    speaks = client(embedded_store)
    for statement in ddl.statements(DATABASE, 93):
        speaks.command(statement)
    folder = tmp_path_factory.mktemp("curate")
    return load(state_dir=folder, clickhouse=embedded_store.url, database=DATABASE)


async def published(curating: Curating) -> list[bytes]:
    curating.sweep.found = seen_on("busy.example", 50)
    await curating.agent.take([document("1", title="One evil name", tlp="green"), document("2", "busy.example")])
    await curating.agent.take([document("1", source="other", tlp="red")])
    await curating.agent.take([Command(kind="expire", source="soc", id="1", by="a", reason="b", at=NOW + 1)])
    return [one.to_bytes() for one in curating.topics.gated()] + [settled(NOW, 2, {})]


@pytest.fixture(scope="module", autouse=True)
def rows(settings: Settings, embedded_store: Store, tmp_path_factory: pytest.TempPathFactory) -> None:
    values = asyncio.run(published(Curating(tmp_path_factory.mktemp("catalogue"))))
    batch = batch_of(*values, topic="indicators.gated")
    tabulator = IndicatorTabulator()
    columns = tabulator.columns()
    columns.add(batch, tabulator.parse(batch), [b"\0" * 32 for _ in values])
    claim = genesis(Chain("log0", "indicators.gated", 0), 0, NOW, "test")
    speaks = client(embedded_store)
    for name, table in columns.tables(claim).items():
        speaks.insert_arrow(f"{DATABASE}.{name}", table)
    found = {"indicator": {"value": "1.example", "sources": ["soc", "other"]}}
    at = datetime.fromtimestamp(NOW / 1000, UTC)
    said: list[list[Any]] = [[f"d{n}", "indicator", "1", at, orjson.dumps(found).decode(), n] for n in range(3)]
    speaks.insert(
        f"{DATABASE}.detections", said, column_names=["id", "kind", "subject", "time", "json", "record_offset"]
    )


def ids(settings: Settings, **wanted: str) -> list[tuple[str, str, str]]:
    asked: dict[str, Any] = {"state": "", "source": "", "kind": "", "text": "", "limit": 50, **wanted}
    return sorted((row["source"], row["id"], row["state"]) for row in listed(settings, **asked))


def test_a_list_shows_last_revisions_and_what_fits(settings: Settings) -> None:
    everything = [("other", "1", "active"), ("soc", "1", "expired"), ("soc", "2", "held")]
    assert ids(settings) == everything
    assert ids(settings, state="held") == everything[2:]
    assert ids(settings, source="other") == everything[:1]
    assert ids(settings, kind="ipv4") == []
    assert ids(settings, text="EVIL") == everything[1:2]
    assert ids(settings, text="busy.ex") == everything[2:]


def test_an_id_may_be_several_sources(settings: Settings) -> None:
    assert [one.source for one in named(settings, "1", "")] == ["other", "soc"]
    assert source_of(settings, "2") == "soc"
    with pytest.raises(RefusedError, match="other, soc all have"):
        source_of(settings, "1")
    with pytest.raises(RefusedError, match="no indicator 3"):
        source_of(settings, "3' OR 1=1 --")


def test_the_reasons_are_columns(settings: Settings, embedded_store: Store) -> None:
    asked = f"SELECT reasons, hosts, types, values FROM {DATABASE}.indicators_last WHERE id = '2'"
    assert client(embedded_store).query(asked).result_rows == [(["prevalence"], 50, ["domain"], ["busy.example"])]


def test_matches_are_counted_and_sightings_keep_their_colour(settings: Settings, tmp_path: Path) -> None:
    rows = stats(settings, {}, {}, "indicator")
    assert {(row["source"], row["id"], row["matches"]) for row in rows} == {("soc", "1", 3), ("other", "1", 3)}
    told, kept = seen(settings, "", NOW - 1)
    assert [(one.source, one.pairs, one.times) for one in told] == [("soc", [("domain", "1.example")], 3)]
    assert kept == 1
    assert seen(settings, "", NOW + 1) == ([], 0)
