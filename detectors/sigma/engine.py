"""Events in, matches out: the rules of each event's route, narrowed by the prefilter, then decided by the rule itself.

    event ── source ── route: its rules, compiled when first seen ─┬─ without a witness ───────────┐
                         └─ scanner, per form of bytes ── hits ────┴─ candidates ── predicate ── RuleMatch

No I/O and no clock. `match_plain` evaluates every rule of the log source and is what `match` must equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from threading import Lock
from typing import Final, NamedTuple

from detectors.sigma.activities import Activity, activity
from detectors.sigma.compile import Compiler, matched
from detectors.sigma.fields import View
from detectors.sigma.predicates import Predicate
from detectors.sigma.prefilter import Form, Scanner, decoded, scanned, witness
from detectors.sigma.routing import Entry, Index, event_ids
from detectors.sigma.rule import NODES_VERSION, Node, Rule
from schemas.event import Event, Source
from schemas.field_mapping import FieldMapping
from schemas.identity import long_hash

#: Sources remembered; a shipper writes their names, so there is no natural end to them.
MAX_SOURCES: Final = 20_000

_Key = tuple[int, int, FieldMapping | None]
"""A rule's number, its place's, and the mapping: what one compiled condition is for."""


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """One rule found in one event. `index`: the event's place in what was given. `matched`: field → value.

    `activity`: what the event tells of an activity that another provider of the host may tell too.
    """

    index: int
    rule: Rule
    matched: dict[str, str]
    activity: Activity | None = None


class _Routed(NamedTuple):
    """One rule of a route, ready."""

    entry: Entry
    mapping: FieldMapping | None
    test: Predicate


class _Route:
    """The rules that events of some sources can match. Sources with the same rules share one."""

    def __init__(self, routed: list[_Routed], witnesses: list[frozenset[str] | None]) -> None:
        self.routed = routed
        owners: dict[str, list[int]] = {}
        always = []
        for position, literals in enumerate(witnesses):
            if literals is None:
                always.append(position)
            for text in literals or ():
                owners.setdefault(text, []).append(position)
        self._owners = {text: tuple(positions) for text, positions in owners.items()}
        # Even for one rule: a scan costs 1 µs of a record, a keyword looked for in all its values 15.
        self.scans = bool(owners)
        self.always = always
        self._scanners: dict[Form, Scanner] = {}

    @property
    def forms(self) -> Iterable[Form]:
        """The forms of bytes for which a database is built."""
        return self._scanners

    def scanner(self, form: Form) -> Scanner:
        """The database for one form of bytes, built when first needed."""
        found = self._scanners.get(form)
        if found is None:
            found = self._scanners[form] = Scanner(self._owners, form)
        return found

    def candidates(self, events: Sequence[Event]) -> dict[int, set[int]]:
        """Place of the event → positions of rules whose witness it holds. All events have one format."""
        form = events[0].format.form
        if form == "opaque":
            return self.scanner("text").scan([decoded(event) for event in events])[0]
        found, doubtful = self.scanner(form).scan([scanned(event) for event in events])
        if doubtful:
            again = sorted(doubtful)
            sure, _ = self.scanner("text").scan([decoded(events[at]) for at in again])
            for place, at in enumerate(again):
                found[at] = sure.get(place, set())
        return found


class Engine:
    """A set of rules over events. One `match` runs at a time, whatever the number of threads."""

    def __init__(self, rules: Sequence[Rule], zone: tzinfo = UTC) -> None:
        """`zone`: the bank's time zone, for the modifiers `minute` to `year`."""
        self.rules = tuple(rules)
        self.revision = long_hash("rules", NODES_VERSION, *(f"{rule.id}={rule.revision}" for rule in self.rules))
        """Changes with any rule, and with what the engine makes of them."""
        self._index = Index(self.rules)
        self._compiler = Compiler(zone)
        self._sources: dict[tuple[Source, FieldMapping | None], _Route] = {}
        self._routes: dict[tuple[_Key, ...], _Route] = {}
        self._ready: dict[_Key, tuple[_Routed, frozenset[str] | None, frozenset[int] | None]] = {}
        self._lock = Lock()

    def match(self, events: Sequence[Event]) -> list[RuleMatch]:
        """Every (event, rule) pair, by event and then in the order of the rules."""
        with self._lock:
            found: list[RuleMatch] = []
            for route, places in self._by_route(events):
                self._match_route(route, places, events, found)
            found.sort(key=lambda match: match.index)
            return found

    def match_plain(self, event: Event) -> list[RuleMatch]:
        """The same for one event by evaluating every rule of its log source, without prefilter and pruning."""
        with self._lock:
            view, mapping = View(event.fields), event.format.mapping
            plain = [self._compiled(entry, mapping)[0] for entry in self._index.entries(event.source)]
            return [self._match(0, routed, view) for routed in plain if routed.test(view)]

    def seen(self) -> list[tuple[Source, FieldMapping | None, tuple[Form, ...]]]:
        """The sources met so far, each with its mapping and the forms of bytes that were scanned for it."""
        with self._lock:
            return [(*known, tuple(route.forms)) for known, route in self._sources.items()]

    def prepare(self, seen: Iterable[tuple[Source, FieldMapping | None, tuple[Form, ...]]]) -> None:
        """Compile what these sources need before their events come: seconds of work, which a stream would wait for."""
        for source, mapping, forms in seen:
            with self._lock:
                route = self._route(source, mapping)
                for form in forms if route.scans else ():
                    route.scanner(form)

    def _by_route(self, events: Sequence[Event]) -> list[tuple[_Route, list[int]]]:
        """Places of events by route and format, for routes that have rules."""
        by_format: dict[int, dict[Source, list[int]]] = {}
        for place, event in enumerate(events):
            sources = by_format.get(id(event.format))
            if sources is None:
                sources = by_format[id(event.format)] = {}
            known = sources.get(event.source)
            if known is None:
                sources[event.source] = [place]
            else:
                known.append(place)
        return [
            (route, places)
            for sources in by_format.values()
            for source, places in sources.items()
            if (route := self._route(source, events[places[0]].format.mapping)).routed
        ]

    def _match_route(self, route: _Route, places: list[int], events: Sequence[Event], found: list[RuleMatch]) -> None:
        candidates: dict[int, set[int]] = {}
        if route.scans:
            candidates = route.candidates([events[place] for place in places])
        elif not route.always:
            return
        routed, always = route.routed, route.always
        for at in range(len(places)) if always else sorted(candidates):
            positions = candidates.get(at)
            order = always if positions is None else sorted(positions.union(always))
            view = View(events[places[at]].fields)
            hits = [position for position in order if routed[position].test(view)]
            found += [self._match(places[at], routed[position], view) for position in hits]

    def _match(self, place: int, routed: _Routed, view: View) -> RuleMatch:
        entry = routed.entry
        rule = self.rules[entry.rule]
        return RuleMatch(
            place,
            rule,
            matched(entry.tree(rule, routed.mapping), self._compiler.leaf, view),
            activity(entry.category(rule), entry.number, view.fields, entry.names(rule, routed.mapping)),
        )

    def _route(self, source: Source, mapping: FieldMapping | None) -> _Route:
        key = (source, mapping)
        found = self._sources.get(key)
        if found is None:
            if len(self._sources) >= MAX_SOURCES:
                self._sources.clear()
            found = self._sources[key] = self._routed(source, mapping)
        return found

    def _routed(self, source: Source, mapping: FieldMapping | None) -> _Route:
        """The route of a source; rules that demand another event id are none of it."""
        ready = []
        for entry in self._index.entries(source):
            known = self._compiled(entry, mapping)
            demanded = known[2]
            if demanded is None or not source.event_id or source.product != "windows" or source.event_id in demanded:
                ready.append(((entry.rule, entry.number, mapping), known))
        signature = tuple(key for key, _ in ready)
        route = self._routes.get(signature)
        if route is None:
            route = self._routes[signature] = _Route([known[0] for _, known in ready], [known[1] for _, known in ready])
        return route

    def _compiled(
        self, entry: Entry, mapping: FieldMapping | None
    ) -> tuple[_Routed, frozenset[str] | None, frozenset[int] | None]:
        """A rule for one provider's names, made once."""
        key = (entry.rule, entry.number, mapping)
        known = self._ready.get(key)
        if known is None:
            known = self._ready[key] = self._prepared(entry, mapping)
        return known

    def _prepared(
        self, entry: Entry, mapping: FieldMapping | None
    ) -> tuple[_Routed, frozenset[str] | None, frozenset[int] | None]:
        tree: Node = entry.tree(self.rules[entry.rule], mapping)
        test: Callable[[View], bool] = self._compiler.condition(tree)
        return _Routed(entry, mapping, test), witness(tree), event_ids(tree)
