"""Indicators from STIX 2.1: a bundle, a TAXII envelope, or a list of objects.

An indicator with several values becomes one entry a value, all with its id. Of several versions of an id the latest
counts; a revoked one is none. Other objects are read for what they say of indicators: names and markings.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from detectors.ioc import indicators
from detectors.ioc.feeds.entry import Fault, Feed
from detectors.ioc.feeds.stix_pattern import values
from schemas.indicator import Indicator

#: The marking objects that STIX itself defines (TLP 1.0), by id.
_MARKINGS: Final = {
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": "clear",
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": "green",
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": "amber",
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": "red",
    # TLP 2.0, by the ids of the OASIS extension.
    "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487": "clear",
    "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb": "green",
    "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421": "amber",
    "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003": "amber+strict",
    "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1": "red",
}


def parse(data: bytes, source: str) -> Feed:
    """Read STIX. `source` is the origin where an indicator names no creator."""
    feed = Feed()
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        feed.faults.append(Fault(f"line {error.lineno}", f"no JSON: {error.msg}"))
        return feed
    objects = document.get("objects") if isinstance(document, dict) else document
    if not isinstance(objects, list):
        feed.faults.append(Fault("the document", "neither a bundle, an envelope nor a list of objects"))
        return feed
    latest: dict[str, dict[str, Any]] = {}
    names, markings = _about(objects)
    for number, one in enumerate(objects):
        if not isinstance(one, dict):
            feed.faults.append(Fault(f"object {number}", "no object"))
        elif one.get("type") == "indicator":
            key = one.get("id")
            if not isinstance(key, str) or not key.startswith("indicator--") or len(key) > 80:
                feed.faults.append(Fault(f"object {number}", "an indicator without an id"))
            elif key not in latest or _version(one) >= _version(latest[key]):
                latest[key] = one
    for key, one in latest.items():
        if one.get("revoked") is True:
            continue
        try:
            feed.indicators += _indicators(one, source, names, markings)
        except ValueError as error:
            feed.faults.append(Fault(indicators.plain(key), str(error)))
    return feed


def _about(objects: list[Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Names of creators and colours of markings, by id."""
    names: dict[str, str] = {}
    markings = dict(_MARKINGS)
    for one in objects:
        if not isinstance(one, dict) or not isinstance(one.get("id"), str):
            continue
        if one.get("type") == "identity":
            names[one["id"]] = indicators.plain(_text(one, "name"))
        elif one.get("type") == "marking-definition":
            definition = one.get("definition")
            said = _text(definition if isinstance(definition, dict) else {}, "tlp") or _text(one, "name")
            try:
                markings[one["id"]] = indicators.tlp(said or "-")
            except ValueError:
                continue  # a statement or a licence: no colour
    return names, markings


def _indicators(one: dict[str, Any], source: str, names: dict[str, str], markings: dict[str, str]) -> list[Indicator]:
    if one.get("pattern_type", "stix") != "stix":
        raise ValueError(f"a pattern of type {indicators.plain(_text(one, 'pattern_type'))[:40]}")
    if not isinstance(one.get("pattern"), str):
        raise ValueError("an indicator without a pattern")  # noqa: TRY004 - a feed's fault, not a caller's
    colours = [markings[ref] for ref in _texts(one, "object_marking_refs") if ref in markings]
    phases = one.get("kill_chain_phases")
    tags = [f"attack.{_text(phase, 'phase_name')}" for phase in phases or () if _is_attack(phase)]
    tags += _texts(one, "labels") + _texts(one, "indicator_types")
    given = one.get("confidence")
    common = Indicator(
        id=one["id"],
        type="",
        value="",
        title=indicators.plain(_text(one, "name")),
        confidence=given if type(given) is int and 0 <= given <= 100 else 50,
        valid_from=indicators.moment(_text(one, "valid_from")),
        valid_until=indicators.moment(_text(one, "valid_until")),
        source=names.get(_text(one, "created_by_ref")) or source,
        tlp=max(colours, key=indicators.TLPS.index, default="amber+strict"),
        tags=tuple(dict.fromkeys(tag for each in tags if (tag := indicators.plain(each))))[: indicators.MAX_TAGS],
    )
    return [
        indicators.sealed(common._replace(type=kind, value=value, title=common.title or f"{kind} {value}"))
        for kind, value in values(one["pattern"])
    ]


def _is_attack(phase: Any) -> bool:
    return (
        isinstance(phase, dict) and phase.get("kill_chain_name") == "mitre-attack" and bool(_text(phase, "phase_name"))
    )


def _version(one: dict[str, Any]) -> int:
    try:
        return indicators.moment(_text(one, "modified") or _text(one, "created"))
    except ValueError:
        return 0


def _text(one: dict[str, Any], name: str) -> str:
    value = one.get(name)
    return value if isinstance(value, str) else ""


def _texts(one: dict[str, Any], name: str) -> list[str]:
    value = one.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
