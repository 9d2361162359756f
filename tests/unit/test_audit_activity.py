"""The records of one audit event tell one activity, in the words that Sysmon for Linux would use."""

from __future__ import annotations

import pytest

from detectors.audit.join import Joins
from pipeline.parsers.audit_joined import event_of
from schemas.event import Event, Source
from tests.audit import connected, killed, parts, started, written


def joined(*records: bytes) -> Event | None:
    """The event of records of one audit event."""
    joins = Joins()
    told = joins.take(parts(*records)) + joins.finish()
    return event_of(told[0]) if told else None


def event(*records: bytes) -> Event:
    """The same, where there is one."""
    found = joined(*records)
    assert found is not None
    return found


def test_a_start_has_sigmas_names_and_keeps_its_records() -> None:
    found = event(*started(7, ["curl", "-o", "/tmp/a b"], exe="/usr/bin/curl", cwd="/home/d e"))
    assert found.source == Source("linux", "process_creation", "")
    sigma = {name: value for name, value in found.fields.items() if not name.isupper()}
    assert sigma == {
        "Image": "/usr/bin/curl",
        "CommandLine": "curl -o /tmp/a b",
        "CurrentDirectory": "/home/d e",
        "User": "root",
        "LogonId": "0",
        "ProcessId": "20007",
        "ParentProcessId": "1723",
        "TerminalSessionId": "3",
    }
    assert found.fields["EXECVE"]["a2"] == "/tmp/a b"
    assert found.fields["EXECVE"]["ARGV"] == ["curl", "-o", "/tmp/a b"]
    assert found.fields["SYSCALL"]["a1"] == "7ffd1"
    assert [path["item"] for path in found.fields["PATH"]] == ["0", "1"]
    assert (found.host, found.user, found.process) == ("srv01", "1000", "/usr/bin/curl")
    assert found.command_line == "curl -o /tmp/a b"


def test_without_its_call_a_start_is_told_by_its_arguments() -> None:
    _, *rest = started(7, ["crontab", "-r"], exe="/usr/bin/crontab")
    assert event(*rest).fields["Image"] == "/usr/bin/crontab"
    only = event(rest[0])
    assert (only.fields["Image"], only.fields["CommandLine"]) == (["crontab", "/crontab"], "crontab -r")


def test_a_long_argument_stands_in_parts_and_in_several_records() -> None:
    call, run, *rest = started(7, ["x"], exe="/usr/bin/x")
    first = run.replace(b'argc=1 a0="x"', b'argc=3 a0="x" a1_len=8 a1[0]=61612062')
    second = run.replace(b'argc=1 a0="x"', b'a1[1]=62206363 a2="last"')
    assert event(call, second, first, *rest).fields["CommandLine"] == "x aa bb cc last"


@pytest.mark.parametrize(
    ("name", "nametype", "flags", "folder", "target"),
    [
        ("/etc/cron.d/x", "CREATE", "241", "ffffff9c", "/etc/cron.d/x"),
        ("x", "CREATE", "241", "ffffff9c", "/srv/x"),
        ("../etc/./x y", "CREATE", "241", "ffffff9c", "/etc/x y"),
        ("x", "CREATE", "241", "3", "/etc/x"),
        ("/etc/shadow", "NORMAL", "241", "ffffff9c", "/etc/shadow"),
        ("/etc/shadow", "NORMAL", "0", "ffffff9c", None),
        ("/etc/shadow", "NORMAL", "no number", "ffffff9c", None),
    ],
)
def test_a_file_is_named_from_the_root(name: str, nametype: str, flags: str, folder: str, target: str | None) -> None:
    """A file that was there counts when it would have been made: so Sysmon for Linux tells it."""
    found = joined(*written(8, name, nametype=nametype, flags=flags.replace(" ", "_"), folder=folder))
    assert (found.fields["TargetFilename"] if found else None) == target
    assert found is None or found.source.category == "file_event"


@pytest.mark.parametrize(
    ("saddr", "address", "port"),
    [
        ("0200115CCB0071090000000000000000", "203.0.113.9", "4444"),
        ("0A0001BB0000000020010DB800000000000000000000000100000000", "2001:db8::1", "443"),
        ("0A0001BB0000000000000000000000000000FFFFCB00710900000000", "203.0.113.9", "443"),
    ],
)
def test_a_connection_names_its_other_end(saddr: str, address: str, port: str) -> None:
    found = event(*connected(9, saddr, success="no", result=-115))
    assert found.source.category == "network_connection"
    assert (found.fields["DestinationIp"], found.fields["DestinationPort"]) == (address, port)
    assert (found.fields["Initiated"], found.fields["Image"], found.dst_ip) == ("true", "/usr/bin/nc", address)


def test_what_failed_or_is_of_no_category_is_no_activity() -> None:
    assert joined(*connected(9, "0200115CCB0071090000000000000000", success="no", result=-111)) is None
    assert joined(*connected(9, "01002F7661722F72756E")) is None, "a socket of this host"
    failed = [record.replace(b"success=yes", b"success=no") for record in started(7, ["/bin/x"])]
    assert joined(*failed) is None
    assert joined(*killed(10)) is None
