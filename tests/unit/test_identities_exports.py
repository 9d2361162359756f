"""Exports are read as directories and servers write them, and what is hostile or broken is named, bounded, left out."""

from __future__ import annotations

import base64
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.identities import exports
from pipeline.identities.build import Built, build
from pipeline.identities.plan import read_plan
from pipeline.identities.versions import snapshot_of
from schemas.errors import RefusedError
from tests.identities import FILES, HOUR, SID, T0, built, plan

PEOPLE: dict[str, Any] = {"kind": "people", "domain": ["theshire.local", "THESHIRE"]}
RAW_SID = bytes.fromhex("010500000000000515000000") + b"".join(
    number.to_bytes(4, "little") for number in (1004336348, 1177238915, 682003330, 1104)
)
GUID = uuid.UUID("2f1c8a44-9a53-4d8f-8e0b-6c7f2f7f3a10")


def one(folder: Path, text: str | bytes, **entry: Any) -> Built:
    return built(folder, {"export": ({**PEOPLE, **entry}, text)})


def user(found: Built, raw: str) -> tuple[str, str]:
    return snapshot_of(found).user(raw)[:2]


def host_at(found: Built, address: str, time_ms: int) -> str:
    return snapshot_of(found).host(address, time_ms).entity


def faults(found: Built) -> list[tuple[str, str]]:
    return [tuple(fault) for fault in found.gathered.faults]


def b64(value: bytes | str) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


def test_active_directorys_ldif_has_binary_ids_folded_lines_and_others_among_the_people(tmp_path: Path) -> None:
    text = f"""\
# exported
dn:: {b64("CN=Айгерім Нұр,OU=Staff,DC=theshire,DC=local")}
changeType-is-not: here
objectClass: top
objectClass: person
objectClass: user
sAMAccountName: aig
 erim
objectSid:: {b64(RAW_SID)}
objectGUID:: {b64(GUID.bytes_le)}
thumbnailPhoto:: {"A" * 90_000}
userAccountControl: 514
proxyAddresses: SMTP:aigerim@bank.example
proxyAddresses: smtp:a.nur@bank.example
proxyAddresses: X500:/o=Bank

dn: CN=WS-1,OU=Hosts,DC=theshire,DC=local
objectClass: user
objectClass: computer
sAMAccountName: WS-1$

dn: CN=Admins,DC=theshire,DC=local
objectClass: group
sAMAccountName: Admins
"""
    found = one(tmp_path, text, format="ldif")
    assert faults(found) == []
    assert found.counts["accounts"] == 1
    for raw in (
        SID,
        str(GUID),
        "a.nur@bank.example",
        "THESHIRE\\Aigerim",
        "CN=Айгерім Нұр, OU=Staff,DC=theshire,DC=local",
    ):
        assert user(found, raw)[0] == "aigerim"
    assert found.gathered.accounts[0].disabled


@pytest.mark.parametrize(
    "sid", [SID, SID.lower(), b64(RAW_SID)], ids=["text", "lower case", "base64"]
)  # fmt: skip
def test_a_sid_is_one_in_any_writing(tmp_path: Path, sid: str) -> None:
    assert user(one(tmp_path, f"SamAccountName,SID\npgustavo,{sid}\n"), SID) == ("pgustavo", "sid")


def test_a_column_id_that_is_no_object_id_names_nobody(tmp_path: Path) -> None:
    found = one(tmp_path, "id,name\n17,pgustavo\n")
    assert user(found, "17") == ("17", "unknown")


def test_powershells_export_is_utf16_with_a_line_of_types_and_semicolons(tmp_path: Path) -> None:
    text = (
        '#TYPE Microsoft.ActiveDirectory.Management.ADUser\r\n"SamAccountName";"Mail"\r\n"әсел";"asel@bank.example"\r\n'
    )
    found = one(tmp_path, text.encode("utf-16"), delimiter=";")
    assert user(found, "asel@bank.example") == ("әсел", "mail")


def test_columns_of_any_name_are_mapped_and_one_that_is_not_there_is_refused(tmp_path: Path) -> None:
    text = "Login,Табельный номер\npgustavo,77\n"
    found = one(tmp_path, text, columns={"name": "Login", "employee": "Табельный номер"})
    assert found.gathered.accounts[0].employee == "77"
    with pytest.raises(RefusedError, match="no column Nick, which the plan names"):
        one(tmp_path, text, columns={"name": "Nick"})
    with pytest.raises(RefusedError, match="Check its delimiter"):
        one(tmp_path, "a;b\n1;2\n")


def test_a_column_that_says_the_same_of_all_makes_them_no_one_person(tmp_path: Path) -> None:
    text = "SamAccountName,EmployeeID\n" + "".join(f"user{n},1\n" for n in range(40))
    found = one(tmp_path, text)
    assert found.counts["people"] == 40
    assert faults(found) == [("employee", "1 numbers stand at more than 16 accounts and link none")]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("=cmd|'/c calc'!A0,", "its name is no name"),
        ("@sum(1),", "its name is no name"),
        ("a\0b,", "its name holds characters that are none"),
        ("a" * 300 + ",", "its name is longer than 255 characters"),
        ("ab,S-2-1", "its sid is none"),
        (",", None),
        ("ab,,c", "it has more columns than the header"),
        ("x" * 70_000, "it is longer than 65,536 characters"),
        ('"a' + "b" * 200_000 + '\n"', "it is longer than 65,536 characters"),
        (",S-1-5-21-1", "it has neither a name nor a UPN"),
        ("x" + ";" * 60_000 + ",", "its name is longer than 255 characters"),
        (b"\xff\xfex,", "its name holds characters that are none"),
    ],
)
def test_a_bad_row_is_named_without_its_values_and_the_rest_loads(
    tmp_path: Path, row: str | bytes, why: str | None
) -> None:
    raw = row.encode() if isinstance(row, str) else row
    found = one(tmp_path, b"SamAccountName,SID\nbefore,\n" + raw + b"\nafter,\n")
    assert {each.name for each in found.gathered.accounts} >= {"before"}
    assert ("after" in {each.name for each in found.gathered.accounts}) or '"' in str(row)
    assert faults(found)[:1] == ([("export:3", why)] if why else [])


def test_a_quote_that_never_ends_costs_its_lines_and_is_named(tmp_path: Path) -> None:
    text = 'SamAccountName\nbefore\n"' + "lost\n" * 30_000
    found = one(tmp_path, text)
    assert [each.name for each in found.gathered.accounts][:1] == ["before"]
    assert found.gathered.faulty["export"] >= 1


def test_a_million_columns_are_refused_and_a_million_addresses_of_one_host_named(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no header"):
        one(tmp_path, "SamAccountName" + "," * 1_000_000 + "\n")
    with pytest.raises(RefusedError, match="more than 500 columns"):
        one(tmp_path, "SamAccountName" + ",a" * 600 + "\nx\n")
    addresses = ";".join(["10.0.0.1"] * 300)
    found = built(tmp_path, {"a": ({"kind": "assets"}, f"name,address\nws-1,{addresses}\nws-2,10.0.0.2\n")})
    assert faults(found) == [("a:2", "its address has more than 200 values")]


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ("dn: CN=a\nobjectSid:: " + "A" * 200_000 + "\nuid: bomb", "a value of it is too long, or it has too many"),
        (
            "dn: CN=a\nuid: b\n" + "mail: a@b.example\n" * 5_000 + "x: y",
            "a value of it is too long, or it has too many",
        ),
        ("dn: CN=a\nuid: b\n" + " c\n" * 500_000 + "x: y", "a value of it is too long, or it has too many"),
        ("dn: CN=a\nuid:: A", "it is no LDIF record"),
        ("dn: CN=a\ndn: CN=b\nuid: two", "it is no LDIF record"),
        ("uid: nobody", "it is no LDIF record"),
        ("dn: CN=a\nchangetype: modify\nuid: x", "it is a change, not an entry: export entries"),
        ("dn: " + "a=b+" * 4_000 + "\nuid: slow", "its dn is longer than 1000 characters"),
        ("dn: CN=a\nuid:: " + b64(b"\xff\xfe\xfd"), "its name is no text"),
    ],
    ids=["bomb", "values", "folded", "base64", "two dns", "no dn", "change", "dn", "bytes"],
)
def test_a_hostile_ldif_record_is_named_in_bounded_time_and_the_rest_loads(
    tmp_path: Path, record: str, why: str
) -> None:
    started = time.process_time()
    found = one(tmp_path, f"dn: CN=x\nuid: before\n\n{record}\n\ndn: CN=y\nuid: after\n", format="ldif")
    assert time.process_time() - started < 5
    assert [each.name for each in found.gathered.accounts] == ["before", "after"]
    assert faults(found) == [("export:4", why)]


def test_ldif_fetches_no_address_and_reads_no_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("stolen")
    found = one(tmp_path, f"dn: CN=x\nuid: a\ntitle:< file://{secret}\n", format="ldif")
    assert found.gathered.accounts[0].title == ""


def test_dhcpds_file_is_read_whatever_became_of_a_lease(tmp_path: Path) -> None:
    text = """\
# The format of this file is documented in the dhcpd.leases(5) manual page.
lease 10.1.0.7 {
  starts 2 2026/03/10 05:00:00;
  ends 2 2026/03/10 06:00:00;
  binding state active;
  hardware ethernet 02:00:00:00:00:05;
  client-hostname "WORKSTATION5";
}
lease 10.1.0.8 {
  starts epoch 1773118800; # Tue Mar 10 05:00:00 2026
  ends never;
  binding state free;
  hardware ethernet 02:00:00:00:00:06;
}
lease 10.1.0.10 {
  starts epoch 1773118800;
  ends never;
  hardware ethernet 02:00:00:00:00:0a;
  client-hostname "PRINTER-1";
}
lease 10.1.0.9 { cut off
"""
    found = built(tmp_path, {"leases": ({"kind": "dhcp", "format": "isc"}, text)})
    assert found.counts["dhcp"] == 2
    assert host_at(found, "10.1.0.10", T0 + 300 * 24 * HOUR) == "printer-1"
    assert host_at(found, "10.1.0.7", T0) == "workstation5"
    assert host_at(found, "10.1.0.7", T0 + HOUR) == "10.1.0.7"


def test_keas_and_windows_leases_follow_from_their_end(tmp_path: Path) -> None:
    end = T0 // 1_000 + 3_600
    kea = (
        "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id\n"
        f"10.1.0.7,02:00:00:00:00:05,,3600,{end},1,0,0,ws-5,0,,0\n"
        f"10.1.0.8,02:00:00:00:00:06,,3600,{end},1,0,0,ws-6,1,,0\n"
        f"10.1.0.9,02:00:00:00:00:09,,3600,{end},1,0,0,ws-9,unheard,,0\n"
    )
    windows = '"IPAddress","ClientId","HostName","AddressState","LeaseExpiryTime"\n'
    windows += '"10.2.0.7","02-00-00-00-00-07","WS-7.bank.example","Active","10.03.2026 11:00:00"\n'
    found = built(
        tmp_path,
        {
            "kea.csv": ({"kind": "dhcp"}, kea),
            "win.csv": (
                {"kind": "dhcp", "zone": "Asia/Almaty", "time_format": "%d.%m.%Y %H:%M:%S", "duration": "1h"},
                windows,
            ),
        },
    )
    assert faults(found) == [("kea.csv:4", "its state is none that is known")]
    for address, host in (("10.1.0.7", "ws-5"), ("10.2.0.7", "ws-7")):
        assert [host_at(found, address, T0 + at) for at in (-1, 0, HOUR - 1, HOUR)] == [address, host, host, address]
    assert host_at(found, "10.1.0.8", T0) == "10.1.0.8"


def test_a_client_that_calls_itself_anything_is_known_by_its_hardware(tmp_path: Path) -> None:
    rows = "address,start,host,mac\n10.1.0.1,2026-03-10T05:00:00Z,Asel's telephone,02:00:00:00:00:05\n"
    found = built(tmp_path, {"l": ({"kind": "dhcp"}, rows), "a": ({"kind": "assets"}, "name,mac\nph-1,020000000005\n")})
    assert host_at(found, "10.1.0.1", T0) == "ph-1"


@pytest.mark.parametrize("said", ["yesterday", "99999999999999999999", "-5", "2026-03-10T99:00:00", "0"])
def test_a_time_that_is_none_is_named(tmp_path: Path, said: str) -> None:
    rows = f"address,start,end,host\n10.1.0.1,{said},,a\n10.1.0.2,2026-03-10T05:00:00,,b\n"
    found = built(tmp_path, {"l": ({"kind": "vpn"}, rows)}, zone="UTC")
    assert found.counts["vpn"] == 1
    assert faults(found)[0][0] == "l:2"
    assert "its start is no time" in faults(found)[0][1]


def test_an_export_without_one_usable_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"no row can be used .export:2: its name is no name"):
        one(tmp_path, "SamAccountName\na b\nc d\n")


def test_rows_and_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MAX_ROWS", 3)
    with pytest.raises(RefusedError, match="more than 3 rows"):
        one(tmp_path, "SamAccountName\n" + "a\n" * 9)
    monkeypatch.setattr(exports, "MAX_BYTES", 5)
    with pytest.raises(RefusedError, match="larger than"):
        one(tmp_path, "SamAccountName\na\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("files: []", "files: "), ("- a", "it: Input should be"), ("{", "it is no YAML"), ("period: 5", "period: "),
        ("files: [{file: a, kind: people, zone: Mars/Base}]", "there is no such time zone"),
        ("files: [{file: a, kind: people, columns: {nick: a}}]", "columns has no nick; people have name, upn"),
        ("files: [{file: a, kind: vpn, format: isc}]", "format isc is of kind dhcp"),
        ("effective_from: 2026-01-01T00:00:00\nfiles: [{file: a, kind: hubs}]", "write it with its offset"),
        ("files: [{file: a, kind: hubs, typo: 1}]", "files.0.typo: "), ("[" * 5_000, "it is no YAML"),
        ("files: [{file: nosuch.csv, kind: hubs}]", None),
    ],
)  # fmt: skip
def test_a_plan_that_says_something_wrongly_is_refused_by_the_keys_name(
    tmp_path: Path, text: str, why: str | None
) -> None:
    path = tmp_path / "plan.yml"
    path.write_text(text)
    if why is None:
        with pytest.raises(RefusedError, match=r"nosuch\.csv cannot be read"):
            build(read_plan(path), tmp_path)
        return
    with pytest.raises(RefusedError) as refused:
        read_plan(path)
    assert why in str(refused.value)


def test_the_order_of_files_changes_no_revision_and_a_change_does(tmp_path: Path) -> None:
    revision = built(tmp_path / "a").revision
    assert built(tmp_path / "b", dict(reversed(FILES.items()))).revision == revision
    entry, text = FILES["assets.csv"]
    assert built(tmp_path / "c", {**FILES, "assets.csv": (entry, text.replace("medium", "high"))}).revision != revision
    named = {**FILES["ad.csv"][0], "domain": ["theshire.local", "SHIRE"]}
    assert built(tmp_path / "d", {**FILES, "ad.csv": (named, FILES["ad.csv"][1])}).revision != revision


def test_a_domain_is_one_whatever_files_call_it_so(tmp_path: Path) -> None:
    entry, text = FILES["ad.csv"]
    with pytest.raises(RefusedError, match="theshire is a name of two domains"):
        built(
            tmp_path, {"a.csv": (entry, text), "b.csv": ({"kind": "people", "domain": ["x.example", "THESHIRE"]}, text)}
        )


def test_exports_are_due_when_the_oldest_is_older_than_its_period(tmp_path: Path) -> None:
    files = {
        "a.csv": ({"kind": "hubs", "period": "7d"}, "network\n10.0.0.0/8\n"),
        "b.csv": ({"kind": "hubs"}, "network\n10.0.0.0/8\n"),
    }
    assert built(tmp_path, files, period="12h").gathered.due == T0 // 1_000 + 12 * 3_600
    assert read_plan(plan(tmp_path, files, effective_from="2026-03-01T00:00:00+05:00")).effective_from == datetime(
        2026, 2, 28, 19, tzinfo=UTC
    )
