"""Entra ID (sign-ins, audit, risk) and Azure's activity log, in the three shapes that are exported.

Azure Monitor's (`category`, `operationName`, `properties`), Graph's (the same properties at the top), and Log
Analytics' (names with capitals, `Type` names the table). Rules mix all three; the mapping `azure` says where their
fields stand. Times are UTC. Sources: the references of Graph's signIn, directoryAudit and riskDetection, of the Azure
Monitor tables SigninLogs, AuditLogs and AzureActivity, "Azure activity log event schema".
A record of an event hub holds `{"records": […]}`: Azure's own way to send many at once.
"""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import Rows, take_address
from detectors.sigma.pipelines import ours
from pipeline.parsers.paths import Parse, parser, path_of
from pipeline.parsers.shape import Topic, source
from schemas.event import Event, Format

_MAPPING: Final = ours("azure")
AZURE = Format("azure", "json", mapping=_MAPPING)
AZURE_SIGNIN = Format("azure", "json", frozenset({"Status", "properties.message"}), _MAPPING)
AZURE_AUDIT = Format("azure", "json", frozenset({"ConsentContext.IsAdminConsent"}), _MAPPING)

OBSERVABLES: Final[Rows] = (("properties", {"ipAddress": take_address}),)

#: Sigma's service by category, or by table of Log Analytics, in small letters.
_SERVICES: Final = {
    "signinlogs": "signinlogs",
    "noninteractiveusersigninlogs": "signinlogs",
    "serviceprincipalsigninlogs": "signinlogs",
    "managedidentitysigninlogs": "signinlogs",
    "adfssigninlogs": "signinlogs",
    "aadnoninteractiveusersigninlogs": "signinlogs",
    "aadserviceprincipalsigninlogs": "signinlogs",
    "auditlogs": "auditlogs",
    "userriskevents": "riskdetection",
    "serviceprincipalriskevents": "riskdetection",
    "aaduserriskevents": "riskdetection",
    "riskyusers": "riskdetection",
    "administrative": "activitylogs",
    "security": "activitylogs",
    "servicehealth": "activitylogs",
    "alert": "activitylogs",
    "autoscale": "activitylogs",
    "recommendation": "activitylogs",
    "policy": "activitylogs",
    "resourcehealth": "activitylogs",
    "write": "activitylogs",
    "delete": "activitylogs",
    "action": "activitylogs",
    "azureactivity": "activitylogs",
}


def is_azure(doc: dict[str, Any]) -> bool:
    """Azure Monitor's head, Graph's words, or a table of Log Analytics."""
    if "operationName" in doc or "OperationName" in doc:
        return "resourceId" in doc or "TimeGenerated" in doc or "eventTimestamp" in doc or "ResourceId" in doc
    if "userPrincipalName" in doc and ("createdDateTime" in doc or "detectedDateTime" in doc):
        return True
    return "riskEventType" in doc or ("activityDateTime" in doc and "activityDisplayName" in doc)


def _service(doc: dict[str, Any]) -> str:
    category = doc.get("category") or doc.get("Category")
    if isinstance(category, dict):
        category = category.get("value")
    table = doc.get("Type")
    for said in (table, category):
        known = _SERVICES.get(said.lower()) if isinstance(said, str) else None
        if known and not (known == "activitylogs" and "activityDisplayName" in doc):
            return known
    if "riskEventType" in doc or "riskType" in doc:
        return "riskdetection"
    if "activityDisplayName" in doc or "AADOperationType" in doc:
        return "auditlogs"
    return "signinlogs" if "createdDateTime" in doc or "UserPrincipalName" in doc else "activitylogs"


def azure(doc: dict[str, Any], raw: bytes, near: int, topic: Topic) -> Event:
    """One record; the parser of its service."""
    return _PARSERS[_service(doc)](doc, raw, near, topic)


_status: Final = path_of("properties.status", "status", "Status")
_protocol: Final = path_of("properties.authenticationProtocol", "authenticationProtocol", "AuthenticationProtocol")
_result: Final = path_of("resultType", "ResultType")
_PROTOCOLS: Final = {"devicecode": "Device Code", "ropc": "ROPC"}


def _complete_signin(doc: dict[str, Any]) -> None:
    """`Status` in the words of the portal, and the protocol as rules call it."""
    said, result = _status(doc), _result(doc)
    detail = None
    if isinstance(said, dict):
        result = said.get("errorCode", result)
        detail = said.get("additionalDetails")
    state = "Success" if str(result) == "0" else "Failure"
    doc["Status"] = [state, detail] if isinstance(detail, str) and detail else state
    protocol = _protocol(doc)
    if isinstance(protocol, str) and protocol.lower() in _PROTOCOLS:
        doc["properties.message"] = _PROTOCOLS[protocol.lower()]


_targets: Final = path_of("properties.targetResources", "targetResources", "TargetResources")
_CONSENT: Final = "ConsentContext.IsAdminConsent"


def _complete_audit(doc: dict[str, Any]) -> None:
    """The one changed property that rules name as a field; its value is JSON within JSON: `"False"`."""
    targets = _targets(doc)
    for target in targets if isinstance(targets, list) else ():
        changes = target.get("modifiedProperties") if isinstance(target, dict) else None
        for change in changes if isinstance(changes, list) else ():
            if isinstance(change, dict) and change.get("displayName") == _CONSENT:
                doc[_CONSENT] = str(change.get("newValue")).strip('"')


_CLAIMS: Final = ("claims.name", "claims.appid", "identity.claims.name", "identity.claims.appid")


def _made(form: Format, service: str, complete: Any = None) -> Parse:
    return parser(
        form,
        source("azure", "", service),
        time=(
            "time",
            "eventTimestamp",
            "createdDateTime",
            "activityDateTime",
            "TimeGenerated",
            "detectedDateTime",
            "properties.createdDateTime",
        ),
        host=("properties.deviceDetail.displayName", "deviceDetail.displayName"),
        user=(
            "properties.userPrincipalName",
            "userPrincipalName",
            "UserPrincipalName",
            "properties.initiatedBy.user.userPrincipalName",
            "initiatedBy.user.userPrincipalName",
            "InitiatedBy.user.userPrincipalName",
            "properties.initiatedBy.app.displayName",
            "initiatedBy.app.displayName",
            "caller",
            "Caller",
            *_CLAIMS,
            "identity",
            "Identity",
        ),
        src_ip=(
            "callerIpAddress",
            "properties.ipAddress",
            "ipAddress",
            "IPAddress",
            "CallerIpAddress",
            "properties.initiatedBy.user.ipAddress",
            "initiatedBy.user.ipAddress",
            "httpRequest.clientIpAddress",
        ),
        complete=complete,
    )


_PARSERS: Final = {
    "signinlogs": _made(AZURE_SIGNIN, "signinlogs", _complete_signin),
    "auditlogs": _made(AZURE_AUDIT, "auditlogs", _complete_audit),
    "riskdetection": _made(AZURE, "riskdetection"),
    "activitylogs": _made(AZURE, "activitylogs"),
}
