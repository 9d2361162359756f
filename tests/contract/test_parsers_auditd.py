"""Single audit records: what their numbers mean, and what indicators are looked for in."""

from __future__ import annotations

import pytest

from tests.parsing import NOW_MS, event

HEAD = f"msg=audit({NOW_MS // 1000}.003:24287):"


@pytest.mark.parametrize(
    ("arch", "number", "name"),
    [
        ("c000003e", "59", "execve"),
        ("c000003e", "257", "openat"),
        ("c00000b7", "221", "execve"),
        ("c00000b7", "203", "connect"),
        ("40000003", "11", "execve"),
        ("c00000b7", "59", None),
        ("deadbeef", "59", None),
    ],
)
def test_a_call_is_named_by_its_machines_table(arch: str, number: str, name: str | None) -> None:
    found = event(f"type=SYSCALL {HEAD} arch={arch} syscall={number} a0=1".encode())
    assert found.fields.get("SYSCALL") == name
    assert found.format.form == ("opaque" if name else "text")


def test_a_call_that_is_told_by_its_name_is_named_by_it() -> None:
    """As `ausearch -i` writes it. What is neither number nor word names none."""
    said = [
        event(f"type=SYSCALL {HEAD} arch=x86_64 syscall={said} a0=x".encode()) for said in ("execve", "59", "?", "")
    ]
    assert [found.fields.get("SYSCALL") for found in said] == ["execve", None, None, None]


def test_the_same_record_gives_the_same_event_once_its_layout_is_known() -> None:
    """A hexadecimal name after plain ones, and a plain one that looks like one."""
    said = [f"type=SYSCALL {HEAD} comm={comm} uid=0".encode() for comm in ('"a"', "62617368", '"62617368"', '"a b"')]
    once, again = ([event(record) for record in said] for _ in range(2))
    assert [found.fields["comm"] for found in once] == ["a", "bash", "62617368", "a b"]
    assert [(found.fields, found.format) for found in once] == [(found.fields, found.format) for found in again]
    assert [found.format.form for found in again] == ["text", "opaque", "text", "text"]


def test_programs_files_and_accounts_are_observables() -> None:
    call = event(f'type=SYSCALL {HEAD} arch=1 comm="x" exe="/tmp/.X/miner"'.encode())
    assert ("file_path", "/tmp/.x/miner") in call.observables
    file = event(f"type=PATH {HEAD} item=0 name={b'/tmp/a b'.hex().upper()}".encode())
    assert ("file_path", "/tmp/a b") in file.observables
    login = event(f"type=USER_AUTH {HEAD} msg='op=PAM acct=\"oracle\" addr=203.0.113.9 res=failed'".encode())
    assert {("account", "oracle"), ("ipv4", "203.0.113.9")} <= set(login.observables)
    peer = event(f"type=SOCKADDR {HEAD} saddr=020001BBCB0071090000000000000000".encode())
    assert peer.observables == (("ipv4", "203.0.113.9"),)
