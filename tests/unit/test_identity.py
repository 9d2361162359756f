"""Who is who: one person under three spellings is one, and what stands for no one connects no one."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from enrichers.identity import entities, host_entity, source_entity, user_entity


@pytest.mark.parametrize(
    "raw",
    ["pgustavo", "PGustavo", "THESHIRE\\pgustavo", "theshire.local\\PGUSTAVO", "pgustavo@theshire.local", " pgustavo "],
)  # fmt: skip
def test_a_person_is_one_whatever_the_spelling(raw: str) -> None:
    assert user_entity(raw) == "pgustavo"


@pytest.mark.parametrize(
    "raw",
    [
        "", "-", "N/A", "SYSTEM", "NT AUTHORITY\\SYSTEM", "nt authority\\LOCAL SERVICE", "NETWORK SERVICE",
        "ANONYMOUS LOGON", "WS-017$", "BANK\\WS-017$", "DWM-1", "Window Manager\\DWM-12", "UMFD-0", "S-1-5-18",
        "NT AUTHORITY\\СИСТЕМА",
    ],
)  # fmt: skip
def test_accounts_of_the_system_are_no_one(raw: str) -> None:
    assert user_entity(raw) == ""


def test_a_kazakh_name_is_folded_like_any_other() -> None:
    assert user_entity("БАНК\\Әйгерім") == user_entity("әйгерім") == "әйгерім"


@pytest.mark.parametrize(
    ("raw", "host"),
    [
        ("WS-017", "ws-017"), ("ws-017.bank.kz", "ws-017"), ("ws-017.bank.kz.", "ws-017"), ("\\\\WS-017", "ws-017"),
        ("10.1.2.3", "10.1.2.3"), ("2001:DB8::1", "2001:db8::1"), ("localhost", ""), ("127.0.0.1", ""), ("-", ""),
        ("::1", ""), ("", ""), ("0.0.0.0", ""),
    ],
)  # fmt: skip
def test_a_host_is_its_short_name_and_an_address_stays_one(raw: str, host: str) -> None:
    assert host_entity(raw) == host


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        ("10.1.2.3", "10.1.2.3"), ("::ffff:10.1.2.3", "10.1.2.3"), ("127.0.0.1", ""), ("::1", ""),
        ("fe80::1%12", "fe80::1"),
        ("LOCAL", ""), ("-", ""), ("224.0.0.1", ""), ("0.0.0.0", ""), ("10.1.2", ""), ("[2001:db8::1]", "2001:db8::1"),
    ],
)  # fmt: skip
def test_a_source_is_an_address_that_is_somewhere(raw: str, address: str) -> None:
    assert source_entity(raw) == address


def test_entities_come_in_the_order_host_user_source_and_only_those_that_resolve() -> None:
    assert entities("WS-017.bank.kz", "BANK\\Aigerim", "::ffff:10.1.2.3") == (
        "host:ws-017",
        "user:aigerim",
        "source:10.1.2.3",
    )
    assert entities("", "SYSTEM", "127.0.0.1") == ()


@given(st.text(), st.text(), st.text())
@example("a .b", "0\r@", "")
def test_no_text_makes_it_raise_and_resolving_twice_changes_nothing(host: str, user: str, source: str) -> None:
    assert all(name.partition(":")[2] for name in entities(host, user, source))
    assert user_entity(user_entity(user)) in ("", user_entity(user))
