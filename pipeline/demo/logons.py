"""Who logs on where, as the Security log tells it: desks in the morning, shares all day, Kerberos on the controllers.

Near-misses among it: a password mistyped, the administrator's `runas`, privileges given to a service at night.
"""

from __future__ import annotations

from typing import Any

from pipeline.demo.cast import DOMAIN, REALM, Host, Person
from pipeline.demo.programs import S32
from pipeline.demo.scene import Message, Scene, logon_id


def logon(
    scene: Scene, host: Host, time_ms: int, person: Person, kind: int, source: str, package: str = "Kerberos"
) -> Message:
    """Security 4624. `kind` is Windows' logon type (2 desk, 3 network, 5 service), `source` the caller's address."""
    data = {
        "SubjectUserSid": "S-1-5-18",
        "SubjectUserName": host.name.upper() + "$",
        "SubjectDomainName": DOMAIN,
        "SubjectLogonId": "0x3e7",
        "TargetUserSid": person.sid,
        "TargetUserName": person.account,
        "TargetDomainName": DOMAIN,
        "TargetLogonId": logon_id(person.account, host.name),
        "LogonType": kind,
        "LogonProcessName": "User32 " if kind == 2 else package,
        "AuthenticationPackageName": "Negotiate" if kind == 2 else package,
        "WorkstationName": "-" if kind == 3 else host.name.upper(),
        "LogonGuid": scene.guid(),
        "TransmittedServices": "-",
        "LmPackageName": "-",
        "KeyLength": 0,
        "ProcessId": "0x2c4",
        "ProcessName": S32 + "svchost.exe" if kind == 2 else "-",
        "IpAddress": source,
        "IpPort": str(scene.number(49_152, 65_535)) if kind == 3 else "0",
        "ImpersonationLevel": "%%1833",
        "ElevatedToken": "%%1843",
    }
    return scene.windows(host, time_ms, "Security", 4624, data)


def desk_logon(scene: Scene, time_ms: int) -> Message:
    """Somebody sits down."""
    person = scene.pick(scene.people)
    return logon(scene, scene.seat(person), time_ms, person, 2, "127.0.0.1")


def share_logon(scene: Scene, time_ms: int) -> Message:
    """A share or an application is used over the network."""
    person = scene.pick(scene.people)
    host = scene.pick(scene.servers + scene.controllers)
    return logon(scene, host, time_ms, person, 3, scene.seat(person).ip)


def logoff(scene: Scene, time_ms: int) -> Message:
    """Security 4634."""
    person = scene.pick(scene.people)
    host = scene.seat(person) if scene.rng.random() < 0.4 else scene.pick(scene.servers)
    data = {
        "TargetUserSid": person.sid,
        "TargetUserName": person.account,
        "TargetDomainName": DOMAIN,
        "TargetLogonId": logon_id(person.account, host.name),
        "LogonType": 2 if host.role == "workstation" else 3,
    }
    return scene.windows(host, time_ms, "Security", 4634, data)


def mistyped(scene: Scene, time_ms: int) -> Message:
    """Security 4625, once: a password mistyped at the desk."""
    person = scene.pick(scene.people)
    host = scene.seat(person)
    data = {
        "SubjectUserSid": "S-1-5-18",
        "SubjectUserName": host.name.upper() + "$",
        "SubjectDomainName": DOMAIN,
        "SubjectLogonId": "0x3e7",
        "TargetUserSid": "S-1-0-0",
        "TargetUserName": person.account,
        "TargetDomainName": DOMAIN,
        "Status": "0xc000006d",
        "FailureReason": "%%2313",
        "SubStatus": "0xc000006a",
        "LogonType": 2,
        "LogonProcessName": "User32 ",
        "AuthenticationPackageName": "Negotiate",
        "WorkstationName": host.name.upper(),
        "TransmittedServices": "-",
        "LmPackageName": "-",
        "KeyLength": 0,
        "ProcessId": "0x2c4",
        "ProcessName": S32 + "svchost.exe",
        "IpAddress": "127.0.0.1",
        "IpPort": "0",
    }
    return scene.windows(host, time_ms, "Security", 4625, data)


def privileges(scene: Scene, time_ms: int) -> Message:
    """Security 4672, an administrator's session."""
    person, host = scene.pick(scene.admins), scene.pick(scene.servers + scene.controllers)
    data = {
        "SubjectUserSid": person.sid,
        "SubjectUserName": person.account,
        "SubjectDomainName": DOMAIN,
        "SubjectLogonId": logon_id(person.account, host.name),
        "PrivilegeList": "SeSecurityPrivilege\r\n\t\t\tSeBackupPrivilege\r\n\t\t\tSeRestorePrivilege",
    }
    return scene.windows(host, time_ms, "Security", 4672, data)


def explicit(scene: Scene, host: Host, time_ms: int, person: Person, other: str, target: Host, image: str) -> Message:
    """Security 4648: `person` on `host` uses the credentials of the account `other` on `target`."""
    data: dict[str, Any] = {
        "SubjectUserSid": person.sid,
        "SubjectUserName": person.account,
        "SubjectDomainName": DOMAIN,
        "SubjectLogonId": logon_id(person.account, host.name),
        "LogonGuid": scene.guid(),
        "TargetUserName": other,
        "TargetDomainName": DOMAIN,
        "TargetLogonGuid": scene.guid(),
        "TargetServerName": target.fqdn,
        "TargetInfo": target.fqdn,
        "ProcessId": hex(scene.number(900, 21_000)),
        "ProcessName": image,
        "IpAddress": "-",
        "IpPort": "-",
    }
    return scene.windows(host, time_ms, "Security", 4648, data)


def runas(scene: Scene, time_ms: int) -> Message:
    """An administrator uses the other account of his or hers from the own desk: a near-miss of lateral movement."""
    person = scene.pick(scene.admins)
    target = scene.pick(scene.servers)
    return explicit(scene, scene.seat(person), time_ms, person, "adm-" + person.account, target, S32 + "svchost.exe")


def ticket(scene: Scene, time_ms: int) -> Message:
    """Security 4769 on a domain controller, AES as it should be."""
    person, host = scene.pick(scene.people), scene.pick(scene.controllers)
    server = scene.pick(scene.servers)
    data = {
        "TargetUserName": f"{person.account}@{REALM.upper()}",
        "TargetDomainName": REALM.upper(),
        "ServiceName": server.name.upper() + "$",
        "ServiceSid": "S-1-5-21-2841639215-1187640312-3390781126-1001",
        "TicketOptions": "0x40810000",
        "TicketEncryptionType": "0x12",
        "IpAddress": "::ffff:" + scene.seat(person).ip,
        "IpPort": str(scene.number(49_152, 65_535)),
        "Status": "0x0",
        "LogonGuid": scene.guid(),
        "TransmittedServices": "-",
    }
    return scene.windows(host, time_ms, "Security", 4769, data)
