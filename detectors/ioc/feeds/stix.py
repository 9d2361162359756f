"""Indicators from STIX 2.1 objects, in any order: what an indicator hangs on may stand behind it.

Objects are taken one by one; indicators are put aside, slim, until all are seen. An indicator's rows all have its id.
Of several versions of an id the latest counts; a revoked one is a withdrawal. Other objects are read for what they say
of indicators: names of creators, colours of markings, what is indicated, when it was sighted.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from detectors.ioc import indicators
from detectors.ioc.feeds import made
from detectors.ioc.feeds.aside import Aside
from detectors.ioc.feeds.entry import Entry, Fault, ForeignError, Revoked
from detectors.ioc.feeds.stix_pattern import rows
from schemas.feed import Reading

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
#: Names and ties that are remembered, of each sort; what comes beyond is indicated without them.
MAX_KNOWN: Final = 100_000
_KEPT: Final = ("id", "pattern", "pattern_type", "name", "confidence", "valid_from", "valid_until", "revoked")
_LISTS: Final = ("labels", "indicator_types", "object_marking_refs")
_NAMED: Final = ("malware", "tool", "threat-actor", "intrusion-set", "campaign", "attack-pattern")
_MAX_TIES: Final = 8


@dataclass(slots=True)
class Known:
    """What was learnt of others than indicators, by id; a poll keeps it from page to page and from poll to poll."""

    names: dict[str, str] = field(default_factory=dict)
    colours: dict[str, str] = field(default_factory=dict)
    envelope: dict[str, Any] = field(default_factory=dict)
    """`more` and `next` of the TAXII envelope read last."""


class Stix:
    """The objects of one document."""

    def __init__(self, reading: Reading, known: Known) -> None:
        self._reading = reading
        self._known = known
        self._aside = Aside()
        self._ids = array("q")
        self._versions = array("q")
        self._ties: dict[str, list[str]] = {}
        self._sighted: dict[str, int] = {}
        self.seen = 0

    def take(self, one: Any) -> Fault | None:
        """Take one object. A fault where it is none that can be read."""
        where = f"object {self.seen}"
        self.seen += 1
        if not isinstance(one, dict):
            return Fault(where, "no object")
        kind, key = one.get("type"), one.get("id")
        if kind == "indicator":
            if not isinstance(key, str) or not key.startswith("indicator--") or len(key) > 80:
                return Fault(where, "an indicator without an id")
            self._ids.append(hash(key))
            self._versions.append(_version(one))
            self._aside.add(_slim(one))
        elif isinstance(kind, str) and isinstance(key, str) and len(key) <= 120:
            self._learn(kind, key, one)
        return None

    def entries(self) -> Iterator[Entry]:
        """What the indicators are, when all objects are taken."""
        latest = self._latest()
        for number, one in enumerate(self._aside.taken()):
            if latest.get(self._ids[number], number) != number:
                continue
            key = made.clean(one["id"])
            if one.get("revoked") is True:
                yield Revoked(self._common(one).source if self._reading.own else self._reading.source, key,
                              self._versions[number])  # fmt: skip
                continue
            try:
                yield from made.of(self._common(one), self._rows(one))
            except ForeignError as error:
                yield Fault(key, str(error), "foreign")
            except ValueError as error:
                yield Fault(key, str(error))

    def _latest(self) -> dict[int, int]:
        """Of ids that came more than once: the place of the latest version."""
        twice = {one for one, other in pairwise(sorted(self._ids)) if one == other}
        best: dict[int, int] = {}
        for number, key in enumerate(self._ids if twice else ()):
            if key in twice and self._versions[number] >= self._versions[best.get(key, number)]:
                best[key] = number
        return best

    def _learn(self, kind: str, key: str, one: dict[str, Any]) -> None:
        if kind == "identity" or kind in _NAMED:
            if len(self._known.names) < MAX_KNOWN:
                self._known.names[key] = made.clean(_text(one, "name"))[:80]
        elif kind == "marking-definition":
            self._learn_colour(key, one)
        elif kind == "relationship" and one.get("relationship_type") == "indicates":
            ties = self._ties.setdefault(_text(one, "source_ref"), []) if len(self._ties) < MAX_KNOWN else []
            if len(ties) < _MAX_TIES:
                ties.append(_text(one, "target_ref")[:120])
        elif kind == "sighting" and len(self._sighted) < MAX_KNOWN:
            of, when = _text(one, "sighting_of_ref"), _moment(_text(one, "first_seen"))
            if when:
                self._sighted[of] = min(when, self._sighted.get(of, when))

    def _learn_colour(self, key: str, one: dict[str, Any]) -> None:
        definition = one.get("definition")
        said = _text(definition if isinstance(definition, dict) else {}, "tlp") or _text(one, "name")
        try:
            colour = indicators.tlp(said or "-")
        except ValueError:
            colour = ""  # a statement or a licence: no colour
        if len(self._known.colours) < MAX_KNOWN:
            self._known.colours[key] = colour

    def _rows(self, one: dict[str, Any]) -> list[Any]:
        if one.get("pattern_type", "stix") != "stix":
            raise ForeignError(f"a pattern of type {made.clean(_text(one, 'pattern_type'))[:40]}")
        if not isinstance(one.get("pattern"), str):
            raise ValueError("an indicator without a pattern")  # noqa: TRY004 - a feed's fault, not a caller's
        limits = self._reading.limits
        return rows(one["pattern"], limits.values, limits.pattern)

    def _common(self, one: dict[str, Any]) -> Any:
        names, key = self._known.names, one["id"]
        phases = [phase for phase in one.get("kill_chain_phases") or () if isinstance(phase, dict)]
        tags = [f"attack.{_text(phase, 'phase_name')}" for phase in phases if _is_attack(phase)]
        tags += _texts(one, "labels") + _texts(one, "indicator_types")
        tags += [f"{tie.partition('--')[0]}:{names[tie]}" for tie in self._ties.get(key, ()) if names.get(tie)]
        given = one.get("confidence")
        return made.shared(
            self._reading,
            id=key,
            title=_text(one, "name"),
            confidence=given if type(given) is int and 0 <= given <= 100 else None,
            valid_from=indicators.moment(_text(one, "valid_from")),
            valid_until=indicators.moment(_text(one, "valid_until")),
            first_seen=self._sighted.get(key, 0),
            tlp=self._tlp(one),
            tags=tags,
            phases=[f"{_text(phase, 'kill_chain_name')}:{_text(phase, 'phase_name')}" for phase in phases],
            source=names.get(_text(one, "created_by_ref"), ""),
        )

    def _tlp(self, one: dict[str, Any]) -> str:
        """The strictest colour of its markings; of a marking that nobody defined, no laxer than our own start."""
        colours = []
        for ref in _texts(one, "object_marking_refs"):
            colour = _MARKINGS.get(ref)
            colours.append(colour if colour is not None else self._known.colours.get(ref, "amber+strict"))
        known = [colour for colour in colours if colour]
        return max(known, key=indicators.TLPS.index) if known else ""


def _slim(one: dict[str, Any]) -> dict[str, Any]:
    """What is kept of an indicator while it waits. A marking of one property counts for the whole."""
    kept = {name: one[name] for name in _KEPT if type(one.get(name)) in (str, int, bool)}
    kept |= {name: texts[:64] for name in _LISTS if (texts := _texts(one, name))}
    if isinstance(ref := one.get("created_by_ref"), str):
        kept["created_by_ref"] = ref[:120]
    if isinstance(phases := one.get("kill_chain_phases"), list):
        kept["kill_chain_phases"] = [phase for phase in phases[: made.MAX_PHASES] if isinstance(phase, dict)]
    if isinstance(markings := one.get("granular_markings"), list):
        refs = [_text(marking, "marking_ref") for marking in markings[:64] if isinstance(marking, dict)]
        kept["object_marking_refs"] = [*kept.get("object_marking_refs", ()), *filter(None, refs)]
    return kept


def _is_attack(phase: dict[str, Any]) -> bool:
    return phase.get("kill_chain_name") == "mitre-attack" and bool(_text(phase, "phase_name"))


def _version(one: dict[str, Any]) -> int:
    return _moment(_text(one, "modified")) or _moment(_text(one, "created"))


def _moment(text: str) -> int:
    try:
        return indicators.moment(text[:64])
    except ValueError:
        return 0


def _text(one: dict[str, Any], name: str) -> str:
    value = one.get(name)
    return value if isinstance(value, str) else ""


def _texts(one: dict[str, Any], name: str) -> list[str]:
    value = one.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
