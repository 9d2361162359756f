"""The file that says what a snapshot of identities is made of: exports, their kinds, columns and times.

period: 1d
zone: Asia/Almaty
files:
  - {file: users.ldif, kind: people, format: ldif, domain: [theshire.local, THESHIRE]}
  - {file: assets.csv, kind: assets, columns: {criticality: Importance}}
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pipeline.identities.fields import FIELDS
from schemas.errors import RefusedError

MAX_PLAN: Final = 1 << 20
_DURATION: Final = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

Kind = Literal["people", "uids", "assets", "processes", "dhcp", "vpn", "hubs"]


def _seconds(said: Any) -> int:
    found = _DURATION.fullmatch(said) if isinstance(said, str) else None
    if found is None or not int(found[1]):
        raise ValueError("write a duration such as 30m, 12h or 7d")
    return int(found[1]) * _SECONDS[found[2]]


def _zone(said: str) -> str:
    try:
        ZoneInfo(said)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        raise ValueError("there is no such time zone; write it as Asia/Almaty") from None
    return said


def _whole(said: datetime) -> datetime:
    if said.tzinfo is None:
        raise ValueError("write it with its offset, as 2026-03-01T00:00:00+05:00")
    return said


Seconds = Annotated[int, BeforeValidator(_seconds)]
Zone = Annotated[str, AfterValidator(_zone)]
Moment = Annotated[datetime, AfterValidator(_whole)]


class Export(BaseModel):
    """One exported file. Paths are from the plan's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    file: Path
    kind: Kind
    format: Literal["csv", "ldif", "isc"] = "csv"
    columns: dict[str, str] = Field(default={}, description="our field → the file's column or attribute")
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    split: str = Field(default=";", min_length=1, max_length=1, description="between several values of one column")
    encoding: Literal["utf-8", "utf-16", "cp1251", "cp1252", "latin-1"] = "utf-8"
    domain: tuple[str, ...] = Field(default=(), description="of accounts: the DNS name, then other names")
    zone: Zone | None = None
    time_format: str = Field(default="", description="of lease times that are not ISO 8601, as strptime has it")
    duration: Seconds = Field(default=86_400, description="of leases that lack their start or their end")
    period: Seconds | None = Field(default=None, description="how often a new export is due")


class Plan(BaseModel):
    """What a snapshot is made of."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    files: tuple[Export, ...] = Field(min_length=1, max_length=200)
    zone: Zone = Field(default="UTC", description="of times that do not say theirs")
    period: Seconds = Field(default=86_400, description="how often new exports are due")
    effective_from: Moment | None = Field(default=None, description="Kafka time from which the snapshot counts")


def read_plan(path: Path) -> Plan:
    """Read it. Raises RefusedError, naming the key and what to write."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PLAN + 1)
    except OSError as error:
        raise RefusedError(f"{path} cannot be read ({error.strerror}).") from None
    if len(data) > MAX_PLAN:
        raise RefusedError(f"{path} is larger than {MAX_PLAN >> 20} MB: it should name exports, not hold them.")
    try:
        plan = Plan.model_validate(yaml.safe_load(data))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RefusedError(f"{path} is refused: {_fault(error)}.") from None
    for export in plan.files:
        unknown = sorted(set(export.columns) - set(FIELDS[export.kind]))
        if unknown:
            known = ", ".join(FIELDS[export.kind])
            raise RefusedError(
                f"{path}: {export.file}: columns has no {', '.join(unknown)}; {export.kind} have {known}."
            )
        if (export.format == "isc") and export.kind != "dhcp":
            raise RefusedError(f"{path}: {export.file}: format isc is of kind dhcp.")
    return plan


def _fault(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_input=False, include_context=False, include_url=False)[:5]
        )
    mark = getattr(error, "problem_mark", None)
    return f"it is no YAML (line {mark.line + 1})" if mark is not None else "it is no YAML"
