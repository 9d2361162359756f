"""What indicators are worth, and what is told of them: precision, proposals, sightings that honour their colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from pipeline.indicatorstats import ranked
from pipeline.sightings import Sighting, leaving, misp, stix
from pipeline.verdicts import Judged, read
from tests.curate import NOW

ROWS: list[dict[str, Any]] = [
    {"source": "a", "id": "1", "types": ["domain"], "title": "one", "matches": 9, "last_match": NOW},
    {"source": "a", "id": "2", "types": ["ipv4", "domain"], "title": "two", "matches": 4, "last_match": NOW + 1},
    {"source": "b", "id": "3", "types": ["ipv4"], "title": "three", "matches": 0, "last_match": None},
    {"source": "b", "id": "4", "types": ["ipv4"], "title": "four", "matches": 1, "last_match": NOW},
]


def test_the_least_precise_stands_first_and_one_under_its_floor_is_proposed() -> None:
    verdicts = {"1": Judged(4, 3), "2": Judged(4, 1), "4": Judged(1, 0)}
    rows = ranked(ROWS, verdicts, {"a": 0.5}, "indicator")
    assert [(row["id"], row["precision"], row["proposal"]) for row in rows] == [
        ("4", 0.0, ""),
        ("2", 0.25, "expire"),
        ("1", 0.75, ""),
    ]


def test_sources_and_types_add_up_all_of_theirs() -> None:
    verdicts = {"1": Judged(4, 3), "2": Judged(4, 1)}
    (first, second) = ranked(ROWS, verdicts, {"a": 0.9}, "source")
    assert (first["source"], first["precision"], first["indicators"], first["matches"]) == ("a", 0.5, 2, 13)
    assert (second["source"], second["precision"], second["indicators"]) == ("b", None, 2)
    assert not first["proposal"], "a whole source is not proposed: its indicators are"
    by_type = {tuple(row["types"]): row["matches"] for row in ranked(ROWS, {}, {}, "type")}
    assert by_type == {("domain",): 13, ("ipv4",): 5}


def test_only_its_own_fault_and_its_feeds_count_against_an_indicator(tmp_path: Path) -> None:
    told = tmp_path / "told.jsonl"
    lines = [
        {"indicator_id": "1", "id": "a", "verdict": "true-positive"},
        {"indicator_id": "1", "id": "b", "verdict": "false-positive"},
        {"indicator_id": "1", "id": "c", "verdict": "false-positive", "wrong": "feed"},
        {"indicator_id": "1", "id": "d", "verdict": "false-positive", "wrong": "event"},
        {"rule_id": "r", "id": "e", "verdict": "false-positive"},
        {"rule_id": "r", "id": "f", "verdict": "false-positive", "wrong": "event"},
    ]
    told.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    assert read([told], "indicator") == {"1": Judged(4, 2)}
    assert read([told]) == {"r": Judged(2, 1)}


def sighting(ident: str = "indicator--1f3a", tlp: str = "green", **also: Any) -> Sighting:
    pairs = [("domain", "evil.example"), ("mutex", "it's")]
    return Sighting("feed", ident, pairs, "Evil", tlp, 3, NOW, NOW + 5, **also)


def test_a_colour_that_must_not_leave_stays_and_is_counted() -> None:
    some = [sighting(tlp=colour) for colour in ("clear", "green", "amber", "amber+strict", "red")]
    told, kept = leaving(some)
    assert [one.tlp for one in told] == ["clear", "green"]
    assert kept == 3


def test_a_stix_sighting_names_the_feeds_own_indicator_and_no_host() -> None:
    bundle = stix([sighting()])
    (one,) = bundle["objects"]
    assert (one["type"], one["sighting_of_ref"], one["count"]) == ("sighting", "indicator--1f3a", 3)
    assert (one["first_seen"], one["last_seen"]) == ("2026-09-21T14:13:20.000Z", "2026-09-21T14:13:20.005Z")
    assert set(one) == {
        "type", "spec_version", "id", "created", "modified", "first_seen", "last_seen", "count", "sighting_of_ref",
        "object_marking_refs",
    }  # fmt: skip
    assert stix([sighting()]) == bundle, "told twice it is the same"


def test_an_indicator_without_a_stix_id_comes_with_its_sighting() -> None:
    made, one = stix([sighting("case-17")])["objects"]
    assert made["pattern"] == "[domain-name:value = 'evil.example']"
    assert made["id"] == one["sighting_of_ref"]
    assert stix([sighting("case-17")._replace(pairs=[("mutex", "x")])])["objects"] == []


def test_misp_takes_a_value_a_line() -> None:
    assert next(misp([sighting()], "Our bank")) == {
        "values": ["evil.example"],
        "type": "0",
        "source": "Our bank",
        "timestamp": str(NOW // 1000),
    }
