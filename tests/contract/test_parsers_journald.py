"""The journal's records give what the same line gives over syslog. Written after systemd.journal-fields(7)."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.settings import TopicSettings
from schemas.event import Event, Source
from tests.parsing import NOW_MS, event, reader

LOGIN = "Failed password for invalid user dana from 203.0.113.9 port 50123 ssh2"
SUDO = "dana : TTY=pts/0 ; PWD=/home/dana ; USER=root ; COMMAND=/usr/bin/id"


def journal(message: Any, program: str = "sshd", **more: Any) -> dict[str, Any]:
    """journalctl -o json: every value is text."""
    return {
        "__CURSOR": "s=1;i=2",
        "__REALTIME_TIMESTAMP": "1791738855004000",
        "__MONOTONIC_TIMESTAMP": "790311087326",
        "_BOOT_ID": "81fa5557e3194653869ee1f76f97b960",
        "_TRANSPORT": "syslog",
        "_HOSTNAME": "srv01",
        "_MACHINE_ID": "cae0e0147d454a80971b0b747c8b62b9",
        "_PID": "7",
        "_UID": "0",
        "_COMM": program,
        "_EXE": f"/usr/sbin/{program}",
        "_SOURCE_REALTIME_TIMESTAMP": f"{NOW_MS}000",
        "PRIORITY": "6",
        "SYSLOG_FACILITY": "10",
        "SYSLOG_IDENTIFIER": program,
        "MESSAGE": message,
    } | more


def of_vector(message: str, program: str = "sshd") -> dict[str, Any]:
    """Vector's journald source: message, host and timestamp by its own names."""
    doc = journal(message, program)
    doc["message"], doc["host"] = doc.pop("MESSAGE"), doc.pop("_HOSTNAME")
    return doc | {"source_type": "journald", "timestamp": "2026-10-11T17:14:15.003Z"}


def of_fluent_bit(message: str, program: str = "sshd") -> dict[str, Any]:
    """Fluent Bit's systemd input with strip_underscores, through out_kafka."""
    stripped = {name.lstrip("_"): value for name, value in journal(message, program).items()}
    return stripped | {"@timestamp": 1_791_738_856.5}


def line(message: str, program: str) -> bytes:
    return f"<86>1 2026-10-11T17:14:15.003Z srv01 {program} 7 - - {message}".encode()


def columns(found: Event) -> tuple[Any, ...]:
    return (found.source, found.time_ms, found.host, found.user, found.src_ip, found.process, found.command_line)


@pytest.mark.parametrize("made", [journal, of_vector, of_fluent_bit])
@pytest.mark.parametrize(("program", "message"), [("sshd", LOGIN), ("sudo", SUDO), ("nginx", "started")])
def test_a_message_is_the_same_event_as_over_syslog(made: Any, program: str, message: str) -> None:
    found, meant = event(made(message, program)), event(line(message, program))
    assert found.format.name == "journald"
    assert columns(found) == columns(meant)
    assert meant.fields.items() <= found.fields.items()
    assert set(meant.observables) <= set(found.observables)


def test_a_login_has_its_user_and_peer() -> None:
    found = event(journal(LOGIN))
    assert (found.source, found.user, found.src_ip) == (Source("linux", "", "sshd", 0), "dana", "203.0.113.9")


def test_a_message_of_bytes_is_read_and_never_looked_for_in_the_records_own_bytes() -> None:
    found = event(journal(list(LOGIN.encode() + b"\xff")))
    assert (found.user, found.format.form) == ("dana", "opaque")
    assert found.fields["message"].endswith("ssh2\ufffd")


@pytest.mark.parametrize("odd", [[300], ["x"], [[1]], None, 7, {}])
def test_an_odd_message_is_empty(odd: Any) -> None:
    assert event(journal(odd)).fields["message"] == ""


def test_an_audit_record_is_read_as_the_audit_daemons_own() -> None:
    text = 'pid=12 uid=0 auid=1000 ses=3 msg=\'op=login acct="dana" exe="/usr/sbin/sshd" addr=203.0.113.9 res=success\''
    doc = journal(
        f"USER_LOGIN {text}",
        "audit",
        _TRANSPORT="audit",
        _AUDIT_TYPE="1112",
        _AUDIT_TYPE_NAME="USER_LOGIN",
        _AUDIT_ID="77",
    )
    found = event(doc)
    meant = event(f"type=USER_LOGIN msg=audit(1791738855.003:77): {text}".encode())
    assert (found.format.name, found.format.form) == ("auditd", "opaque")
    assert found.fields == meant.fields
    assert (found.source, found.user, found.src_ip, found.time_ms) == (meant.source, meant.user, meant.src_ip, NOW_MS)
    assert found.host == "srv01"


def test_a_topic_of_another_product_keeps_its_log_source() -> None:
    named = reader(TopicSettings(topic="raw.events", product="macos", service="system"))
    assert event(journal(LOGIN), by=named).source == Source("macos", "", "system", 0)
