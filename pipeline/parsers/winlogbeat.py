"""Winlogbeat 6 to 9 and Elastic Agent: `winlog.*` (6: at the top) lifted to the names that Sigma rules use.

Elastic's modules for Sysmon, Security and PowerShell move some of EventData into ECS (`process.command_line`); these
are moved back, unless `event_data` still has them. What is put together of parts is named as derived.
Source: Elastic's reference of Winlogbeat's fields and modules.
"""

from __future__ import annotations

from typing import Any, Final

from pipeline.parsers.shape import Topic
from pipeline.parsers.windows import windows
from schemas.event import Event, Format

WINLOGBEAT = Format("winlogbeat", "json", frozenset({"User", "Hashes", "Initiated"}))

_Moved = dict[str, tuple[tuple[str, tuple[str, ...]], ...]]

#: Of Sysmon's events, by ECS object: Sigma's name ← path within.
_SYSMON: Final[_Moved] = {
    "process": (
        ("ProcessGuid", ("entity_id",)),
        ("ProcessId", ("pid",)),
        ("Image", ("executable",)),
        ("CommandLine", ("command_line",)),
        ("CurrentDirectory", ("working_directory",)),
        ("ParentProcessGuid", ("parent", "entity_id")),
        ("ParentProcessId", ("parent", "pid")),
        ("ParentImage", ("parent", "executable")),
        ("ParentCommandLine", ("parent", "command_line")),
        ("OriginalFileName", ("pe", "original_file_name")),
        ("Company", ("pe", "company")),
        ("Description", ("pe", "description")),
        ("Product", ("pe", "product")),
        ("FileVersion", ("pe", "file_version")),
    ),
    "file": (("TargetFilename", ("path",)), ("PipeName", ("name",)), *(_signed := (
        ("Signature", ("code_signature", "subject_name")),
        ("SignatureStatus", ("code_signature", "status")),
        ("Signed", ("code_signature", "signed")),
    ))),
    "dll": (("ImageLoaded", ("path",)), *_signed, ("OriginalFileName", ("pe", "original_file_name"))),
    "registry": (("TargetObject", ("path",)), ("Details", ("data", "strings"))),
    "dns": (("QueryName", ("question", "name")),),
    "sysmon": (("QueryStatus", ("dns", "status")),),
    "rule": (("RuleName", ("name",)),),
    "source": (("SourceIp", ("ip",)), ("SourcePort", ("port",)), ("SourceHostname", ("domain",))),
    "destination": (("DestinationIp", ("ip",)), ("DestinationPort", ("port",)), ("DestinationHostname", ("domain",))),
    "network": (("Protocol", ("transport",)),),
}  # fmt: skip
_SECURITY: Final[_Moved] = {
    "process": (
        ("NewProcessName", ("executable",)),
        ("CommandLine", ("command_line",)),
        ("ParentProcessName", ("parent", "executable")),
    ),
    "source": (("IpAddress", ("ip",)), ("IpPort", ("port",)), ("WorkstationName", ("domain",))),
}
_POWERSHELL: Final[_Moved] = {
    "powershell": (
        ("ScriptBlockText", ("file", "script_block_text")),
        ("ScriptBlockId", ("file", "script_block_id")),
        ("MessageNumber", ("sequence",)),
        ("MessageTotal", ("total",)),
    ),
    "file": (("Path", ("path",)),),
}
_OUTWARD: Final = {"egress": "true", "outbound": "true", "ingress": "false", "inbound": "false"}
_NAMED_PIPES: Final = ("17", "18")


def is_winlogbeat(doc: dict[str, Any]) -> bool:
    """`winlog`, whole or flattened, or the head that it had before version 7."""
    return (
        isinstance(doc.get("winlog"), dict)
        or ("winlog.channel" in doc and ("winlog.event_id" in doc or "event.code" in doc))
        or ("log_name" in doc and "event_id" in doc)
    )


def winlogbeat(doc: dict[str, Any], raw: bytes, _near: int, topic: Topic) -> Event:
    """The fields are the event data, with everything else of the record beside it."""
    inside = doc.get("winlog")
    if not isinstance(inside, dict):
        inside = doc if "log_name" in doc else _unflattened(doc)
    get = inside.get
    # Moved, not copied: two thirds of a record are event data, and keywords need not see them twice.
    fields = inside.pop("event_data", None) or inside.pop("user_data", None)
    if not isinstance(fields, dict):
        fields = {}
    channel = get("channel") or get("log_name")
    number = get("event_id")
    if number is None:
        number = _code(doc)
    moved = _moved(channel, doc)
    if moved is not None:
        fields = lift_ecs(doc, moved, str(number)) | fields
    for name, value in doc.items():
        if name not in fields:
            fields[name] = value
    if "message" in doc:
        fields["Message"] = doc["message"]
    fields["Channel"] = channel
    fields["EventID"] = number
    fields["Computer"] = get("computer_name")
    fields["Provider_Name"] = get("provider_name") or get("source_name")
    return windows(fields, raw, WINLOGBEAT, doc.get("@timestamp"), topic)


def _code(doc: dict[str, Any]) -> Any:
    event = doc.get("event")
    return event.get("code") if isinstance(event, dict) else doc.get("event.code")


def _unflattened(doc: dict[str, Any]) -> dict[str, Any]:
    """`winlog.channel`, `winlog.event_data.Image` as keys of the top: what `winlog` would hold."""
    inside: dict[str, Any] = {}
    data: dict[str, Any] = {}
    for name, value in doc.items():
        if name.startswith(("winlog.event_data.", "winlog.user_data.")):
            data[name[18 if name[7] == "e" else 17 :]] = value
        elif name.startswith("winlog."):
            inside[name[7:]] = value
    inside["event_data"] = data
    return inside


def _moved(channel: Any, doc: dict[str, Any]) -> _Moved | None:
    """What the channel's module moves, if the record has any of it."""
    said = channel.lower() if type(channel) is str else ""
    if "sysmon" in said:
        table = _SYSMON
    elif said == "security":
        table = _SECURITY
    elif "powershell" in said:
        table = _POWERSHELL
    else:
        return None
    return None if table.keys().isdisjoint(doc) else table


def lift_ecs(doc: dict[str, Any], moved: _Moved, number: str) -> dict[str, Any]:
    """What stands in ECS, under Sigma's names."""
    fields: dict[str, Any] = {}
    for head, names in moved.items():
        inside = doc.get(head)
        if not isinstance(inside, dict):
            continue
        for name, path in names:
            value = reach(inside, path)
            if value is not None:
                fields[name] = value
    if moved is _SYSMON:
        if number not in _NAMED_PIPES:
            fields.pop("PipeName", None)
        _put_together(doc, fields)
    return fields


def _put_together(doc: dict[str, Any], fields: dict[str, Any]) -> None:
    for head in ("process", "file", "dll"):
        inside = doc.get(head)
        digests = inside.get("hash") if isinstance(inside, dict) else None
        if isinstance(digests, dict):
            fields["Hashes"] = ",".join(f"{name.upper()}={digest}" for name, digest in digests.items())
            break
    user, network = doc.get("user"), doc.get("network")
    if isinstance(user, dict) and isinstance(user.get("name"), str):
        realm = user.get("domain")
        fields["User"] = f"{realm}\\{user['name']}" if isinstance(realm, str) and realm else user["name"]
    outward = network.get("direction") if isinstance(network, dict) else None
    if isinstance(outward, str) and outward in _OUTWARD:
        fields["Initiated"] = _OUTWARD[outward]


def reach(value: Any, path: tuple[str, ...]) -> Any:
    """What stands at a path of names, or None."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
