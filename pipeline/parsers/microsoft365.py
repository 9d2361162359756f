"""Microsoft 365's unified audit log, as the Office 365 Management Activity API gives it: one event a record.

`CreationTime` is UTC and bears no zone. Parameters and extended properties are lists of names and values: each stands
as a field too. The rules for the compliance centre's alerts call the fields `eventSource`, `eventName`, `status`: the
mapping `microsoft365` and `status` serve them. Source: "Office 365 Management Activity API schema", Microsoft.
"""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import Rows, take_host, take_url
from detectors.sigma.pipelines import ours
from pipeline.parsers.paths import parser
from pipeline.parsers.shape import source
from schemas.event import Format

MICROSOFT365 = Format("microsoft365", "json", frozenset({"status"}), ours("microsoft365"))

OBSERVABLES: Final[Rows] = (
    ("SenderIp", take_host),
    ("Url", take_url),
    ("SiteUrl", take_url),
)

_DONE: Final = frozenset({"success", "succeeded", "true", "partiallysucceeded"})
_LISTS: Final = ("Parameters", "ExtendedProperties", "OperationProperties")


def is_microsoft365(doc: dict[str, Any]) -> bool:
    """The head that all its records have."""
    return "Operation" in doc and "Workload" in doc and ("RecordType" in doc or "CreationTime" in doc)


def _complete(doc: dict[str, Any]) -> None:
    for name in _LISTS:
        items = doc.get(name)
        if isinstance(items, list):
            for item in items:
                if isinstance(item, dict) and isinstance(item.get("Name"), str):
                    doc.setdefault(item["Name"], item.get("Value"))
    result = doc.get("ResultStatus")
    if isinstance(result, str):
        doc.setdefault("status", "success" if result.lower() in _DONE else "failure")


microsoft365: Final = parser(
    MICROSOFT365,
    source("m365", "", "audit"),
    time=("CreationTime", "CreationDate"),
    host=("ClientMachineName", "MachineName", "DeviceName"),
    user=("UserId", "UserKey"),
    src_ip=("ClientIP", "ClientIPAddress", "ActorIpAddress", "SenderIp"),
    complete=_complete,
)
