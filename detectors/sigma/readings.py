r"""What a provider says in other words, read back into Sigma's: a table from a reading's name to its function.

A reading gives every spelling of a value that a rule may ask for; a rule holds if it does for one of them. Beside each
stands what must be in the provider's own fields when a rule's text is in the reading: a condition of plain leaves, from
which the prefilter takes literals. It may hold too often, never too seldom; None where there is no such condition.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from detectors.sigma.fields import elements, pick, text_of
from detectors.sigma.rule import Node

Fields = Mapping[str, Any]


class Reading(NamedTuple):
    """`read`: (fields, the provider's field) → spellings. `needs`: (field, texts of which one is in it, cased) → node.

    `whole`: made of several fields or none, so that its absence is not the field's.
    """

    read: Callable[[Fields, str], list[str]]
    needs: Callable[[str, Sequence[str], bool], Node | None]
    whole: bool = False


def _texts(fields: Fields, name: str) -> list[str]:
    return [text for item in elements(pick(fields, name)) if (text := text_of(item)) is not None]


def _none(_field: str, _texts: Sequence[str], _cased: bool) -> Node | None:
    return None


# A volume's number tells no letter: programs are taken to stand on C:.
_DEVICE: Final = re.compile(r"(?:\\device\\harddiskvolume\d{1,4}|\\(?:\?\?|\\\?)\\([a-z]):)(?=\\)", re.IGNORECASE)


def _path(fields: Fields, name: str) -> list[str]:
    spellings = []
    for text in _texts(fields, name):
        spellings.append(text)
        if (found := _DEVICE.match(text)) is not None:
            spellings.append(f"{found[1] or 'C'}:{text[found.end() :]}")
    return spellings


def _path_needs(field: str, texts: Sequence[str], cased: bool) -> Node | None:
    # What stands behind the first colon is never the prefix that was read into `C:`.
    rests = [text.partition(":")[2] if ":" in text else text for text in texts]
    return ["has", field, rests, cased] if all(rests) else None


def _hex(fields: Fields, name: str) -> list[str]:
    spellings = []
    for text in _texts(fields, name):
        spellings.append(text)
        if text[:2].lower() == "0x" and len(text) < 20:
            try:
                spellings.append(str(int(text, 16)))
            except ValueError:
                continue
    return spellings


#: Accounts that Windows' own language does not change.
_KNOWN_SIDS: Final = {
    "S-1-5-18": "NT AUTHORITY\\SYSTEM",
    "S-1-5-19": "NT AUTHORITY\\LOCAL SERVICE",
    "S-1-5-20": "NT AUTHORITY\\NETWORK SERVICE",
}


def _account(fields: Fields, name: str) -> list[str]:
    r"""`DOMAIN\name` as Sysmon writes it, and the name alone. A new process's own user stands as target, if another."""
    whose = "Target" if pick(fields, "TargetUserName") not in (None, "", "-") else name.removesuffix("UserName")
    known = _texts(fields, f"{whose}UserName")
    domains = _texts(fields, f"{whose}DomainName")
    spellings = [f"{domains[0]}\\{known[0]}"] if known and domains and domains[0] != "-" else []
    return [*spellings, *known, *(_KNOWN_SIDS[sid] for sid in _texts(fields, f"{whose}UserSid") if sid in _KNOWN_SIDS)]


_ROOTS: Final = (
    (re.compile(r"\\REGISTRY\\MACHINE(?=\\|\Z)", re.IGNORECASE), "HKLM"),
    (re.compile(r"\\REGISTRY\\USER(?=\\|\Z)", re.IGNORECASE), "HKU"),
)
_CONTROL_SET: Final = re.compile(r"(HKLM\\SYSTEM)\\ControlSet\d{3}(?=\\|\Z)", re.IGNORECASE)
_CLASSES: Final = re.compile(r"HKLM\\SOFTWARE\\Classes(?=\\|\Z)", re.IGNORECASE)
#: What the reading writes itself; all else of a path stands in the fields.
_WRITTEN: Final = ("hklm", "hku", "hkcr", "currentcontrolset")


def _registry(fields: Fields, name: str) -> list[str]:
    """Key and value's name as one path with Sysmon's abbreviations."""
    keys = _texts(fields, name)
    if not keys:
        return []
    path = keys[0]
    for root, short in _ROOTS:
        path = root.sub(short, path, count=1) if root.match(path) else path
    path = _CONTROL_SET.sub(r"\1\\CurrentControlSet", path, count=1)
    values = _texts(fields, "ObjectValueName")
    if values and values[0] not in ("", "-"):
        path = f"{path}\\{values[0]}"
    return [path, "HKCR" + path[found.end() :]] if (found := _CLASSES.match(path)) else [path]


def _registry_needs(field: str, texts: Sequence[str], cased: bool) -> Node | None:
    parts = [_longest(text, "\\", _WRITTEN) for text in texts]
    if not all(parts):
        return None
    return ["or", ["has", field, parts, cased], ["has", "ObjectValueName", parts, cased]]


def _longest(text: str, separator: str, written: tuple[str, ...] = ()) -> str:
    parts = [part for part in text.split(separator) if not any(part.lower() in word for word in written)]
    return max(parts, key=len, default="")


#: Windows' numbers of a value's kind → how Sysmon writes such a value.
_NUMBERS: Final = {"%%1876": "DWORD (0x{:08x})", "%%1877": "DWORD (0x{:08x})"}
_WIDE: Final = "%%1883"
_BINARY: Final = frozenset({"%%1872", "%%1875", "%%1878", "%%1880", "%%1881", "%%1882"})


def _details(fields: Fields, name: str) -> list[str]:
    """A registry value as Sysmon shows it: `DWORD (0x00000001)`, `Binary Data`, else the text."""
    values = _texts(fields, name)
    kind = next(iter(_texts(fields, "NewValueType")), "")
    if kind in _BINARY:
        return ["Binary Data", *values]
    number = _number(values[0]) if values else None
    if number is None:
        return values
    if kind in _NUMBERS:
        return [_NUMBERS[kind].format(number), *values]
    if kind == _WIDE:
        return [f"QWORD (0x{number >> 32:08x}-0x{number & 0xFFFFFFFF:08x})", *values]
    return values


def _number(text: str) -> int | None:
    try:
        number = int(text, 16 if text[:2].lower() == "0x" else 10) if len(text) < 24 else -1
    except ValueError:
        return None
    return number if 0 <= number < 1 << 64 else None


def _details_needs(field: str, texts: Sequence[str], cased: bool) -> Node | None:
    return ["or", ["has", field, list(texts), cased], ["eq", "NewValueType", [*_NUMBERS, _WIDE, *_BINARY], False]]


def _program(fields: Fields, name: str) -> list[str]:
    """The program of an audit record: `exe`, else what was typed, as a file in some folder."""
    spellings = _texts(fields, "exe")
    if not spellings:
        spellings = _texts(fields, name)[:1]
        spellings += [f"/{text}" for text in spellings if text and "/" not in text]
    return spellings


def _program_needs(field: str, texts: Sequence[str], cased: bool) -> Node | None:
    parts = [_longest(text, "/") for text in texts]
    if not all(parts):
        return None
    return ["or", ["has", "exe", parts, cased], ["has", field, parts, cased]]


_EXTENSION: Final = re.compile(r"\.([^./?#]{1,20})(?:[?#]|\Z)")


def _extension(fields: Fields, name: str) -> list[str]:
    """The ending of the file that an address names, without its point."""
    return [found[1] for text in _texts(fields, name) if (found := _EXTENSION.search(text)) is not None]


def _extension_needs(field: str, texts: Sequence[str], cased: bool) -> Node | None:
    return ["has", field, list(texts), cased]


READINGS: Final[Mapping[str, Reading]] = {
    "path": Reading(_path, _path_needs),
    "hex": Reading(_hex, _none),
    "account": Reading(_account, _none, whole=True),
    "registry": Reading(_registry, _registry_needs, whole=True),
    "details": Reading(_details, _details_needs),
    "extension": Reading(_extension, _extension_needs, whole=True),
    "program": Reading(_program, _program_needs, whole=True),
}
