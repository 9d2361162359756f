"""Every reason to hold an indicator, and what is let through beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from detectors.ioc.gate import Bounds, Gate
from detectors.ioc.warning import WarningLists
from pipeline.warninglists import CHOSEN, load_lists, load_suffixes, networks
from schemas.errors import RefusedError
from schemas.event import Observable
from tests.curate import seen_on

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

EMPTY_SHA512 = (
    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
    "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate(Bounds(10, networks(("198.51.100.0/24", "2001:db8:5::/48"))), WarningLists(), load_suffixes())


def rules(gate: Gate, kind: str, value: str) -> list[str]:
    return [reason.rule for reason in gate.reasons([Observable(kind, value)], {})]


@pytest.mark.parametrize(
    ("kind", "value", "rule"),
    [
        ("domain", "com", "public_suffix"),
        ("domain", "co.uk", "public_suffix"),
        ("domain", "com.kz", "public_suffix"),
        ("domain", "github.io", "public_suffix"),
        ("domain", "evil.github.io", ""),
        ("domain", "evil.example", ""),
        ("ipv4", "10.1.2.3", "special_network"),
        ("ipv4", "100.64.9.9", "special_network"),
        ("ipv4", "224.0.0.251", "special_network"),
        ("ipv6", "fe80::1", "special_network"),
        ("ipv4", "203.0.113.9", ""),
        ("ipv4", "198.51.100.7", "own_network"),
        ("ipv6", "2001:db8:5::7", "own_network"),
        ("cidr", "198.51.0.0/16", "own_network"),
        ("cidr", "203.0.113.0/24", ""),
        ("cidr", "172.16.0.0/13", "special_network"),
        ("md5", "d41d8cd98f00b204e9800998ecf8427e", "empty_file"),
        ("sha1", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "empty_file"),
        ("sha256", EMPTY_SHA256, "empty_file"),
        ("sha512", EMPTY_SHA512, "empty_file"),
        ("imphash", "d41d8cd98f00b204e9800998ecf8427e", "empty_file"),
        ("sha256", "a" * 64, ""),
        ("file_name", "svchost.exe", "system_file"),
        ("file_name", "svch0st.exe", ""),
        ("file_path", "c:\\windows\\system32\\lsass.exe", "system_file"),
        ("file_path", "c:\\users\\public\\lsass.exe", ""),
        ("file_path", "/usr/bin/sshd", "system_file"),
        ("file_path", "/tmp/.x/sshd", ""),
        ("mutex", "svchost.exe", ""),
    ],
)  # fmt: skip
def test_a_value_that_would_find_the_innocent_is_held_and_its_neighbour_is_not(
    gate: Gate, kind: str, value: str, rule: str
) -> None:
    assert rules(gate, kind, value) == ([rule] if rule else [])


@pytest.mark.parametrize(
    ("value", "wide"),
    [("9.0.0.0/8", True), ("9.0.0.0/9", False), ("0.0.0.0/0", True), ("2a00::/32", True), ("2a00::/33", False)],
)
def test_a_network_is_wide_up_to_8_and_of_ipv6_up_to_32(gate: Gate, value: str, wide: bool) -> None:
    assert ("wide_network" in rules(gate, "cidr", value)) is wide


def test_prevalence_holds_above_the_bound_and_says_on_how_many_hosts(gate: Gate) -> None:
    value = [Observable("domain", "busy.example")]
    assert gate.reasons(value, seen_on("busy.example", 10)) == []
    (reason,) = gate.reasons(value, seen_on("busy.example", 11))
    assert (reason.rule, reason.detail) == ("prevalence", "seen on 11 hosts, more than 10")


def test_no_reason_hides_another_and_one_bad_value_holds_the_whole(gate: Gate) -> None:
    values = [Observable("cidr", "10.0.0.0/8"), Observable("domain", "fine.example")]
    assert [reason.rule for reason in gate.reasons(values, {})] == ["wide_network", "special_network"]


@pytest.fixture(scope="module")
def lists() -> WarningLists:
    made = WarningLists()
    made.add("exact", "string", ["www.bank.example", "44D88612FEA8A8F36DE82E1278ABB02F"])
    made.add("names", "hostname", [".shop.example"])
    made.add("nets", "cidr", ["192.0.2.0/25", "2001:db8::/40", "no network"])
    return made


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        ("domain", "www.bank.example", ["exact"]),
        ("domain", "x.www.bank.example", []),
        ("domain", "bank.example", ["exact"]),
        ("domain", "a.b.shop.example", ["names"]),
        ("domain", "workshop.example", []),
        ("url", "https://www.bank.example/", ["exact"]),
        ("url", "https://www.bank.example/login", []),
        ("url", "https://shop.example:8443/", ["names"]),
        ("md5", "44d88612fea8a8f36de82e1278abb02f", ["exact"]),
        ("ipv4", "192.0.2.127", ["nets"]),
        ("ipv4", "192.0.2.128", []),
        ("cidr", "192.0.2.64/26", ["nets"]),
        ("cidr", "192.0.0.0/16", ["nets"]),
        ("ipv6", "2001:db8:ff::1", ["nets"]),
        ("ipv6", "2001:db9::1", []),
        ("mutex", "shop.example", []),
    ],
)
def test_a_list_is_looked_up_by_its_kind(lists: WarningLists, kind: str, value: str, found: list[str]) -> None:
    assert list(lists.holding(Observable(kind, value))) == found


def test_misps_lists_and_the_banks_own_are_read(tmp_path: Path) -> None:
    own = tmp_path / "partners.txt"
    own.write_text("# who we pay\npartner.example\n203.0.113.0/28\n\n")
    misp = tmp_path / "mine.json"
    misp.write_text('{"type": "string", "list": ["one.example"]}')
    made = load_lists(("public-dns-v4", "empty-hashes"), (own, misp))
    assert list(made.holding(Observable("ipv4", "8.8.8.8"))) == ["misp:public-dns-v4"]
    assert list(made.holding(Observable("sha256", EMPTY_SHA256))) == ["misp:empty-hashes"]
    assert list(made.holding(Observable("domain", "www.partner.example"))) == ["own:partners"]
    assert list(made.holding(Observable("ipv4", "203.0.113.3"))) == ["own:partners"]
    assert list(made.holding(Observable("domain", "one.example"))) == ["own:mine"]


def test_every_list_that_we_chose_is_there() -> None:
    made = load_lists()
    assert len(CHOSEN) == len(set(CHOSEN))
    assert made.values > 100_000
    assert "misp:google" in made.holding(Observable("domain", "google.com"))


@pytest.mark.parametrize("name", ["no-such-list", "../lists/google", "phone_numbers"])
def test_a_list_that_there_is_not_or_cannot_be_used_is_refused_by_name(name: str) -> None:
    with pytest.raises(RefusedError, match=name.rpartition("/")[2]):
        load_lists((name,))


def test_a_file_of_the_banks_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"missing\.txt"):
        load_lists(("empty-hashes",), (tmp_path / "missing.txt",))
    with pytest.raises(RefusedError, match="own_networks: home"):
        networks(("home",))
