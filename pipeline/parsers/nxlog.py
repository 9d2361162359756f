"""NXLog's flat JSON (`xm_json`), of `im_msvistalog` or with the names that log stores give the same fields.

`EventTime` may bear a zone or none (then it is the bank's), or be a number; without it `EventReceivedTime` stands in.
"""

from __future__ import annotations

from typing import Any

from pipeline.parsers.shape import Topic
from pipeline.parsers.windows import NXLOG, windows
from schemas.event import Event

_TIMES = ("@timestamp", "EventTime", "TimeCreated", "SystemTime", "UtcTime", "TimeGenerated", "EventReceivedTime")


def is_nxlog(doc: dict[str, Any]) -> bool:
    """Flat, with a channel or a provider beside EventID, and none of Fluent Bit's."""
    return (
        "EventID" in doc
        and ("Channel" in doc or "SourceName" in doc or "channel" in doc or "Provider_Name" in doc)
        and "StringInserts" not in doc
        # PowerShell's events have a value of this name themselves.
        and ("ProviderName" not in doc or "SourceName" in doc or "Provider_Name" in doc)
    )


def nxlog(doc: dict[str, Any], raw: bytes, _near: int, topic: Topic) -> Event:
    """The fields are the record's own object, completed."""
    get = doc.get
    if "Channel" not in doc and "channel" in doc:
        doc["Channel"] = doc["channel"]
    if "Computer" not in doc and "Hostname" in doc:
        doc["Computer"] = doc["Hostname"]
    if "Provider_Name" not in doc and "SourceName" in doc:
        doc["Provider_Name"] = doc["SourceName"]
    for name in _TIMES:
        stamp = get(name)
        if stamp:
            break
    if name == "UtcTime" and type(stamp) is str:
        stamp += "Z"  # Sysmon's own, always UTC
    return windows(doc, raw, NXLOG, stamp, topic)
