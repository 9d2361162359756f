"""Detections and incidents become rows, and what is no document becomes a dead letter."""

from __future__ import annotations

import orjson

from pipeline.tabulators import DetectionTabulator, IncidentTabulator
from schemas.detection import Detection, FindingRef
from sinks.clickhouse import ddl
from sinks.clickhouse.hashing import ContentHash
from sinks.clickhouse.ledger import Chain, Claim
from tests.builders import batch_of

CLAIM = Claim(Chain("logd", "detections", 1), 0, 9, 9, "c", "p", 1_760_000_000_000, "r", "o")
FOUND = Detection(
    id="d1", kind="rule", subject="s", revision="r", title="T", level="high", log="logr", topic="raw.events",
    partition=3, offset=77, time=1_760_000_000_123, kafka_time=1_760_000_000_456, raw_sha256="ab", format="evtx",
    finding=FindingRef(id="f", item="i", entity="host:a", window_start=0, event_list="e"),
)  # fmt: skip


def rows(
    tabulator: DetectionTabulator | IncidentTabulator, *values: bytes | None
) -> dict[str, list[dict[str, object]]]:
    batch = batch_of(*values, topic="detections", partition=1)
    columns = tabulator.columns()
    columns.add(batch, tabulator.parse(batch), ContentHash().add(batch.records))
    return {name: table.to_pylist() for name, table in columns.tables(CLAIM).items()}


def test_a_detection_keeps_the_raw_records_name_beside_its_own() -> None:
    row = rows(DetectionTabulator(), FOUND.to_bytes())["detections"][0]
    assert (row["log"], row["topic"], row["partition"], row["offset"]) == ("logr", "raw.events", 3, 77)
    assert (row["record_log"], row["record_topic"], row["record_offset"]) == ("logd", "detections", 0)
    assert (row["finding"], row["item"], row["entity"]) == ("f", "i", "host:a")


def test_the_columns_are_those_of_the_tables() -> None:
    for tabulator, table in ((DetectionTabulator(), ddl.DETECTIONS), (IncidentTabulator(), ddl.INCIDENTS)):
        row = rows(tabulator, b"{}")[table.name][0]
        assert set(row) == {column.name for column in table.columns}


def test_what_is_no_document_is_kept_whole_as_a_dead_letter() -> None:
    made = rows(DetectionTabulator(), None, b"{broken", b"[1]", b"{}")
    assert [(row["reason"], row["raw"]) for row in made["dead_letters"]] == [
        ("empty", None),
        ("json", b"{broken"),
        ("shape", b"[1]"),
    ]
    assert len(made["detections"]) == 1


def test_a_document_of_another_version_is_stored_with_what_it_has() -> None:
    odd = {"id": 5, "revision": -1, "opened": "soon", "class": "x", "items": [1], "title": {"en": "T"}, "new": {}}
    row = rows(IncidentTabulator(), orjson.dumps(odd))["incidents"][0]
    assert (row["id"], row["revision"], row["title"], row["class"]) == ("", 0, "T", "")
