"""Tables that would lose or double rows, or forget too early, are refused with a sentence."""

from __future__ import annotations

import pytest

from sinks.clickhouse import ddl
from sinks.clickhouse.check import Found, judge

ENGINE = "MergeTree {partition} ORDER BY x {ttl} SETTINGS non_replicated_deduplication_window = {window}"


def found(**changes: str) -> dict[str, Found]:
    """The tables as we make them; changes are laid over `events`."""
    made = {}
    for table in ddl.TABLES:
        facts = {
            "engine": "MergeTree",
            "ttl": "TTL toDateTime(received) + toIntervalDay(100)" if table.expires else "",
            "window": str(ddl.WINDOW),
            "partition": table.partition,
        }
        facts |= changes if table.name == "events" else {}
        columns = {column.name: column.type for column in table.columns if column.name != facts.get("without")}
        made[table.name] = Found(facts["engine"], ENGINE.format(**facts), facts["partition"], columns)
    return made


def test_our_own_tables_have_no_fault() -> None:
    assert judge(found()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"window": "100"}, "remembers 100 blocks"),
        ({"ttl": "TTL toDateTime(received) + toIntervalDay(30)"}, "keeps rows for 30 days, and 93 are needed"),
        ({"ttl": "TTL toDateTime(received) + toIntervalMonth(3)"}, "keeps rows for 84 days"),
        ({"ttl": "TTL later"}, "not understood"),
        ({"partition": ""}, "is partitioned by ``"),
        ({"engine": "Log"}, "engine Log"),
        ({"without": "raw"}, "lacks the column raw String"),
        ({"engine": "ReplicatedMergeTree"}, "replicated_deduplication_window_seconds"),
    ],
)
def test_each_fault_is_named(changes: dict[str, str], said: str) -> None:
    faults = judge(found(**changes))
    assert any(said in fault and fault.startswith("events") for fault in faults), faults


def test_incidents_may_not_expire_before_five_years() -> None:
    tables = found()
    full = tables["incidents"].engine_full.replace("SETTINGS", "TTL toDateTime(received) + toIntervalYear(3) SETTINGS")
    tables["incidents"] = tables["incidents"]._replace(engine_full=full)
    assert any("incidents keeps rows for 1095 days" in fault for fault in judge(tables))


def test_a_missing_table_says_what_to_do() -> None:
    tables = found()
    del tables["ledger"]
    assert judge(tables) == ["ledger is missing (let QORGAN_CREATE make it, or create it)"]


def test_the_ledger_is_not_partitioned_because_a_token_does_not_hold_across_partitions() -> None:
    assert ddl.LEDGER.partition == ""
    assert "PARTITION BY" not in ddl.LEDGER.create("q", 100)
