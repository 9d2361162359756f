"""Single records of the Linux audit system, raw or inside syslog: `type=SYSCALL msg=audit(…): key=value …`.

The kernel writes a string in quotes when it is plain and as hexadecimal digits when it is not (a blank is enough), so
an attacker chooses the form: such values are decoded here. A record with a decoded value, or with a name that we
looked up, is `opaque`: what rules look for does not stand in its bytes.

A kernel writes the records of one type with the same names in the same order all day. So a record is first tried as one
of the few *layouts* seen: one match of one pattern, instead of one for each of thirty fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from detectors.audit.activity import arguments
from detectors.audit.sockaddr import peer
from detectors.ioc.observables import Rows, address, take_account, take_path
from pipeline.parsers.audit_facts import AUDIT_TYPES, CALLS
from pipeline.parsers.shape import Topic, first, source
from schemas.errors import UnparsableError
from schemas.event import Event, Format, Observable

#: A program's arguments are put together: they stand in the record one by one.
AUDITD = Format("auditd", "text", frozenset({"CommandLine"}))
AUDITD_DECODED = Format("auditd", "opaque")


@lru_cache(maxsize=16_384)  # the same programs and libraries all day
def _files(text: str) -> tuple[Observable, ...]:
    found: set[Observable] = set()
    take_path(text, found)
    return tuple(found)


def take_file(text: str, found: set[Observable]) -> None:
    """A file's path."""
    found.update(_files(text))


#: The program of a call, the file of a PATH, and who tries to log in.
OBSERVABLES: Final[Rows] = (("exe", take_file), ("name", take_file), ("acct", take_account))
_SOURCE: Final = source("linux", "", "auditd")

_HEAD = re.compile(r"(?:node=(\S+) )?(?:audit: )?type=(\S+) (?:msg=)?audit\((\d{1,12})\.(\d{3}):(\d+)\): ?", re.DOTALL)
# Bounded everywhere, and starting at word boundaries only: linear in whatever text.
_PAIR = re.compile(r"""(?<![\w-])([A-Za-z][\w-]{0,40}(?:\[\d{1,5}\])?)=("[^"]*"|'[^']*'|\{[^}]{0,512}\}|[^ ]*)""")
_HEX = re.compile(r"(?:[0-9A-F]{2})+\Z")
_ARGUMENT = re.compile(r"a\d+(?:\[\d+\])?\Z")

#: Fields that the kernel and its tools encode when they are not plain.
_STRINGS: Final = frozenset(
    "acct cmd comm cwd data dir exe file key name ocomm path proctitle vm watch".split()  # noqa: SIM905 - a table
)
#: The kernel cuts a record at 8,970 bytes; what claims to be longer is read so far.
_MAX_TEXT: Final = 65_536
_NO_CALLS: Final[dict[str, str]] = {}
_UNSET: Final = frozenset({"", "-", "unset", "4294967295", "-1", "?", "(null)"})
_WHO: Final = ("AUID", "acct", "UID", "auid", "uid")


class _Layout(NamedTuple):
    """Names in an order. `encoded`: those of them whose value may be hexadecimal digits. `quotes`: how many marks its
    text holds; what has more holds some within a value."""

    match: Callable[[str], re.Match[str] | None]
    encoded: tuple[str, ...]
    quotes: int


#: Layouts remembered, of one type and of all: whoever writes other names is read pair by pair.
_OF_ONE: Final = 12
_OF_ALL: Final = 128
_MAX_NAMES: Final = 80
_NAME = re.compile(r"[A-Za-z]\w{0,40}\Z", re.ASCII)


class _Layouts:
    """The layouts of records met so far, by type. What is read does not depend on what is remembered."""

    def __init__(self) -> None:
        self._by_type: dict[str, list[_Layout]] = {}
        self._known = 0

    def read(self, text: str, kind: str) -> tuple[dict[str, Any], bool] | None:
        """The fields of a record, and whether any was decoded; None where no layout fits."""
        if "'" in text or "{" in text:
            return None
        quotes = text.count('"')
        for layout in self._by_type.get(kind, ()):
            found = layout.match(text) if layout.quotes == quotes else None
            if found is not None:
                fields: dict[str, Any] = found.groupdict()
                decoded = False
                for name in layout.encoded:
                    value = fields[name]
                    if _HEX.match(value):
                        fields[name], decoded = _decoded(value), True
                return fields, decoded
        return None

    def learn(self, text: str, kind: str) -> None:
        """Remember the layout of a record, if it is plain: every pair parted by one blank, every name once."""
        layouts = self._by_type.setdefault(kind, []) if len(self._by_type) < _OF_ALL else []
        if len(layouts) >= _OF_ONE or self._known >= _OF_ALL:
            return
        pairs = [pair.partition("=") for pair in text.split(" ")]
        names = [name for name, _, _ in pairs]
        if len(names) > _MAX_NAMES or len({*names}) < len(names) or not all(map(_NAME.match, names)):
            return
        quoted = [value[:1] == '"' for _, _, value in pairs]
        parts = [
            f'{name}="(?P<{name}>[^"]*+)"' if in_quotes else f"{name}=(?P<{name}>[^ ]*+)"
            for name, in_quotes in zip(names, quoted, strict=True)
        ]
        pattern = re.compile(" ".join(parts))
        encoded = tuple(name for name, plain in zip(names, quoted, strict=True) if not plain and _encodes(name, kind))
        if pattern.fullmatch(text) is not None:
            layouts.append(_Layout(pattern.fullmatch, encoded, 2 * sum(quoted)))
            self._known += 1


_layouts = _Layouts()


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
    node, number, seconds, millis, serial = head.groups()
    kind = AUDIT_TYPES.get(number, number)
    fields, decoded = pairs(text[head.end() : _MAX_TEXT], kind)
    fields["type"], fields["serial"] = kind, serial
    if "syscall" in fields and "SYSCALL" not in fields:
        said = fields["syscall"]
        name = CALLS.get(fields.get("arch", ""), _NO_CALLS).get(said)
        if name is not None:
            fields["SYSCALL"], decoded = name, True
        elif said.isalnum() and not said.isdigit():  # as `ausearch -i` writes it
            fields["SYSCALL"] = said
    event = Event(
        0,
        raw,
        AUDITD_DECODED if decoded or kind is not number else AUDITD,
        _SOURCE,
        fields,
        0,
        int(seconds) * 1000 + int(millis) or own_ms,
        host=node or host,
    )
    _columns(event, fields, kind)
    return event


def pairs(text: str, kind: str) -> tuple[dict[str, Any], bool]:
    """What a record of a type says behind its head, and whether anything was decoded. The first of a name counts."""
    if "\x1d" in text:
        text = text.replace("\x1d", " ")
    found = _layouts.read(text, kind)
    if found is not None:
        return found
    fields: dict[str, Any] = {}
    decoded = _pairs(text, fields, kind)
    _layouts.learn(text, kind)
    return fields, decoded


def _pairs(text: str, fields: dict[str, Any], kind: str) -> bool:
    """Every key=value, those inside `msg='…'` too; whether anything was decoded."""
    decoded = False
    for name, value in _PAIR.findall(text):
        if value[:1] == "'":
            decoded |= _pairs(value[1:-1], fields, kind)
            continue
        if value[:1] == '"':
            value = value[1:-1]
        elif _encodes(name, kind) and _HEX.match(value):
            value, decoded = _decoded(value), True
        fields.setdefault(name, value)
    return decoded


def _encodes(name: str, kind: str) -> bool:
    return name in _STRINGS or (kind == "EXECVE" and _ARGUMENT.match(name) is not None)


def _decoded(value: str) -> str:
    return bytes.fromhex(value).decode("utf-8", "replace").replace("\0", " ").strip()


def _columns(event: Event, fields: dict[str, Any], kind: str) -> None:
    get = fields.get
    for name in _WHO:
        user = get(name)
        if user is not None and user not in _UNSET:
            event.user = user
            break
    event.process = get("exe") or get("comm") or ""
    if kind == "SYSCALL":
        return
    if kind == "EXECVE":
        event.command_line = " ".join(arguments(fields))
        if event.command_line:
            fields["CommandLine"] = event.command_line
        return
    event.command_line = first(get, ("cmd", "proctitle"))
    if "addr" in fields and fields["addr"] not in _UNSET:
        known = address(fields["addr"])
        event.src_ip = known.value if known is not None else ""
    if "saddr" in fields:
        event.dst_ip = peer(fields["saddr"])[0]
