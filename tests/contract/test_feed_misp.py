"""MISP's events, lists of events and searches: what is an indicator, and what its event says of it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from detectors.ioc.feeds import Revoked
from tests.feeding import attribute, event, given

IP = attribute(1, "ip-dst", "203.0.113.1")


@pytest.mark.parametrize(
    "document",
    [
        event(IP),
        event(IP)["Event"],
        [event(IP)],
        [event(IP)["Event"]],
        {"response": [event(IP)]},
        {"response": event(IP)},
        {"response": {"Attribute": [IP]}},
        {"Attribute": [IP]},
        [IP],
        event(Object=[{"name": "network-connection", "Attribute": [IP]}]),
    ],
)
def test_wherever_an_attribute_stands_it_is_the_same_indicator(document: Any) -> None:
    feed = given(orjson.dumps(document))
    assert feed.values == [("ipv4", "203.0.113.1")]
    assert feed.indicators[0].id == IP["uuid"]
    assert not feed.faults


def test_what_an_event_says_behind_its_attributes_counts_for_each() -> None:
    tags = (
        "tlp:green",
        "tlp:amber",
        "kill-chain:Command and Control",
        'misp:confidence-level="usually-confident"',
        'misp-galaxy:mitre-attack-pattern="Web Protocols - T1071.001"',
        "ours",
    )
    galaxy = {"GalaxyCluster": [{"value": "x", "meta": {"kill_chain": ["mitre-attack:command-and-control"]}}]}
    one = attribute(
        1,
        "domain",
        "evil.example",
        comment="control",
        first_seen="2026-01-01T00:00:00.000000+00:00",
        Tag=[{"name": "own"}],
    )
    said = event(one, threat_level_id="2", Orgc={"name": "CERT"}, Tag=[{"name": tag} for tag in tags], Galaxy=[galaxy])
    feed = given(orjson.dumps(said), defaults={"level": "critical", "confidence": 10, "tlp": "red", "tags": ["feed"]})
    (found,) = feed.indicators
    assert (found.title, found.level, found.confidence, found.tlp) == ("Campaign: control", "medium", 75, "amber")
    assert found.first_seen == 1_767_225_600_000
    assert found.source == "feed", "whose it is, is the feed's name alone"
    assert found.tags == (
        "feed", "own", "kill-chain:Command and Control", 'misp:confidence-level="usually-confident"',
        "attack.t1071.001", "ours", "source:CERT",
    )  # fmt: skip
    assert found.phases == (
        "lockheed-martin-cyber-kill-chain:command-and-control",
        "mitre-attack:command-and-control",
    )


@pytest.mark.parametrize("more", [{"to_ids": False}, {"to_ids": "0"}, {"deleted": True}, {"deleted": "1"}])
def test_an_attribute_that_is_not_to_be_matched_is_withdrawn(more: dict[str, Any]) -> None:
    data = orjson.dumps(event(IP | more))
    feed = given(data)
    assert not feed.indicators
    assert feed.revoked == [Revoked("feed", IP["uuid"], 1_767_225_600_000)]
    assert not given(data, first=True).revoked, "of what was never read, nothing is withdrawn"


def test_the_attributes_of_a_deleted_object_are_withdrawn() -> None:
    feed = given(orjson.dumps(event(Object=[{"name": "file", "deleted": True, "Attribute": [IP]}])))
    assert [one.id for one in feed.revoked] == [IP["uuid"]]


def test_valid_days_count_from_when_it_was_last_seen_or_changed() -> None:
    seen = attribute(1, "ip-dst", "203.0.113.1", last_seen="2026-02-01T10:00:00Z")
    feed = given(orjson.dumps(event(seen, attribute(2, "ip-dst", "203.0.113.2"))), defaults={"valid_days": 1})
    assert [one.valid_until for one in feed.indicators] == [1_769_990_400_000, 1_767_312_000_000]
    assert {one.valid_from for one in feed.indicators} == {0}


def test_a_colour_that_is_none_is_no_laxer_than_our_start() -> None:
    feed = given(orjson.dumps(event(IP, Tag=[{"name": "tlp:ex:chr"}])), defaults={"tlp": "clear"})
    assert feed.indicators[0].tlp == "amber+strict"


@pytest.mark.parametrize(
    "bad",
    [None, 7, "x", [], {}, {"uuid": 1}, IP | {"value": {}}, IP | {"type": []}, IP | {"value": "x" * 5_000},
     IP | {"Tag": 1, "type": "domain"}, IP | {"value": "\ud800"}],
)  # fmt: skip
def test_one_bad_attribute_is_named_and_the_rest_loads(bad: Any) -> None:
    import json

    good = attribute(9, "ip-dst", "203.0.113.9")
    feed = given(json.dumps(event(bad, good, Tag=[7, {"name": None}], Galaxy={"x": 1}, Orgc=[])).encode())
    assert feed.values == [("ipv4", "203.0.113.9")]
    assert len(feed.faults) == 1
    assert "attribute" in feed.faults[0].where


def test_an_event_of_any_size_is_read_attribute_by_attribute() -> None:
    many = [attribute(number, "ip-dst", f"203.0.{number // 250}.{number % 250}") for number in range(1_000)]
    one = event(*many, Tag=[{"name": "tlp:red"}])
    for document in (one, [one], {"response": [one, event(IP)]}):
        feed = given(orjson.dumps(document), limits={"entry_bytes": 1_000})
        assert len(feed.indicators) >= 1_000
        assert {found.tlp for found in feed.indicators[:1_000]} == {"red"}
        assert not feed.faults
