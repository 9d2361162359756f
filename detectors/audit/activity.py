"""The records of one audit event become one activity, in Sigma's words and in their own.

    SYSCALL, EXECVE, CWD, PATH[], SOCKADDR, PROCTITLE ── process_creation, file_event, file_delete, network_connection

A call that failed is none, as Sysmon for Linux tells none of it. Without SYSCALL only EXECVE tells something. Fields
keep the record they are of (`SYSCALL.a0`, `EXECVE.a0`, `PATH` a list); Sigma's names stand beside these.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import count, takewhile
from typing import Any, Final, NamedTuple

from detectors.audit.sockaddr import peer_of

Records = Mapping[str, Any]
"""Type → the fields of the record of that type; under PATH a list of them, in order."""

EXECUTING: Final = frozenset({"execve", "execveat"})
CREATING: Final = frozenset(
    {"open", "openat", "openat2", "creat", "mknod", "mknodat", "link", "linkat", "symlink", "symlinkat"}
    | {"rename", "renameat", "renameat2"}
)
DELETING: Final = frozenset({"unlink", "unlinkat"})
CONNECTING: Final = frozenset({"connect", "accept", "accept4"})

#: Sigma's category → the calls that tell it.
CALLS: Final[Mapping[str, frozenset[str]]] = {
    "process_creation": EXECUTING,
    "file_event": CREATING,
    "file_delete": DELETING,
    "network_connection": CONNECTING,
}
#: Where a call's flags stand.
_FLAGS: Final = {"open": "a1", "openat": "a2"}
_O_CREAT: Final = 0o100
#: Calls whose first argument is a folder; this one stands for the working directory.
_HERE: Final = frozenset({"ffffff9c", "ffffffffffffff9c"})
_UNSET: Final = frozenset({"", "?", "(null)", "unset", "4294967295", "-1"})
#: A connection that is under way: a socket that does not wait is told so.
_UNDER_WAY: Final = ("-115", "EINPROGRESS")
#: A program's arguments, beyond which nothing is read.
MAX_ARGUMENTS: Final = 10_000


class Activity(NamedTuple):
    """What happened: Sigma's category, and its fields in Sigma's words."""

    category: str
    fields: dict[str, Any]


def activity(records: Records) -> Activity | None:
    """What the records of one audit event tell; None for what no category is for, and for what did not succeed."""
    call = str(records.get("SYSCALL", {}).get("SYSCALL", ""))
    if "SYSCALL" not in records:
        return Activity("process_creation", _process(records)) if "EXECVE" in records else None
    for category, calls in CALLS.items():
        if call in calls:
            found = _READ[category](records, call) if _succeeded(records["SYSCALL"], category) else None
            return Activity(category, _who(records["SYSCALL"]) | found) if found is not None else None
    return None


def may_tell(call: Mapping[str, Any], calls: Collection[str]) -> bool:
    """Whether an event may be told, by its SYSCALL alone: one of these calls, that did not fail. A shell looks for a
    program in every folder of its path, so most calls of `execve` fail."""
    name = call.get("SYSCALL", "")
    return name in calls and (call.get("success") != "no" or name in CONNECTING)


def arguments(fields: Mapping[str, Any]) -> list[str]:
    """The arguments of EXECVE in order; a long one stands in parts (`a1[0]`, `a1[1]`)."""
    listed = fields.get("ARGV")
    if isinstance(listed, list):
        return [str(one) for one in listed[:MAX_ARGUMENTS]]
    return list(_arguments(fields))


def _arguments(fields: Mapping[str, Any]) -> Iterator[str]:
    for number in range(MAX_ARGUMENTS):
        whole = fields.get(f"a{number}")
        if whole is None:
            parts = takewhile(bool, (fields.get(f"a{number}[{part}]", "") for part in count()))
            whole = "".join(parts)
            if not whole:
                return
        yield str(whole)


def _succeeded(call: Mapping[str, Any], category: str) -> bool:
    if call.get("success") != "no":
        return True
    return category == "network_connection" and str(call.get("exit", "")).startswith(_UNDER_WAY)


def _who(call: Mapping[str, Any]) -> dict[str, Any]:
    """The process that called, as Sysmon names it: `User` whose rights it has, `LogonId` their number."""
    uid = _said(call, "uid")
    found = {
        "Image": _said(call, "exe"),
        "User": _said(call, "UID") or ("root" if uid == "0" else uid),
        "LogonId": uid,
        "ProcessId": _said(call, "pid"),
        "TerminalSessionId": _said(call, "ses"),
    }
    return {name: value for name, value in found.items() if value}


def _process(records: Records, _call: str = "") -> dict[str, Any]:
    argv = arguments(records.get("EXECVE", {}))
    call, parent = records.get("SYSCALL", {}), records.get("PARENT_INFO", {})
    title = records.get("PROCTITLE", {})
    line = " ".join(argv) or _said(title, "proctitle") or " ".join(arguments(title))
    found: dict[str, Any] = {
        "Image": _said(call, "exe") or _program(records, argv),
        "CommandLine": line,
        "CurrentDirectory": _said(records.get("CWD", {}), "cwd"),
        "ParentProcessId": _said(call, "ppid"),
        "ParentImage": _said(parent, "exe"),
        "ParentCommandLine": " ".join(arguments(parent)),
    }
    return {name: value for name, value in found.items() if value}


def _program(records: Records, argv: list[str]) -> Any:
    """The program where the call's record is missing: its file, else what was typed, as a file in some folder."""
    for path in records.get("PATH", ()):
        if str(path.get("item", "")) == "0":
            return _resolved(records, str(path.get("name", "")), "")
    typed = argv[0] if argv else ""
    return [typed, f"/{typed}"] if typed and "/" not in typed else typed


def _created(records: Records, call: str) -> dict[str, Any] | None:
    paths = records.get("PATH", ())
    made = [path for path in paths if path.get("nametype") == "CREATE"]
    if not made and (call == "creat" or _flagged(records["SYSCALL"], call)):
        made = [path for path in paths if path.get("nametype") not in ("PARENT", "DELETE")]
    return _target(records, made, call)


def _flagged(call: Mapping[str, Any], name: str) -> bool:
    """Whether a file is opened so that it would be made: then it may have been there before."""
    at = _FLAGS.get(name)
    listed = call.get("ARGV")
    value = (listed[int(at[1])] if isinstance(listed, list) and len(listed) > int(at[1]) else call.get(at)) if at else 0
    try:
        return bool(int(str(value), 16) & _O_CREAT)
    except ValueError:
        return False


def _deleted(records: Records, call: str) -> dict[str, Any] | None:
    return _target(records, [path for path in records.get("PATH", ()) if path.get("nametype") == "DELETE"], call)


def _target(records: Records, paths: Iterable[Mapping[str, Any]], call: str) -> dict[str, Any] | None:
    names = [name for path in paths if (name := _said(path, "name"))]
    if not names:
        return None
    return {"TargetFilename": _resolved(records, names[-1], call)}


def _resolved(records: Records, name: str, call: str) -> str:
    """A path from the root; one that is told from a folder of which nothing is known stays as it is."""
    if name.startswith("/"):
        return name
    folder = _said(records.get("CWD", {}), "cwd")
    if call.endswith(("at", "at2")) and _first(records["SYSCALL"]) not in _HERE:
        parents = [str(path.get("name", "")) for path in records.get("PATH", ()) if path.get("nametype") == "PARENT"]
        folder = next((parent for parent in reversed(parents) if parent.startswith("/")), "")
        name = posixpath.basename(name) if folder else name
    return posixpath.normpath(posixpath.join(folder, name)) if folder else name


def _first(call: Mapping[str, Any]) -> str:
    listed = call.get("ARGV")
    value = listed[0] if isinstance(listed, list) and listed else call.get("a0", "")
    return str(value).removeprefix("0x").lower()


def _connected(records: Records, call: str) -> dict[str, Any] | None:
    address, port = peer_of(records.get("SOCKADDR", {}))
    if not address:
        return None
    end = "Destination" if call == "connect" else "Source"
    return {
        "Initiated": "true" if call == "connect" else "false",
        f"{end}Ip": address,
        f"{end}Port": port,
        f"{end}IsIpv6": "true" if ":" in address else "false",
    }


def _said(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name, "")
    text = str(value) if isinstance(value, (str, int)) else ""
    return "" if text in _UNSET else text


_READ: Final[Mapping[str, Callable[[Records, str], dict[str, Any] | None]]] = {
    "process_creation": _process,
    "file_event": _created,
    "file_delete": _deleted,
    "network_connection": _connected,
}
