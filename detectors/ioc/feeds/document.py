"""A JSON document of a feed, whatever stands at its top: STIX (bundle, envelope, list), MISP (event, list, search).

The top is walked, so that only one object or attribute is held at a time, however large the document is. Several
documents may follow one another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from detectors.ioc.feeds.entry import EndError, Entry, Fault
from detectors.ioc.feeds.misp import Event
from detectors.ioc.feeds.stix import Known, Stix
from detectors.ioc.feeds.walk import ValueFault, Walk
from schemas.feed import Reading

#: `response` → list → `Event` → object is as deep as MISP goes.
_MAX_DEPTH: Final = 5
_MAX_FACTS: Final = 32
_ENVELOPE: Final = ("more", "next")


class Document:
    """The JSON documents of one stream."""

    def __init__(self, walk: Walk, reading: Reading, known: Known) -> None:
        self._walk = walk
        self._reading = reading
        self._known = known
        self._stix = Stix(reading, known)
        self._events = 0
        self._recognised = False

    def entries(self) -> Iterator[Entry]:
        """All entries; a fault of kind "end" is the last where it breaks off."""
        try:
            while self._walk.next():
                yield from self._node(0)
            if not self._recognised:
                yield Fault("the document", "neither STIX nor MISP", "end")
        except EndError as error:
            yield from self._stix.entries()
            yield Fault(f"behind object {self._stix.seen or self._events}", str(error), "end")
        else:
            yield from self._stix.entries()

    def _node(self, depth: int) -> Iterator[Entry]:
        if depth > _MAX_DEPTH:
            raise EndError("nested too deep")
        if self._walk.next() == "[":
            self._recognised |= depth > 0
            yield from self._list(depth)
        elif self._walk.next() == "{":
            yield from self._object(depth)
        elif depth == 0:
            raise EndError("no JSON")
        else:
            yield from self._value("the document")[1]

    def _closed(self, event: Event) -> Iterator[Entry]:
        self._known.seen += event.attributes
        self._events += bool(event.attributes)
        yield from event.entries()

    def _list(self, depth: int) -> Iterator[Entry]:
        loose = Event(self._reading, self._events)
        for number in self._walk.elements():
            if self._walk.next() != "{":
                yield from self._value(f"item {number}")[1]
                yield Fault(f"item {number}", "no object")
                continue
            try:
                one = self._walk.value()
            except ValueFault:  # too large to be held: an event, or a fault that is found further down
                yield from self._node(depth + 1)
                continue
            yield from self._item(one, loose)
        yield from self._closed(loose)

    def _item(self, one: dict[str, Any], loose: Event) -> Iterator[Entry]:
        event = one.get("Event")
        if "to_ids" in one or ("uuid" in one and "value" in one):
            self._recognised = True
            yield from _one(loose.attribute(one))
        elif isinstance(event, dict) or "Attribute" in one or "Object" in one:
            self._recognised = True
            made = Event(self._reading, self._events)
            yield from made.whole(event if isinstance(event, dict) else one)
            yield from self._closed(made)
        elif isinstance(one.get("type"), str) and "--" in str(one.get("id")):
            self._recognised = True
            yield from _one(self._stix.take(one))
        else:
            yield Fault(f"object {self._stix.seen}", "neither STIX nor MISP")
            self._stix.seen += 1

    def _object(self, depth: int) -> Iterator[Entry]:
        """An object key by key: what it is, its keys tell."""
        event = Event(self._reading, self._events)
        facts: dict[str, Any] = {}
        for key in self._walk.members():
            if key == "objects" and self._walk.next() == "[":
                self._recognised = True
                yield from self._objects()
            elif key in ("Event", "response"):
                self._recognised = True
                yield from self._node(depth + 1)
            elif key in ("Attribute", "Object") and self._walk.next() == "[":
                self._recognised = True
                for number in self._walk.elements():
                    one, faults = self._value(f"{key} {number}")
                    yield from faults
                    if not faults:
                        yield from _one(event.attribute(one)) if key == "Attribute" else event.object(one)
            else:
                value, faults = self._value("the document")
                yield from faults
                event.fact(key, value)
                if len(facts) < _MAX_FACTS:
                    facts[key] = value
        yield from self._closed(event)
        yield from self._alone(facts)

    def _alone(self, facts: dict[str, Any]) -> Iterator[Entry]:
        """What stood beside the lists: an envelope's word on the next page, or one STIX object by itself."""
        empty = not facts and self._reading.format == "stix"  # so TAXII says that there is nothing
        self._recognised |= empty or any(key in facts for key in _ENVELOPE) or facts.get("type") == "bundle"
        self._known.envelope = {key: facts[key] for key in _ENVELOPE if key in facts}
        if isinstance(facts.get("type"), str) and "spec_version" in facts and facts["type"] != "bundle":
            self._recognised = True
            yield from _one(self._stix.take(facts))

    def _objects(self) -> Iterator[Fault]:
        """The objects of a bundle: what most feeds are made of, so without a step too many."""
        stix, value = self._stix, self._walk.value
        for _ in self._walk.elements():
            try:
                fault = stix.take(value())
            except ValueFault as error:
                fault = Fault(f"object {stix.seen}", str(error))
                stix.seen += 1
                self._walk.skip()
            if fault is not None:
                yield fault

    def _value(self, where: str) -> tuple[Any, list[Fault]]:
        try:
            return self._walk.value(), []
        except ValueFault as fault:
            self._walk.skip()
            return None, [Fault(where, str(fault))]


def _one(fault: Fault | None) -> Iterator[Fault]:
    if fault is not None:
        yield fault
