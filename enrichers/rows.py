"""Rows of exports as checked texts: what a value may be, the same for people, assets, leases and hubs."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Final

LONGEST: Final = 255
LONGEST_DN: Final = 1_000
#: Values of one field of one row: addresses of a host, aliases of a person.
MOST: Final = 200

Value = str | bytes
Row = Mapping[str, Sequence[Value]]
"""A row's fields by our names, each with all its values. Bytes are values that are no text, such as objectSid."""

#: What stands for nothing in exports.
_NOTHING: Final = frozenset({"", "-", "n/a", "null", "none", "(null)"})
_CONTROL: Final = re.compile("[\0-\x1f\x7f\ufffd]")
#: What no account's name may hold (Windows' own rule, and `@`); a spreadsheet's formula holds one of them.
_NO_NAME: Final = re.compile(r'["/\\\[\]:;|=,+*?<>@\s]')
_MAC: Final = re.compile(r"[0-9a-f]{12}")
_MAC_MARKS: Final = str.maketrans("", "", ":-. ")


class RowError(ValueError):
    """What is wrong with a row, without its values."""


def one(row: Row, field: str, longest: int = LONGEST) -> str:
    """The first value of a field, '' where there is none. Raises RowError for what cannot be kept."""
    for value in row.get(field, ()):
        text = checked(value, field, longest)
        if text:
            return text
    return ""


def many(row: Row, field: str, longest: int = LONGEST) -> tuple[str, ...]:
    """All values of a field that say something, each once."""
    values = row.get(field, ())
    if len(values) > MOST:
        raise RowError(f"its {field} has more than {MOST} values")
    return tuple(dict.fromkeys(text for value in values if (text := checked(value, field, longest))))


def checked(value: Value, field: str, longest: int = LONGEST) -> str:
    """A value as text without blanks around it, '' for what stands for nothing."""
    if isinstance(value, bytes):
        raise RowError(f"its {field} is no text")
    text = value.strip()
    if len(text) > longest:
        raise RowError(f"its {field} is longer than {longest} characters")
    if _CONTROL.search(text):
        raise RowError(f"its {field} holds characters that are none")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RowError(f"its {field} holds characters that are none") from None
    return "" if text.casefold() in _NOTHING else text


def name_of(text: str, field: str) -> str:
    """A name of an account, folded. Raises RowError for what no directory lets be one."""
    if _NO_NAME.search(text) or not text.isprintable():  # invisible characters make two of one name
        raise RowError(f"its {field} is no name")
    return text.casefold()


def mac_of(text: str) -> str:
    """A hardware address as twelve digits, '' for what is none."""
    digits = text.casefold().translate(_MAC_MARKS)
    return digits if _MAC.fullmatch(digits) else ""


def address_of(text: str, field: str = "address") -> str:
    """An address in its shortest spelling. Raises RowError."""
    try:
        found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        raise RowError(f"its {field} is no address") from None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)
