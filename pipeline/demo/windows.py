"""An ordinary day on Windows as Sysmon and the System log tell it: programs, connections, names looked up, files.

Among it the near-misses: the virus scanner reading LSASS, a service installed by the software distribution.
"""

from __future__ import annotations

from typing import Any

from pipeline.demo.cast import DOMAIN, Host, Person
from pipeline.demo.programs import (
    ABS,
    ADMIN,
    CHROME,
    DESK,
    FILES,
    LIBRARIES,
    NAMES,
    OFFICE,
    S32,
    SCANNER,
    SYSTEM,
    Program,
)
from pipeline.demo.scene import Message, Scene, account, hashes, logon_id
from pipeline.demo.shapes import SYSMON, utc_time


def process(
    scene: Scene, host: Host, time_ms: int, program: Program, user: str, *, logon: str = "0x3e7", level: str = "Medium",
    parent_command: str = "", folder: str = S32,
) -> Message:  # fmt: skip
    """Sysmon 1, a program started by `user`."""
    short = program.image.rpartition("\\")[2]
    data = {
        "RuleName": "-",
        "UtcTime": utc_time(time_ms),
        "ProcessGuid": scene.guid(),
        "ProcessId": scene.number(900, 21_000),
        "Image": program.image,
        "FileVersion": "10.0.19041.4355",
        "Description": program.description,
        "Product": program.description,
        "Company": program.company,
        "OriginalFileName": short,
        "CommandLine": program.command,
        "CurrentDirectory": folder,
        "User": user,
        "LogonGuid": scene.guid(),
        "LogonId": logon,
        "TerminalSessionId": 0 if level == "System" else 1,
        "IntegrityLevel": level,
        "Hashes": hashes(program.image),
        "ParentProcessGuid": scene.guid(),
        "ParentProcessId": scene.number(500, 9_000),
        "ParentImage": program.parent,
        "ParentCommandLine": parent_command or f'"{program.parent}"',
        "ParentUser": user,
    }
    return scene.windows(host, time_ms, SYSMON, 1, data)


def document(scene: Scene, person: Person) -> str:
    """A document's path without its extension, often not ASCII."""
    name = scene.pick(FILES).replace("{n}", str(scene.number(1, 900)))
    return f"C:\\Users\\{person.account}\\Documents\\{name}"


def desk_program(scene: Scene, time_ms: int) -> Message:
    """Somebody starts a program at the desk."""
    person = scene.pick(scene.people)
    program = scene.pick(DESK)
    program = program._replace(command=program.command.replace("{file}", document(scene, person)))
    host = scene.seat(person)
    return process(scene, host, time_ms, program, account(person), logon=logon_id(person.account, host.name))


def system_program(scene: Scene, time_ms: int) -> Message:
    """The machine starts something of its own."""
    host = scene.pick(scene.workstations if scene.rng.random() < 0.6 else scene.servers)
    return process(scene, host, time_ms, scene.pick(SYSTEM), "NT AUTHORITY\\SYSTEM", level="System")


def admin_program(scene: Scene, time_ms: int) -> Message:
    """An administrator at work."""
    person, host = scene.pick(scene.admins), scene.pick(scene.servers)
    logon = logon_id(person.account, host.name)
    return process(scene, host, time_ms, scene.pick(ADMIN), account(person), logon=logon, level="High")


def program_4688(scene: Scene, time_ms: int) -> Message:
    """A server without Sysmon tells of a program through the Security log."""
    host, program = scene.pick(scene.servers + scene.controllers), scene.pick(SYSTEM)
    data = {
        "SubjectUserSid": "S-1-5-18",
        "SubjectUserName": host.name.upper() + "$",
        "SubjectDomainName": DOMAIN,
        "SubjectLogonId": "0x3e7",
        "NewProcessId": hex(scene.number(900, 21_000)),
        "NewProcessName": program.image,
        "TokenElevationType": "%%1936",
        "ProcessId": hex(scene.number(500, 900)),
        "CommandLine": program.command,
        "TargetUserSid": "S-1-0-0",
        "TargetUserName": "-",
        "TargetDomainName": "-",
        "TargetLogonId": "0x0",
        "ParentProcessName": program.parent,
        "MandatoryLabel": "S-1-16-16384",
    }
    return scene.windows(host, time_ms, "Security", 4688, data)


def lookup(scene: Scene, host: Host, time_ms: int, image: str, user: str, name: str, answer: str) -> Message:
    """Sysmon 22, a name looked up."""
    data = {
        "RuleName": "-",
        "UtcTime": utc_time(time_ms),
        "ProcessGuid": scene.guid(),
        "ProcessId": scene.number(900, 21_000),
        "QueryName": name,
        "QueryStatus": "0",
        "QueryResults": f"::ffff:{answer};",
        "Image": image,
        "User": user,
    }
    return scene.windows(host, time_ms, SYSMON, 22, data)


def desk_lookup(scene: Scene, time_ms: int) -> Message:
    """A browser looks up a name of every day."""
    person = scene.pick(scene.people)
    answer = f"198.18.{scene.number(0, 256)}.{scene.number(1, 255)}"
    return lookup(scene, scene.seat(person), time_ms, CHROME, account(person), scene.pick(NAMES), answer)


def connection(
    scene: Scene, host: Host, time_ms: int, image: str, user: str, address: str, port: int, name: str = "-"
) -> Message:
    """Sysmon 3, a connection to the outside or within."""
    data = {
        "RuleName": "-",
        "UtcTime": utc_time(time_ms),
        "ProcessGuid": scene.guid(),
        "ProcessId": scene.number(900, 21_000),
        "Image": image,
        "User": user,
        "Protocol": "tcp",
        "Initiated": "true",
        "SourceIsIpv6": "false",
        "SourceIp": host.ip,
        "SourceHostname": host.fqdn,
        "SourcePort": scene.number(49_152, 65_535),
        "SourcePortName": "-",
        "DestinationIsIpv6": "false",
        "DestinationIp": address,
        "DestinationHostname": name,
        "DestinationPort": port,
        "DestinationPortName": "https" if port == 443 else "-",
    }
    return scene.windows(host, time_ms, SYSMON, 3, data)


def desk_connection(scene: Scene, time_ms: int) -> Message:
    """The browser, the mail client or the core banking client connects."""
    person = scene.pick(scene.people)
    host, kind = scene.seat(person), scene.rng.random()
    if kind < 0.5:
        address = f"198.18.{scene.number(0, 256)}.{scene.number(1, 255)}"
        return connection(scene, host, time_ms, CHROME, account(person), address, 443)
    if kind < 0.8:
        core = scene.pick(scene.core)
        return connection(scene, host, time_ms, ABS, account(person), core.ip, 1521, core.fqdn)
    return connection(scene, host, time_ms, OFFICE + "OUTLOOK.EXE", account(person), "10.30.5.1", 443, "mail-01")


def file_created(scene: Scene, time_ms: int) -> Message:
    """Sysmon 11, a document saved."""
    person = scene.pick(scene.people)
    data: dict[str, Any] = {
        "RuleName": "-",
        "UtcTime": utc_time(time_ms),
        "ProcessGuid": scene.guid(),
        "ProcessId": scene.number(900, 21_000),
        "Image": OFFICE + "WINWORD.EXE",
        "TargetFilename": document(scene, person) + ".docx",
        "CreationUtcTime": utc_time(time_ms),
        "User": account(person),
    }
    return scene.windows(scene.seat(person), time_ms, SYSMON, 11, data)


def image_loaded(scene: Scene, time_ms: int) -> Message:
    """Sysmon 7, a signed library of Windows loaded."""
    person, library = scene.pick(scene.people), scene.pick(LIBRARIES)
    data = {
        "RuleName": "-",
        "UtcTime": utc_time(time_ms),
        "ProcessGuid": scene.guid(),
        "ProcessId": scene.number(900, 21_000),
        "Image": CHROME,
        "ImageLoaded": S32 + library,
        "FileVersion": "10.0.19041.4355",
        "Description": "-",
        "Product": "Microsoft Windows",
        "Company": "Microsoft Corporation",
        "OriginalFileName": library,
        "Hashes": hashes(library),
        "Signed": "true",
        "Signature": "Microsoft Windows",
        "SignatureStatus": "Valid",
        "User": account(person),
    }
    return scene.windows(scene.seat(person), time_ms, SYSMON, 7, data)


def scanner_reads_lsass(scene: Scene, time_ms: int) -> Message:
    """Sysmon 10, the virus scanner asks LSASS how it is: little access, a known program."""
    return accessed(scene, scene.pick(scene.workstations), time_ms, SCANNER, "NT AUTHORITY\\SYSTEM", "0x1000")


def accessed(scene: Scene, host: Host, time_ms: int, image: str, user: str, access: str, trace: str = "") -> Message:
    """Sysmon 10, a program opens LSASS with `access` rights."""
    data = {
        "RuleName": "-",
        "UtcTime": utc_time(time_ms),
        "SourceProcessGUID": scene.guid(),
        "SourceProcessId": scene.number(900, 21_000),
        "SourceThreadId": scene.number(900, 21_000),
        "SourceImage": image,
        "TargetProcessGUID": scene.guid(),
        "TargetProcessId": 712,
        "TargetImage": S32 + "lsass.exe",
        "GrantedAccess": access,
        "CallTrace": trace or f"{S32.replace('System32', 'SYSTEM32')}ntdll.dll+9d4c4|{S32}KERNELBASE.dll+2c13e",
        "SourceUser": user,
        "TargetUser": "NT AUTHORITY\\SYSTEM",
    }
    return scene.windows(host, time_ms, SYSMON, 10, data)


def service_installed(scene: Scene, time_ms: int) -> Message:
    """System 7045, the software distribution installs its agent: a near-miss of lateral movement."""
    data = {
        "ServiceName": "klnagent",
        "ImagePath": '"C:\\Program Files (x86)\\Kaspersky Lab\\NetworkAgent\\klnagent.exe"',
        "ServiceType": "user mode service",
        "StartType": "auto start",
        "AccountName": "LocalSystem",
    }
    return scene.windows(scene.pick(scene.servers), time_ms, "System", 7045, data)
