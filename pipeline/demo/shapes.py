"""One happening in the shape in which a shipper sends it: EVTX JSON, NXLog, Winlogbeat, two syslogs, Suricata EVE.

Field names, nesting and types follow the shippers' documentation: `evtx_dump` keeps numbers as numbers, Winlogbeat
makes every `event_data` value a string, NXLog is flat with local time and its offset.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import orjson

from pipeline.demo.cast import REALM, Host

#: Kazakhstan has one time zone since March 2024; without tzdata's table this is 20 times as fast.
ALMATY: Final = timezone(timedelta(hours=5))
SYSMON: Final = "Microsoft-Windows-Sysmon/Operational"

_PROVIDERS: Final = {
    SYSMON: ("Microsoft-Windows-Sysmon", "{5770385f-c22a-43e0-bf4c-06f5698ffbd9}"),
    "Security": ("Microsoft-Windows-Security-Auditing", "{54849625-5478-4994-a5ba-3e3b0328c30d}"),
    "System": ("Service Control Manager", "{555908d1-a6d7-4695-8e1e-26931d2012f4}"),
}
_ACTIONS: Final = {
    (SYSMON, 1): "Process Create (rule: ProcessCreate)",
    (SYSMON, 3): "Network connection detected (rule: NetworkConnect)",
    (SYSMON, 7): "Image loaded (rule: ImageLoad)",
    (SYSMON, 10): "Process accessed (rule: ProcessAccess)",
    (SYSMON, 11): "File created (rule: FileCreate)",
    (SYSMON, 22): "Dns query (rule: DnsQuery)",
    ("Security", 4624): "Вход в учетную запись выполнен успешно.",
    ("Security", 4625): "Учетной записи не удалось выполнить вход в систему.",
    ("Security", 4634): "Выполнен выход учетной записи из системы.",
    ("Security", 4648): "Выполнена попытка входа в систему с явным указанием учетных данных.",
    ("Security", 4672): "Новому сеансу входа назначены специальные привилегии.",
    ("Security", 4688): "Создан процесс.",
    ("Security", 4769): "Запрошен билет службы Kerberos.",
    ("System", 7045): "В системе установлена служба.",
}


_WINDOWS_10: Final = {"family": "windows", "platform": "windows", "name": "Windows 10 Enterprise", "version": "10.0"}


@dataclass(slots=True)
class WindowsEvent:
    """One Windows event before it has a shape. `data` is EventData; `record` the channel's record number."""

    host: Host
    time_ms: int
    channel: str
    event_id: int
    record: int
    data: dict[str, Any]


def iso(time_ms: int) -> str:
    """UTC with milliseconds and `Z`."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03}Z"


def utc_time(time_ms: int) -> str:
    """As Sysmon writes UtcTime."""
    return iso(time_ms).replace("T", " ")[:-1]


def _evtx(event: WindowsEvent) -> bytes:
    name, guid = _PROVIDERS[event.channel]
    system = {
        "Provider": {"#attributes": {"Name": name, "Guid": guid.strip("{}").upper()}},
        "EventID": event.event_id,
        "Version": 5 if event.channel == SYSMON else 2,
        "Level": 4 if event.channel != "Security" else 0,
        "Task": event.event_id if event.channel == SYSMON else 12544,
        "Opcode": 0,
        "Keywords": "0x8000000000000000" if event.channel == SYSMON else "0x8020000000000000",
        "TimeCreated": {"#attributes": {"SystemTime": iso(event.time_ms)}},
        "EventRecordID": event.record,
        "Correlation": None,
        "Execution": {"#attributes": {"ProcessID": 724, "ThreadID": 4096 + event.record % 4096}},
        "Channel": event.channel,
        "Computer": event.host.fqdn,
        "Security": None,
    }
    return orjson.dumps({"Event": {"System": system, "EventData": event.data}})


def _nxlog(event: WindowsEvent) -> bytes:
    name, guid = _PROVIDERS[event.channel]
    local = datetime.fromtimestamp(event.time_ms / 1000, ALMATY).isoformat(timespec="milliseconds")
    head = {
        "EventTime": local,
        "Hostname": event.host.fqdn,
        "EventType": "AUDIT_SUCCESS" if event.channel == "Security" else "INFO",
        "Severity": "INFO",
        "EventID": event.event_id,
        "SourceName": name,
        "ProviderGuid": guid,
        "RecordNumber": event.record,
        "Channel": event.channel,
        "Message": _ACTIONS.get((event.channel, event.event_id), ""),
    }
    return orjson.dumps(head | event.data | {"SourceModuleName": "eventlog", "SourceModuleType": "im_msvistalog"})


def _winlogbeat(event: WindowsEvent) -> bytes:
    name, guid = _PROVIDERS[event.channel]
    data = {key: value if isinstance(value, str) else str(value) for key, value in event.data.items()}
    stamp = iso(event.time_ms)
    action = _ACTIONS.get((event.channel, event.event_id), "")
    document = {
        "@timestamp": stamp,
        "agent": {
            "name": event.host.name.upper(),
            "id": "5f0c7c1e-90a4-4b9d-9a0e-6a5d1f3e2b7c",
            "type": "winlogbeat",
            "version": "8.17.0",
        },
        "ecs": {"version": "8.0.0"},
        "event": {"action": action, "code": str(event.event_id), "kind": "event", "provider": name},
        "host": {"name": event.host.fqdn, "ip": [event.host.ip], "os": _WINDOWS_10},
        "log": {"level": "information"},
        "message": action,
        "winlog": {
            "api": "wineventlog",
            "channel": event.channel,
            "computer_name": event.host.fqdn,
            "event_data": data,
            "event_id": str(event.event_id),
            "provider_guid": guid,
            "provider_name": name,
            "record_id": event.record,
            "process": {"pid": 3320, "thread": {"id": 4096 + event.record % 4096}},
            "user": {"identifier": "S-1-5-18", "name": "SYSTEM", "domain": "NT AUTHORITY", "type": "User"},
        },
    }
    return orjson.dumps(document)


WINDOWS_SHAPES: Final[dict[str, Callable[[WindowsEvent], bytes]]] = {
    "evtx": _evtx,
    "nxlog": _nxlog,
    "winlogbeat": _winlogbeat,
}

_SEVERITY_INFO: Final = 6
#: Syslog facilities: auth messages come as 10 (authpriv), the audit daemon's as 1 (user).
_FACILITIES: Final = {"sshd": 10, "sudo": 10, "audit": 1, "audispd": 1}


def windows(event: WindowsEvent) -> bytes:
    """A Windows event in its host's shape."""
    return WINDOWS_SHAPES[event.host.shape](event)


def syslog(host: Host, time_ms: int, app: str, pid: int, message: str) -> bytes:
    """One syslog line in its host's shape: RFC 5424 with UTC, or RFC 3164 with local time and no year."""
    pri = _FACILITIES.get(app, 3) * 8 + _SEVERITY_INFO
    if host.shape == "rfc5424":
        return f"<{pri}>1 {iso(time_ms)} {host.fqdn} {app} {pid} - - {message}".encode()
    local = datetime.fromtimestamp(time_ms / 1000, ALMATY)
    stamp = f"{local:%b} {local.day:2d} {local:%H:%M:%S}"
    return f"<{pri}>{stamp} {host.name} {app}[{pid}]: {message}".encode()


def eve(time_ms: int, event_type: str, addresses: dict[str, Any], /, **body: Any) -> bytes:
    """One Suricata EVE record; `body` what belongs to the event type."""
    local = datetime.fromtimestamp(time_ms / 1000, ALMATY)
    head = {
        "timestamp": local.strftime("%Y-%m-%dT%H:%M:%S.%f+0500"),
        "event_type": event_type,
        "in_iface": "mirror0",
        "host": f"ids-01.{REALM}",
    }
    return orjson.dumps(head | addresses | body)
