"""From a rule's log source to the events it looks at: one table, and the index that answers by an event's source.

A place is a pattern of event sources, '' meaning any. Every rule looks at the place its log source names literally, so
that a topic's settings can feed any rule; the tables add where Windows and Linux really write such events. Several
places of one rule are *providers*: each may bring names of its own for the fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from types import MappingProxyType
from typing import Final, NamedTuple

from detectors.sigma.rule import LogSource, Node, Rule
from schemas.event import Source

NO_MAP: Final[Mapping[str, str]] = MappingProxyType({})

#: Security 4688 in Sysmon's words. What it lacks (ParentCommandLine, Hashes, OriginalFileName, …) stays absent.
PROCESS_4688: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Image": "NewProcessName",
        "ParentImage": "ParentProcessName",
        "ProcessId": "NewProcessId",
        "ParentProcessId": "ProcessId",
        "User": "SubjectUserName",
        "LogonId": "SubjectLogonId",
        "IntegrityLevel": "MandatoryLabel",
    }
)


class Place(NamedTuple):
    """A pattern of event sources. No event ids: any. `names`: rule's field → the provider's."""

    product: str = ""
    category: str = ""
    service: str = ""
    event_ids: frozenset[int] = frozenset()
    names: Mapping[str, str] = NO_MAP


_SYSMON: Final = "microsoft-windows-sysmon/operational"
_POWERSHELL: Final = ("microsoft-windows-powershell/operational", "powershellcore/operational")
_CLASSIC: Final = "windows powershell"


def _windows(channel: str, *event_ids: int, names: Mapping[str, str] = NO_MAP) -> Place:
    return Place("windows", "", channel, frozenset(event_ids), names)


#: Sigma's categories on Windows → where such events stand.
WINDOWS_CATEGORIES: Final[Mapping[str, tuple[Place, ...]]] = {
    "process_creation": (_windows(_SYSMON, 1), _windows("security", 4688, names=PROCESS_4688)),
    "file_change": (_windows(_SYSMON, 2),),
    "network_connection": (_windows(_SYSMON, 3),),
    "sysmon_status": (_windows(_SYSMON, 4, 16),),
    "process_termination": (_windows(_SYSMON, 5),),
    "driver_load": (_windows(_SYSMON, 6),),
    "image_load": (_windows(_SYSMON, 7),),
    "create_remote_thread": (_windows(_SYSMON, 8),),
    "raw_access_thread": (_windows(_SYSMON, 9),),
    "process_access": (_windows(_SYSMON, 10),),
    "file_event": (_windows(_SYSMON, 11),),
    "registry_add": (_windows(_SYSMON, 12),),
    "registry_delete": (_windows(_SYSMON, 12),),
    "registry_set": (_windows(_SYSMON, 13),),
    "registry_rename": (_windows(_SYSMON, 14),),
    "registry_event": (_windows(_SYSMON, 12, 13, 14),),
    "create_stream_hash": (_windows(_SYSMON, 15),),
    "pipe_created": (_windows(_SYSMON, 17, 18),),
    "wmi_event": (_windows(_SYSMON, 19, 20, 21),),
    "dns_query": (_windows(_SYSMON, 22),),
    "file_delete": (_windows(_SYSMON, 23, 26),),
    "clipboard_change": (_windows(_SYSMON, 24),),
    "process_tampering": (_windows(_SYSMON, 25),),
    "file_block_executable": (_windows(_SYSMON, 27),),
    "file_executable_detected": (_windows(_SYSMON, 29),),
    "sysmon_error": (_windows(_SYSMON, 255),),
    "ps_module": tuple(_windows(channel, 4103) for channel in _POWERSHELL),
    "ps_script": tuple(_windows(channel, 4104) for channel in _POWERSHELL),
    "ps_classic_start": (_windows(_CLASSIC, 400),),
    "ps_classic_provider_start": (_windows(_CLASSIC, 600),),
    "ps_classic_script": (_windows(_CLASSIC, 800),),
}

#: Sigma's services on Windows → channels, lower case.
WINDOWS_SERVICES: Final[Mapping[str, tuple[str, ...]]] = {
    "application": ("application",),
    "application-experience": (
        "microsoft-windows-application-experience/program-telemetry",
        "microsoft-windows-application-experience/program-compatibility-assistant",
    ),
    "applocker": (
        "microsoft-windows-applocker/msi and script",
        "microsoft-windows-applocker/exe and dll",
        "microsoft-windows-applocker/packaged app-deployment",
        "microsoft-windows-applocker/packaged app-execution",
    ),
    "appmodel-runtime": ("microsoft-windows-appmodel-runtime/admin",),
    "appxdeployment-server": ("microsoft-windows-appxdeploymentserver/operational",),
    "appxpackaging-om": ("microsoft-windows-appxpackaging/operational",),
    "bitlocker": ("microsoft-windows-bitlocker/bitlocker management",),
    "bits-client": ("microsoft-windows-bits-client/operational",),
    "capi2": ("microsoft-windows-capi2/operational",),
    "certificateservicesclient-lifecycle-system": (
        "microsoft-windows-certificateservicesclient-lifecycle-system/operational",
    ),
    "codeintegrity-operational": ("microsoft-windows-codeintegrity/operational",),
    "dhcp": ("microsoft-windows-dhcp-server/operational",),
    "diagnosis-scripted": ("microsoft-windows-diagnosis-scripted/operational",),
    "dns-client": ("microsoft-windows-dns client events/operational", "microsoft-windows-dns-client/operational"),
    "dns-server": ("dns server",),
    "dns-server-analytic": ("microsoft-windows-dns-server/analytical",),
    "dns-server-audit": ("microsoft-windows-dns-server/audit",),
    "driver-framework": ("microsoft-windows-driverframeworks-usermode/operational",),
    "firewall-as": ("microsoft-windows-windows firewall with advanced security/firewall",),
    "hyper-v-worker": ("microsoft-windows-hyper-v-worker-admin", "microsoft-windows-hyper-v-worker"),
    "iis-configuration": ("microsoft-iis-configuration/operational",),
    "kernel-event-tracing": ("microsoft-windows-kernel-eventtracing/admin", "microsoft-windows-kernel-eventtracing"),
    "kernel-shimengine": (
        "microsoft-windows-kernel-shimengine/operational",
        "microsoft-windows-kernel-shimengine/diagnostic",
    ),
    "ldap": ("microsoft-windows-ldap-client/debug",),
    "ldap_debug": ("microsoft-windows-ldap-client/debug",),
    "lsa-server": ("microsoft-windows-lsa/operational",),
    "microsoft-servicebus-client": ("microsoft-servicebus-client/operational", "microsoft-servicebus-client/admin"),
    "msexchange-management": ("msexchange management",),
    "ntfs": ("microsoft-windows-ntfs/operational",),
    "ntlm": ("microsoft-windows-ntlm/operational",),
    "openssh": ("openssh/operational",),
    "powershell": _POWERSHELL,
    "powershell-classic": (_CLASSIC,),
    "printservice-admin": ("microsoft-windows-printservice/admin",),
    "printservice-operational": ("microsoft-windows-printservice/operational",),
    "security": ("security",),
    "security-mitigations": (
        "microsoft-windows-security-mitigations/kernel mode",
        "microsoft-windows-security-mitigations/user mode",
        "microsoft-windows-security-mitigations/kernelmode",
        "microsoft-windows-security-mitigations/usermode",
    ),
    "sense": ("microsoft-windows-sense/operational",),
    "servicebus-client": ("microsoft-servicebus-client/operational", "microsoft-servicebus-client/admin"),
    "shell-core": ("microsoft-windows-shell-core/operational",),
    "smbclient-connectivity": ("microsoft-windows-smbclient/connectivity",),
    "smbclient-security": ("microsoft-windows-smbclient/security",),
    "smbserver-connectivity": ("microsoft-windows-smbserver/connectivity",),
    "sysmon": (_SYSMON,),
    "system": ("system",),
    "taskscheduler": ("microsoft-windows-taskscheduler/operational",),
    "terminalservices-localsessionmanager": ("microsoft-windows-terminalservices-localsessionmanager/operational",),
    "vhdmp": ("microsoft-windows-vhdmp/operational", "microsoft-windows-vhdmp-operational"),
    "windefend": ("microsoft-windows-windows defender/operational",),
    "wmi": ("microsoft-windows-wmi-activity/operational",),
}

_SYSLOG: Final = ("auth", "clamav", "cron", "guacamole", "sshd", "sudo", "syslog", "vsftpd")
_LINUX_SYSMON: Final = "linux-sysmon/operational"


def _linux(service: str, *event_ids: int) -> Place:
    return Place("linux", "", service, frozenset(event_ids))


#: The same for Linux: Sysmon for Linux, and the files that distributions put several programs into.
LINUX: Final[Mapping[tuple[str, str], tuple[Place, ...]]] = {
    ("process_creation", ""): (_linux(_LINUX_SYSMON, 1),),
    ("network_connection", ""): (_linux(_LINUX_SYSMON, 3),),
    ("file_event", ""): (_linux(_LINUX_SYSMON, 11),),
    ("file_delete", ""): (_linux(_LINUX_SYSMON, 23),),
    ("", "auth"): (_linux("sshd"), _linux("sudo")),
    ("", "syslog"): tuple(map(_linux, _SYSLOG)),
}

#: What our parsers can tell of a record by itself; everything else takes a topic's settings to be carried.
CARRIED: Final = frozenset(
    {LogSource("linux", "", name) for name in ("auditd", *_SYSLOG)}
    | {LogSource("linux"), LogSource("windows"), LogSource("suricata"), LogSource("aws", "", "cloudtrail")}
    | {LogSource("", "dns"), LogSource("", "proxy"), LogSource("", "ids")}
)


def providers(source: LogSource) -> tuple[Place, ...]:
    """Where the tables say that such events stand; empty for what they do not know."""
    if source.product == "windows":
        if source.category:
            found = WINDOWS_CATEGORIES.get(source.category, ())
            return () if source.service else found
        return tuple(_windows(channel) for channel in WINDOWS_SERVICES.get(source.service, ()))
    if source.product == "linux":
        return LINUX.get((source.category, source.service), ())
    return ()


def places(source: LogSource) -> tuple[Place, ...]:
    """Every place that a rule of this log source looks at."""
    return (Place(*source), *providers(source))


def carried(source: LogSource) -> bool:
    """Whether records of this log source exist without a topic's settings naming it."""
    return bool(providers(source)) or source in CARRIED or (source.product == "suricata" and not source.category)


class Entry(NamedTuple):
    """One rule at one place: its number, and the provider's names for its fields."""

    rule: int
    names: Mapping[str, str]


class Index:
    """Rules by event source."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_place: dict[tuple[str, ...], list[tuple[int, Place]]] = {}
        for number, rule in enumerate(rules):
            for place in places(rule.logsource):
                self._by_place.setdefault(place[:3], []).append((number, place))

    def entries(self, source: Source) -> list[Entry]:
        """The rules that look at events of this source, in order, each once a provider."""
        found: dict[int, Entry] = {}
        said = ((word, "") if word else ("",) for word in source[:3])
        for key in product(*said):
            for number, place in self._by_place.get(key, ()):
                if not place.event_ids or source.event_id in place.event_ids:
                    # The more exact place comes first and wins: it knows the provider's names.
                    found.setdefault(number, Entry(number, place.names))
        return [found[number] for number in sorted(found)]


def event_ids(tree: Node) -> frozenset[int] | None:
    """The event ids one of which a condition demands; None: it demands none."""
    kind = tree[0]
    if kind == "and":
        known = [ids for child in tree[1:] if (ids := event_ids(child)) is not None]
        return frozenset.intersection(*known) if known else None
    if kind == "or":
        alternatives = [event_ids(child) for child in tree[1:]]
        return (
            frozenset().union(*(ids for ids in alternatives if ids is not None)) if None not in alternatives else None
        )
    if kind == "num" and tree[1] == "EventID":
        return frozenset(number for number in tree[2] if isinstance(number, int))
    if kind == "eq" and tree[1] == "EventID":
        return frozenset(int(text) for text in tree[2] if text.isascii() and text.isdigit())
    return None


def renamed(tree: Node, names: Mapping[str, str]) -> Node:
    """The condition with a provider's names for its fields."""
    if not names:
        return tree
    if tree[0] in ("and", "or", "not"):
        return [tree[0], *(renamed(child, names) for child in tree[1:])]
    node = [tree[0], names.get(tree[1], tree[1]), *tree[2:]]
    if node[0] == "ref":
        node[2] = names.get(node[2], node[2])
    return node
