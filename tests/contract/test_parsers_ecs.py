"""The Elastic Common Schema: datasets of Elastic's modules have their log source, and rules find their fields.

Records written after the ECS field reference and the exported fields of Filebeat's modules and Elastic's integrations.
"""

from __future__ import annotations

from typing import Any

import pytest

from detectors.sigma.engine import Engine
from schemas.event import Source
from tests.parsing import NOW_MS, event
from tests.sigma import rule


def ecs(dataset: str = "", **body: Any) -> dict[str, Any]:
    """A record's head as an agent writes it."""
    head = {
        "@timestamp": "2026-10-11T17:14:15.003Z",
        "ecs": {"version": "8.11.0"},
        "agent": {"type": "filebeat", "version": "8.11.0", "hostname": "col01"},
        "event": {"kind": "event"} | ({"dataset": dataset} if dataset else {}) | body.pop("event", {}),
    }
    return head | body


ENDS = {"source": {"ip": "10.0.0.5", "port": 50123}, "destination": {"ip": "203.0.113.9", "port": 443}}
START = ecs(
    "endpoint.events.process",
    event={"category": ["process"], "type": ["start"]},
    host={"name": "srv01", "os": {"type": "linux"}},
    user={"name": "dana"},
    process={
        "executable": "/usr/bin/curl",
        "command_line": "curl http://evil.example/a",
        "hash": {"sha256": "c3" * 32},
        "parent": {"executable": "/bin/bash"},
    },
)


def test_a_process_start_has_its_columns_and_observables() -> None:
    found = event(START)
    assert (found.format.name, found.source) == ("ecs", Source("linux", "process_creation", "", 0))
    assert (found.host, found.user, found.process, found.time_ms) == ("srv01", "dana", "/usr/bin/curl", NOW_MS)
    assert {("sha256", "c3" * 32), ("url", "http://evil.example/a"), ("file_path", "/usr/bin/curl")} <= set(
        found.observables
    )


def test_a_flattened_record_has_the_same_columns_and_log_source() -> None:
    flat = {
        "@timestamp": START["@timestamp"],
        "ecs.version": "8.11.0",
        "event.category": ["process"],
        "event.type": ["start"],
        "host.name": "srv01",
        "host.os.type": "linux",
        "user.name": "dana",
        "process.executable": "/usr/bin/curl",
        "process.command_line": "curl http://evil.example/a",
    }
    found, meant = event(flat), event(START)
    for name in ("source", "time_ms", "host", "user", "process", "command_line"):
        assert getattr(found, name) == getattr(meant, name), name
    assert found.fields is not None
    assert found.fields["process.executable"] == "/usr/bin/curl"


@pytest.mark.parametrize(
    ("dataset", "source"),
    [
        ("nginx.access", Source("", "webserver", "nginx", 0)),
        ("apache.access", Source("", "webserver", "apache", 0)),
        ("iptables.log", Source("linux", "firewall", "iptables", 0)),
        ("panw.panos", Source("paloalto", "firewall", "panos", 0)),
        ("fortinet_fortigate.log", Source("fortigate", "firewall", "event", 0)),
        ("cisco_asa.log", Source("cisco", "firewall", "asa", 0)),
        ("zeek.dns", Source("zeek", "", "dns", 0)),
        ("aws.cloudtrail", Source("aws", "", "cloudtrail", 0)),
        ("okta.system", Source("okta", "", "okta", 0)),
        ("o365.audit", Source("m365", "", "audit", 0)),
        ("azure.signinlogs", Source("azure", "", "signinlogs", 0)),
        ("kubernetes.audit_logs", Source("kubernetes", "application", "audit", 0)),
    ],
)
def test_a_dataset_tells_the_log_source(dataset: str, source: Source) -> None:
    found = event(ecs(dataset, **ENDS))
    assert found.source == source
    assert (found.src_ip, found.dst_ip) == ("10.0.0.5", "203.0.113.9")


@pytest.mark.parametrize(("program", "service"), [("sshd", "sshd"), ("sudo", "sudo"), ("gdm", "auth"), (7, "auth")])
def test_of_the_file_of_logins_the_program_is_the_service(program: Any, service: str) -> None:
    found = event(ecs("system.auth", process={"name": program}))
    assert found.source == Source("linux", "", service, 0)


@pytest.mark.parametrize(("kind", "category"), [("dns", "dns"), ("http", "proxy"), ("alert", "ids"), ("flow", "")])
def test_suricatas_event_type_stands_within_its_own_object(kind: str, category: str) -> None:
    found = event(ecs("suricata.eve", suricata={"eve": {"event_type": kind}}))
    assert found.source == Source("suricata", category, kind, 0)


OKTA = {"okta": {"event_type": "user.session.start", "security_context": {"is_proxy": True}}}
POD = {"kubernetes": {"audit": {"verb": "create", "objectRef": {"resource": "pods", "subresource": "exec"}}}}
RULE_365 = {"o365": {"audit": {"Parameters": {"Name": "ForwardTo"}}}}
SIGNIN = {"azure": {"signinlogs": {"result_type": "50053"}}}
AUDIT = {"azure": {"auditlogs": {"operation_name": "Add member to role", "properties": {"category": "RoleManagement"}}}}


@pytest.mark.parametrize(
    ("said", "selection", "doc"),
    [
        (
            {"category": "webserver"},
            {"cs-uri-query|contains": "/etc/passwd"},
            ecs("nginx.access", url={"original": "/a?/etc/passwd"}),
        ),
        ({"category": "firewall"}, {"dst_port": 443, "src_ip": "10.0.0.5"}, ecs("panw.panos", **ENDS)),
        ({"category": "dns"}, {"query": "evil.example"}, ecs("zeek.dns", dns={"question": {"name": "evil.example"}})),
        (
            {"category": "proxy"},
            {"c-uri|contains": "/a", "c-useragent": "x"},
            ecs("squid.log", url={"original": "http://evil.example/a"}, user_agent={"original": "x"}),
        ),
        (
            {"product": "okta", "service": "okta"},
            {"eventType": "user.session.start", "securityContext.isProxy": "true"},
            ecs("okta.system", **OKTA),
        ),
        (
            {"product": "kubernetes", "service": "audit"},
            {"verb": "create", "objectRef.subresource": "exec"},
            ecs("kubernetes.audit_logs", **POD),
        ),
        (
            {"product": "m365", "service": "audit"},
            {"Operation": "New-InboxRule", "Parameters|contains": "ForwardTo"},
            ecs("o365.audit", event={"action": "New-InboxRule"}, **RULE_365),
        ),
        ({"product": "azure", "service": "signinlogs"}, {"ResultType": 50053}, ecs("azure.signinlogs", **SIGNIN)),
        (
            {"product": "azure", "service": "auditlogs"},
            {"OperationName": "Add member to role", "Category": "RoleManagement"},
            ecs("azure.auditlogs", **AUDIT),
        ),
        (
            {"product": "gcp", "service": "gcp.audit"},
            {"gcp.audit.method_name": "storage.buckets.delete"},
            ecs("gcp.audit", gcp={"audit": {"method_name": "storage.buckets.delete"}}),
        ),
        (
            {"product": "github", "service": "audit"},
            {"action": "org.add_member"},
            ecs("github.audit", event={"action": "org.add_member"}),
        ),
        (
            {"product": "fortigate", "service": "event"},
            {"action": "Add", "cfgpath": "system.admin"},
            ecs("fortinet_fortigate.log", fortinet={"firewall": {"action": "Add", "cfgpath": "system.admin"}}),
        ),
        (
            {"product": "linux", "category": "process_creation"},
            {"Image|endswith": "/curl", "ParentImage": "/bin/bash"},
            START,
        ),
    ],
)
def test_rules_find_their_fields_where_elastics_modules_put_them(
    said: dict[str, str], selection: dict[str, Any], doc: dict[str, Any]
) -> None:
    engine = Engine([rule({"s": selection, "condition": "s"}, logsource=said)])
    assert engine.match([event(doc)])
    empty = ecs(doc["event"].get("dataset", ""), event={"category": ["process"], "type": ["start"]})
    assert not engine.match([event(empty)]), "the rule would find anything"


def test_certificates_fingerprints_agents_and_mails_are_observables() -> None:
    found = event(
        ecs(
            tls={"client": {"ja3": "b2" * 16, "server_name": "evil.example"}, "server": {"hash": {"sha1": "a1" * 20}}},
            user_agent={"original": "evil/1"},
            email={"from": {"address": ["eve@evil.example"]}},
        )
    )
    assert {
        ("ja3", "b2" * 16),
        ("domain", "evil.example"),
        ("certificate", "a1" * 20),
        ("user_agent", "evil/1"),
        ("email", "eve@evil.example"),
    } <= set(found.observables)


@pytest.mark.parametrize("odd", [None, [], {}, "x", 1, [None], {"name": {}}, {"dataset": {}}])
def test_any_value_in_any_place_leaves_an_event(odd: Any) -> None:
    for name in START:
        event(START | {name: odd})
        event({name: odd, "ecs.version": odd, "event.dataset": odd, "@timestamp": 1})
