"""From a rule's log source to the events it looks at: the index that answers by an event's source.

Every rule looks at the place its log source names literally, so that a topic's settings can feed any rule; the tables
(`providers`) add where Windows, Linux and network sensors really write such events, and in which words.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Final, NamedTuple

from detectors.sigma.activities import ACTIVITY_FIELDS
from detectors.sigma.mapping import NO_NAMES, Names, names_of, provided
from detectors.sigma.providers import AGENTS, CARRIED, Place, providers
from detectors.sigma.rule import LogSource, Node, Rule
from schemas.event import EVERYWHERE, Source
from schemas.field_mapping import FieldMapping


def places(source: LogSource) -> tuple[Place, ...]:
    """Every place that a rule of this log source looks at."""
    return (Place(*source, names=AGENTS.get(source.category, NO_NAMES)), *providers(source))


def carried(source: LogSource) -> bool:
    """Whether records of this log source exist without a topic's settings naming it."""
    if source.product in ("suricata", "zeek") and not source.category:
        return True
    return bool(providers(source)) or source in CARRIED or source in ECS_SOURCES


#: What Elastic's agents tell by themselves, beside what the tables know.
ECS_SOURCES: Final = frozenset(LogSource("macos", category) for category in ("process_creation", "file_event"))


class Entry(NamedTuple):
    """One rule at one place: their numbers; in the tables of providers places count from 1, 0 is the literal one."""

    rule: int
    number: int
    place: Place

    def tree(self, rule: Rule, mapping: FieldMapping | None = None) -> Node:
        """The rule's condition in the words of this place, and of a format's or topic's mapping."""
        tree = provided(rule.tree, self.place.names)
        if self.place.when is not None:
            tree = ["and", self.place.when, tree]
        return provided(tree, names_of(mapping, rule.logsource)) if mapping is not None else tree

    def category(self, rule: Rule) -> str:
        """The category whose activities such events tell; '' where nothing tells one from another."""
        return rule.logsource.category if rule.logsource.category in ACTIVITY_FIELDS else ""

    def names(self, rule: Rule, mapping: FieldMapping | None = None) -> Names:
        """How a field of the rule is told here."""
        if mapping is None:
            return self.place.names
        inner = names_of(mapping, rule.logsource)
        outer = self.place.names.items()
        return {**inner, **{name: told._replace(name=inner.get(told.name, told).name) for name, told in outer}}


class Index:
    """Rules by event source."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_place: dict[tuple[str, ...], list[Entry]] = {}
        self._literal: list[Entry] = []
        for rule_number, rule in enumerate(rules):
            entries = [Entry(rule_number, number, place) for number, place in enumerate(places(rule.logsource))]
            self._literal.append(entries[0])
            for entry in entries:
                self._by_place.setdefault(entry.place[:3], []).append(entry)

    def entries(self, source: Source) -> list[Entry]:
        """The rules that look at events of this source, in order, each once."""
        if source == EVERYWHERE:
            return list(self._literal)
        found: dict[int, Entry] = {}
        said = ((word, "") if word else ("",) for word in source[:3])
        for key in product(*said):
            for entry in self._by_place.get(key, ()):
                if not entry.place.event_ids or source.event_id in entry.place.event_ids:
                    # The more exact place comes first and wins: it knows the provider's names.
                    found.setdefault(entry.rule, entry)
        return [found[number] for number in sorted(found)]


def event_ids(tree: Node) -> frozenset[int] | None:
    """The event ids one of which a condition demands; None: it demands none."""
    kind = tree[0]
    if kind == "and":
        known = [ids for child in tree[1:] if (ids := event_ids(child)) is not None]
        return frozenset.intersection(*known) if known else None
    if kind == "or":
        alternatives = [event_ids(child) for child in tree[1:]]
        return (
            frozenset().union(*(ids for ids in alternatives if ids is not None)) if None not in alternatives else None
        )
    if kind == "num" and tree[1] == "EventID":
        return frozenset(number for number in tree[2] if isinstance(number, int))
    if kind == "eq" and tree[1] == "EventID":
        return frozenset(int(text) for text in tree[2] if text.isascii() and text.isdigit())
    return None
