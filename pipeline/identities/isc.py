"""The lease file of ISC's dhcpd: `lease 203.0.113.7 { starts …; ends …; … }`, times in UTC (dhcpd.leases(5))."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import Final

_LEASE: Final = re.compile(r"lease\s+([0-9a-fA-F.:]{2,45})\s*\{")
_TIME: Final = re.compile(
    r"(starts|ends|tstp|cltt)\s+(?:\d\s+(\d{4})/(\d\d)/(\d\d) (\d\d):(\d\d):(\d\d)|epoch (\d{1,12})|(never))"
)
_NEVER: Final = "9999-12-31T00:00:00+00:00"
_STATE: Final = re.compile(r"binding state (\w{1,20})")
_MAC: Final = re.compile(r"hardware ethernet ([0-9a-fA-F:]{11,17})")
_NAME: Final = re.compile(r'client-hostname "([^"]{1,255})"')


def isc_rows(text: io.TextIOBase, longest: int) -> Iterator[tuple[int, Mapping[str, list[str]]]]:
    """Each lease with the line it begins at: address, start, end, host, mac. Leases that were free are left out."""
    row: dict[str, list[str]] = {}
    state, began, number = "active", 0, 0
    while line := text.readline(longest):
        number += 1
        said = line.strip()
        if (lease := _LEASE.match(said)) is not None:
            row, state, began = {"address": [lease[1]]}, "active", number
        elif said.startswith("}"):
            if row and state in ("active", "expired", "released"):
                yield began, row
            row = {}
        elif row:
            state = found[1] if (found := _STATE.match(said)) is not None else state
            _take(said, row)


def _take(said: str, row: dict[str, list[str]]) -> None:
    if (time := _TIME.match(said)) is not None:
        kind, year, month, day, hour, minute, second, epoch, never = time.groups()
        field = {"starts": "start", "ends": "end"}.get(kind)
        if field:
            said = f"{year}-{month}-{day}T{hour}:{minute}:{second}+00:00"
            row[field] = [_NEVER if never else epoch or said]
    elif (mac := _MAC.match(said)) is not None:
        row["mac"] = [mac[1]]
    elif (name := _NAME.match(said)) is not None:
        row["host"] = [name[1]]
