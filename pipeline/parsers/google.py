"""Google Cloud's audit logs (LogEntry with an AuditLog), and Google Workspace's within them or of its Reports API.

Rules name the fields in four ways (`gcp.audit.method_name`, `data.protoPayload.…`, `eventName`, `protoPayload.…`):
the mapping `google` says where they stand. Sources: the references of LogEntry and AuditLog, "Audit logs for Google
Workspace", the Admin SDK's Reports API.
"""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import Rows, take_address
from detectors.sigma.pipelines import ours
from pipeline.parsers.paths import parser
from pipeline.parsers.shape import Topic, source
from schemas.event import Format, Source

GOOGLE = Format("google", "json", frozenset({"data.protoPayload.logName", "eventService"}), ours("google"))

OBSERVABLES: Final[Rows] = (("protoPayload", {"requestMetadata": {"callerIp": take_address}}),)

_ADMIN: Final = "admin.googleapis.com"
_LOGIN: Final = "login.googleapis.com"
_SERVICES: Final = {_ADMIN: "google_workspace.admin", _LOGIN: "google_workspace.login"}


def is_google(doc: dict[str, Any]) -> bool:
    """An entry with an audit payload, or an activity of the Reports API."""
    payload = doc.get("protoPayload")
    if isinstance(payload, dict):
        return "methodName" in payload or "serviceName" in payload
    return doc.get("kind") == "admin#reports#activity"


def _tell(doc: dict[str, Any], _topic: Topic) -> Source:
    payload = doc.get("protoPayload")
    service = payload.get("serviceName") if isinstance(payload, dict) else doc.get("eventService")
    known = _SERVICES.get(service, "gcp.audit") if isinstance(service, str) else "gcp.audit"
    return source("gcp", "", known)


def _complete(doc: dict[str, Any]) -> None:
    payload = doc.get("protoPayload")
    if not isinstance(payload, dict):
        _complete_report(doc)
        return
    log = doc.get("logName")
    if isinstance(log, str):
        doc["data.protoPayload.logName"] = log.rpartition("/logs/")[2]
    metadata = payload.get("metadata")
    events = metadata.get("event") if isinstance(metadata, dict) else None
    if isinstance(events, list):
        _parameters(events, "parameter", doc)


def _complete_report(doc: dict[str, Any]) -> None:
    said = doc.get("id")
    application = said.get("applicationName") if isinstance(said, dict) else None
    if isinstance(application, str):
        doc["eventService"] = f"{application}.googleapis.com"
    events = doc.get("events")
    if isinstance(events, list):
        _parameters(events, "parameters", doc)


def _parameters(events: list[Any], name: str, doc: dict[str, Any]) -> None:
    """`SETTING_NAME` and its like as fields, in the small letters of the rules."""
    for event in events:
        items = event.get(name) if isinstance(event, dict) else None
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict) and isinstance(item.get("name"), str):
                value = item.get("value", item.get("boolValue", item.get("multiValue")))
                doc.setdefault(item["name"].lower(), value)


google: Final = parser(
    GOOGLE,
    _tell,
    time=("timestamp", "id.time", "receiveTimestamp"),
    user=("protoPayload.authenticationInfo.principalEmail", "actor.email"),
    src_ip=("protoPayload.requestMetadata.callerIp", "ipAddress"),
    complete=_complete,
)
