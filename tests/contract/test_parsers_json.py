"""Suricata's EVE, and other JSON objects."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.settings import TopicSettings
from schemas.event import Source
from tests.parsing import NOW_MS, event, reader


def eve(kind: str, **body: Any) -> dict[str, Any]:
    head = {"timestamp": "2026-10-11T22:14:15.003456+0500", "flow_id": 1, "event_type": kind, "host": "ids-01"}
    return head | {"src_ip": "10.0.0.5", "src_port": 50000, "dest_ip": "203.0.113.9", "dest_port": 443} | body


def test_an_alert_keeps_its_nesting() -> None:
    found = event(eve("alert", alert={"signature_id": 2024897, "signature": "ET MALWARE", "severity": 1}))
    assert found.format.name == "eve"
    assert found.source == Source("suricata", "ids", "alert", 0)
    assert found.fields["alert"]["signature"] == "ET MALWARE"
    assert (found.src_ip, found.dst_ip, found.time_ms) == ("10.0.0.5", "203.0.113.9", NOW_MS)
    assert found.observables == (("ipv4", "10.0.0.5"), ("ipv4", "203.0.113.9"))


def test_the_sensor_is_no_host_of_the_event() -> None:
    assert event(eve("flow")).host == ""


@pytest.mark.parametrize(
    "dns",
    [
        {"type": "answer", "rrname": "Evil.Example", "rrtype": "A", "answers": [{"rdata": "198.51.100.1"}]},
        {"type": "answer", "rrname": "Evil.Example", "rrtype": "A", "rdata": "198.51.100.1"},
        {"type": "answer", "rrname": "Evil.Example", "rrtype": "A", "grouped": {"A": ["198.51.100.1"]}},
        {"queries": [{"rrname": "Evil.Example", "rrtype": "A"}], "answers": [{"rdata": "198.51.100.1"}]},
    ],
)
def test_dns_has_sigmas_names_in_every_layout(dns: dict[str, Any]) -> None:
    found = event(eve("dns", dns=dns))
    assert found.source.category == "dns"
    assert (found.fields["query"], found.fields["record_type"]) == ("Evil.Example", "A")
    assert found.fields["answer"] == "198.51.100.1"
    assert {("domain", "evil.example"), ("ipv4", "198.51.100.1")} <= set(found.observables)
    assert found.domain == "Evil.Example"


def test_http_has_sigmas_names_and_a_whole_url() -> None:
    http = {"hostname": "Evil.Example", "url": "/a?b", "http_user_agent": "x", "http_method": "GET", "status": 200}
    found = event(eve("http", http=http))
    assert found.source == Source("suricata", "proxy", "http", 0)
    assert (found.fields["cs-host"], found.fields["cs-method"], found.fields["c-useragent"]) == (
        "Evil.Example",
        "GET",
        "x",
    )
    assert found.fields["c-uri"] == "http://Evil.Example/a?b"
    assert "c-uri" in found.format.derived
    assert {("url", "http://evil.example/a?b"), ("domain", "evil.example")} <= set(found.observables)


def test_names_hashes_and_users_are_found_where_they_nest() -> None:
    found = event(
        eve(
            "fileinfo",
            tls={"sni": "evil.example"},
            fileinfo={"filename": "/x", "md5": "b2" * 16, "sha256": "c3" * 32},
            krb5={"cname": "dana"},
        )
    )
    assert {("domain", "evil.example"), ("md5", "b2" * 16), ("sha256", "c3" * 32)} <= set(found.observables)
    assert (found.domain, found.user) == ("evil.example", "dana")


@pytest.mark.parametrize(
    "dns", [None, 1, [], {}, {"queries": [1]}, {"answers": [{"rdata": {}}]}, {"grouped": {"A": 1}}]
)
def test_an_odd_body_is_an_event_all_the_same(dns: Any) -> None:
    assert event(eve("dns", dns=dns)).format.name == "eve"


def test_another_object_has_the_log_source_of_its_topic() -> None:
    okta = reader(TopicSettings(topic="raw.events", product="okta", service="okta"))
    assert event({"eventType": "x"}, by=okta).source == Source("okta", "", "okta", 0)
    assert event({"eventType": "x"}).source == Source()


def test_a_name_with_blanks_stands_without_them_too() -> None:
    """As the specification has rules write it; what has that name already keeps it."""
    found = event({"New Value": "a", "Old Value": "b", "OldValue": "c"})
    assert (found.fields["NewValue"], found.fields["New Value"], found.fields["OldValue"]) == ("a", "a", "c")


def test_ecs_names_fill_the_columns() -> None:
    doc = {
        "@timestamp": 1_791_738_855.003,
        "host": {"name": "srv01"},
        "user": {"name": "dana"},
        "source": {"ip": "10.0.0.5"},
        "destination": {"ip": "203.0.113.9", "domain": "evil.example"},
        "process": {"executable": "/bin/x", "command_line": "x -y", "hash": {"sha256": "c3" * 32}},
        "url": {"full": "https://evil.example/a"},
        "dns": {"question": {"name": "www.evil.example"}},
    }
    found = event(doc)
    columns = (found.host, found.user, found.src_ip, found.dst_ip, found.process, found.command_line, found.domain)
    assert columns == ("srv01", "dana", "10.0.0.5", "203.0.113.9", "/bin/x", "x -y", "www.evil.example")
    assert found.time_ms == NOW_MS
    assert set(found.observables) == {
        ("domain", "evil.example"),
        ("domain", "www.evil.example"),
        ("ipv4", "10.0.0.5"),
        ("ipv4", "203.0.113.9"),
        ("sha256", "c3" * 32),
        ("url", "https://evil.example/a"),
    }
