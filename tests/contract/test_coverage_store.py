"""`qorgan rules coverage --store`: what the store received of each source, and a sample of it read again."""

from __future__ import annotations

import orjson
import pytest

from pipeline import coverage
from pipeline.embedded.children import Store
from pipeline.settings import load
from schemas.event import Source
from sinks.clickhouse import ddl
from tests import embedded

pytestmark = pytest.mark.flow


def test_the_store_tells_how_many_events_of_a_source_came_and_which_fields_they_have(embedded_store: Store) -> None:
    writer = embedded.client(embedded_store)
    for statement in ddl.statements("covered", 100):
        writer.command(statement)
    start = {"EventTime": 1, "Channel": "Security", "EventID": 4688, "NewProcessName": "x"}
    names = "log, topic, product, service, raw, offset, event_id, received"
    values = f"'log', 'raw.events', 'windows', 'security', '{orjson.dumps(start).decode()}', number"
    for event_id, days, count in ((4688, 0, coverage.SAMPLE + 7), (4689, 3, 1)):
        writer.command(
            f"INSERT INTO covered.events ({names}) "
            f"SELECT {values}, {event_id}, now() - INTERVAL {days} DAY FROM numbers({count})"
        )
    observed = coverage.of_store(load(clickhouse=embedded_store.url, database="covered"), 1)
    ((source, mapping),) = observed
    assert (source, mapping) == (Source("windows", "", "security", 4688), None)
    assert observed[source, mapping].events == coverage.SAMPLE + 7
    assert "NewProcessName" in observed[source, mapping].fields
