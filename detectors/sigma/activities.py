"""One activity, seen by two providers of a host, is one: what tells it, by category. To add a category, add a line.

Windows can write a program's start twice, as Sysmon 1 and as Security 4688. A rule matches both. The two are one
activity when these fields are equal and the times at most `schemas.activity.SPAN_MS` apart; then they count once, and
both stay as evidence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from detectors.sigma.fields import fold
from detectors.sigma.mapping import Names, value_of

#: Sigma's category → the fields that tell one activity of a host, in Sigma's words.
ACTIVITY_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "process_creation": ("ProcessId", "Image"),
    "process_termination": ("ProcessId", "Image"),
    "network_connection": ("ProcessId", "SourcePort", "DestinationIp", "DestinationPort"),
    "registry_set": ("ProcessId", "Image", "TargetObject"),
    "registry_delete": ("ProcessId", "Image", "TargetObject"),
    "registry_event": ("ProcessId", "Image", "TargetObject"),
    "dns_query": ("QueryName",),
}

_DRIVE: Final = re.compile(r"(?:[a-z]:|\\device\\harddiskvolume\d{1,4})(?=\\)")


class Activity(NamedTuple):
    """What one event tells of an activity. `provider`: its place in the category's list; the first is the fullest."""

    category: str
    provider: int
    parts: tuple[str, ...]


def activity(category: str, provider: int, fields: Mapping[str, Any], names: Names) -> Activity | None:
    """The activity that an event of this provider tells; None where a field is missing or nothing tells it."""
    told = ACTIVITY_FIELDS.get(category)
    if told is None:
        return None
    parts = tuple(_plain(value_of(fields, name, names)) for name in told)
    return Activity(category, provider, parts) if all(parts) else None


def _plain(value: str) -> str:
    r"""As every provider writes it: case folded, a path without its drive, an IPv4 address as one."""
    return _DRIVE.sub("", fold(value), count=1).removeprefix("::ffff:")
