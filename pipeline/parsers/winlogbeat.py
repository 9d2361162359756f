"""Winlogbeat's JSON (and Vector's `windows_event_log`): `winlog.*` lifted to the names that Sigma rules use.

Winlogbeat's own modules move some of EventData into ECS (`process.command_line`); these are moved back, unless
`event_data` still has them. Only `User` and `Hashes` are put together of parts; all else stands in the bytes.
"""

from __future__ import annotations

from typing import Any, Final

from pipeline.parsers.shape import Topic
from pipeline.parsers.windows import windows
from schemas.event import Event, Format

WINLOGBEAT = Format("winlogbeat", "json", frozenset({"User", "Hashes"}))

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

_HEADS: Final = frozenset((*_ECS, "user"))


def is_winlogbeat(doc: dict[str, Any]) -> bool:
    """`winlog`, or Vector's flat head around `event_data`."""
    return isinstance(doc.get("winlog"), dict) or ("event_data" in doc and "channel" in doc and "event_id" in doc)


def winlogbeat(doc: dict[str, Any], raw: bytes, _near: int, topic: Topic) -> Event:
    """The fields are the event data, with everything else of the record beside it."""
    inside = doc["winlog"] if isinstance(doc.get("winlog"), dict) else doc
    get = inside.get
    # Moved, not copied: two thirds of a record are event data, and keywords need not see them twice.
    fields = inside.pop("event_data", None) or inside.pop("user_data", None)
    if not isinstance(fields, dict):
        fields = {}
    if not _HEADS.isdisjoint(doc):
        fields = lift_ecs(doc) | fields
    for name, value in doc.items():
        fields.setdefault(name, value)
    if "message" in doc:
        fields["Message"] = doc["message"]
    fields["Channel"] = get("channel")
    fields["EventID"] = get("event_id")
    fields["Computer"] = get("computer_name") or get("computer")
    fields["Provider_Name"] = get("provider_name")
    return windows(fields, raw, WINLOGBEAT, doc.get("@timestamp") or doc.get("timestamp"), topic)


def lift_ecs(doc: dict[str, Any]) -> dict[str, Any]:
    """What stands in ECS, under Sigma's names."""
    fields: dict[str, Any] = {}
    for head, names in _ECS.items():
        inside = doc.get(head)
        if not isinstance(inside, dict):
            continue
        for name, path in names:
            value = reach(inside, path)
            if value is not None:
                fields[name] = value
    _hashes(doc, fields)
    user = doc.get("user")
    if isinstance(user, dict) and isinstance(user.get("name"), str):
        realm = user.get("domain")
        fields["User"] = f"{realm}\\{user['name']}" if isinstance(realm, str) and realm else user["name"]
    return fields


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
