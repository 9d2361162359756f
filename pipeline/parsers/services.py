"""Audit logs of services that say by their own names what Sigma's rules ask: a table, one entry each.

GitHub ("Audit log events"), Bitbucket Data Center ("Audit log events", file and API), Cisco Duo (Admin API,
authentication logs v2), OneLogin (Events API and broadcaster), OpenCanary (its logger's output, times UTC).
"""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import Rows, take_address, take_host
from pipeline.parsers.paths import parser
from pipeline.parsers.shape import source
from schemas.event import Format

GITHUB = Format("github", "json")
BITBUCKET = Format("bitbucket", "json")
DUO = Format("duo", "json")
ONELOGIN = Format("onelogin", "json")
OPENCANARY = Format("opencanary", "json")

OBSERVABLES: Final[Rows] = (
    ("actor_ip", take_address),
    ("access_device", {"ip": take_address, "hostname": take_host}),
    ("auth_device", {"ip": take_address}),
)


def is_github(doc: dict[str, Any]) -> bool:
    """An action by an actor, in GitHub's head."""
    return "action" in doc and ("_document_id" in doc or ("actor" in doc and ("created_at" in doc or "org" in doc)))


github: Final = parser(
    GITHUB,
    source("github", "", "audit"),
    time=("@timestamp", "created_at"),
    user=("actor", "user"),
    src_ip=("actor_ip",),
)


def is_bitbucket(doc: dict[str, Any]) -> bool:
    """The kind of the entry."""
    return isinstance(doc.get("auditType"), dict)


def _bitbucket_time(doc: dict[str, Any]) -> None:
    stamp = doc.get("timestamp")
    if isinstance(stamp, dict) and type(stamp.get("epochSecond")) is int:
        nano = stamp.get("nano")
        doc["timestamp"] = stamp["epochSecond"] * 1000 + (nano // 1_000_000 if type(nano) is int else 0)


bitbucket: Final = parser(
    BITBUCKET,
    source("bitbucket", "", "audit"),
    time=("timestamp",),
    host=("system",),
    user=("author.name", "author.id"),
    src_ip=("source",),
    complete=_bitbucket_time,
)


def is_duo(doc: dict[str, Any]) -> bool:
    """A login's factor and devices."""
    return "access_device" in doc and "event_type" in doc


duo: Final = parser(
    DUO,
    source("cisco", "", "duo"),
    time=("isotimestamp", "timestamp"),
    host=("access_device.hostname",),
    user=("user.name", "email"),
    src_ip=("access_device.ip",),
)


def is_onelogin(doc: dict[str, Any]) -> bool:
    """The number of the kind of event."""
    return "event_type_id" in doc and "account_id" in doc


onelogin: Final = parser(
    ONELOGIN,
    source("onelogin", "", "onelogin.events"),
    time=("event_timestamp", "created_at"),
    user=("user_name", "actor_user_name"),
    src_ip=("ipaddr",),
)


def is_opencanary(doc: dict[str, Any]) -> bool:
    """Its own kind of log, and the node."""
    return "logtype" in doc and "node_id" in doc


opencanary: Final = parser(
    OPENCANARY,
    source("opencanary", "application", ""),
    time=("utc_time", "local_time"),
    host=("node_id",),
    user=("logdata.USERNAME",),
    src_ip=("src_host",),
    dst_ip=("dst_host",),
)
