"""Names for the values of an event where a shipper sends them as a list alone (Fluent Bit's `StringInserts`).

Windows keeps the names in each provider's manifest; here are those of the events that detection speaks of, in the
manifest's order. Sources: Sysmon's schema 4.90 (`sysmon -s`), Microsoft's pages of Windows security audit events.
Later versions append, so a shorter list takes the first names. An event that is not here keeps its list as `Data`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

_HEAD = "RuleName UtcTime ProcessGuid ProcessId "
_SYSMON: Final[Mapping[int, str]] = {
    1: _HEAD + "Image FileVersion Description Product Company OriginalFileName CommandLine CurrentDirectory User "
    "LogonGuid LogonId TerminalSessionId IntegrityLevel Hashes ParentProcessGuid ParentProcessId ParentImage "
    "ParentCommandLine ParentUser",
    2: _HEAD + "Image TargetFilename CreationUtcTime PreviousCreationUtcTime User",
    3: _HEAD + "Image User Protocol Initiated SourceIsIpv6 SourceIp SourceHostname SourcePort SourcePortName "
    "DestinationIsIpv6 DestinationIp DestinationHostname DestinationPort DestinationPortName",
    4: "UtcTime State Version SchemaVersion",
    5: _HEAD + "Image User",
    6: "RuleName UtcTime ImageLoaded Hashes Signed Signature SignatureStatus",
    7: _HEAD + "Image ImageLoaded FileVersion Description Product Company OriginalFileName Hashes Signed Signature "
    "SignatureStatus User",
    8: "RuleName UtcTime SourceProcessGuid SourceProcessId SourceImage TargetProcessGuid TargetProcessId TargetImage "
    "NewThreadId StartAddress StartModule StartFunction SourceUser TargetUser",
    9: _HEAD + "Image Device User",
    10: "RuleName UtcTime SourceProcessGUID SourceProcessId SourceThreadId SourceImage TargetProcessGUID "
    "TargetProcessId TargetImage GrantedAccess CallTrace SourceUser TargetUser",
    11: _HEAD + "Image TargetFilename CreationUtcTime User",
    12: "RuleName EventType UtcTime ProcessGuid ProcessId Image TargetObject User",
    13: "RuleName EventType UtcTime ProcessGuid ProcessId Image TargetObject Details User",
    14: "RuleName EventType UtcTime ProcessGuid ProcessId Image TargetObject NewName User",
    15: _HEAD + "Image TargetFilename CreationUtcTime Hash Contents User",
    16: "UtcTime Configuration ConfigurationFileHash",
    17: "RuleName EventType UtcTime ProcessGuid ProcessId PipeName Image User",
    18: "RuleName EventType UtcTime ProcessGuid ProcessId PipeName Image User",
    19: "RuleName EventType UtcTime Operation User EventNamespace Name Query",
    20: "RuleName EventType UtcTime Operation User Name Type Destination",
    21: "RuleName EventType UtcTime Operation User Consumer Filter",
    22: _HEAD + "QueryName QueryStatus QueryResults Image User",
    23: _HEAD + "User Image TargetFilename Hashes IsExecutable Archived",
    24: _HEAD + "Image Session ClientInfo Hashes Archived User",
    25: _HEAD + "Image Type User",
    26: _HEAD + "User Image TargetFilename Hashes IsExecutable",
    27: _HEAD + "User Image TargetFilename Hashes",
    28: _HEAD + "User Image TargetFilename Hashes IsExecutable",
    29: _HEAD + "User Image TargetFilename Hashes",
    255: "UtcTime ID Description",
}

_SUBJECT = "SubjectUserSid SubjectUserName SubjectDomainName SubjectLogonId "
_TARGET = "TargetUserName TargetDomainName TargetSid "
_MEMBER = "MemberName MemberSid " + _TARGET + _SUBJECT + "PrivilegeList"
_ACCOUNT = (
    "PrivilegeList SamAccountName DisplayName UserPrincipalName HomeDirectory HomePath ScriptPath ProfilePath "
    "UserWorkstations PasswordLastSet AccountExpires PrimaryGroupId AllowedToDelegateTo OldUacValue NewUacValue "
    "UserAccountControl UserParameters SidHistory LogonHours"
)
_COMPUTER = _ACCOUNT + " DnsHostName ServicePrincipalNames"
_OBJECT = _SUBJECT + "ObjectServer ObjectType ObjectName "
_SECURITY: Final[Mapping[int, str]] = {
    1102: _SUBJECT,
    4624: _SUBJECT + "TargetUserSid TargetUserName TargetDomainName TargetLogonId LogonType LogonProcessName "
    "AuthenticationPackageName WorkstationName LogonGuid TransmittedServices LmPackageName KeyLength ProcessId "
    "ProcessName IpAddress IpPort ImpersonationLevel RestrictedAdminMode TargetOutboundUserName "
    "TargetOutboundDomainName VirtualAccount TargetLinkedLogonId ElevatedToken",
    4625: _SUBJECT + "TargetUserSid TargetUserName TargetDomainName Status FailureReason SubStatus LogonType "
    "LogonProcessName AuthenticationPackageName WorkstationName TransmittedServices LmPackageName KeyLength ProcessId "
    "ProcessName IpAddress IpPort",
    4634: "TargetUserSid TargetUserName TargetDomainName TargetLogonId LogonType",
    4647: "TargetUserSid TargetUserName TargetDomainName TargetLogonId",
    4648: _SUBJECT + "LogonGuid TargetUserName TargetDomainName TargetLogonGuid TargetServerName TargetInfo ProcessId "
    "ProcessName IpAddress IpPort",
    4656: _OBJECT + "HandleId TransactionId AccessList AccessReason AccessMask PrivilegeList RestrictedSidCount "
    "ProcessId ProcessName ResourceAttributes",
    4657: _SUBJECT + "ObjectName ObjectValueName HandleId OperationType OldValueType OldValue NewValueType NewValue "
    "ProcessId ProcessName",
    4661: _OBJECT + "HandleId TransactionId AccessList AccessReason AccessMask PrivilegeList Properties "
    "RestrictedSidCount ProcessId ProcessName",
    4662: _OBJECT + "OperationType HandleId AccessList AccessMask Properties AdditionalInfo AdditionalInfo2",
    4663: _OBJECT + "HandleId AccessList AccessMask ProcessId ProcessName ResourceAttributes",
    4672: _SUBJECT + "PrivilegeList",
    4673: _SUBJECT + "ObjectServer Service PrivilegeList ProcessId ProcessName",
    4674: _OBJECT + "HandleId AccessMask PrivilegeList ProcessId ProcessName",
    4688: _SUBJECT + "NewProcessId NewProcessName TokenElevationType ProcessId CommandLine TargetUserSid "
    "TargetUserName TargetDomainName TargetLogonId ParentProcessName MandatoryLabel",
    4689: _SUBJECT + "Status ProcessId ProcessName",
    4697: _SUBJECT + "ServiceName ServiceFileName ServiceType ServiceStartType ServiceAccount",
    **dict.fromkeys((4698, 4699, 4700, 4701), _SUBJECT + "TaskName TaskContent"),
    4702: _SUBJECT + "TaskName TaskContentNew",
    4719: _SUBJECT + "CategoryId SubcategoryId SubcategoryGuid AuditPolicyChanges",
    4720: _TARGET + _SUBJECT + _ACCOUNT,
    **dict.fromkeys((4722, 4723, 4724, 4725, 4726), _TARGET + _SUBJECT + "PrivilegeList"),
    **dict.fromkeys((4728, 4729, 4732, 4733, 4756, 4757), _MEMBER),
    4738: "Dummy " + _TARGET + _SUBJECT + _ACCOUNT,
    4740: _TARGET + _SUBJECT,
    4741: _TARGET + _SUBJECT + _COMPUTER,
    4742: "ComputerAccountChange " + _TARGET + _SUBJECT + _COMPUTER,
    4768: _TARGET + "ServiceName ServiceSid TicketOptions Status TicketEncryptionType PreAuthType IpAddress IpPort "
    "CertIssuerName CertSerialNumber CertThumbprint",
    4769: "TargetUserName TargetDomainName ServiceName ServiceSid TicketOptions TicketEncryptionType IpAddress IpPort "
    "Status LogonGuid TransmittedServices",
    4771: "TargetUserName TargetSid ServiceName TicketOptions Status PreAuthType IpAddress IpPort CertIssuerName "
    "CertSerialNumber CertThumbprint",
    4776: "PackageName TargetUserName Workstation Status",
    4781: "OldTargetUserName NewTargetUserName TargetDomainName TargetSid " + _SUBJECT + "PrivilegeList",
    5136: "OpCorrelationID AppCorrelationID " + _SUBJECT + "DSName DSType ObjectDN ObjectGUID ObjectClass "
    "AttributeLDAPDisplayName AttributeSyntaxOID AttributeValue OperationType",
    5140: _SUBJECT + "ObjectType IpAddress IpPort ShareName ShareLocalPath AccessMask AccessList",
    5145: _SUBJECT + "ObjectType IpAddress IpPort ShareName ShareLocalPath RelativeTargetName AccessMask AccessList "
    "AccessReason",
    5156: "ProcessID Application Direction SourceAddress SourcePort DestAddress DestPort Protocol FilterRTID LayerName "
    "LayerRTID RemoteUserID RemoteMachineID",
}

_POWERSHELL: Final[Mapping[int, str]] = {
    4103: "ContextInfo UserData Payload",
    4104: "MessageNumber MessageTotal ScriptBlockText ScriptBlockId Path",
}
_SERVICES: Final[Mapping[int, str]] = {
    7036: "param1 param2",
    7045: "ServiceName ImagePath ServiceType StartType AccountName",
}
_PROVIDERS: Final = {
    "microsoft-windows-sysmon": _SYSMON,
    "microsoft-windows-security-auditing": _SECURITY,
    "microsoft-windows-eventlog": _SECURITY,
    "microsoft-windows-powershell": _POWERSHELL,
    "powershellcore": _POWERSHELL,
    "service control manager": _SERVICES,
}
NAMES: Final[Mapping[tuple[str, int], tuple[str, ...]]] = {
    (provider, number): tuple(names.split())
    for provider, events in _PROVIDERS.items()
    for number, names in events.items()
}
"""(provider in lower case, event id) → the names of its values."""

_LOGON: Final = NAMES["microsoft-windows-security-auditing", 4624]
#: Windows 11 writes one value more into a logon, after RestrictedAdminMode.
_WIDE_LOGON: Final = (*_LOGON[:22], "RemoteCredentialGuard", *_LOGON[22:])


@lru_cache(maxsize=4_096)  # a shipper writes the provider
def _names(provider: str, number: int) -> tuple[str, ...] | None:
    return NAMES.get((provider.lower(), number))


def name_inserts(provider: Any, number: int, values: list[Any], fields: dict[str, Any]) -> None:
    """Put a list's values under their names; under `Data` where the event is none that we know."""
    names = _names(provider, number) if type(provider) is str else None
    if names is None or len(values) > len(names) + (number == 4624):
        fields.setdefault("Data", values[0] if len(values) == 1 else values)
        return
    if number == 4624 and len(values) > len(names):
        names = _WIDE_LOGON
    fields.update(zip(names, values, strict=False))
