"""Windows events: EVTX JSON, NXLog's flat JSON, Winlogbeat. All end in the names that Sigma rules use.

`Channel`, `EventID` (a number), `Provider_Name`, `Computer`, and every item of EventData or UserData by its own name.
Names with spaces (Defender's `Threat Name`) stand without them too: rules write them so.
"""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import Rows, take_answers, take_hashes, take_url, take_urls_inside
from pipeline.parsers.clock import moment
from pipeline.parsers.shape import MAX_EVENT_ID, Topic, address_of, event_number, first_of, windows_source
from schemas.errors import UnparsableError
from schemas.event import Event, Format

NXLOG = Format("nxlog", "json")
EVTX = Format("evtx", "json")

#: Where observables stand, in all three.
OBSERVABLES: Final[Rows] = (
    ("Hashes", take_hashes),
    ("Hash", take_hashes),
    ("QueryResults", take_answers),
    ("ScriptBlockText", take_urls_inside),
    ("RemoteName", take_url),
)

#: Events whose subject is the machine or a service, and whose user is the one who logs on or fails to.
_LOGONS = frozenset({4624, 4625, 4626, 4627, 4634, 4647, 4648, 4740, 4768, 4769, 4770, 4771, 4772, 4773, 4776, 4777})

_HOST = first_of("Computer", "Hostname")
_USER = first_of("User", "SubjectUserName", "TargetUserName", "UserName", "SourceUser", "AccountName")
_LOGON_USER = first_of("TargetUserName", "SubjectUserName", "User", "UserName", "AccountName")
#: The user as whom a program starts; Windows names it beside the one who started it where they are two.
_START_USER = first_of("TargetUserName", "SubjectUserName", "User", "UserName")
_USERS = dict.fromkeys(_LOGONS, _LOGON_USER) | {4688: _START_USER}
_SRC_IP = address_of("SourceIp", "IpAddress", "SourceAddress", "ClientAddress", "ClientIP", "Address")
_DST_IP = address_of("DestinationIp", "DestAddress", "DestinationAddress")
_PROCESS = first_of("Image", "NewProcessName", "ProcessName", "SourceImage", "Application", "ImagePath")
_COMMAND = first_of("CommandLine", "ProcessCommandLine")
_DOMAIN = first_of("QueryName", "DestinationHostname")

_SYSTEM = ("Computer", "EventRecordID", "Level", "Task", "Opcode", "Keywords", "Version")
_NESTING = frozenset((dict, list))
_FLAT_TIMES = ("@timestamp", "EventTime", "TimeCreated", "SystemTime", "UtcTime")


def is_nxlog(doc: dict[str, Any]) -> bool:
    """Flat, with a channel or a provider beside EventID."""
    return "EventID" in doc and ("Channel" in doc or "SourceName" in doc or "channel" in doc or "Provider_Name" in doc)


def nxlog(doc: dict[str, Any], raw: bytes, _near: int, topic: Topic) -> Event:
    """Flat JSON as NXLog writes it; the fields are the record's own object, completed."""
    get = doc.get
    if "Channel" not in doc and "channel" in doc:
        doc["Channel"] = doc["channel"]
    if "Computer" not in doc and "Hostname" in doc:
        doc["Computer"] = doc["Hostname"]
    if "Provider_Name" not in doc and "SourceName" in doc:
        doc["Provider_Name"] = doc["SourceName"]
    for name in _FLAT_TIMES:
        stamp = get(name)
        if stamp:
            break
    return windows(doc, raw, NXLOG, stamp, topic)


def is_evtx(doc: dict[str, Any]) -> bool:
    """`{"Event": {"System": …}}`, or the inside of it."""
    return ("Event" in doc and isinstance(doc["Event"], dict)) or (
        isinstance(doc.get("System"), dict) and "EventID" in doc["System"]
    )


def evtx(doc: dict[str, Any], raw: bytes, _near: int, topic: Topic) -> Event:
    """EVTX as evtx_dump renders it, with `#attributes`, or separated attributes (`Provider_attributes`)."""
    inside = doc.get("Event", doc)
    system = inside.get("System") if isinstance(inside, dict) else None
    if not isinstance(system, dict):
        raise UnparsableError("shape")
    fields: dict[str, Any] = {}
    for name in ("EventData", "UserData"):
        data = inside.get(name)
        if isinstance(data, dict):
            fields = lift(data, fields)
    for name in _SYSTEM:
        if name in system and name not in fields:
            fields[name] = system[name]
    # EventData may have names of its own for these; a record's channel and number are the system's.
    fields["EventID"] = text_of(system.get("EventID"))
    fields["Channel"] = text_of(system.get("Channel"))
    provider = attribute(system, "Provider", "Name")
    if provider is not None:
        fields["Provider_Name"] = provider
    stamp = attribute(system, "TimeCreated", "SystemTime")
    if stamp is not None:
        fields.setdefault("TimeCreated", stamp)  # rules ask for its hour
    return windows(fields, raw, EVTX, stamp, topic)


def attribute(system: dict[str, Any], element: str, name: str) -> Any:
    """An XML attribute in any of the ways that converters keep it."""
    holder = system.get(element)
    if isinstance(holder, dict):
        inner = holder.get("#attributes")
        if isinstance(inner, dict):
            return inner.get(name)
        return holder.get(name, holder.get(f"@{name}"))
    separated = system.get(f"{element}_attributes")
    return separated.get(name) if isinstance(separated, dict) else None


def text_of(value: Any) -> Any:
    """An element's text where attributes stand beside it."""
    return value.get("#text", value.get("Value")) if isinstance(value, dict) else value


def lift(data: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with the items of EventData, or of the one element that UserData wraps; `data` itself where it can."""
    if "Data" not in data and _NESTING.isdisjoint(map(type, data.values())):
        data.update(fields)
        return data
    for name, value in data.items():
        if name == "Data":
            _lift_data(value, fields)
        elif isinstance(value, dict):
            if "#text" in value:
                fields[name] = value["#text"]
            else:
                fields.update((key, item) for key, item in value.items() if not key.startswith(("#", "@")))
        elif not name.startswith(("#", "@")):
            fields[name] = value
    return fields


def _lift_data(value: Any, fields: dict[str, Any]) -> None:
    """`Data` without names stays `Data`, one text or a list of them; with names each becomes a field."""
    loose: list[Any] = []
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict):
            loose.append(item)
            continue
        name, text = attribute({"Data": item}, "Data", "Name"), item.get("#text")
        if isinstance(name, str):
            fields[name] = text
        elif isinstance(text, list):
            loose += text
        else:
            loose.append(text)
    if loose:
        fields["Data"] = loose[0] if len(loose) == 1 else loose


def windows(fields: dict[str, Any], raw: bytes, form: Format, stamp: Any, topic: Topic) -> Event:
    """The event of a Windows record whose fields have Sigma's names. `stamp`: its own time, as it was written."""
    get = fields.get
    number = fields["EventID"]
    if type(number) is not int or not 0 <= number <= MAX_EVENT_ID:
        number = event_number(number)
        if number:
            fields["EventID"] = number
    channel = get("Channel")
    # To look at every name costs; NXLog's flat records have such names in channels like `… Windows Defender/…`.
    if (form is not NXLOG or (type(channel) is str and " " in channel)) and " " in "".join(fields):
        fields.update(without_spaces(fields))
    if not channel or type(channel) is not str:
        channel = _channel_of(get("Provider_Name"))
    known = windows_source(channel, number)
    if topic.bare:
        return Event(0, raw, form, known, fields, 0, 0)
    return Event(
        0,
        raw,
        form,
        known,
        fields,
        0,
        moment(stamp, topic.zone),
        False,
        False,
        _HOST(get),
        _USERS.get(number, _USER)(get),
        _SRC_IP(get),
        _DST_IP(get),
        _PROCESS(get),
        _COMMAND(get),
        _DOMAIN(get),
    )


#: Providers that write to one channel, for records that lack theirs.
_CHANNELS: Final = {
    "microsoft-windows-sysmon": "microsoft-windows-sysmon/operational",
    "microsoft-windows-security-auditing": "security",
    "microsoft-windows-powershell": "microsoft-windows-powershell/operational",
    "microsoft-windows-windows defender": "microsoft-windows-windows defender/operational",
    "microsoft-windows-taskscheduler": "microsoft-windows-taskscheduler/operational",
    "linux-sysmon": "linux-sysmon/operational",
    "powershell": "windows powershell",
    "service control manager": "system",
}


def _channel_of(provider: Any) -> str:
    return _CHANNELS.get(provider.lower(), "") if type(provider) is str else ""


def without_spaces(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields whose names hold spaces, in both ways that rules write them: `ThreatName`, `Feature_Name`."""
    spaced = [(name, value) for name, value in fields.items() if " " in name]
    return {name.replace(" ", joint): value for name, value in spaced for joint in ("", "_")}
