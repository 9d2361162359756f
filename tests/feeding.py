"""Feeds for tests: bytes in, what they gave sorted out; STIX and MISP written true to their documentation."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import orjson

from detectors.ioc.feeds import Fault, Revoked, read
from schemas.feed import Reading
from schemas.indicator import Indicator


@dataclass
class Given:
    """What a feed gave, by kind of entry, in order."""

    indicators: list[Indicator] = field(default_factory=list)
    revoked: list[Revoked] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def values(self) -> list[tuple[str, str]]:
        """Type and value of each row."""
        return [(one.type, one.value) for one in self.indicators]


def given(data: bytes, source: str = "feed", **reading: Any) -> Given:
    """Read some bytes as a feed."""
    found = Given()
    for entry in read(io.BytesIO(data), Reading(source=source, **reading)):
        if isinstance(entry, Fault):
            found.faults.append(entry)
        elif isinstance(entry, Revoked):
            found.revoked.append(entry)
        else:
            found.indicators.append(entry)
    return found


def indicator(number: int, pattern: str, **more: Any) -> dict[str, Any]:
    """A STIX indicator."""
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{number}",
        "pattern": pattern,
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00.000Z",
        **more,
    }


def bundle(*objects: Any) -> bytes:
    """A STIX bundle."""
    return orjson.dumps({"type": "bundle", "id": "bundle--1", "objects": list(objects)})


def stix_of(*patterns: str, **more: Any) -> Given:
    """Indicators with these patterns, read."""
    return given(bundle(*(indicator(number, pattern, **more) for number, pattern in enumerate(patterns))))


def attribute(number: int, kind: str, value: str, **more: Any) -> dict[str, Any]:
    """An attribute of MISP that is to be matched."""
    uuid = f"5f000000-0000-4000-8000-{number:012d}"
    return {"uuid": uuid, "type": kind, "value": value, "to_ids": True, "timestamp": "1767225600"} | more


def event(*attributes: Any, **more: Any) -> dict[str, Any]:
    """An event of MISP; its tags stand behind its attributes, as MISP writes them."""
    uuid = "5e000000-0000-4000-8000-000000000001"
    return {"Event": {"uuid": uuid, "info": "Campaign", "Attribute": list(attributes), "Object": []} | more}
