"""Single records of the Linux audit system, raw or inside syslog: `type=SYSCALL msg=audit(…): key=value …`.

The kernel writes a string in quotes when it is plain and as hexadecimal digits when it is not (a blank is enough), so
an attacker chooses the form: such values are decoded here. A record with a decoded value, or with a name that we
looked up, is `opaque`: what rules look for does not stand in its bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count, takewhile
from typing import Any, Final

from detectors.ioc.observables import address
from pipeline.parsers.shape import Topic, first, source
from schemas.errors import UnparsableError
from schemas.event import Event, Format

#: A program's arguments are put together: they stand in the record one by one.
AUDITD = Format("auditd", "text", frozenset({"CommandLine"}))
AUDITD_DECODED = Format("auditd", "opaque")

_HEAD = re.compile(r"(?:node=(\S+) )?(?:audit: )?type=(\S+) (?:msg=)?audit\((\d{1,12})\.(\d{3}):(\d+)\): ?", re.DOTALL)
# Bounded everywhere, and starting at word boundaries only: linear in whatever text.
_PAIR = re.compile(r"""(?<![\w-])([A-Za-z][\w-]{0,40}(?:\[\d{1,5}\])?)=("[^"]*"|'[^']*'|\{[^}]{0,512}\}|\S*)""")
_HEX = re.compile(r"(?:[0-9A-F]{2})+\Z")
_ARGUMENT = re.compile(r"a\d+(?:\[\d+\])?\Z")

#: Fields that the kernel and its tools encode when they are not plain.
_STRINGS: Final = frozenset(
    {
        "acct",
        "cmd",
        "comm",
        "cwd",
        "data",
        "dir",
        "exe",
        "file",
        "key",
        "name",
        "ocomm",
        "path",
        "proctitle",
        "vm",
        "watch",
    }
)
#: Types by number, as the kernel's own log writes them.
AUDIT_TYPES: Final = {
    "1100": "USER_AUTH",
    "1101": "USER_ACCT",
    "1105": "USER_START",
    "1106": "USER_END",
    "1112": "USER_LOGIN",
    "1123": "USER_CMD",
    "1130": "SERVICE_START",
    "1131": "SERVICE_STOP",
    "1300": "SYSCALL",
    "1302": "PATH",
    "1305": "CONFIG_CHANGE",
    "1306": "SOCKADDR",
    "1307": "CWD",
    "1309": "EXECVE",
    "1327": "PROCTITLE",
    "1400": "AVC",
    "1701": "ANOM_ABEND",
}
#: The calls that detection speaks of, on x86-64 (arch c000003e), where the record was not enriched.
_CALLS: Final = {
    "41": "socket",
    "42": "connect",
    "43": "accept",
    "49": "bind",
    "56": "clone",
    "57": "fork",
    "58": "vfork",
    "59": "execve",
    "62": "kill",
    "82": "rename",
    "84": "rmdir",
    "87": "unlink",
    "90": "chmod",
    "92": "chown",
    "99": "sysinfo",
    "101": "ptrace",
    "103": "syslog",
    "105": "setuid",
    "133": "mknod",
    "159": "adjtimex",
    "161": "chroot",
    "164": "settimeofday",
    "165": "mount",
    "166": "umount2",
    "175": "init_module",
    "176": "delete_module",
    "227": "clock_settime",
    "246": "kexec_load",
    "263": "unlinkat",
    "272": "unshare",
    "308": "setns",
    "310": "process_vm_readv",
    "311": "process_vm_writev",
    "313": "finit_module",
    "319": "memfd_create",
    "321": "bpf",
    "322": "execveat",
}
#: The kernel cuts a record at 8,970 bytes; what claims to be longer is read so far.
_MAX_TEXT: Final = 65_536
_UNSET: Final = frozenset({"unset", "4294967295", "-1", "?", "(null)"})


def is_auditd(text: str) -> bool:
    """A raw record, as the audit daemon writes it to its file."""
    return text.startswith(("type=", "node=")) and "audit(" in text[:512]


def is_audit(program: str, message: str) -> bool:
    """Whether a syslog message is an audit record: of the dispatcher, of the daemon, or of the kernel."""
    if message.startswith(("type=", "node=")):
        return "audit(" in message[:512]
    return program == "kernel" and message.startswith("audit: type=")


def auditd(text: str, raw: bytes, _near: int, topic: Topic) -> Event:
    """A raw record."""
    return audit_event(text, raw, 0, "", topic)


def audit_event(text: str, raw: bytes, own_ms: int, host: str, _topic: Topic) -> Event:
    """The event of one audit record; its own time is the record's, else the syslog line's."""
    head = _HEAD.match(text)
    if head is None:
        raise UnparsableError("format")
    node, kind, seconds, millis, serial = head.groups()
    fields: dict[str, Any] = {"type": AUDIT_TYPES.get(kind, kind), "serial": serial}
    decoded = _pairs(text[head.end() : _MAX_TEXT], fields, fields["type"]) or kind in AUDIT_TYPES
    if "SYSCALL" not in fields and fields.get("arch") == "c000003e" and fields.get("syscall") in _CALLS:
        fields["SYSCALL"], decoded = _CALLS[fields["syscall"]], True
    event = Event(
        0,
        raw,
        AUDITD_DECODED if decoded else AUDITD,
        source("linux", "", "auditd"),
        fields,
        0,
        int(seconds) * 1000 + int(millis) or own_ms,
    )
    _columns(event, node or host)
    return event


def _pairs(text: str, fields: dict[str, Any], kind: str) -> bool:
    """Every key=value, those inside `msg='…'` too; whether anything was decoded. The first of a name counts."""
    decoded = False
    for name, value in _PAIR.findall(text.replace("\x1d", " ")):
        if value[:1] == "'":
            decoded |= _pairs(value[1:-1], fields, kind)
            continue
        if value[:1] == '"':
            value = value[1:-1]
        elif (name in _STRINGS or (kind == "EXECVE" and _ARGUMENT.match(name))) and _HEX.match(value):
            value = bytes.fromhex(value).decode("utf-8", "replace").replace("\0", " ").strip()
            decoded = True
        fields.setdefault(name, value)
    return decoded


def _columns(event: Event, host: str) -> None:
    fields = event.fields
    said = {name: value for name, value in fields.items() if value not in _UNSET}
    event.host = host
    event.user = first(said.get, ("AUID", "acct", "UID", "auid", "uid"))
    event.process = first(said.get, ("exe", "comm"))
    known = address(said.get("addr", ""))
    event.src_ip = known.value if known is not None else ""
    event.dst_ip = _socket(fields.get("saddr", ""))
    if fields["type"] == "EXECVE":
        event.command_line = " ".join(_arguments(fields))
        if event.command_line:
            fields["CommandLine"] = event.command_line
    else:
        event.command_line = first(said.get, ("cmd", "proctitle"))


def _arguments(fields: dict[str, Any]) -> Iterator[str]:
    """The arguments of an EXECVE record in order; a long one stands in parts (`a1[0]`, `a1[1]`)."""
    for number in count():
        whole = fields.get(f"a{number}")
        if whole is None:
            parts = takewhile(bool, (fields.get(f"a{number}[{part}]", "") for part in count()))
            whole = "".join(parts)
            if not whole:
                return
        yield whole


def _socket(saddr: str) -> str:
    """The address in a SOCKADDR record: a sockaddr as hexadecimal digits, its family in the machine's byte order."""
    if not _HEX.match(saddr):
        return ""
    data = bytes.fromhex(saddr)
    if data[:2] == b"\x02\0" and len(data) >= 8:
        return ".".join(str(part) for part in data[4:8])
    if data[:2] == b"\x0a\0" and len(data) >= 24:
        known = address(":".join(data[at : at + 2].hex() for at in range(8, 24, 2)))
        return known.value if known is not None else ""
    return ""
