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
from pipeline.parsers.shape import Topic, address_of, first_of
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

_KEY = re.compile(r"\s([\w.-]{1,255}(?:\[\d{1,5}\])?)=", re.ASCII)
_BAR = re.compile(r"(?<!\\)((?:\\\\)*)\|")
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_PLAIN: Final = {"\\": "\\", "=": "=", "n": "\n", "r": "\r", "|": "|"}
LABELS: Final = frozenset(
    f"{name}{number}Label"
    for name, most in (("cs", 6), ("cn", 3), ("cfp", 4), ("flexString", 2), ("flexNumber", 2), ("flexDate", 1),
                       ("deviceCustomDate", 2), ("c6a", 4))
    for number in range(1, most + 1)
)  # fmt: skip

_HOST = first_of("dvchost", "deviceHostName")
_USER = first_of("suser", "duser")
_SRC_IP = address_of("src", "SourceIPv6Address")
_DST_IP = address_of("dst", "DestinationIPv6Address")
_PROCESS = first_of("sproc", "dproc", "deviceProcessName")
_DOMAIN = first_of("destinationDnsDomain", "dhost")


def is_cef(text: str) -> bool:
    """It says so."""
    return text.startswith("CEF:")


def cef(text: str, raw: bytes, _near: int, topic: Topic) -> Event:
    """One record without its syslog header. Raises UnparsableError("shape") where the header is cut."""
    fields: dict[str, Any]
    if "\\" in text:
        form = CEF_ESCAPED
        head, fields = _unescaped(text)
    else:
        form = CEF
        *head, extension = text.split("|", 7) if text.count("|") > 6 else (*text.split("|"), "")
        fields = pairs(extension)
    if len(head) != 7:
        raise UnparsableError("shape")
    _, vendor, product, version, number, name, severity = head
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
    return Event(
        0,
        raw,
        form,
        known,
        fields,
        0,
        moment(get("rt") or get("end") or get("start"), topic.zone),
        False,
        False,
        _HOST(get),
        _USER(get),
        _SRC_IP(get),
        _DST_IP(get),
        _PROCESS(get),
        "",
        _DOMAIN(get),
    )


def pairs(extension: str) -> dict[str, Any]:
    """`key=value key=value`, values with blanks in them; the first of a key counts."""
    parts = _KEY.split(f" {extension}")
    if "  " in extension:
        parts = [part.strip() for part in parts]
    return dict(zip(parts[-2:0:-2], parts[:1:-2], strict=True))


def _unescaped(text: str) -> tuple[list[str], dict[str, Any]]:
    """The header's seven parts and the fields, escapes undone; the number of those that are none is a field."""
    head, at = [], 0
    for bar in _BAR.finditer(text):
        head.append(text[at : bar.end() - 1])
        at = bar.end()
        if len(head) == 7:
            break
    else:
        head.append(text[at:])
        at = len(text)
    fields = pairs(text[at:])
    broken = 0

    def plain(found: re.Match[str]) -> str:
        nonlocal broken
        said = _PLAIN.get(found[1])
        if said is None:
            broken += 1
        return found[0] if said is None else said

    head = [_ESCAPE.sub(plain, part) if "\\" in part else part for part in head]
    for name, value in fields.items():
        if "\\" in value:
            fields[name] = _ESCAPE.sub(plain, value)
    if broken:
        fields["brokenEscapes"] = broken
    return head, fields
