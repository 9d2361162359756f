"""Windows events of Fluent Bit (`winevtlog`, `winlog`), of Fluentd, and flat ones under whatever other names.

Fluent Bit sends the values of EventData as a list, `StringInserts`: they get their names from `inserts`. Its
`@timestamp` is when it read the event; `TimeCreated` (or `TimeGenerated`) is the event's own, to the second, with a
zone: `2026-10-11 22:14:15 +0500`.
"""

from __future__ import annotations

from typing import Any, Final

from pipeline.parsers.inserts import name_inserts
from pipeline.parsers.shape import MAX_EVENT_ID, Topic, event_number, first
from pipeline.parsers.windows import windows
from schemas.event import Event, Format

FLUENT = Format("fluent", "json")
#: Names of log stores and of `Get-WinEvent`.
FLAT = Format("windows", "json")

_CHANNELS: Final = (
    "Channel",
    "channel",
    "LogName",
    "log_name",
    "logname",
    "EventLog",
    "event.channel",
    "winlog.channel",
)
_NUMBERS: Final = (
    "EventID",
    "EventCode",
    "event_id",
    "eventid",
    "EventId",
    "eventID",
    "eventId",
    "event.code",
    "winlog.event_id",
    "Id",
)
_PROVIDERS: Final = (
    "ProviderName",
    "Provider_Name",
    "SourceName",
    "source_name",
    "provider_name",
    "provider",
    "Source",
)
_COMPUTERS: Final = (
    "Computer",
    "ComputerName",
    "computer_name",
    "Hostname",
    "MachineName",
    "computer",
    "host",
    "hostname",
)
_TIMES: Final = (
    "TimeCreated",
    "TimeGenerated",
    "time_created",
    "time_generated",
    "SystemTime",
    "EventTime",
    "event_time",
    "_time",
    "@timestamp",
    "timestamp",
    "date",
)
_DATA: Final = ("EventData", "event_data", "UserData", "user_data")
_VALUES: Final = ("StringInserts", "string_inserts", "Properties")

_MARKS: Final = frozenset(_NUMBERS)
_PLACES: Final = frozenset((*_CHANNELS, *_PROVIDERS))


def is_fluent(doc: dict[str, Any]) -> bool:
    """EventID beside a list of values, or a provider by Fluent's name."""
    return "EventID" in doc and (
        "StringInserts" in doc or ("ProviderName" in doc and "SourceName" not in doc and "Provider_Name" not in doc)
    )


def is_flat(doc: dict[str, Any]) -> bool:
    """An event's number and its channel by names that no other format has; both must look like it."""
    if _MARKS.isdisjoint(doc) or _PLACES.isdisjoint(doc):
        return False
    number = next((doc[name] for name in _NUMBERS if name in doc), None)
    channel = next((doc[name] for name in (*_CHANNELS, *_PROVIDERS[:4]) if name in doc), None)
    return (type(number) is int or (type(number) is str and number.isdigit())) and type(channel) is str


def fluent(doc: dict[str, Any], raw: bytes, near: int, topic: Topic) -> Event:
    """One record of Fluent Bit or Fluentd; the older plugins of both have other names for some."""
    provider, values = doc.get("ProviderName"), doc.get("StringInserts")
    if type(provider) is not str or type(values) is not list or "Computer" not in doc:
        return _flat(doc, raw, FLUENT, topic)
    doc["Provider_Name"] = provider
    number = doc["EventID"]
    name_inserts(provider, number if type(number) is int else event_number(number), values, doc)
    return windows(doc, raw, FLUENT, _stamp(doc), topic)


def flat(doc: dict[str, Any], raw: bytes, _near: int, topic: Topic) -> Event:
    """One record under other names."""
    return _flat(doc, raw, FLAT, topic)


def _flat(doc: dict[str, Any], raw: bytes, form: Format, topic: Topic) -> Event:
    get = doc.get
    number = next((doc[name] for name in _NUMBERS if name in doc), None)
    provider = first(get, _PROVIDERS)
    doc["EventID"] = number
    if "Channel" not in doc:
        doc["Channel"] = first(get, _CHANNELS)
    if provider:
        doc["Provider_Name"] = provider
    doc["Computer"] = first(get, _COMPUTERS)
    for name in ("message", "Description", "description"):
        if name in doc:
            doc.setdefault("Message", doc[name])
    _lift(doc, provider, number if type(number) is int and 0 <= number <= MAX_EVENT_ID else event_number(number))
    return windows(doc, raw, form, _stamp(doc), topic)


def _lift(doc: dict[str, Any], provider: str, number: int) -> None:
    """EventData's items to the top, named or by their order."""
    for name in _DATA:
        data = doc.get(name)
        if isinstance(data, dict):
            doc.update(data)
            return
        if isinstance(data, list):
            name_inserts(provider, number, data, doc)
            return
    for name in _VALUES:
        values = doc.get(name)
        if isinstance(values, list):
            # Get-WinEvent wraps each: {"Value": …}.
            plain = [item.get("Value") if isinstance(item, dict) else item for item in values]
            name_inserts(provider, number, plain, doc)
            return


def _stamp(doc: dict[str, Any]) -> Any:
    for name in _TIMES:
        stamp = doc.get(name)
        if stamp:
            # `2026-10-11 22:14:15 +0500`: ISO 8601 has no blank there.
            return (
                stamp[:19] + stamp[20:]
                if type(stamp) is str and stamp[19:20] == " " and stamp[20:21] in "+-"
                else stamp
            )
    return None
