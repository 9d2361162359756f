"""One Windows event, sent by every shipper in its own spelling, is one event: fields, columns, source, time, all."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from schemas.event import Event, Source
from tests.parsing import event
from tests.shippers import EVENTS, SHIPPERS, SYSMON, WindowsEvent, elastic_agent, fluent_bit, vector, winlogbeat

COLUMNS = ("host", "user", "src_ip", "dst_ip", "process", "command_line", "domain")


def columns(found: Event) -> dict[str, str]:
    return {name: getattr(found, name) for name in COLUMNS}


@pytest.mark.parametrize("shipper", SHIPPERS)
@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_the_same_whoever_sent_it(name: str, shipper: str) -> None:
    one = EVENTS[name]
    form, sent = SHIPPERS[shipper]
    found, meant = event(sent(one)), event(SHIPPERS["EVTX JSON"][1](one))
    assert found.format.name == form
    assert found.source == Source("windows", "", one.channel.lower(), one.number)
    assert {field: str(found.fields[field]) for field in one.data} == one.data
    assert (found.fields["EventID"], found.fields["Channel"]) == (one.number, one.channel)
    assert (found.fields["Provider_Name"], found.fields["Computer"]) == (one.provider, one.computer)
    assert (found.time_ms, found.doubtful) == (one.time_ms, False)
    assert columns(found) == columns(meant)
    assert found.observables == meant.observables


def test_what_the_events_say_is_in_their_columns() -> None:
    """The comparison above would hold of empty columns too."""
    started, logon, audited, script, service = (event(winlogbeat(one)) for one in EVENTS.values())
    assert (started.user, started.host, started.command_line[:8]) == ("BANK\\dana", "ws-017.bank.example", "certutil")
    assert (logon.user, logon.src_ip) == ("dana", "192.0.2.44")
    assert (audited.user, audited.process) == ("dana", "C:\\Windows\\System32\\certutil.exe")
    assert ("url", "http://evil.example/a.ps1") in script.observables
    assert service.process == "%SystemRoot%\\PSEXESVC.exe"


def sysmon(number: int, **data: str) -> WindowsEvent:
    return WindowsEvent(SYSMON, "Microsoft-Windows-Sysmon", number, data)


def moved(number: int, **ecs: Any) -> dict[str, Any]:
    """An event of Elastic's Sysmon module: nothing left in event_data."""
    return elastic_agent(sysmon(number)) | ecs


def test_a_network_connection_that_elastics_module_moved_is_moved_back() -> None:
    found = event(
        moved(
            3,
            process={"executable": "C:\\a.exe", "pid": 5216, "entity_id": "{f51ddac1}"},
            source={"ip": "10.0.0.5", "port": 50123, "domain": "ws-017"},
            destination={"ip": "203.0.113.9", "port": 443, "domain": "evil.example"},
            network={"transport": "tcp", "direction": "egress"},
            user={"name": "dana", "domain": "BANK"},
        )
    )
    meant = {
        "Image": "C:\\a.exe",
        "ProcessId": 5216,
        "ProcessGuid": "{f51ddac1}",
        "SourceIp": "10.0.0.5",
        "DestinationHostname": "evil.example",
        "DestinationPort": 443,
        "Protocol": "tcp",
        "Initiated": "true",
        "User": "BANK\\dana",
    }
    assert {name: found.fields[name] for name in meant} == meant
    assert "Initiated" in found.format.derived
    assert (found.src_ip, found.dst_ip, found.domain) == ("10.0.0.5", "203.0.113.9", "evil.example")


def test_a_pipe_and_a_file_both_stand_in_file_and_are_told_by_the_number() -> None:
    pipe = event(moved(17, file={"name": "\\msagent_1"}))
    assert pipe.fields["PipeName"] == "\\msagent_1"
    file = event(moved(11, file={"name": "a.exe", "path": "C:\\a.exe"}))
    assert file.fields["TargetFilename"] == "C:\\a.exe"
    assert "PipeName" not in file.fields


def test_a_registry_value_and_a_library_are_moved_back() -> None:
    key = event(moved(13, registry={"path": "HKLM\\x", "data": {"strings": ["DWORD (0x00000001)"]}}))
    assert (key.fields["TargetObject"], key.fields["Details"]) == ("HKLM\\x", ["DWORD (0x00000001)"])
    signed = {"subject_name": "Contoso", "status": "Valid", "signed": True}
    library = event(moved(7, dll={"path": "C:\\a.dll", "code_signature": signed, "hash": {"sha256": "c3" * 32}}))
    assert (library.fields["ImageLoaded"], library.fields["Signature"]) == ("C:\\a.dll", "Contoso")
    assert library.fields["Hashes"] == f"SHA256={'c3' * 32}"


def test_the_security_and_powershell_modules_have_names_of_their_own() -> None:
    """What Sysmon calls Image the Security log calls NewProcessName: its rules look for that."""
    bare = EVENTS["Security 4688"]._replace(data={})
    process = {"executable": "C:\\a.exe", "command_line": "a -b", "parent": {"executable": "C:\\p.exe"}}
    found = event(winlogbeat(bare) | {"process": process, "user": {"name": "dana"}})
    assert (found.fields["NewProcessName"], found.fields["ParentProcessName"]) == ("C:\\a.exe", "C:\\p.exe")
    assert "Image" not in found.fields
    assert "User" not in found.fields
    script = {"file": {"script_block_text": "IEX x", "script_block_id": "7"}, "sequence": 1, "total": 2}
    said = event(winlogbeat(EVENTS["PowerShell 4104"]._replace(data={})) | {"powershell": script})
    assert (said.fields["ScriptBlockText"], said.fields["MessageTotal"]) == ("IEX x", 2)


def test_a_logon_of_windows_11_has_one_value_more() -> None:
    doc = fluent_bit(EVENTS["Security 4624"])
    doc["StringInserts"].insert(22, "-")
    found = event(doc)
    assert (found.fields["RemoteCredentialGuard"], found.fields["ElevatedToken"]) == ("-", "%%1842")


def test_values_of_an_event_that_is_not_in_the_table_stay_a_list() -> None:
    one = WindowsEvent("Application", "MsiInstaller", 11707, {"a": "Product: X", "b": "(NULL)"})
    assert event(fluent_bit(one)).fields["Data"] == ["Product: X", "(NULL)"]
    assert event(fluent_bit(one._replace(data={"a": "Product: X"}))).fields["Data"] == "Product: X"


@pytest.mark.parametrize("stamp", [1_791_738_855.0, "2026-10-11T17:14:15.000Z", "2026-10-11T17:14:15.000000000Z"])
def test_fluent_bits_three_spellings_of_its_time_stand_in_where_the_event_has_none(stamp: Any) -> None:
    doc = fluent_bit(EVENTS["Sysmon 1"]) | {"@timestamp": stamp}
    del doc["TimeCreated"]
    assert event(doc).time_ms == EVENTS["Sysmon 1"].time_ms


@pytest.mark.parametrize("inserts", [None, "x", {}, [], [None], [[1]], [{}] * 40])
def test_odd_values_leave_an_event(inserts: Any) -> None:
    one = EVENTS["Security 4624"]
    for doc in (
        fluent_bit(one) | {"StringInserts": inserts},
        vector(one) | {"event_data": inserts, "string_inserts": inserts},
    ):
        assert event(doc).source.event_id == 4624


@pytest.mark.parametrize("inside", [None, [], "x", 1, {"event_data": 1}, {"channel": {}, "event_id": []}])
def test_an_odd_head_leaves_an_event(inside: Any) -> None:
    event(orjson.dumps({"winlog": inside, "log_name": "Security", "event_id": 1}))
    event(orjson.dumps({"winlog.channel": inside, "winlog.event_data.x": inside}))


#: By which names tools of the trade look for a channel and for a number (Zircolite's configuration lists them).
CHANNELS = ("Channel", "channel", "log_name", "LogName", "winlog.channel")
NUMBERS = ("EventID", "eventid", "event_id", "EventCode", "event.code", "winlog.event_id")


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("written", [4624, "4624"])
def test_every_usual_name_of_channel_and_number_is_known_in_any_pair(channel: str, number: str, written: Any) -> None:
    found = event({channel: "Security", number: written, "TargetUserName": "dana", "@timestamp": 1_791_738_855})
    assert found.source == Source("windows", "", "security", 4624)
    assert (found.fields["EventID"], found.fields["Channel"], found.user) == (4624, "Security", "dana")


@pytest.mark.parametrize("number", [4624, "4624", {"#text": 4624}, {"#text": "4624", "#attributes": {"Qualifiers": 0}}])
@pytest.mark.parametrize("outer", [True, False])
def test_a_number_within_system_is_known_however_it_is_wrapped(number: Any, outer: bool) -> None:
    inside = {"System": {"Channel": "Security", "EventID": number}, "EventData": {"TargetUserName": "dana"}}
    found = event({"Event": inside} if outer else inside)
    assert (found.source, found.user) == (Source("windows", "", "security", 4624), "dana")
