"""Winlogbeat's JSON (and Vector's `windows_event_log`): `winlog.*` lifted to the names that Sigma rules use.

Winlogbeat's own modules move some of EventData into ECS (`process.command_line`); these are moved back, unless
`event_data` still has them. Only `User` and `Hashes` are put together of parts; all else stands in the bytes.
"""

from __future__ import annotations

from typing import Any, Final

from pipeline.parsers.clock import moment
from pipeline.parsers.shape import Topic
from pipeline.parsers.windows import windows
from schemas.event import Event, Format

WINLOGBEAT = Format("winlogbeat", "json", frozenset({"User", "Hashes"}))

#: Our name ← the name in `winlog`.
_HEAD: Final = (
    ("Channel", "channel"),
    ("Computer", "computer_name"),
    ("Computer", "computer"),
    ("EventID", "event_id"),
    ("Provider_Name", "provider_name"),
)
#: By ECS object: Sigma's name ← path within.
_ECS: Final[dict[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    "process": (
        ("Image", ("executable",)),
        ("CommandLine", ("command_line",)),
        ("CurrentDirectory", ("working_directory",)),
        ("ParentImage", ("parent", "executable")),
        ("ParentCommandLine", ("parent", "command_line")),
        ("OriginalFileName", ("pe", "original_file_name")),
        ("Company", ("pe", "company")),
        ("Description", ("pe", "description")),
        ("Product", ("pe", "product")),
        ("FileVersion", ("pe", "file_version")),
    ),
    "file": (("TargetFilename", ("path",)),),
    "dll": (("ImageLoaded", ("path",)),),
    "registry": (("TargetObject", ("path",)),),
    "dns": (("QueryName", ("question", "name")),),
    "source": (("SourceIp", ("ip",)), ("SourcePort", ("port",)), ("SourceHostname", ("domain",))),
    "destination": (("DestinationIp", ("ip",)), ("DestinationPort", ("port",)), ("DestinationHostname", ("domain",))),
    "powershell": (("ScriptBlockText", ("file", "script_block_text")),),
}


def is_winlogbeat(doc: dict[str, Any]) -> bool:
    """`winlog`, or Vector's flat head around `event_data`."""
    return isinstance(doc.get("winlog"), dict) or ("event_data" in doc and "channel" in doc and "event_id" in doc)


def winlogbeat(doc: dict[str, Any], raw: bytes, _near: int, topic: Topic) -> Event:
    """The fields are the record's own object, with everything lifted to its top."""
    inside = doc["winlog"] if isinstance(doc.get("winlog"), dict) else doc
    lifted: dict[str, Any] = {}
    for name, told in _HEAD:
        if told in inside:
            lifted.setdefault(name, inside[told])
    if "message" in doc:
        lifted["Message"] = doc["message"]
    for name in ("event_data", "user_data"):
        data = inside.get(name)
        if isinstance(data, dict):
            lifted.update(data)
    lift_ecs(doc, lifted)
    own = moment(doc.get("@timestamp") or doc.get("timestamp"), topic.zone)
    doc.update(lifted)
    doc.setdefault("EventID", 0)
    return windows(doc, raw, WINLOGBEAT, own)


def lift_ecs(doc: dict[str, Any], fields: dict[str, Any]) -> None:
    """Put what stands only in ECS under Sigma's names."""
    for head, names in _ECS.items():
        inside = doc.get(head)
        if not isinstance(inside, dict):
            continue
        for name, path in names:
            if name not in fields:
                value = reach(inside, path)
                if value is not None:
                    fields[name] = value
    if "Hashes" not in fields:
        _hashes(doc, fields)
    user = doc.get("user")
    if "User" not in fields and isinstance(user, dict) and isinstance(user.get("name"), str):
        realm = user.get("domain")
        fields["User"] = f"{realm}\\{user['name']}" if isinstance(realm, str) and realm else user["name"]


def _hashes(doc: dict[str, Any], fields: dict[str, Any]) -> None:
    for head in ("process", "file", "dll"):
        inside = doc.get(head)
        digests = inside.get("hash") if isinstance(inside, dict) else None
        if isinstance(digests, dict):
            fields["Hashes"] = ",".join(f"{name.upper()}={digest}" for name, digest in digests.items())
            return


def reach(value: Any, path: tuple[str, ...]) -> Any:
    """What stands at a path of names, or None."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
