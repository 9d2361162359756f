"""What was seen of indicators, told back to whom gave them: STIX 2.1 sightings, or lines for MISP.

Told are the indicator, how often and when; never a host, a person or a record. A colour that must not leave stays here,
and is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from pipeline.querying import ask
from pipeline.settings import Settings
from schemas.tlp import may_leave

#: TLP 2.0's marking definitions for STIX 2.1, as OASIS and FIRST publish them.
MARKINGS: Final = {
    "clear": "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
    "green": "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
}
#: Names made from this are the same each time: a sighting told twice is told once.
_SPACE: Final = UUID("6c8f7c3a-7d0f-5a52-9d5e-6f1d2a3b4c5d")
#: Type → what STIX calls it; of others only indicators that came as STIX are told so.
_STIX: Final = {
    "ipv4": "ipv4-addr:value",
    "ipv6": "ipv6-addr:value",
    "cidr": "ipv4-addr:value",
    "domain": "domain-name:value",
    "url": "url:value",
    "email": "email-addr:value",
    "md5": "file:hashes.'MD5'",
    "sha1": "file:hashes.'SHA-1'",
    "sha256": "file:hashes.'SHA-256'",
    "sha512": "file:hashes.'SHA-512'",
    "file_name": "file:name",
}
_SEEN: Final = """
    SELECT source, id, groupArray((kind, value)) AS pairs, any(title) AS title, any(tlp) AS tlp,
           sum(times) AS times, min(first) AS first, max(last) AS last
    FROM (
        SELECT source, id, title, tlp, arrayJoin(arrayZip(types, values)) AS pair, pair.1 AS kind, pair.2 AS value
        FROM indicators_last WHERE {source:String} IN ('', source)
    ) AS i
    INNER JOIN (
        SELECT arrayJoin(sources) AS source, value, count() AS times, toUnixTimestamp64Milli(min(time)) AS first,
               toUnixTimestamp64Milli(max(time)) AS last
        FROM (
            SELECT time, JSONExtractString(json, 'indicator', 'value') AS value,
                   JSONExtract(json, 'indicator', 'sources', 'Array(String)') AS sources
            FROM detections_first WHERE kind = 'indicator' AND time >= fromUnixTimestamp64Milli({since:Int64})
        ) GROUP BY source, value
    ) AS d USING (source, value)
    GROUP BY source, id ORDER BY source, id
"""


class Sighting(NamedTuple):
    """One indicator that was seen. Times in milliseconds UTC; `values` those of it that were found."""

    source: str
    id: str
    pairs: Sequence[tuple[str, str]]
    title: str
    tlp: str
    times: int
    first: int
    last: int


def seen(settings: Settings, source: str, since_ms: int) -> tuple[list[Sighting], int]:
    """What was seen since then of a source's indicators (`source` empty: of all), and how many stay here.

    Raises what `pipeline.querying.ask` does.
    """
    return leaving(_of_row(row) for row in ask(settings, _SEEN, parameters={"since": since_ms, "source": source}).rows)


def leaving(some: Iterable[Sighting]) -> tuple[list[Sighting], int]:
    """Those whose colour may leave, and how many may not."""
    all_of_them = list(some)
    told = [one for one in all_of_them if may_leave(one.tlp, "export")]
    return told, len(all_of_them) - len(told)


def stix(sightings: Sequence[Sighting]) -> dict[str, Any]:
    """A STIX 2.1 bundle of the sightings. Indicators without a STIX id of their own come with it."""
    objects: list[dict[str, Any]] = []
    for one in sightings:
        ref = one.id if one.id.startswith("indicator--") else f"indicator--{uuid5(_SPACE, f'{one.source}/{one.id}')}"
        if ref != one.id:
            pattern = _pattern(one.pairs)
            if not pattern:
                continue  # STIX has no word for its type
            objects.append(_indicator(one, ref, pattern))
        objects.append(_sighting(one, ref))
    # Named by what is in it, so that the same answer is the same bundle.
    named = uuid5(_SPACE, "/".join(each["id"] + each["modified"] for each in objects))
    return {"type": "bundle", "id": f"bundle--{named}", "objects": objects}


def misp(sightings: Iterable[Sighting], organisation: str) -> Iterator[dict[str, Any]]:
    """What MISP takes at /sightings/add, one value each: `type` 0 says that it was seen. Time in seconds."""
    for one in sightings:
        for _, value in one.pairs:
            yield {"values": [value], "type": "0", "source": organisation, "timestamp": str(one.last // 1000)}


def _of_row(row: dict[str, Any]) -> Sighting:
    pairs = [(kind, value) for kind, value in row["pairs"]]
    told = (row[name] for name in ("title", "tlp", "times", "first", "last"))
    return Sighting(row["source"], row["id"], pairs, *told)


def _sighting(one: Sighting, ref: str) -> dict[str, Any]:
    created = _time(one.first)
    return {
        "type": "sighting",
        "spec_version": "2.1",
        "id": f"sighting--{uuid5(_SPACE, f'{ref} {one.first}')}",
        "created": created,
        "modified": _time(one.last),
        "first_seen": created,
        "last_seen": _time(one.last),
        "count": min(one.times, 999_999_999),
        "sighting_of_ref": ref,
        "object_marking_refs": [MARKINGS[one.tlp]],
    }


def _indicator(one: Sighting, ref: str, pattern: str) -> dict[str, Any]:
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": ref,
        "created": _time(one.first),
        "modified": _time(one.first),
        "name": one.title,
        "pattern": pattern,
        "pattern_type": "stix",
        "valid_from": _time(one.first),
        "object_marking_refs": [MARKINGS[one.tlp]],
    }


def _pattern(pairs: Iterable[tuple[str, str]]) -> str:
    parts = []
    for kind, value in pairs:
        path = "ipv6-addr:value" if kind == "cidr" and ":" in value else _STIX.get(kind)
        if path is not None:
            quoted = value.replace("\\", "\\\\").replace("'", "\\'")
            parts.append(f"[{path} = '{quoted}']")
    return " OR ".join(parts)


def _time(ms: int) -> str:
    at = datetime.fromtimestamp(ms / 1000, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
