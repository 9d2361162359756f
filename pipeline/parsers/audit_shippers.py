"""Audit events that a shipper has joined: laurel, go-audit and Auditbeat, one JSON object for all records of an event.

They become the same fields as what we join ourselves. An event that tells no activity of Sigma's categories (a log-in,
a changed rule) is read as its first record alone, which rules of service auditd know. Sources: laurel's manual page
laurel-about(7), go-audit's README, the reference of Auditbeat's exported fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from detectors.audit.activity import arguments
from detectors.ioc.observables import Rows, take_account
from pipeline.parsers.audit_facts import AUDIT_TYPES, CALLS
from pipeline.parsers.audit_joined import joined
from pipeline.parsers.auditd import pairs, take_file
from pipeline.parsers.clock import moment
from pipeline.parsers.ecs import ecs
from pipeline.parsers.shape import Topic, first, source
from schemas.errors import UnparsableError
from schemas.event import Event, Format

LAUREL: Final = Format("laurel", "opaque")
GO_AUDIT: Final = Format("go-audit", "opaque")
AUDITBEAT: Final = Format("auditbeat", "opaque")

#: Of the records of one event what single records give.
OBSERVABLES: Final[Rows] = (
    ("SYSCALL", {"exe": take_file}),
    ("PATH", {"name": take_file}),
    ("acct", take_account),
)

_ID: Final = re.compile(r"(\d{1,12})\.(\d{3}):(\d+)\Z")
_STAMP: Final = re.compile(r"(\d{1,12})\.(\d{3})\Z")
#: Records and items of one object that are looked at.
_MOST: Final = 512


def is_laurel(doc: dict[str, Any]) -> bool:
    """An audit event's number, and a record under its type."""
    number = doc.get("ID")
    return isinstance(number, str) and _ID.match(number) is not None


def laurel(doc: dict[str, Any], raw: bytes, _near: int, _topic: Topic) -> Event:
    """One object of laurel: type → record, lists of them where there can be several."""
    number = _ID.match(doc["ID"])
    if number is None:
        raise UnparsableError("format")
    records = {name: _laurel_record(said) for name, said in list(doc.items())[:_MOST] if isinstance(said, dict | list)}
    call = records.get("SYSCALL")
    if isinstance(call, dict):
        call |= {f"a{at}": value.removeprefix("0x") for at, value in enumerate(call.pop("ARGV", [])[:4])}
        call["arch"] = str(call.get("arch", "")).removeprefix("0x")
    for name in ("SOCKADDR", "EXECVE", "CWD", "PROCTITLE", "SYSCALL", "PARENT_INFO", "PPID"):
        if isinstance(records.get(name), list):
            records[name] = records[name][0] if records[name] else {}
    if "PPID" in records:  # as versions before 0.5 say
        records.setdefault("PARENT_INFO", records["PPID"])
    _argued(records)
    host = first(doc.get, ("NODE", "node"))
    return _event(LAUREL, records, raw, int(number[1]) * 1000 + int(number[2]), host, number[3])


def is_go_audit(doc: dict[str, Any]) -> bool:
    """A sequence number and the messages of it."""
    return "sequence" in doc and isinstance(doc.get("messages"), list) and "timestamp" in doc


def go_audit(doc: dict[str, Any], raw: bytes, _near: int, _topic: Topic) -> Event:
    """One object of go-audit: the text of each record under the number of its type."""
    records: dict[str, Any] = {}
    for message in doc["messages"][:_MOST]:
        if not isinstance(message, dict) or not isinstance(message.get("data"), str):
            continue
        kind = AUDIT_TYPES.get(str(message.get("type")), str(message.get("type")))
        fields, _ = pairs(message["data"][:65_536], kind)
        if kind == "PATH":
            records.setdefault("PATH", []).append(fields)
        else:
            records[kind] = {**fields, **records.get(kind, {})}
    if "SYSCALL" in records:
        _named(records["SYSCALL"], doc.get("uid_map"))
    _argued(records)
    stamp = _STAMP.match(str(doc["timestamp"]))
    own = int(stamp[1]) * 1000 + int(stamp[2]) if stamp is not None else 0
    return _event(GO_AUDIT, records, raw, own, first(doc.get, ("hostname", "host")), str(doc["sequence"])[:20])


def _named(call: dict[str, Any], names: Any) -> None:
    """The names of a call's numbers."""
    call.setdefault("SYSCALL", CALLS.get(call.get("arch", ""), {}).get(call.get("syscall", ""), ""))
    for name in ("uid", "auid") if isinstance(names, dict) else ():
        known = names.get(call.get(name))
        if isinstance(known, str) and known:
            call.setdefault(name.upper(), known)


def is_auditbeat(doc: dict[str, Any]) -> bool:
    """Auditbeat's module auditd: ECS, and what is its own under `auditd`."""
    own = doc.get("auditd")
    return isinstance(own, dict) and ("data" in own or "message_type" in own)


def auditbeat(doc: dict[str, Any], raw: bytes, near: int, topic: Topic) -> Event:
    """One record of Auditbeat: its ECS fields stay beside the others. What is no activity is read as ECS alone."""
    records = _of_auditbeat(doc)
    event = joined(AUDITBEAT, records, raw, moment(doc.get("@timestamp"), topic.zone), _host(doc))
    if event is None:
        return ecs(doc, raw, near, topic)
    event.fields = doc | event.fields
    return event


def _of_auditbeat(doc: dict[str, Any]) -> dict[str, Any]:
    own, process, user = doc["auditd"], _object(doc, "process"), _object(doc, "user")
    data = _object(own, "data")
    call = {name: str(value) for name, value in data.items() if isinstance(value, str | int)}
    parent = _object(process, "parent")
    said = {
        "SYSCALL": data.get("syscall"),
        "success": {"success": "yes", "fail": "no"}.get(str(own.get("result"))),
        "exe": process.get("executable"),
        "comm": process.get("name"),
        "pid": process.get("pid"),
        "ppid": parent.get("pid", process.get("ppid")),
        "ses": own.get("session"),
        "uid": user.get("id"),
        "UID": user.get("name"),
        "auid": _object(user, "audit").get("id"),
        "AUID": _object(user, "audit").get("name"),
    }
    call |= {name: str(value) for name, value in said.items() if isinstance(value, str | int)}
    argv = process.get("args")
    socket = _object(doc, "destination") or _object(doc, "source")
    records: dict[str, Any] = {
        "SYSCALL": call,
        "CWD": {"cwd": process.get("working_directory")},
        "PROCTITLE": {"proctitle": process.get("title")},
        "PATH": [path for path in _list(own.get("paths"))[:_MOST] if isinstance(path, dict)],
        "SOCKADDR": {"SADDR": {"laddr": socket.get("ip") or data.get("addr"), "lport": socket.get("port")}},
    }
    if isinstance(argv, list):
        records["EXECVE"] = {"argc": str(len(argv)), "ARGV": [str(one) for one in argv]}
        _argued(records)
    return {name: said for name, said in records.items() if said}


def _event(form: Format, records: dict[str, Any], raw: bytes, own_ms: int, host: str, serial: str) -> Event:
    """The activity; where there is none, the first record alone, as it would have come from the audit daemon."""
    event = joined(form, records, raw, own_ms, host)
    if event is not None:
        event.fields["serial"] = serial
        return event
    kind, fields = next(((kind, said) for kind, said in records.items() if isinstance(said, dict)), ("", {}))
    flat = {**records, **fields, "type": kind, "serial": serial}
    event = Event(0, raw, form, source("linux", "", "auditd"), flat, 0, own_ms, host=host)
    event.user = first(fields.get, ("AUID", "acct", "UID", "auid", "uid"))
    event.process = first(fields.get, ("exe", "comm"))
    return event


def _laurel_record(said: Any) -> Any:
    """A record's scalars as text, as the audit system writes them."""
    if isinstance(said, list):
        return [_laurel_record(one) for one in said[:_MOST] if isinstance(one, dict)]
    found: dict[str, Any] = {}
    for name, value in said.items():
        if isinstance(value, list):
            found[name] = [str(one) for one in value]
        elif isinstance(value, dict):
            found[name] = value
        elif value is not None:
            found[name] = str(value)
    return found


def _argued(records: dict[str, Any]) -> None:
    """A program's arguments one by one and as a list; what stands under its title as one text."""
    run, title = records.get("EXECVE"), records.get("PROCTITLE")
    if isinstance(run, dict):
        listed = run.get("ARGV")
        if isinstance(listed, list):
            run |= {f"a{at}": one for at, one in enumerate(listed[:_MOST])}
        else:
            run["ARGV"] = [run["ARGV_STR"]] if "ARGV_STR" in run else arguments(run)
    if isinstance(title, dict) and isinstance(title.get("ARGV"), list):
        title.setdefault("proctitle", " ".join(map(str, title["ARGV"])))


def _host(doc: Mapping[str, Any]) -> str:
    return first(_object(doc, "host").get, ("name", "hostname")) or first(_object(doc, "agent").get, ("name",))


def _object(doc: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = doc.get(name)
    return found if isinstance(found, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
