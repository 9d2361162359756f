"""Who gives the events of a Sigma log source, and in which words: the table of routing. To add a provider, add a line.

A generic category has several providers: Sysmon, Windows' own audit log, a network sensor. Each is a `Place`, a pattern
of event sources ('' means any), with its own names and values for the fields, and with the fields it has at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from detectors.sigma.channels import (
    CLASSIC,
    DEFENDER,
    DNS_CLIENT,
    LINUX_SYSMON,
    POWERSHELL,
    SYSMON,
    WINDOWS_SERVICES,
)
from detectors.sigma.mapping import NO_NAMES, Names, Told
from detectors.sigma.rule import LogSource, Node


class Place(NamedTuple):
    """A pattern of event sources. No event ids: any. `names`: how it tells a rule's fields."""

    product: str = ""
    category: str = ""
    service: str = ""
    event_ids: frozenset[int] = frozenset()
    names: Names = NO_NAMES
    when: Node | None = None
    """What its events must hold beside, in the provider's own words."""
    fields: frozenset[str] = frozenset()
    """The fields that it gives, in Sigma's words. Empty: not known."""
    title: str = ""
    """For people: `Security 4688`."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BY: Final = "ProcessGuid ProcessId Image User "
_VERSION: Final = "FileVersion Description Product Company OriginalFileName "
_SIGNED: Final = "ImageLoaded Hashes Signed Signature SignatureStatus "
_KEY: Final = _BY + "EventType TargetObject "
_PAIR: Final = "SourceProcessId SourceImage SourceUser TargetProcessId TargetImage TargetUser "
_DELETED: Final = _BY + "TargetFilename Hashes IsExecutable "

#: Sysmon's events: Sigma's category → ids, fields (schema 4.90), beside RuleName and UtcTime.
SYSMON_EVENTS: Final[Mapping[str, tuple[tuple[int, ...], str]]] = {
    "process_creation": (
        (1,),
        _BY + _VERSION + "CommandLine CurrentDirectory LogonGuid LogonId TerminalSessionId IntegrityLevel Hashes "
        "ParentProcessGuid ParentProcessId ParentImage ParentCommandLine ParentUser",
    ),
    "file_change": ((2,), _BY + "TargetFilename CreationUtcTime PreviousCreationUtcTime"),
    "network_connection": (
        (3,),
        _BY + "Protocol Initiated SourceIsIpv6 SourceIp SourceHostname SourcePort SourcePortName DestinationIsIpv6 "
        "DestinationIp DestinationHostname DestinationPort DestinationPortName",
    ),
    "sysmon_status": ((4, 16), "State Version SchemaVersion Configuration ConfigurationFileHash"),
    "process_termination": ((5,), _BY),
    "driver_load": ((6,), _SIGNED),
    "image_load": ((7,), _BY + _VERSION + _SIGNED),
    "create_remote_thread": (
        (8,),
        _PAIR + "SourceProcessGuid TargetProcessGuid NewThreadId StartAddress StartModule StartFunction",
    ),
    "raw_access_thread": ((9,), _BY + "Device"),
    "process_access": (
        (10,),
        _PAIR + "SourceProcessGUID TargetProcessGUID SourceThreadId GrantedAccess CallTrace",
    ),
    "file_event": ((11,), _BY + "TargetFilename CreationUtcTime"),
    "registry_add": ((12,), _KEY),
    "registry_delete": ((12,), _KEY),
    "registry_set": ((13,), _KEY + "Details"),
    "registry_rename": ((14,), _KEY + "NewName"),
    "registry_event": ((12, 13, 14), _KEY + "Details NewName"),
    "create_stream_hash": ((15,), _BY + "TargetFilename CreationUtcTime Hash Contents"),
    "pipe_created": ((17, 18), _BY + "EventType PipeName"),
    "wmi_event": ((19, 20, 21), "EventType Operation User EventNamespace Name Query Type Destination Consumer Filter"),
    "dns_query": ((22,), _BY + "QueryName QueryStatus QueryResults"),
    "file_delete": ((23, 26), _DELETED + "Archived"),
    "clipboard_change": ((24,), _BY + "Session ClientInfo Hashes Archived"),
    "process_tampering": ((25,), _BY + "Type"),
    "file_block_executable": ((27,), _DELETED),
    "file_executable_detected": ((29,), _DELETED),
    "sysmon_error": ((255,), "ID Description"),
}

_LEVELS: Final = {
    "S-1-16-0": "Untrusted",
    "S-1-16-4096": "Low",
    "S-1-16-8192": "Medium",
    "S-1-16-8448": "Medium",
    "S-1-16-12288": "High",
    "S-1-16-16384": "System",
    "S-1-16-20480": "ProtectedProcess",
}
_SUBJECT: Final = Told("SubjectUserName", reading="account")

#: Security 4688 in Sysmon's words.
PROCESS_4688: Final[Names] = {
    "Image": Told("NewProcessName", reading="path"),
    "ParentImage": Told("ParentProcessName", reading="path"),
    "ProcessId": Told("NewProcessId", reading="hex"),
    "ParentProcessId": Told("ProcessId", reading="hex"),
    "User": _SUBJECT,
    "LogonId": Told("SubjectLogonId"),
    "IntegrityLevel": Told("MandatoryLabel", _LEVELS),
}
_ENDED_4689: Final[Names] = {
    "Image": Told("ProcessName", reading="path"),
    "ProcessId": Told("ProcessId", reading="hex"),
    "User": _SUBJECT,
}
_CONNECTION_5156: Final[Names] = {
    "Image": Told("Application", reading="path"),
    "ProcessId": Told("ProcessID"),
    "Initiated": Told("Direction", {"%%14593": "true", "%%14592": "false"}),
    "SourceIp": Told("SourceAddress"),
    "DestinationIp": Told("DestAddress"),
    "DestinationPort": Told("DestPort"),
    "Protocol": Told("Protocol", {"6": "tcp", "17": "udp"}),
}
_REGISTRY_4657: Final[Names] = {
    **_ENDED_4689,
    "TargetObject": Told("ObjectName", reading="registry"),
    "Details": Told("NewValue", reading="details"),
    "EventType": Told("OperationType", {"%%1904": "SetValue", "%%1905": "SetValue", "%%1906": "DeleteValue"}),
}
_READ_4663: Final[Names] = {
    "FileName": Told("ObjectName", reading="path"),
    **_ENDED_4689,
}
_EXEC_AUDITD: Final[Names] = {"Image": Told("a0", reading="program"), "ProcessId": Told("pid")}
#: A program's start: its arguments (EXECVE), or the call itself, where the audit rules name it.
_STARTED: Final[Node] = [
    "or",
    ["eq", "type", ["execve"], False],
    [
        "and",
        ["eq", "type", ["syscall"], False],
        ["eq", "SYSCALL", ["execve", "execveat"], False],
    ],
]


def _windows(
    channel: str, *event_ids: int, names: Names = NO_NAMES, when: Node | None = None, same: str = "", title: str = ""
) -> Place:
    """`same`: fields that have Sigma's own names."""
    return Place("windows", "", channel, frozenset(event_ids), names, when, _words(same) | names.keys(), title)


def _security(event_id: int, names: Names, same: str = "", when: Node | None = None) -> Place:
    return _windows("security", event_id, names=names, when=when, same=same, title=f"Security {event_id}")


def _operation(*numbers: str) -> Node:
    return ["eq", "OperationType", list(numbers), False]


#: Sigma's categories on Windows → who else gives such events.
SECOND_PROVIDERS: Final[Mapping[str, tuple[Place, ...]]] = {
    "process_creation": (_security(4688, PROCESS_4688, "CommandLine"),),
    "process_termination": (_security(4689, _ENDED_4689),),
    "network_connection": (_security(5156, _CONNECTION_5156, "SourcePort"),),
    "registry_set": (_security(4657, _REGISTRY_4657, when=_operation("%%1904", "%%1905")),),
    "registry_delete": (_security(4657, _REGISTRY_4657, when=_operation("%%1906")),),
    "registry_event": (
        _security(4657, _REGISTRY_4657),
        *(Place("windows", f"registry_{kind}") for kind in ("set", "add", "delete", "rename")),
    ),
    "file_access": (_security(4663, _READ_4663, when=["eq", "ObjectType", ["file"], False]),),
    "dns_query": tuple(
        _windows(channel, 3008, same="QueryName QueryStatus QueryResults", title="DNS Client 3008")
        for channel in DNS_CLIENT
    ),
    "ps_module": tuple(
        _windows(channel, 4103, same="ContextInfo UserData Payload", title="PowerShell 4103") for channel in POWERSHELL
    ),
    "ps_script": tuple(
        _windows(
            channel,
            4104,
            same="MessageNumber MessageTotal ScriptBlockText ScriptBlockId Path",
            title="PowerShell 4104",
        )
        for channel in POWERSHELL
    ),
    "ps_classic_start": (_windows(CLASSIC, 400, same="Data", title="Windows PowerShell 400"),),
    "ps_classic_provider_start": (_windows(CLASSIC, 600, same="Data", title="Windows PowerShell 600"),),
    "ps_classic_script": (_windows(CLASSIC, 800, same="Data", title="Windows PowerShell 800"),),
}


def _sysmon(category: str) -> tuple[Place, ...]:
    known = SYSMON_EVENTS.get(category)
    if known is None:
        return ()
    title = "Sysmon " + ", ".join(map(str, known[0]))
    return (_windows(SYSMON, *known[0], same=f"{known[1]} RuleName UtcTime", title=title),)


#: Sigma's categories on Windows → where such events stand, the fullest first.
WINDOWS_CATEGORIES: Final[Mapping[str, tuple[Place, ...]]] = {
    category: (*_sysmon(category), *SECOND_PROVIDERS.get(category, ()))
    for category in (*SYSMON_EVENTS, *(other for other in SECOND_PROVIDERS if other not in SYSMON_EVENTS))
}

SYSLOG: Final = ("auth", "clamav", "cron", "guacamole", "sshd", "sudo", "syslog", "vsftpd")


_JOINED_BY: Final = "Image User LogonId ProcessId TerminalSessionId "
#: What audit records that are joined tell in Sigma's words (`detectors.audit.activity`), by category.
_JOINED: Final[Mapping[str, str]] = {
    "process_creation": _JOINED_BY + "CommandLine CurrentDirectory ParentProcessId ParentImage ParentCommandLine",
    "network_connection": _JOINED_BY + "Initiated SourceIp SourcePort SourceIsIpv6 DestinationIp DestinationPort "
    "DestinationIsIpv6",
    "file_event": _JOINED_BY + "TargetFilename",
    "file_delete": _JOINED_BY + "TargetFilename",
}


def _linux(category: str, *other: Place) -> tuple[Place, ...]:
    ids, fields = SYSMON_EVENTS[category]
    title = f"Sysmon for Linux {ids[0]}"
    sysmon = Place("linux", "", LINUX_SYSMON, frozenset(ids[:1]), fields=_words(fields), title=title)
    return (sysmon, Place("linux", category, fields=_words(_JOINED[category]), title="auditd, joined"), *other)


_AUDITD: Final = Place(
    "linux",
    "",
    "auditd",
    frozenset(),
    _EXEC_AUDITD,
    _STARTED,
    _words("Image CommandLine ProcessId"),
    "auditd EXECVE, to correlations",
)

#: The same for Linux: Sysmon for Linux, the audit system, and the files that distributions put several programs into.
LINUX: Final[Mapping[tuple[str, str], tuple[Place, ...]]] = {
    ("process_creation", ""): _linux("process_creation", _AUDITD),
    ("network_connection", ""): _linux("network_connection"),
    ("file_event", ""): _linux("file_event"),
    ("file_delete", ""): _linux("file_delete"),
    ("", "sysmon"): (Place("linux", "", LINUX_SYSMON),),
    ("", "auth"): (Place("linux", "", "sshd"), Place("linux", "", "sudo")),
    ("", "syslog"): tuple(Place("linux", "", service) for service in SYSLOG),
}


def _told(**names: str) -> Names:
    return {name.replace("_", "-"): Told(other) for name, other in names.items()}


_ZEEK_ENDS: Final = {
    "src_ip": Told("id.orig_h"),
    "src_port": Told("id.orig_p"),
    "dst_ip": Told("id.resp_h"),
    "dst_port": Told("id.resp_p"),
}
_ZEEK_DNS: Final = {"record_type": Told("qtype_name"), "answer": Told("answers"), **_ZEEK_ENDS}
_ZEEK_PROXY: Final = {
    **_told(c_uri="uri", cs_uri="uri", cs_host="host", c_useragent="user_agent", cs_method="method"),
    **_told(c_uri_query="uri", c_uri_stem="uri"),
    "c-uri-extension": Told("uri", reading="extension"),
    **_told(sc_status="status_code", cs_referrer="referrer", cs_version="version", cs_username="username"),
    **_ZEEK_ENDS,
}
_ZEEK_WEB: Final = {
    **_told(cs_uri_query="uri", cs_uri_stem="uri", cs_method="method", sc_status="status_code", cs_host="host"),
    **_told(cs_user_agent="user_agent", cs_referer="referrer", cs_username="username"),
    **_ZEEK_ENDS,
}
_EVE_PROXY: Final = {
    **_told(cs_uri="c-uri-stem", c_uri_query="c-uri-stem"),
    "c-uri-extension": Told("c-uri-stem", reading="extension"),
    "dst_ip": Told("dest_ip"),
}
_EVE_WEB: Final = {
    **_told(cs_uri_query="http.url", cs_uri_stem="http.url", cs_method="http.http_method", sc_status="http.status"),
    **_told(cs_host="http.hostname", cs_user_agent="http.http_user_agent", cs_referer="http.http_refer"),
    "dst_ip": Told("dest_ip"),
}
_EVE_FLOW: Final = {"dst_ip": Told("dest_ip"), "dst_port": Told("dest_port"), "destination.port": Told("dest_port")}
_VIRUS: Final = {"Signature": Told("ThreatName"), "Filename": Told("Path")}
_VIRUS_EVENTS: Final = (1006, 1007, 1008, 1009, 1010, 1015, 1116, 1117, 1118, 1119)


def _sensor(product: str, service: str, names: Names, same: str = "") -> Place:
    title = f"{product.capitalize()} {service}"
    return Place(product, "", service, frozenset(), names, None, _words(same) | names.keys(), title)


#: Sigma's log sources of no product → the sensors that see the same.
ANYWHERE: Final[Mapping[tuple[str, str], tuple[Place, ...]]] = {
    ("antivirus", ""): (_windows(DEFENDER, *_VIRUS_EVENTS, names=_VIRUS, title="Windows Defender 1006 to 1119"),),
    ("dns", ""): (
        Place("suricata", "", "dns", fields=_words("query record_type answer src_ip"), title="Suricata dns"),
        _sensor("zeek", "dns", _ZEEK_DNS, "query"),
    ),
    ("proxy", ""): (
        _sensor("suricata", "http", _EVE_PROXY, "c-uri c-uri-stem cs-method cs-host c-useragent cs-referrer sc-status"),
        _sensor("zeek", "http", _ZEEK_PROXY),
    ),
    ("webserver", ""): (_sensor("suricata", "http", _EVE_WEB, "src_ip"), _sensor("zeek", "http", _ZEEK_WEB)),
    ("firewall", ""): (
        _sensor("suricata", "flow", _EVE_FLOW, "src_ip src_port"),
        _sensor("zeek", "conn", _ZEEK_ENDS),
    ),
    ("", "netflow"): (_sensor("suricata", "netflow", _EVE_FLOW), _sensor("suricata", "flow", _EVE_FLOW)),
}

#: Log sources of platforms whose records tell another service than the rules.
PLATFORMS: Final[Mapping[LogSource, tuple[Place, ...]]] = {
    **{
        LogSource("m365", "", service): (Place("m365", "", "audit", title="Microsoft 365 audit"),)
        for service in ("exchange", "threat_detection", "threat_management")
    },
    LogSource("azure", "", "pim"): (Place("azure", "", "riskdetection", title="Entra risk"),),
}
#: Log sources that records of clouds and platforms tell by themselves.
_CLOUDS: Final = frozenset(
    {LogSource("azure", "", name) for name in ("activitylogs", "auditlogs", "signinlogs", "riskdetection")}
    | {LogSource("gcp", "", name) for name in ("gcp.audit", "google_workspace.admin", "google_workspace.login")}
    | {LogSource("kubernetes", "", "audit"), LogSource("kubernetes", "application", "audit")}
    | {LogSource("aws", "", "cloudtrail"), LogSource("m365", "", "audit"), LogSource("okta", "", "okta")}
    | {LogSource("github", "", "audit"), LogSource("bitbucket", "", "audit"), LogSource("cisco", "", "duo")}
    | {LogSource("onelogin", "", "onelogin.events"), LogSource("opencanary", "application")}
)

#: Values by which agents beside Sysmon tell a field of a category, whatever their mapping calls it.
AGENTS: Final[Mapping[str, Names]] = {
    "network_connection": {
        "Initiated": Told("Initiated", {"egress": "true", "outbound": "true", "ingress": "false", "inbound": "false"})
    },
}

#: Devices and web servers, told by CEF, LEEF, pairs, or their messages in syslog.
_DEVICES: Final = frozenset(
    {LogSource("cisco", "", service) for service in ("aaa", "bgp", "ldp", "syslog")}
    | {LogSource("fortigate", "", "event"), LogSource("huawei", "", "bgp"), LogSource("", "", "nginx")}
    | {LogSource("paloalto", "appliance", "globalprotect"), LogSource("", "", "apache")}
)

#: What our parsers can tell of a record by itself; everything else takes a topic's settings to be carried.
CARRIED: Final = frozenset(
    {LogSource("linux", "", name) for name in ("auditd", *SYSLOG)}
    | {LogSource("linux"), LogSource("windows"), LogSource("suricata")}
    | _CLOUDS
    | {LogSource("", "dns"), LogSource("", "proxy"), LogSource("", "ids"), LogSource("zeek")}
    | {LogSource("", "firewall"), LogSource("", "webserver"), LogSource("", "antivirus")}
    | _DEVICES
)


def providers(source: LogSource) -> tuple[Place, ...]:
    """Where the tables say that such events stand; empty for what they do not know.

    Of a rule that names no product all products' places, of one with a category and a service those that are both.
    """
    tables = {"windows": (_on_windows,), "linux": (_on_linux,), "": (_on_windows, _on_linux, _anywhere)}
    both = bool(source.category and source.service)
    found = [place for table in tables.get(source.product, ()) for place in table(source.category, source.service)]
    if both and not found:
        wide = providers(source._replace(service=""))
        found = [place for place in wide if place.service in _channels(source.service)]
    return tuple(found) or PLATFORMS.get(source, ())


def _channels(service: str) -> tuple[str, ...]:
    """What events of a service are called: a channel on Windows, elsewhere the service itself."""
    sysmon = (LINUX_SYSMON,) if service == "sysmon" else ()
    return (*WINDOWS_SERVICES.get(service, ()), *sysmon, service)


def _on_windows(category: str, service: str) -> tuple[Place, ...]:
    if category:
        return () if service else WINDOWS_CATEGORIES.get(category, ())
    return tuple(_windows(channel) for channel in WINDOWS_SERVICES.get(service, ()))


def _on_linux(category: str, service: str) -> tuple[Place, ...]:
    return LINUX.get((category, service), ())


def _anywhere(category: str, service: str) -> tuple[Place, ...]:
    return ANYWHERE.get((category, service), ())
