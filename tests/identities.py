"""Exports of a bank that is made up, in a line each, and what they come to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from enrichers.who import Snapshot
from pipeline.identities.build import Built, build
from pipeline.identities.plan import read_plan
from pipeline.identities.versions import keep, snapshot_of

#: 2026-03-10 05:00 UTC.
T0 = 1_773_118_800_000
HOUR = 3_600_000
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
SID = "S-1-5-21-1004336348-1177238915-682003330-1104"
DN = "CN=Pedro Gustavo, OU=Staff, DC=theshire, DC=local"
OBJECT = "2f1c8a44-9a53-4d8f-8e0b-6c7f2f7f3a10"

PEOPLE = f"""\
SamAccountName,UserPrincipalName,mail,SID,DistinguishedName,EmployeeID,Enabled,Department,Title
pgustavo,pgustavo@theshire.local,pedro.gustavo@bank.example,{SID},"{DN}",77,True,Payments,Operator
adm-pgustavo,adm-pgustavo@theshire.local,,S-1-5-21-1004336348-1177238915-682003330-2104,,77,True,Payments,Operator
asel,asel@theshire.local,asel@bank.example,S-1-5-21-1004336348-1177238915-682003330-1105,,78,False,,
"""
ENTRA = f"""\
id,userPrincipalName,mail,onPremisesSecurityIdentifier,employeeId,accountEnabled
{OBJECT},p.gustavo@bank.example,pedro.gustavo@bank.example,{SID},77,true
"""
IPA = """\
version: 1

dn: uid=pgustavo,cn=users,cn=accounts,dc=unix,dc=example
objectClass: person
objectClass: posixAccount
uid: pgustavo
uidNumber: 1001
employeeNumber: 77

dn: cn=admins,cn=groups,dc=unix,dc=example
objectClass: posixGroup
cn: admins

"""
OTHER = "SamAccountName,EmployeeID\nasel,901\n"
ASSETS = """\
name,fqdn,address,mac,criticality,owner,environment,processes
WORKSTATION5,workstation5.theshire.local,,02:00:00:00:00:05,low,Branch 12,office,
PAY-1,pay-1.theshire.local,10.2.0.10;2001:db8::10,,,,production,cards
PAY-2,pay-2.theshire.local,10.2.0.11,,high,IT,production,cards;swift
TWIN,twin.theshire.local,,,,,,
TWIN,twin.branch.example,,,,,,
LNX-1,,10.2.0.20,,medium,IT,,
"""
PROCESSES = """\
id,name_kk,name_ru,name_en,owner,deputies,criticality
cards,Карта төлемдері,Карточные платежи,Card payments,Head of cards,Deputy of cards;Second deputy,critical
swift,,,Correspondent payments,Head of treasury,,high
"""
DHCP = """\
address,start,end,hostname,mac
10.1.0.7,2026-03-10T04:00:00+00:00,2026-03-10T06:00:00+00:00,WORKSTATION5,02-00-00-00-00-05
10.1.0.7,2026-03-10T06:00:00+00:00,2026-03-10T08:00:00+00:00,guest-9,02-00-00-00-00-99
"""
VPN = """\
address,start,end,user,host
10.200.0.5,2026-03-10T04:30:00+00:00,2026-03-10T07:00:00+00:00,p.gustavo@bank.example,
"""
HUBS = """\
network,name,kind
10.9.0.0/16,,nat
203.0.113.80,,proxy
2001:db8::80,,proxy
,JUMP-1,jump host
,svc-scan,scanner
"""

#: File → what the plan says of it.
FILES: Mapping[str, tuple[dict[str, Any], str]] = {
    "ad.csv": ({"kind": "people", "domain": ["theshire.local", "THESHIRE"]}, PEOPLE),
    "entra.csv": ({"kind": "people"}, ENTRA),
    "ipa.ldif": ({"kind": "people", "format": "ldif", "domain": ["unix.example"]}, IPA),
    "other.csv": ({"kind": "people", "domain": ["branch.example", "BRANCH"]}, OTHER),
    "uids.csv": ({"kind": "uids"}, "host,uid,account\nlnx-1,1002,asel@theshire.local\n"),
    "assets.csv": ({"kind": "assets"}, ASSETS),
    "processes.csv": ({"kind": "processes"}, PROCESSES),
    "dhcp.csv": ({"kind": "dhcp"}, DHCP),
    "vpn.csv": ({"kind": "vpn"}, VPN),
    "hubs.csv": ({"kind": "hubs"}, HUBS),
}


def plan(folder: Path, files: Mapping[str, tuple[dict[str, Any], str | bytes]] = FILES, **said: Any) -> Path:
    """Exports and the plan that names them, in the order given; the plan's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (_, text) in files.items():
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
        os.utime(folder / name, (T0 / 1_000, T0 / 1_000))
    entries = [{"file": name, **entry} for name, (entry, _) in files.items()]
    path = folder / "plan.yml"
    path.write_text(yaml.safe_dump({"files": entries, **said}, allow_unicode=True))
    return path


def built(folder: Path, files: Mapping[str, tuple[dict[str, Any], str | bytes]] = FILES, **said: Any) -> Built:
    """What the exports come to."""
    path = plan(folder, files, **said)
    return build(read_plan(path), folder)


def snapshot(folder: Path, files: Mapping[str, tuple[dict[str, Any], str | bytes]] = FILES) -> Snapshot:
    """The same as a snapshot in force since ever."""
    return snapshot_of(built(folder, files))


def kept(folder: Path, files: Mapping[str, tuple[dict[str, Any], str | bytes]] = FILES) -> Path:
    """A folder of versions with one that counts since the year began."""
    keep(built(folder / "exports", files), folder / "identities", BEGINNING, BEGINNING, 100)
    return folder / "identities"
