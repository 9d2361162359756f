"""Windows events: EVTX JSON, NXLog's flat JSON, Winlogbeat. All end in the names that Sigma rules use.

`Channel`, `EventID` (a number), `Provider_Name`, `Computer`, and every item of EventData or UserData by its own name.
Names with spaces (Defender's `Threat Name`) stand without them too: rules write them so.
"""

from __future__ import annotations

from typing import Any

from pipeline.parsers.clock import moment
from pipeline.parsers.shape import Topic, event_number, first, first_address, source
from schemas.errors import UnparsableError
from schemas.event import Event, Format

NXLOG = Format("nxlog", "json")
EVTX = Format("evtx", "json")

#: Events whose subject is the machine or a service, and whose user is the one who logs on or fails to.
_LOGONS = frozenset({4624, 4625, 4626, 4627, 4634, 4647, 4648, 4740, 4768, 4769, 4770, 4771, 4772, 4773, 4776, 4777})

_USER = ("User", "SubjectUserName", "TargetUserName", "UserName", "SourceUser", "AccountName")
_LOGON_USER = ("TargetUserName", "SubjectUserName", "User", "UserName", "AccountName")
_SRC_IP = ("SourceIp", "IpAddress", "SourceAddress", "ClientAddress", "ClientIP", "Client Network Address:")
_DST_IP = ("DestinationIp", "DestAddress", "DestinationAddress")
_PROCESS = ("Image", "NewProcessName", "ProcessName", "SourceImage", "Application", "ImagePath")
_COMMAND = ("CommandLine", "ProcessCommandLine")
_DOMAIN = ("QueryName", "DestinationHostname")

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
            own = moment(stamp, topic.zone)
            break
    else:
        own = 0
    return windows(doc, raw, NXLOG, own)


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
            lift(data, fields)
    for name in ("Channel", "Computer", "EventRecordID", "Level", "Task", "Opcode", "Keywords", "Version"):
        if name in system:
            fields.setdefault(name, text_of(system[name]))
    fields["EventID"] = text_of(system.get("EventID"))
    fields["Channel"] = text_of(system.get("Channel"))
    provider = attribute(system, "Provider", "Name")
    if provider is not None:
        fields["Provider_Name"] = provider
    own = moment(attribute(system, "TimeCreated", "SystemTime"), topic.zone)
    return windows(fields, raw, EVTX, own)


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


def lift(data: dict[str, Any], fields: dict[str, Any]) -> None:
    """Put the items of EventData, or of the one element that UserData wraps, among the fields."""
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


def windows(fields: dict[str, Any], raw: bytes, form: Format, own_ms: int) -> Event:
    """The event of a Windows record whose fields have Sigma's names."""
    get = fields.get
    number = fields["EventID"]
    if type(number) is not int or not 0 <= number <= 0xFFFF_FFFF:
        number = event_number(number)
        if number:
            fields["EventID"] = number
    if " " in "".join(fields):
        fields.update({name.replace(" ", ""): value for name, value in fields.items() if " " in name})
    channel = get("Channel")
    return Event(
        0,
        raw,
        form,
        source("windows", "", channel if type(channel) is str else "", number),
        fields,
        0,
        own_ms,
        host=first(get, ("Computer", "Hostname")),
        user=first(get, _LOGON_USER if number in _LOGONS else _USER),
        src_ip=first_address(get, _SRC_IP),
        dst_ip=first_address(get, _DST_IP),
        process=first(get, _PROCESS),
        command_line=first(get, _COMMAND),
        domain=first(get, _DOMAIN),
    )
