"""Okta's System Log: one event a record, by its own names, which are those of Sigma's rules.

Source: the System Log API's reference (LogEvent).
"""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import Rows, take_address
from pipeline.parsers.paths import parser
from pipeline.parsers.shape import source
from schemas.event import Format

OKTA = Format("okta", "json")

OBSERVABLES: Final[Rows] = (("request", {"ipChain": {"ip": take_address}}),)


def is_okta(doc: dict[str, Any]) -> bool:
    """Who did what when, in Okta's words."""
    return "eventType" in doc and "actor" in doc and ("published" in doc or "legacyEventType" in doc)


okta: Final = parser(
    OKTA,
    source("okta", "", "okta"),
    time=("published",),
    user=("actor.alternateId", "actor.displayName"),
    src_ip=("client.ipAddress", "request.ipChain.0.ip"),
)
