"""Records of Windows shippers, clouds, ECS, OCSF and the journal for `qorgan bench parsers`, of usual sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pipeline.parsers.inserts import NAMES

if TYPE_CHECKING:
    from pipeline.bench.records import Line

Doc = dict[str, Any]
_SYSMON: Final = "Microsoft-Windows-Sysmon"
_CHANNEL: Final = f"{_SYSMON}/Operational"
_PROGRAMS: Final = ("svchost.exe", "chrome.exe", "teams.exe", "powershell.exe", "backup.exe")


def _process(x: Line) -> dict[str, str]:
    """EventData of Sysmon 1."""
    image = f"C:\\Windows\\System32\\{_PROGRAMS[x.number % 5]}"
    return dict.fromkeys(NAMES[_SYSMON.lower(), 1], "-") | {
        "UtcTime": f"{x.at:%Y-%m-%d %H:%M:%S}.000",
        "ProcessGuid": f"{{{x.digest[:8]}-{x.digest[8:12]}-63c6-bb01-00000000e100}}",
        "ProcessId": str(x.port),
        "Image": image,
        "FileVersion": "10.0.20348.1 (WinBuild.160101.0800)",
        "Description": "Host Process",
        "Product": "Microsoft Windows Operating System",
        "Company": "Microsoft Corporation",
        "OriginalFileName": _PROGRAMS[x.number % 5],
        "CommandLine": f'"{image}" -k netsvcs -p -s {x.digest[:12]}',
        "CurrentDirectory": "C:\\Windows\\system32\\",
        "User": f"BANK\\{x.user}",
        "IntegrityLevel": "System",
        "Hashes": f"SHA256={'C3' * 32},IMPHASH={'D4' * 16}",
        "ParentImage": "C:\\Windows\\System32\\services.exe",
        "ParentCommandLine": "C:\\Windows\\system32\\services.exe",
        "ParentUser": "NT AUTHORITY\\SYSTEM",
    }


def _message(said: dict[str, str]) -> str:
    return "Process Create:\r\n" + "\r\n".join(f"{name}: {value}" for name, value in said.items())


def _nxlog(x: Line) -> Doc:
    said = _process(x)
    head = {"EventTime": x.iso, "Hostname": f"{x.host}.bank.example", "EventID": 1, "SourceName": _SYSMON}
    also = {"Channel": _CHANNEL, "Version": 5, "Task": 1, "RecordNumber": x.number, "SourceModuleType": "im_msvistalog"}
    return head | also | said | {"Message": _message(said)}


def _winlogbeat(x: Line) -> Doc:
    said = _process(x)
    inside: Doc = {"channel": _CHANNEL, "event_id": "1", "computer_name": f"{x.host}.bank.example", "event_data": said}
    inside |= {"provider_name": _SYSMON, "record_id": x.number, "api": "wineventlog"}
    event = {"code": "1", "kind": "event", "provider": _SYSMON}
    return {
        "@timestamp": x.iso,
        "winlog": inside,
        "event": event,
        "ecs": {"version": "8.0.0"},
        "message": _message(said),
    }


def _vector(x: Line) -> Doc:
    said = _process(x)
    head = {"source_type": "windows_event_log", "timestamp": x.iso, "channel": _CHANNEL, "event_id": 1}
    also = {"provider_name": _SYSMON, "computer": f"{x.host}.bank.example", "record_id": x.number, "level_value": 4}
    return head | also | {"event_data": said, "message": _message(said)}


def _fluent(x: Line) -> Doc:
    said = _process(x)
    head = {"@timestamp": x.at.timestamp(), "ProviderName": _SYSMON, "EventID": 1, "Level": 4, "Channel": _CHANNEL}
    also = {"TimeCreated": f"{x.at:%Y-%m-%d %H:%M:%S} +0000", "Computer": f"{x.host}.bank.example", "Task": 1}
    return head | also | {"Message": _message(said), "StringInserts": list(said.values())}


def _evtx(x: Line) -> Doc:
    system = {
        "Provider": {"#attributes": {"Name": _SYSMON, "Guid": "5770385F-C22A-43E0-BF4C-06F5698FFBD9"}},
        "EventID": 1,
        "TimeCreated": {"#attributes": {"SystemTime": x.iso}},
        "EventRecordID": x.number,
        "Channel": _CHANNEL,
        "Computer": f"{x.host}.bank.example",
        "Security": {"#attributes": {"UserID": "S-1-5-18"}},
    }
    return {"Event": {"System": system, "EventData": _process(x)}}


def _cloudtrail(x: Line) -> Doc:
    user = {"type": "IAMUser", "principalId": x.digest[:20], "arn": f"arn:aws:iam::111122223333:user/{x.user}"}
    asked = {"bucketName": x.host, "Host": f"{x.host}.s3.eu-central-1.amazonaws.com", "key": x.digest}
    head = {"eventVersion": "1.09", "userIdentity": user | {"userName": x.user}, "eventTime": x.iso}
    named = {"eventSource": "s3.amazonaws.com", "eventName": "GetObject", "awsRegion": "eu-central-1"}
    said = {"sourceIPAddress": x.dst, "userAgent": "aws-cli/2.13.0 Python/3.11.4", "requestParameters": asked}
    return head | named | said | {"responseElements": None, "requestID": x.digest, "eventID": x.digest[:36]}


def _kubernetes(x: Line) -> Doc:
    head = {"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": x.digest[:36]}
    said = {"stage": "ResponseComplete", "requestURI": f"/api/v1/namespaces/pay/pods/{x.digest[:12]}", "verb": "get"}
    by = {
        "user": {"username": x.user, "groups": ["system:authenticated"]},
        "sourceIPs": [x.src],
        "userAgent": "kubectl",
    }
    what = {"objectRef": {"resource": "pods", "namespace": "pay", "name": x.digest[:12], "apiVersion": "v1"}}
    times = {"requestReceivedTimestamp": x.iso, "stageTimestamp": x.iso, "responseStatus": {"code": 200}}
    return head | said | by | what | times | {"annotations": {"authorization.k8s.io/decision": "allow"}}


def _microsoft365(x: Line) -> Doc:
    head = {"CreationTime": x.iso[:19], "Id": x.digest[:36], "Operation": "FileAccessed", "RecordType": 6}
    by = {"UserId": f"{x.user}@bank.example", "ClientIP": x.dst, "Workload": "SharePoint", "UserAgent": "Mozilla/5.0"}
    what = {
        "ObjectId": f"https://bank.example/sites/pay/{x.digest[:20]}.xlsx",
        "SiteUrl": "https://bank.example/sites/pay",
    }
    return head | by | what | {"OrganizationId": x.digest[:36], "UserType": 0, "Version": 1, "ItemType": "File"}


def _azure(x: Line) -> Doc:
    inside = {
        "id": x.digest[:36],
        "createdDateTime": x.iso,
        "userPrincipalName": f"{x.user}@bank.example",
        "appDisplayName": "Office 365",
        "ipAddress": x.dst,
        "clientAppUsed": "Browser",
        "userAgent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64)",
        "conditionalAccessStatus": "success",
        "authenticationRequirement": "multiFactorAuthentication",
        "status": {"errorCode": 0},
        "deviceDetail": {"deviceId": x.digest[:36], "displayName": x.host, "isCompliant": True},
        "location": {"city": "Almaty", "countryOrRegion": "KZ"},
    }
    head = {
        "time": x.iso,
        "resourceId": f"/tenants/{x.digest[:36]}/providers/Microsoft.aadiam",
        "category": "SignInLogs",
    }
    said = {"operationName": "Sign-in activity", "resultType": "0", "callerIpAddress": x.dst, "identity": x.user}
    return head | said | {"location": "KZ", "properties": inside}


def _okta(x: Line) -> Doc:
    agent = {"rawUserAgent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "os": "Windows 10", "browser": "CHROME"}
    return {
        "uuid": x.digest[:36],
        "published": x.iso,
        "eventType": "user.session.start",
        "severity": "INFO",
        "displayMessage": "User login to Okta",
        "actor": {"id": "00u1", "type": "User", "alternateId": f"{x.user}@bank.example", "displayName": x.user},
        "client": {"userAgent": agent, "ipAddress": x.dst, "zone": "null", "device": "Computer"},
        "outcome": {"result": "SUCCESS"},
        "target": [{"id": "0oa1", "type": "AppInstance", "displayName": "Portal"}],
        "securityContext": {"asNumber": 64_496, "isProxy": False},
        "debugContext": {"debugData": {"requestUri": "/api/v1/authn", "requestId": x.digest}},
        "request": {"ipChain": [{"ip": x.dst, "version": "V4"}]},
    }


def _google(x: Line) -> Doc:
    payload = {
        "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
        "authenticationInfo": {"principalEmail": f"{x.user}@bank.example"},
        "requestMetadata": {"callerIp": x.dst, "callerSuppliedUserAgent": "gcloud"},
        "serviceName": "storage.googleapis.com",
        "methodName": "storage.objects.get",
        "authorizationInfo": [{"resource": f"projects/_/buckets/{x.host}", "permission": "x", "granted": True}],
        "resourceName": f"projects/_/buckets/{x.host}/objects/{x.digest}",
    }
    head = {"protoPayload": payload, "insertId": x.digest[:12], "resource": {"type": "gcs_bucket"}, "timestamp": x.iso}
    return head | {"severity": "INFO", "logName": "projects/p/logs/cloudaudit.googleapis.com%2Fdata_access"}


def _ecs(x: Line) -> Doc:
    program = {"executable": "/usr/bin/curl", "name": "curl", "pid": x.port, "entity_id": x.digest[:40]}
    program |= {"command_line": f"curl --silent {x.name}", "parent": {"executable": "/usr/bin/bash", "pid": 1}}
    return {
        "@timestamp": x.iso,
        "ecs": {"version": "8.11.0"},
        "event": {"category": ["process"], "type": ["start"], "kind": "event", "dataset": "endpoint.events.process"},
        "host": {"name": x.host, "id": x.digest[:32], "os": {"type": "linux", "name": "Ubuntu", "version": "24.04"}},
        "user": {"name": x.user, "id": "1000"},
        "process": program,
        "agent": {"type": "endpoint", "version": "8.11.0", "id": x.digest[:36]},
        "message": x.text[:200],
    }


def _ocsf(x: Line) -> Doc:
    head = {"class_uid": 4001, "category_uid": 4, "activity_id": 6, "type_uid": 400_106, "severity_id": 1}
    ends = {"src_endpoint": {"ip": x.src, "port": x.port}, "dst_endpoint": {"ip": x.dst, "port": 443}}
    about = {"metadata": {"version": "1.3.0", "product": {"name": "Flow", "vendor_name": "Example"}, "uid": x.digest}}
    said = {"time": int(x.at.timestamp() * 1000), "action_id": 1, "action": "Allowed", "message": x.text[:200]}
    return (
        head | ends | about | said | {"connection_info": {"direction_id": 2, "protocol_name": "tcp", "protocol_num": 6}}
    )


def _journald(x: Line) -> Doc:
    micro = f"{int(x.at.timestamp() * 1e6)}"
    head = {
        "__CURSOR": f"s={x.digest}",
        "__REALTIME_TIMESTAMP": micro,
        "_BOOT_ID": x.digest[:32],
        "_TRANSPORT": "syslog",
    }
    by = {"_HOSTNAME": x.host, "_PID": str(x.port), "_COMM": "app", "_EXE": "/usr/bin/app", "SYSLOG_IDENTIFIER": "app"}
    return head | by | {"PRIORITY": "6", "SYSLOG_FACILITY": "3", "_SOURCE_REALTIME_TIMESTAMP": micro, "MESSAGE": x.text}


JSON_RECORDS: Final[dict[str, Callable[[Line], Doc]]] = {
    "nxlog": _nxlog, "winlogbeat": _winlogbeat, "vector": _vector, "fluent": _fluent, "evtx": _evtx,
    "cloudtrail": _cloudtrail, "kubernetes": _kubernetes, "microsoft365": _microsoft365, "azure": _azure,
    "okta": _okta, "google": _google, "ecs": _ecs, "ocsf": _ocsf, "journald": _journald,
}  # fmt: skip
