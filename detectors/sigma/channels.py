"""Sigma's services on Windows → the channels in which such events stand, lower case. A table, one line a service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SYSMON: Final = "microsoft-windows-sysmon/operational"
LINUX_SYSMON: Final = "linux-sysmon/operational"
POWERSHELL: Final = ("microsoft-windows-powershell/operational", "powershellcore/operational")
CLASSIC: Final = "windows powershell"
DNS_CLIENT: Final = ("microsoft-windows-dns client events/operational", "microsoft-windows-dns-client/operational")
DEFENDER: Final = "microsoft-windows-windows defender/operational"

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
    "dns-client": DNS_CLIENT,
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
    "powershell": POWERSHELL,
    "powershell-classic": (CLASSIC,),
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
    "sysmon": (SYSMON,),
    "system": ("system",),
    "taskscheduler": ("microsoft-windows-taskscheduler/operational",),
    "terminalservices-localsessionmanager": ("microsoft-windows-terminalservices-localsessionmanager/operational",),
    "vhdmp": ("microsoft-windows-vhdmp/operational", "microsoft-windows-vhdmp-operational"),
    "windefend": (DEFENDER,),
    "wmi": ("microsoft-windows-wmi-activity/operational",),
}
