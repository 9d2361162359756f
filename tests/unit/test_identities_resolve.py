"""Who is who by a snapshot: one person under every spelling, one host under every address, and nothing guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from enrichers.identities import Identities
from enrichers.identity import entities
from enrichers.who import Snapshot
from schemas.event import Event, Format, Source
from schemas.who import HOW
from tests.identities import HOUR, OBJECT, SID, T0, snapshot

#: Half past five: the first DHCP lease and the VPN's hold.
NOW = T0 + HOUR // 2


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return snapshot(tmp_path_factory.mktemp("bank"))


@pytest.mark.parametrize(
    ("raw", "how"),
    [
        ("THESHIRE\\pgustavo", "upn"), ("theshire.local\\PGustavo", "upn"), ("pgustavo@theshire.local", "upn"),
        ("PGUSTAVO@THESHIRE", "upn"), (SID, "sid"), (SID.lower(), "sid"), ("p.gustavo@bank.example", "upn"),
        ("pedro.gustavo@bank.example", "mail"), (OBJECT, "object"), (OBJECT.upper(), "object"), ("pgustavo", "name"),
        ("cn=pedro gustavo,ou=staff,dc=theshire,dc=local", "dn"), ("adm-pgustavo", "name"),
        ("THESHIRE\\adm-pgustavo", "upn"), ("pgustavo@unix.example", "account"), (" THESHIRE\\pgustavo ", "upn"),
    ],
)  # fmt: skip
def test_one_person_is_one_under_every_spelling(known: Snapshot, raw: str, how: str) -> None:
    found = known.resolve("", raw, "", NOW)
    assert found.entities == ("user:pgustavo",)
    assert found.user.how == how


def test_a_number_is_a_person_where_events_have_numbers(known: Snapshot) -> None:
    assert known.resolve("lnx-7", "1001", "", NOW, True).user[:2] == ("pgustavo", "number")
    assert known.resolve("10.2.0.20", "1002", "", NOW, True).user[:2] == ("asel@theshire.local", "uid")
    assert known.resolve("lnx-7", "1002", "", NOW, True).user[:2] == ("1002", "unknown")
    assert known.resolve("lnx-7", "1001", "", NOW).user[:2] == ("1001", "unknown")


def test_a_name_in_two_domains_is_nobodys_without_its_domain(known: Snapshot) -> None:
    assert known.resolve("", "asel", "", NOW).user[:2] == ("asel", "ambiguous")
    assert known.resolve("", "THESHIRE\\asel", "", NOW).entities == ("user:asel@theshire.local",)
    assert known.resolve("", "asel@BRANCH", "", NOW).entities == ("user:asel@branch.example",)


def test_what_is_unknown_is_folded_as_without_a_snapshot_and_says_so(known: Snapshot) -> None:
    for host, user, source in (("ws-9.other.example", "OTHER\\pgustavo", "198.51.100.7"), ("10.3.3.3", "bolat", "")):
        found = known.resolve(host, user, source, NOW)
        assert found.entities == entities(host, user, source)
        assert {each.how for each in (found.host, found.user, found.src) if each.how} == {"unknown"}


def test_a_name_that_its_domain_does_not_have_is_not_that_of_another_domain(known: Snapshot) -> None:
    for raw in ("BRANCH\\pgustavo", "pgustavo@branch.example"):
        assert known.resolve("", raw, "", NOW).user[:2] == ("pgustavo@branch.example", "unknown")
    assert known.resolve("", "BRANCH\\bolat", "", NOW).user[:2] == ("bolat", "unknown")


def test_an_account_of_one_host_is_no_account_of_the_directory(known: Snapshot) -> None:
    assert known.resolve("", "WORKSTATION5\\pgustavo", "", NOW).user[:2] == ("pgustavo@workstation5", "local")


@pytest.mark.parametrize(
    "raw", ["SYSTEM", "-", "NT AUTHORITY\\ANONYMOUS LOGON", "DWM-1", "svc-scan", "THESHIRE\\svc-scan"]
)
def test_accounts_of_the_system_and_of_many_are_no_one(known: Snapshot, raw: str) -> None:
    found = known.resolve("", raw, "", NOW)
    assert found.entities == ()
    assert found.user.how in ("nobody", "hub")


def test_a_machines_account_is_that_machine(known: Snapshot) -> None:
    assert known.resolve("", "THESHIRE\\WORKSTATION5$", "", NOW).entities == ("host:workstation5",)
    assert known.resolve("", "THESHIRE\\gmsa-sql$", "", NOW).entities == ()


@pytest.mark.parametrize(
    ("raw", "how"),
    [
        ("WORKSTATION5", "name"), ("workstation5.theshire.local", "fqdn"), ("WORKSTATION5.THESHIRE.LOCAL.", "fqdn"),
        ("10.1.0.7", "lease"), ("02:00:00:00:00:05", "mac"), ("02-00-00-00-00-05", "mac"),
    ],
)  # fmt: skip
def test_one_host_is_one_by_name_address_lease_and_hardware(known: Snapshot, raw: str, how: str) -> None:
    found = known.resolve(raw, "", "", NOW)
    assert (found.entities, found.host.how) == (("host:workstation5",), how)


def test_a_host_without_a_domain_in_the_list_is_found_with_one(known: Snapshot) -> None:
    assert known.resolve("lnx-1.unix.example", "", "", NOW).host[:2] == ("lnx-1", "name")
    assert known.resolve("pay-1.other.example", "", "", NOW).host[:2] == ("pay-1", "unknown")


def test_a_name_of_two_hosts_is_neither(known: Snapshot) -> None:
    assert known.resolve("TWIN", "", "", NOW).host[:2] == ("twin", "ambiguous")
    assert known.resolve("twin.branch.example", "", "", NOW).entities == ("host:twin.branch.example",)


def test_an_address_is_whose_lease_holds_at_that_time(known: Snapshot) -> None:
    before, first, second, after = (known.resolve("", "", "10.1.0.7", T0 + hours * HOUR) for hours in (-2, 0, 1, 3))
    assert before.entities == after.entities == ("source:10.1.0.7",)
    assert before.src.how == after.src.how == "unknown"
    assert first.entities == ("source:workstation5", "host:workstation5")
    assert second.entities == ("source:guest-9", "host:guest-9")


def test_the_list_of_assets_speaks_before_leases(known: Snapshot) -> None:
    for address in ("10.2.0.10", "::ffff:10.2.0.10", "2001:db8:0::10"):
        assert known.resolve("", "", address, NOW).entities == ("source:pay-1", "host:pay-1")


def test_behind_a_vpns_address_is_a_person(known: Snapshot) -> None:
    found = known.resolve("pay-1", "", "10.200.0.5", NOW)
    assert found.entities == ("host:pay-1", "source:10.200.0.5", "user:pgustavo")
    assert found.src.how == "lease"
    assert known.resolve("", "", "10.200.0.5", T0 + 3 * HOUR).entities == ("source:10.200.0.5",)


def test_who_is_named_stands_before_whom_the_address_implies(known: Snapshot) -> None:
    assert known.resolve("", "THESHIRE\\asel", "10.200.0.5", NOW).entities == (
        "user:asel@theshire.local",
        "source:10.200.0.5",
        "user:pgustavo",
    )


@pytest.mark.parametrize("address", ["10.9.3.4", "203.0.113.80", "2001:db8::80", "127.0.0.1", "0.0.0.0", "::1"])
def test_hubs_and_loopback_are_no_source(known: Snapshot, address: str) -> None:
    assert known.resolve("", "", address, NOW).entities == ()
    assert known.resolve(address, "", "", NOW).entities == ()


def test_a_jump_host_is_no_host_and_the_source_behind_it_is(known: Snapshot) -> None:
    assert known.resolve("jump-1.theshire.local", "", "10.2.0.11", NOW).entities == ("source:pay-2", "host:pay-2")


def test_the_asset_travels_with_its_criticality_owner_and_processes(known: Snapshot) -> None:
    said = known.resolve("10.2.0.10", "THESHIRE\\pgustavo", "", NOW).who()
    assert said is not None
    assert said.snapshot == known.revision
    assert said.asset is not None
    # What the list of assets leaves open, the business process says.
    assert said.asset.model_dump() == {
        "name": "pay-1.theshire.local",
        "criticality": "critical",
        "owner": "Head of cards",
        "environment": "production",
        "processes": ("cards",),
    }
    other = known.resolve("pay-2", "", "", NOW).who()
    assert other is not None
    assert other.asset is not None
    assert (other.asset.criticality, other.asset.owner) == ("high", "IT")


def test_an_unknown_asset_is_said_to_be_unknown_and_what_is_not_named_is_not_said(known: Snapshot) -> None:
    said = known.resolve("ws-404", "", "", NOW).who()
    assert said is not None
    assert said.asset is not None
    assert (said.asset.name, said.asset.criticality) == ("ws-404", "unknown")
    assert said.host is not None
    assert (said.host.how, said.host.confidence) == ("unknown", HOW["unknown"])
    assert (said.user, said.src) == (None, None)


def test_kafkas_time_decides_which_snapshot_counts(tmp_path: Path) -> None:
    bank = snapshot(tmp_path / "a")
    later = Snapshot("later", T0)
    both = Identities.of_snapshots(later, bank)
    form = Format("json", "json")

    def seen(kafka_ms: int) -> tuple[str, ...]:
        return both.of(Event(0, b"", form, Source(), {}, kafka_ms, T0 - HOUR, user=SID)).entities

    assert seen(T0 - 1) == ("user:pgustavo",)
    assert seen(T0) == (f"user:{SID.lower()}",)
    assert Identities.of_snapshots(later).of(Event(0, b"", form, Source(), {}, T0 - 1, T0, user=SID)).who() is None


@pytest.mark.parametrize(
    ("fields", "person", "how"),
    [
        ({"TargetUserName": "asel", "TargetDomainName": "BRANCH"}, "asel@branch.example", "account"),
        ({"SubjectUserName": "asel", "SubjectDomainName": "THESHIRE"}, "asel@theshire.local", "upn"),
        ({"SubjectUserName": "asel", "SubjectUserSid": SID[:-1] + "5"}, "asel@theshire.local", "sid"),
        (
            {"TargetUserName": "asel", "TargetSid": SID[:-1] + "5", "TargetDomainName": "X"},
            "asel@theshire.local",
            "sid",
        ),
        ({"SubjectUserName": "asel", "SubjectDomainName": "WORKSTATION5"}, "asel@workstation5", "local"),
        ({"SubjectUserName": "asel", "SubjectDomainName": "-", "SubjectUserSid": 5}, "asel", "ambiguous"),
        ({"SubjectUserName": "other", "SubjectDomainName": "THESHIRE"}, "asel", "ambiguous"),
    ],
)
def test_windows_says_the_domain_and_the_sid_beside_the_name(
    known: Snapshot, fields: dict[str, object], person: str, how: str
) -> None:
    event = Event(0, b"", Format("json", "json"), Source("windows"), fields, NOW, NOW, user="asel")
    assert Identities.of_snapshots(known).of(event).user[:2] == (person, how)


def test_a_snapshot_that_says_the_same_changes_no_revision() -> None:
    one, again, other = Snapshot("a", 1), Snapshot("a", 2), Snapshot("b", 3)
    assert Identities.of_snapshots(one, again, other).revision == Identities.of_snapshots(one, other).revision
    assert Identities.of_snapshots(one).revision != Identities.of_snapshots(other).revision
