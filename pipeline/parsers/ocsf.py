"""The Open Cybersecurity Schema Framework, 1.x: the class and the activity tell the log source, the fields stay.

`class_uid` and `activity_id` → Sigma's category; the product is the device's system, of API calls the cloud. Where
Sigma's fields stand says the mapping `ocsf`. Times are milliseconds. Source: schema.ocsf.io, versions 1.0 to 1.6.
"""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import (
    Rows,
    Table,
    take_account,
    take_address,
    take_agent,
    take_certificate,
    take_email,
    take_hash,
    take_host,
    take_ja3,
    take_path,
    take_url,
)
from detectors.sigma.pipelines import ours
from pipeline.parsers.paths import parser
from pipeline.parsers.shape import Topic, source
from schemas.event import Format, Source

OCSF = Format("ocsf", "json", frozenset({"Initiated"}), ours("ocsf"))

_HASHES: Final[Table] = {"value": take_hash}
_FILE: Final[Table] = {"path": take_path, "hashes": _HASHES, "fingerprints": _HASHES}
_END: Final[Table] = {"ip": take_address, "hostname": take_host}
OBSERVABLES: Final[Rows] = (
    ("src_endpoint", _END),
    ("dst_endpoint", _END),
    ("process", {"file": _FILE}),
    ("actor", {"process": {"file": _FILE}, "user": {"email_addr": take_email}}),
    ("file", _FILE),
    ("module", {"file": _FILE}),
    ("user", {"name": take_account, "email_addr": take_email}),
    ("query", {"hostname": take_host}),
    ("answers", {"rdata": take_host}),
    ("url", {"url_string": take_url, "hostname": take_host}),
    ("http_request", {"url": {"url_string": take_url, "hostname": take_host}, "user_agent": take_agent}),
    (
        "tls",
        {
            "sni": take_host,
            "ja3_hash": {"value": take_ja3},
            "certificate": {"fingerprints": {"value": take_certificate}},
        },
    ),
    ("email", {"from": take_email, "to": take_email, "smtp_from": take_email}),
)

#: (class, activity) → Sigma's category; activity 0: any other.
CATEGORIES: Final = {
    (1001, 1): "file_event",
    (1001, 2): "file_access",
    (1001, 14): "file_access",
    (1001, 3): "file_change",
    (1001, 4): "file_delete",
    (1001, 5): "file_rename",
    (1002, 1): "driver_load",
    (1005, 1): "image_load",
    (1007, 1): "process_creation",
    (1007, 2): "process_termination",
    (1007, 3): "process_access",
    (1007, 4): "create_remote_thread",
    (1009, 0): "ps_script",
    (201001, 1): "registry_add",
    (201001, 3): "registry_set",
    (201001, 4): "registry_delete",
    (201001, 5): "registry_rename",
    (201002, 2): "registry_set",
    (201002, 3): "registry_set",
    (201002, 4): "registry_delete",
    (4001, 0): "network_connection",
    (4002, 0): "proxy",
    (4003, 0): "dns",
}
#: Other classes by Sigma's word for such a log, as the service.
SERVICES: Final = {
    1006: "scheduled_job",
    2001: "security_finding",
    2002: "vulnerability_finding",
    2003: "compliance_finding",
    2004: "detection_finding",
    2005: "incident_finding",
    3001: "account_change",
    3002: "authentication",
    3003: "authorize_session",
    3004: "entity_management",
    3005: "user_access",
    3006: "group_management",
    4004: "dhcp",
    4005: "rdp",
    4006: "smb",
    4007: "ssh",
    4008: "ftp",
    4009: "email",
    6003: "api",
}
_SYSTEMS: Final = {100: "windows", 200: "linux", 300: "macos"}


def is_ocsf(doc: dict[str, Any]) -> bool:
    """A class by its number."""
    return type(doc.get("class_uid")) is int and ("activity_id" in doc or "category_uid" in doc or "type_uid" in doc)


def _tell(doc: dict[str, Any], topic: Topic) -> Source:
    kind, activity = doc["class_uid"], doc.get("activity_id")
    category = CATEGORIES.get((kind, activity if type(activity) is int else 0)) or CATEGORIES.get((kind, 0), "")
    if kind == 6003 and _of_cloudtrail(doc):
        return source("aws", "", "cloudtrail")
    product = _system(doc) or topic.source.product
    if kind == 4001 and "process" not in doc and "actor" not in doc:
        category = "firewall"
    if category == "dns" and product == "windows":
        category = "dns_query"
    if category in ("proxy", "dns"):
        product = ""
    return source(product, category or topic.source.category, SERVICES.get(kind, topic.source.service))


def _system(doc: dict[str, Any]) -> str:
    device = doc.get("device")
    system = device.get("os") if isinstance(device, dict) else None
    if not isinstance(system, dict):
        return ""
    number = system.get("type_id")
    return _SYSTEMS.get(number, "") if type(number) is int else ""


def _of_cloudtrail(doc: dict[str, Any]) -> bool:
    metadata = doc.get("metadata")
    product = metadata.get("product") if isinstance(metadata, dict) else None
    return isinstance(product, dict) and product.get("name") == "CloudTrail"


def _complete(doc: dict[str, Any]) -> None:
    connection = doc.get("connection_info")
    if isinstance(connection, dict):
        outward = connection.get("direction_id")
        if outward in (1, 2):
            doc["Initiated"] = "true" if outward == 2 else "false"


ocsf: Final = parser(
    OCSF,
    _tell,
    time=("time", "time_dt", "metadata.original_time"),
    host=("device.hostname", "device.name", "device.ip"),
    user=(
        "user.name",
        "actor.user.name",
        "process.user.name",
        "actor.user.email_addr",
        "user.email_addr",
        "actor.user.uid",
        "user.uid",
    ),
    src_ip=("src_endpoint.ip",),
    dst_ip=("dst_endpoint.ip",),
    process=("process.file.path", "actor.process.file.path", "process.name", "actor.process.name"),
    command_line=("process.cmd_line", "actor.process.cmd_line"),
    domain=("query.hostname", "http_request.url.hostname", "dst_endpoint.hostname", "tls.sni", "url.hostname"),
    complete=_complete,
)
