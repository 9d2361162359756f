"""Indicators from STIX 2.1 objects, in any order: what an indicator hangs on may stand behind it.

Objects are taken one by one; indicators are put aside, slim, until all are seen. An indicator's rows all have its id.
Of several versions of an id the latest counts; a revoked one is a withdrawal. Other objects are read for what they say
of indicators: names of creators, colours of markings, what is indicated, when it was sighted.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from detectors.ioc import indicators
from detectors.ioc.feeds import made
from detectors.ioc.feeds.aside import Aside
from detectors.ioc.feeds.entry import Entry, Fault, ForeignError, Revoked
from detectors.ioc.feeds.stix_pattern import Row, rows
from schemas.feed import Reading
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
#: Names and ties that are remembered, of each sort; what comes beyond is indicated without them.
MAX_KNOWN: Final = 100_000
_KEPT: Final = ("id", "pattern", "pattern_type", "name", "confidence", "valid_from", "valid_until", "revoked")
_ID: Final = re.compile(r"indicator--[0-9A-Za-z-]{1,64}")
_PLAIN: Final = (str, int, bool)
_PATTERNS: Final = ("pcre", "sigma", "snort", "suricata", "yara")
_MAX_LIST: Final = 64
_MAX_DESCRIBED: Final = 10_000
_NAMED: Final = ("malware", "tool", "threat-actor", "intrusion-set", "campaign", "attack-pattern")
_MAX_TIES: Final = 8


#: Labels, phases (chain, phase), creator and markings of an indicator; the tags, phases, colour and name they mean.
About = tuple[tuple[str, ...], tuple[tuple[str, str], ...], str, tuple[str, ...]]
Described = tuple[tuple[str, ...], tuple[str, ...], str, str]


@dataclass(slots=True)
class Known:
    """What was learnt of others than indicators, by id; a poll keeps it from page to page and from poll to poll."""

    names: dict[str, str] = field(default_factory=dict)
    colours: dict[str, str] = field(default_factory=dict)
    envelope: dict[str, Any] = field(default_factory=dict)
    """`more` and `next` of the TAXII envelope read last."""
    seen: int = 0
    """Objects and attributes of the documents read so far, whatever they gave."""


class Stix:
    """The objects of one document."""

    def __init__(self, reading: Reading, known: Known) -> None:
        self._described: dict[About, Described] = {}
        self._reading = reading
        self._limits = reading.limits
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
            if not isinstance(key, str) or _ID.fullmatch(key) is None:
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
            key = one["id"]
            if one.get("revoked") is True:
                yield Revoked(self._source(one), key, self._versions[number])
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

    def _rows(self, one: dict[str, Any]) -> list[Row]:
        if one.get("pattern_type", "stix") != "stix":
            kind = _text(one, "pattern_type")
            raise ForeignError(f"a pattern of type {kind if kind in _PATTERNS else 'unknown'}")
        if not isinstance(one.get("pattern"), str):
            raise ValueError("an indicator without a pattern")  # noqa: TRY004 - a feed's fault, not a caller's
        return rows(one["pattern"], self._limits.values, self._limits.pattern)

    def _common(self, one: dict[str, Any]) -> Indicator:
        key, about = one["id"], one["about"]
        tags, phases, tlp, source = self._described.get(about) or self._describe(about)
        if ties := self._ties.get(key):
            names = self._known.names
            tags += tuple(f"{tie.partition('--')[0]}:{names[tie]}" for tie in ties if names.get(tie))
        given = one.get("confidence")
        return made.shared(
            self._reading,
            id=key,
            title=_text(one, "name"),
            confidence=given if type(given) is int and 0 <= given <= 100 else None,
            valid_from=indicators.moment(_text(one, "valid_from")),
            valid_until=indicators.moment(_text(one, "valid_until")),
            first_seen=self._sighted.get(key, 0),
            tlp=tlp,
            tags=tags,
            phases=phases,
            source=source,
        )

    def _source(self, one: dict[str, Any]) -> str:
        creator = self._known.names.get(one["about"][2]) if self._reading.own else None
        return creator or self._reading.source

    def _describe(self, about: About) -> Described:
        """What an indicator's lists and references come to. A feed has few different ones, so they are kept."""
        labels, phases, creator, markings = about
        tags = tuple(f"attack.{phase}" for chain, phase in phases if chain == "mitre-attack") + labels
        chains = tuple(f"{chain}:{phase}" for chain, phase in phases)
        found = (tags, chains, self._tlp(markings), self._known.names.get(creator, ""))
        if len(self._described) < _MAX_DESCRIBED:
            self._described[about] = found
        return found

    def _tlp(self, markings: tuple[str, ...]) -> str:
        """The strictest colour of its markings; of a marking that nobody defined, no laxer than our own start."""
        colours = []
        for ref in markings:
            colour = _MARKINGS.get(ref)
            colours.append(colour if colour is not None else self._known.colours.get(ref, "amber+strict"))
        known = [colour for colour in colours if colour]
        return max(known, key=indicators.TLPS.index) if known else ""


def _slim(one: dict[str, Any]) -> dict[str, Any]:
    """What is kept of an indicator while it waits. A marking of one property counts for the whole."""
    kept = {name: value for name in _KEPT if type(value := one.get(name)) in _PLAIN}
    markings = _texts(one, "object_marking_refs")
    for marking in _dicts(one, "granular_markings"):
        markings += (_text(marking, "marking_ref"),)
    chain = _dicts(one, "kill_chain_phases")
    phases = [(_text(phase, "kill_chain_name"), _text(phase, "phase_name")) for phase in chain]
    labels = _texts(one, "labels") + _texts(one, "indicator_types")
    creator = _text(one, "created_by_ref")[:120]
    kept["about"] = (labels, tuple(filter(all, phases)), creator, tuple(filter(None, markings)))
    return kept


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


def _texts(one: dict[str, Any], name: str) -> tuple[str, ...]:
    value = one.get(name)
    return tuple([item for item in value[:_MAX_LIST] if type(item) is str]) if type(value) is list else ()


def _dicts(one: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = one.get(name)
    return [item for item in value[:_MAX_LIST] if type(item) is dict] if type(value) is list else []
