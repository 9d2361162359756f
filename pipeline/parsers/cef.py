r"""ArcSight's Common Event Format, alone or in syslog: `CEF:0|vendor|product|version|class|name|severity|key=value …`.

A value ends where the next ` key=` begins; `\=`, `\\`, `\n`, `\r` and in the header `\|` are undone, and a record with
any is `opaque`: what a rule looks for does not stand in its bytes. Devices forget to escape: a stray backslash stays
as it is and is counted in `brokenEscapes`. Of a key that stands twice the first counts. A custom field is also found
under its label (`cs1Label=Rule Name cs1=…` → `RuleName`). Source: ArcSight CEF implementation standard, version 25.
"""

from __future__ import annotations

import re
from typing import Any, Final

from detectors.ioc.observables import Rows, take_agent, take_hash, take_host, take_path, take_url
from detectors.sigma.pipelines import ours
from pipeline.parsers.clock import moment
from pipeline.parsers.devices import device_source
from pipeline.parsers.shape import Topic, ip
from schemas.errors import UnparsableError
from schemas.event import Event, Format

CEF = Format("cef", "text", mapping=ours("cef"))
CEF_ESCAPED = Format("cef", "opaque", mapping=ours("cef"))

OBSERVABLES: Final[Rows] = (
    ("request", take_url),
    ("requestClientApplication", take_agent),
    ("fileHash", take_hash),
    ("oldFileHash", take_hash),
    ("filePath", take_path),
    ("fname", take_path),
    ("shost", take_host),
    ("dhost", take_host),
    ("sourceTranslatedAddress", take_host),
    ("destinationTranslatedAddress", take_host),
)

_KEY = re.compile(r" ([A-Za-z0-9_.\[\]-]+)=")
_BLANKS = re.compile(r"[\t\r\n](?=[A-Za-z0-9_.\[\]-]+=)")
_BAR = re.compile(r"[^\\|]*(?:\\.[^\\|]*)*\|", re.DOTALL)
LABELS: Final = frozenset(
    f"{name}{number}Label"
    for name, most in (("cs", 6), ("cn", 3), ("cfp", 4), ("flexString", 2), ("flexNumber", 2), ("flexDate", 1),
                       ("deviceCustomDate", 2), ("c6a", 4))
    for number in range(1, most + 1)
)  # fmt: skip


def is_cef(text: str) -> bool:
    """It says so."""
    return text.startswith("CEF:")


def cef(text: str, raw: bytes, _near: int, topic: Topic) -> Event:
    """One record without its syslog header. Raises UnparsableError("shape") where the header is cut."""
    head = text.split("|", 7)
    if "\\" in text:
        form = CEF_ESCAPED
        head, fields = _unescaped(text, head)
    else:
        form = CEF
        fields = pairs(head.pop()) if len(head) == 8 else {}
    if len(head) != 7:
        raise UnparsableError("shape")
    _, vendor, product, version, number, name, severity = head
    if "Label=" in text:
        for label in fields.keys() & LABELS:
            value = fields.get(label[:-5])
            if value:
                fields.setdefault(fields[label].replace(" ", ""), value)
    fields["deviceVendor"] = vendor
    fields["deviceProduct"] = product
    fields["deviceVersion"] = version
    fields["deviceEventClassId"] = number
    fields["name"] = name
    fields["severity"] = severity
    get = fields.get
    known = device_source(vendor, product, f"{get('cat', '')} {name} {number}", topic.source)
    if topic.bare:
        return Event(0, raw, form, known, fields, 0, 0)
    at = get("rt") or get("end") or get("start") or ""
    # All values are texts, so what the tables of other formats see to need not be seen to.
    return Event(
        0,
        raw,
        form,
        known,
        fields,
        0,
        int(at) if len(at) == 13 and at.isdecimal() else moment(at, topic.zone),
        False,
        False,
        get("dvchost") or get("deviceHostName") or "",
        get("suser") or get("duser") or "",
        ip(get("src") or get("SourceIPv6Address") or ""),
        ip(get("dst") or get("DestinationIPv6Address") or ""),
        get("sproc") or get("dproc") or get("deviceProcessName") or "",
        "",
        get("destinationDnsDomain") or get("dhost") or "",
    )


def pairs(extension: str) -> dict[str, Any]:
    """`key=value key=value`, values with blanks in them; the first of a key counts."""
    if not extension.isprintable():  # tabs or line feeds between pairs, where they should not be
        extension = _BLANKS.sub(" ", extension)
    parts = _KEY.split(f" {extension}")
    if "  " in extension:
        parts = [part.strip() for part in parts]
    return dict(zip(parts[-2:0:-2], parts[:1:-2], strict=True))


def _unescaped(text: str, head: list[str]) -> tuple[list[str], dict[str, Any]]:
    """The header's seven parts and the fields, escapes undone; the number of those that are none is a field."""
    if any("\\" in part for part in head[:7]):
        head = _split(text)
    fields = pairs(head.pop()) if len(head) == 8 else {}
    for name in [name for name, value in fields.items() if "\\" in value]:
        fields[name] = _plain(fields[name], fields)
    return [_plain(part, fields) if "\\" in part else part for part in head], fields


def _plain(value: str, fields: dict[str, Any]) -> str:
    """A value without its escapes; those that are none stay, and are counted in the fields."""
    # Between two escaped backslashes every other one stands for itself, so each kind can be undone by itself.
    parts = [_undone(part) if "\\" in part else part for part in value.split("\\\\")]
    broken = sum([part.count("\\") for part in parts])
    if broken:
        fields["brokenEscapes"] = fields.get("brokenEscapes", 0) + broken
    return "\\".join(parts)


def _undone(part: str) -> str:
    return part.replace("\\=", "=").replace("\\|", "|").replace("\\n", "\n").replace("\\r", "\r")


def _split(text: str) -> list[str]:
    """At the header's bars that are not escaped, seven of them at most."""
    parts: list[str] = []
    at = 0
    # Matched from bar to bar: a search would try every character behind the last one.
    while len(parts) < 7 and (bar := _BAR.match(text, at)) is not None:
        parts.append(text[at : bar.end() - 1])
        at = bar.end()
    return [*parts, text[at:]]
