"""Indicators from MISP: the attributes of events and of searches, with what their event says of all of them.

An attribute is an indicator where `to_ids` says so; one that says no, or is deleted, is a withdrawal. An event's tags
stand behind its attributes, so attributes are put aside until the event is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from detectors.ioc import indicators
from detectors.ioc.feeds import composite, made
from detectors.ioc.feeds.aside import Aside
from detectors.ioc.feeds.entry import Entry, Fault, ForeignError, Revoked
from schemas.feed import Reading

_FACTS: Final = ("info", "threat_level_id")
_KEPT: Final = ("uuid", "type", "value", "to_ids", "deleted", "timestamp", "comment", "first_seen", "last_seen")
_LEVELS: Final = {"1": "high", "2": "medium", "3": "low"}
#: MISP's taxonomy `misp:confidence-level`, with the numbers that it gives its words.
_CONFIDENCE: Final = {
    "completely-confident": 100,
    "usually-confident": 75,
    "fairly-confident": 50,
    "rarely-confident": 25,
    "unconfident": 0,
}
_MAX_TAGS: Final = 64


class Event:
    """One event, or the attributes of a search, which name no event of their own."""

    def __init__(self, reading: Reading, number: int) -> None:
        self._reading = reading
        self._where = f"event {number}"
        self._aside = Aside()
        self._facts: dict[str, Any] = {}
        self._phases: list[str] = []
        self.attributes = 0

    def fact(self, key: str, value: Any) -> None:
        """What the event says of itself."""
        if key == "Galaxy":
            self._phases += _phases_of(value)
        else:
            self._facts |= _facts({key: value})

    def attribute(self, one: Any) -> Fault | None:
        """Take one attribute. A fault where it cannot be read."""
        where = f"{self._where} attribute {self.attributes}"
        self.attributes += 1
        if not isinstance(one, dict):
            return Fault(where, "no object")
        kept = {name: value for name in _KEPT if type(value := one.get(name)) in (str, int, bool)}
        uuid = kept.get("uuid")
        if not isinstance(uuid, str) or not 8 <= len(uuid) <= 64:
            return Fault(where, "an attribute without a uuid")
        if one.get("Tag"):
            kept["tags"] = _names(one["Tag"])
        if isinstance(of := one.get("Event"), dict):
            kept["event"] = _facts(of)
        self._aside.add(kept)
        return None

    def whole(self, event: dict[str, Any]) -> Iterator[Fault]:
        """Take an event that is read already."""
        for key, value in event.items():
            if key == "Attribute":
                yield from self._all(value)
            elif key == "Object":
                for one in value if isinstance(value, list) else ():
                    yield from self.object(one)
            else:
                self.fact(key, value)

    def object(self, one: Any) -> Iterator[Fault]:
        """Take the attributes of a MISP object: each is an indicator of its own."""
        if isinstance(one, dict):
            yield from self._all(one.get("Attribute"), gone=_yes(one.get("deleted")))

    def _all(self, attributes: Any, *, gone: bool = False) -> Iterator[Fault]:
        for one in attributes if isinstance(attributes, list) else ():
            fault = self.attribute(one | {"deleted": True} if gone and isinstance(one, dict) else one)
            if fault is not None:
                yield fault

    def entries(self) -> Iterator[Entry]:
        """What the attributes are, when all of the event is taken."""
        for one in self._aside.taken():
            key = made.clean(one["uuid"])
            try:
                yield from self._entries(one, key)
            except ForeignError as error:
                yield Fault(f"attribute {key}", str(error), "foreign")
            except ValueError as error:
                yield Fault(f"attribute {key}", str(error))

    def _entries(self, one: dict[str, Any], key: str) -> Iterable[Entry]:
        changed = _seconds(one.get("timestamp"))
        if _yes(one.get("deleted")) or not _yes(one.get("to_ids")):
            return () if self._reading.first else (Revoked(self._reading.source, key, changed),)
        facts = self._facts | one.get("event", {})
        rows, remarks = composite.rows(_text(one, "type")[:64] or "-", _text(one, "value"))
        tags = [*one.get("tags", ()), *facts.get("tags", ())]
        common = made.shared(
            self._reading,
            id=key,
            title=": ".join(filter(None, (_text(facts, "info"), _text(one, "comment")))),
            level=_LEVELS.get(str(facts.get("threat_level_id")), ""),
            confidence=next(
                (_CONFIDENCE[word] for word in _machine(tags, "misp:confidence-level") if word in _CONFIDENCE), None
            ),
            valid_until=0,
            since=max(changed, _when(one, "last_seen")),
            first_seen=_when(one, "first_seen"),
            tlp=_strictest(tags),
            tags=(*[_tag(tag) for tag in tags if not tag.lower().startswith("tlp:")], *remarks),
            phases=(*_phases(tags), *self._phases),
            source=_text(facts, "creator"),
        )
        return made.of(common, rows)


def _facts(event: dict[str, Any]) -> dict[str, Any]:
    """What an event says of all its attributes, slim."""
    found: dict[str, Any] = {key: event[key] for key in _FACTS if type(event.get(key)) in (str, int)}
    if "Tag" in event:
        found["tags"] = _names(event["Tag"])
    if isinstance(creator := event.get("Orgc"), dict):
        found["creator"] = _text(creator, "name")[:80]
    return found


def _names(tags: Any) -> list[str]:
    found = tags[:_MAX_TAGS] if isinstance(tags, list) else ()
    return [_text(tag, "name")[:256] for tag in found if isinstance(tag, dict) and _text(tag, "name")]


def _machine(tags: list[str], predicate: str) -> Iterator[str]:
    """The values of `namespace:predicate="value"`."""
    for tag in tags:
        name, mark, value = tag.partition("=")
        if mark and name.strip().lower() == predicate:
            yield value.strip().strip('"').lower()


def _strictest(tags: list[str]) -> str:
    """The strictest colour. `tlp:ex:chr` and other words that are none are no laxer than our own start."""
    found = []
    for tag in tags:
        if tag.lower().startswith("tlp:"):
            try:
                found.append(indicators.tlp(tag[4:].strip() or "-"))
            except ValueError:
                found.append("amber+strict")
    return max(found, key=indicators.TLPS.index, default="")


def _tag(tag: str) -> str:
    """A technique of ATT&CK as Sigma writes it, where a galaxy's tag ends in one: `... - T1071.001"`."""
    if tag.startswith("misp-galaxy:mitre-attack-pattern="):
        number = tag.rstrip('"').rpartition(" - ")[2].lower()
        if number[:1] == "t" and number[1:5].isdecimal():
            return f"attack.{number}"
    return tag


def _phases(tags: list[str]) -> list[str]:
    named = (tag[len("kill-chain:") :].strip().strip('"') for tag in tags if tag.lower().startswith("kill-chain:"))
    return [f"lockheed-martin-cyber-kill-chain:{'-'.join(name.lower().split())}" for name in named if name]


def _phases_of(galaxies: Any) -> list[str]:
    """`mitre-attack:command-and-control` of the clusters of an event's galaxies."""
    found: list[str] = []
    for galaxy in galaxies if isinstance(galaxies, list) else ():
        clusters = galaxy.get("GalaxyCluster") if isinstance(galaxy, dict) else None
        for cluster in clusters[:_MAX_TAGS] if isinstance(clusters, list) else ():
            meta = cluster.get("meta") if isinstance(cluster, dict) else None
            chain = meta.get("kill_chain") if isinstance(meta, dict) else None
            found += [phase for phase in chain[:4] if isinstance(phase, str)] if isinstance(chain, list) else []
    return found[: made.MAX_PHASES]


def _yes(value: Any) -> bool:
    return value is True or value in (1, "1")


def _seconds(value: Any) -> int:
    """Seconds since the epoch, as a number or a text, as milliseconds; 0 for what is none."""
    text = str(value)[:20] if type(value) in (int, str) else ""
    return int(text) * 1_000 if text.isascii() and text.isdecimal() and len(text) <= 11 else 0


def _when(one: dict[str, Any], name: str) -> int:
    """A time as MISP writes it: ISO 8601, or microseconds since the epoch."""
    text = str(one.get(name) or "")[:40]
    if text.isascii() and text.isdecimal():
        return int(text) // 1_000 if 14 <= len(text) <= 17 else _seconds(text)
    try:
        return indicators.moment(text)
    except ValueError:
        return 0


def _text(one: dict[str, Any], name: str) -> str:
    value = one.get(name)
    return value if isinstance(value, str) else ""
