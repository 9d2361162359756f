"""Routing: providers in their own words, one activity told twice, fields under other names, mappings of topics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from detectors.sigma.activities import Activity
from detectors.sigma.engine import Engine
from detectors.sigma.mapping import provided
from detectors.sigma.pipelines import ours, read, shipped
from detectors.sigma.prefilter import witness
from detectors.sigma.providers import PROCESS_4688
from pipeline.settings import TopicSettings
from schemas.activity import Sighting, activity_key, distinct, doubles
from schemas.errors import RefusedError
from schemas.event import EVERYWHERE, NOWHERE, Source
from tests import parsing
from tests.sigma import PROCESS, event, rule

STARTS = {"product": "windows", "category": "process_creation"}
AUDITED = Source("windows", "", "security", 4688)
STARTED = {
    "EventID": 4688,
    "NewProcessName": "C:\\Windows\\whoami.exe",
    "NewProcessId": "0x1a4",
    "MandatoryLabel": "S-1-16-12288",
    "SubjectUserSid": "S-1-5-18",
    "SubjectUserName": "WS1$",
}


def found(selection: Any, fields: dict[str, Any], source: Source, logsource: dict[str, str]) -> bool:
    """Whether a rule of one selection finds one event."""
    made = rule({"s": selection, "condition": "s"}, logsource=logsource)
    return bool(Engine([made]).match([event(fields, source)]))


@pytest.mark.parametrize(
    "selection",
    [
        {"IntegrityLevel": "High"},
        {"IntegrityLevel": "S-1-16-12288"},
        {"ProcessId": 420},
        {"ProcessId": "0x1a4"},
        {"User|contains": "AUTHORI"},
        {"Image|startswith": "C:\\Windows\\"},
    ],
)
def test_4688_is_read_in_sysmons_values_and_in_its_own(selection: dict[str, Any]) -> None:
    assert found(selection, STARTED, AUDITED, STARTS)


def test_a_closed_list_gives_the_prefilter_the_providers_own_value() -> None:
    tree = provided(["eq", "IntegrityLevel", ["high"], False], PROCESS_4688)
    assert witness(tree) == {"high", "s-1-16-12288"}


@pytest.mark.parametrize("spelt", ["\\Device\\HarddiskVolume3\\Windows\\x.exe", "\\??\\C:\\Windows\\x.exe"])
def test_a_prefixed_process_name_is_the_same_name(spelt: str) -> None:
    fields = STARTED | {"NewProcessName": spelt}
    assert found({"Image": "C:\\Windows\\x.exe"}, fields, AUDITED, STARTS)
    assert found({"Image|startswith": "C:\\Windows"}, fields, AUDITED, STARTS)
    assert not found({"Image|startswith": "D:\\"}, fields, AUDITED, STARTS)


def test_a_channel_in_lower_case_and_a_name_with_a_blank_are_the_same() -> None:
    told = {"EventTime": 1, "EventID": 1116, "SourceName": "x", "Threat Name": "Mimikatz", "Path": "file:_C:\\m.exe"}
    channel = "Microsoft-Windows-Windows Defender/Operational"
    for name in (channel, channel.lower()):
        (read_,) = [parsing.event(told | {"Channel": name})]
        made = rule({"s": {"Signature|contains": "mimikatz"}, "condition": "s"}, logsource={"category": "antivirus"})
        assert Engine([made]).match([read_])


CHANNEL = "microsoft-windows-sysmon/operational"


@pytest.mark.parametrize(
    ("logsource", "source", "looks"),
    [
        ({"category": "process_creation"}, Source("windows", "", CHANNEL, 1), True),
        ({"category": "process_creation"}, Source("windows", "", "security", 4688), True),
        ({"category": "process_creation"}, Source("linux", "", "linux-sysmon/operational", 1), True),
        ({"category": "process_creation"}, Source("windows", "", CHANNEL, 3), False),
        ({"category": "process_creation", "service": "sysmon"}, Source("windows", "", CHANNEL, 1), True),
        (STARTS | {"service": "sysmon"}, Source("windows", "", CHANNEL, 1), True),
        (STARTS | {"service": "sysmon"}, Source("windows", "", "security", 4688), False),
        (STARTS | {"service": "security"}, Source("windows", "", "security", 4688), True),
        ({"service": "sysmon"}, Source("windows", "", CHANNEL, 22), True),
        ({"service": "powershell"}, Source("windows", "", "powershellcore/operational", 4104), True),
        ({"product": "linux", "service": "sysmon"}, Source("linux", "", "linux-sysmon/operational", 5), True),
        (STARTS, Source("linux", "", "linux-sysmon/operational", 1), False),
        ({"product": "qualys"}, EVERYWHERE, True),
        ({"product": "qualys"}, NOWHERE, False),
    ],
)
def test_category_product_and_service_stand_alone_or_together(
    logsource: dict[str, str], source: Source, looks: bool
) -> None:
    fields = {"NewProcessName": "C:\\x.exe", "Image": "C:\\x.exe", "F": "a"}
    assert found({"F": "a"}, fields, source, logsource) is looks


@pytest.mark.parametrize("provider", ["Provider_Name", "SourceName"])
def test_a_windows_event_without_its_channel_is_placed_by_its_provider(provider: str) -> None:
    (read_,) = [parsing.event({"EventID": 1, provider: "Microsoft-Windows-Sysmon", "Image": "C:\\x.exe"})]
    assert read_.source == PROCESS


def test_a_connection_of_5156_is_one_of_sysmons() -> None:
    fields = {
        "EventID": 5156,
        "Application": "\\device\\harddiskvolume2\\windows\\notepad.exe",
        "Direction": "%%14593",
        "DestAddress": "8.8.8.8",
        "DestPort": "88",
        "Protocol": 6,
    }
    source, logsource = (
        Source("windows", "", "security", 5156),
        {"product": "windows", "category": "network_connection"},
    )
    wanted = {"Initiated": "true", "DestinationPort": 88, "Protocol": "tcp", "DestinationIp|cidr": "8.0.0.0/8"}
    assert found(wanted | {"Image": "C:\\Windows\\notepad.exe"}, fields, source, logsource)
    assert not found({"Initiated": "false"}, fields, source, logsource)


def test_4657_is_a_registry_value_set_and_deleted() -> None:
    fields = {
        "EventID": 4657,
        "ObjectName": "\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Control\\Lsa",
        "ObjectValueName": "RunAsPPL",
        "NewValueType": "%%1876",
        "NewValue": "0",
        "OperationType": "%%1905",
    }
    source = Source("windows", "", "security", 4657)
    wanted = {
        "TargetObject": "HKLM\\System\\CurrentControlSet\\Control\\Lsa\\RunAsPPL",
        "Details": "DWORD (0x00000000)",
        "EventType": "SetValue",
    }
    assert found(wanted, fields, source, {"product": "windows", "category": "registry_set"})
    assert found(wanted, fields, source, {"product": "windows", "category": "registry_event"})
    assert not found(wanted, fields, source, {"product": "windows", "category": "registry_delete"})


def test_a_start_told_by_the_audit_system_is_a_process_creation() -> None:
    line = b'type=EXECVE msg=audit(1791738855.003:7): argc=3 a0="curl" a1="-o" a2="/tmp/x y"'
    logsource = {"product": "linux", "category": "process_creation"}
    wanted = {"Image|endswith": "/curl", "CommandLine|contains": "curl -o /tmp/x y"}
    made = rule({"s": wanted, "condition": "s"}, logsource=logsource)
    assert Engine([made]).match([parsing.event(line)])
    assert not Engine([made]).match([parsing.event(line.replace(b"EXECVE", b"PATH"))])


def test_the_same_start_told_twice_has_one_key() -> None:
    made = rule({"s": {"Image|endswith": "\\whoami.exe"}, "condition": "s"}, logsource=STARTS)
    sysmon = {"Image": "c:\\windows\\WHOAMI.exe", "ProcessId": "420"}
    full, other = Engine([made]).match([event(sysmon, PROCESS), event(STARTED, AUDITED)])
    assert full.activity == Activity("process_creation", 1, ("420", "\\windows\\whoami.exe"))
    assert other.activity is not None
    assert other.activity == full.activity._replace(provider=2)
    assert activity_key("process_creation", "host", full.activity.parts) != activity_key("x", "host", ("420",))
    assert activity_key("process_creation", "", full.activity.parts) == ""


def test_a_rule_about_4688_itself_tells_no_activity() -> None:
    made = rule({"s": {"EventID": 4688}, "condition": "s"}, logsource={"product": "windows", "service": "security"})
    (match,) = Engine([made]).match([event(STARTED, AUDITED)])
    assert match.activity is None


def test_activities_count_once_where_a_fuller_provider_tells_them_within_two_seconds() -> None:
    full, near, far = Sighting(10_000, 1), Sighting(12_000, 2), Sighting(12_001, 2)
    assert doubles(near, [full, near])
    assert not doubles(full, [full, near])
    assert distinct([full, near]) == distinct([near, full]) == 1
    assert distinct([full, far]) == 2
    assert distinct([full, full]) == 2  # two events of one provider are two


EDR = {
    "@timestamp": "2026-10-11T17:14:15.003Z",
    "ecs": {"version": "8.11"},
    "event": {"category": ["process"], "type": ["start"]},
    "host": {"name": "mac-1", "os": {"type": "macos"}},
    "user": {"name": "dana", "domain": "BANK"},
    "process": {"executable": "/usr/bin/osascript", "command_line": "osascript -e x", "pid": 7},
}


@pytest.mark.parametrize("flat", [False, True])
def test_ecs_is_known_by_itself_and_mapped(flat: bool) -> None:
    doc = EDR
    if flat:
        doc = {"@timestamp": EDR["@timestamp"], "ecs.version": "8.11", "event.category": "process"}
        doc |= {"event.type": "start", "host.os.type": "macos", "process.executable": "/usr/bin/osascript"}
        doc |= {"process.command_line": "osascript -e x", "user.domain": "BANK"}
    told = parsing.event(doc)
    assert told.source == Source("macos", "process_creation")
    wanted = {"Image|endswith": "/osascript", "CommandLine|contains": " -e ", "User|contains": "bank"}
    made = rule({"s": wanted, "condition": "s"}, logsource={"product": "macos", "category": "process_creation"})
    (match,) = Engine([made]).match([told])
    assert match.matched["process.executable"] == "/usr/bin/osascript"


def test_a_connection_that_an_agent_tells_in_ecs_is_one_of_sysmons() -> None:
    doc = {"@timestamp": EDR["@timestamp"], "ecs": {}, "host": {"name": "ws-1", "os": {"type": "windows"}}}
    doc |= {"event": {"category": ["network"], "type": ["start"]}, "network": {"direction": "egress"}}
    doc |= {"process": {"pid": 7}, "source": {"port": 50_000}, "destination": {"ip": "8.8.8.8", "port": 88}}
    made = rule(
        {"s": {"Initiated": "true", "DestinationPort": 88}, "condition": "s"},
        logsource={"product": "windows", "category": "network_connection"},
    )
    (match,) = Engine([made]).match([parsing.event(doc)])
    assert match.activity == Activity("network_connection", 0, ("7", "50000", "8.8.8.8", "88"))
    doc["network"] = {"direction": "ingress"}
    assert not Engine([made]).match([parsing.event(doc)])


def test_zeek_is_known_by_itself_and_feeds_the_generic_categories() -> None:
    dns = {"ts": 1791738855.003, "uid": "C1", "id.orig_h": "10.0.0.1", "id.resp_h": "10.0.0.2"}
    dns |= {"query": "bad.example", "qtype_name": "TXT", "answers": ["1.2.3.4", "v=x"]}
    told = parsing.event(dns)
    assert (told.source, told.src_ip, told.domain) == (Source("zeek", "", "dns"), "10.0.0.1", "bad.example")
    wanted = {"query|endswith": ".example", "record_type": "TXT", "answer": "v=x"}
    assert Engine([rule({"s": wanted, "condition": "s"}, logsource={"category": "dns"})]).match([told])
    native = rule({"s": {"answers": "v=x"}, "condition": "s"}, logsource={"product": "zeek", "service": "dns"})
    assert Engine([native]).match([told])


PIPELINE = b"""
name: our EDR
transformations:
  - type: field_name_mapping
    mapping: {Image: proc.path, User: [proc.user, proc.owner]}
    rule_conditions: [{type: logsource, category: process_creation}]
"""


def test_a_topics_own_pipeline_maps_its_fields_and_no_other_topics(tmp_path: Path) -> None:
    file = tmp_path / "edr.yml"
    file.write_bytes(PIPELINE)
    entry = TopicSettings(topic="raw.events", product="windows", category="process_creation", mapping=str(file))
    doc = {"proc": {"path": "C:\\x.exe", "owner": "dana"}}
    by = parsing.reader(entry)
    told = parsing.event(doc, by=by)
    assert told.format.name == "json"
    assert parsing.event(doc, by=by).format is told.format  # the engine groups by it
    made = rule({"s": {"Image|endswith": "x.exe", "User": "dana"}, "condition": "s"}, logsource=STARTS)
    engine = Engine([made])
    assert engine.match([told])
    assert not engine.match([parsing.event(doc, by=parsing.reader(entry.model_copy(update={"mapping": ""})))])
    elsewhere = rule({"s": {"Image|endswith": "x.exe"}, "condition": "s"}, logsource={"product": "windows"})
    assert not Engine([elsewhere]).match([told])  # its log source is not that of the mapping's condition


def test_of_several_names_null_asks_all_and_a_value_any() -> None:
    mapping = read("x", PIPELINE)
    from detectors.sigma.mapping import names_of
    from detectors.sigma.rule import LogSource

    names = names_of(mapping, LogSource("windows", "process_creation"))
    assert provided(["null", "User"], names) == ["and", ["null", "proc.user"], ["null", "proc.owner"]]
    assert provided(["eq", "User", ["a"], False], names)[0] == "or"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"transformations: [{type: add_field, field: x}]", "'add_field'"),
        (b"transformations: [{type: field_name_mapping, mapping: {}}]", "transformations.0.mapping"),
        (
            b"transformations: [{type: field_name_mapping, mapping: {a: b}, rule_conditions: [{type: is_sigma_rule}]}]",
            "'is_sigma_rule'",
        ),
        (
            b"transformations: [{type: field_name_mapping, mapping: {a: b}, field_name_conditions: [x]}]",
            "field_name_con",
        ),
        (b"finalizers: [{type: x}]\ntransformations: []", "finalizers"),
        (b"[]", "no pySigma pipeline"),
        (b"a: &a [1]\ntransformations: *a", "alias"),
        (b"[" * 10_000, "nests too deeply"),
        (b"\xff", "no UTF-8"),
        (b"a: [", "cannot be read"),
        (b" " * ((1 << 20) + 1), "at most"),
    ],
)
def test_what_is_more_than_a_mapping_of_names_is_refused_by_name(text: bytes, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        read("edr.yml", text)


def test_a_mapping_that_does_not_exist_is_refused_with_those_that_do() -> None:
    assert "ecs" in shipped()
    with pytest.raises(RefusedError, match="there are azure, cef, cloudtrail, ecs"):
        ours("elastic")
    with pytest.raises(RefusedError, match=r"none\.yml cannot be read"):
        parsing.reader(TopicSettings(topic="x", mapping="none.yml"))


def test_a_route_is_compiled_once_a_mapping_and_not_by_event() -> None:
    engine = Engine([rule({"s": {"Image|endswith": "x.exe"}, "condition": "s"}, logsource=STARTS)])
    told = [event(orjson.loads(orjson.dumps(STARTED)), AUDITED) for _ in range(50)]
    engine.match(told)
    assert len(engine.seen()) == 1
