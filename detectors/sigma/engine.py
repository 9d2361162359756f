"""Events in, matches out: the rules of each event's route, narrowed by the prefilter, then decided by the rule itself.

    event ── source ── route: its rules, planned when first seen ─┬─ without a witness ───────────┐
                         └─ scanner, per form of bytes ── hits ───┴─ candidates ── predicate ── RuleMatch

A rule's predicate is made when a record first is a candidate: of thousands most never are.

No I/O and no clock. `match_plain` evaluates every rule of the log source and is what `match` must equal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from itertools import chain
from threading import Lock
from typing import Final

from detectors.sigma.activities import Activity, activity
from detectors.sigma.compile import Compiler, Leaf, Tested, matched
from detectors.sigma.fields import View
from detectors.sigma.mapping import NO_NAMES, Names
from detectors.sigma.plan import NEVER, Needs, key, met, needs, packed, unpacked
from detectors.sigma.predicates import Predicate
from detectors.sigma.prefilter import Form, Scanner, Witness, decoded, scanned
from detectors.sigma.routing import Entry, Index
from detectors.sigma.rule import NODES_VERSION, Rule
from detectors.sigma.shelf import Shelf
from detectors.sigma.tally import Tally
from schemas.event import Event, Source
from schemas.field_mapping import FieldMapping
from schemas.identity import long_hash

#: Sources remembered; a shipper writes their names, so there is no natural end to them.
MAX_SOURCES: Final = 20_000
#: Tries are counted in one `match` of so many: in each they would cost a thirtieth of matching.
SAMPLED: Final = 16

_Key = tuple[int, int, FieldMapping | None]
"""A rule's number, its place's, and the mapping: what one compiled condition is for."""


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """One rule found in one event. `index`: the event's place in what was given. `matched`: field → value.

    `activity`: what the event tells of an activity that another provider of the host may tell too. `names`: how the
    event's provider tells the fields that the rule names.
    """

    index: int
    rule: Rule
    matched: dict[str, str]
    activity: Activity | None = None
    names: Names = field(default_factory=lambda: NO_NAMES)


class _Routed:
    """One rule for one provider's names, shared by the routes it is in. `test` is None until it is first asked, `tree`,
    which tells what matched, until it first matches."""

    __slots__ = ("entry", "mapping", "test", "tree")

    def __init__(self, entry: Entry, mapping: FieldMapping | None) -> None:
        self.entry = entry
        self.mapping = mapping
        self.test: Predicate | None = None
        self.tree: Tested | Leaf | None = None


class _Route:
    """The rules that events of some sources can match. Sources with the same rules share one."""

    def __init__(self, routed: list[_Routed], witnesses: Iterable[Witness | None], shelf: Shelf | None) -> None:
        self.routed = routed
        self._shelf = shelf
        owners: dict[str, list[int]] = {}
        always = []
        for position, literals in enumerate(witnesses):
            if literals is None:
                always.append(position)
            for text in sorted(literals or ()):
                owners.setdefault(text, []).append(position)
        self._owners = {text: tuple(positions) for text, positions in owners.items()}
        # Even for one rule: a scan costs 1 µs of a record, a keyword looked for in all its values 15.
        self.scans = bool(owners)
        self.always = always
        self.seen = 0
        """Events of this route, those of sampled turns alone."""
        self.tried: Counter[int] = Counter()
        """Position → how often its witness was met, the same."""
        self._scanners: dict[Form, Scanner] = {}

    @property
    def forms(self) -> Iterable[Form]:
        """The forms of bytes for which a database is built."""
        return self._scanners

    def scanner(self, form: Form) -> Scanner:
        """The database for one form of bytes, built when first needed."""
        found = self._scanners.get(form)
        if found is None:
            found = self._scanners[form] = Scanner(self._owners, form, self._shelf)
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

    def __init__(
        self,
        rules: Sequence[Rule],
        zone: tzinfo = UTC,
        wrap: Callable[[int, Predicate], Predicate] | None = None,
        shelf: Shelf | None = None,
    ) -> None:
        """`zone`: the bank's time zone, for the modifiers `minute` to `year`. `wrap` is given each rule's number and
        function and returns what is called in its place: to measure it. `shelf` keeps routes for the next process."""
        self.rules = tuple(rules)
        self.tally = Tally()
        self._wrap = wrap
        self.shelf = shelf
        self._turn = 0
        self.revision = long_hash("rules", NODES_VERSION, *(f"{rule.id}={rule.revision}" for rule in self.rules))
        """Changes with any rule, and with what the engine makes of them."""
        self._index = Index(self.rules)
        self._compiler = Compiler(zone)
        self._sources: dict[tuple[Source, FieldMapping | None], _Route] = {}
        self._routes: dict[tuple[_Key, ...], _Route] = {}
        self._ones: dict[_Key, _Routed] = {}
        self._needs: dict[_Key, Needs] = {}
        self._lock = Lock()

    def match(self, events: Sequence[Event]) -> list[RuleMatch]:
        """Every (event, rule) pair, by event and then in the order of the rules."""
        with self._lock:
            self.tally.events += len(events)
            self._turn = (self._turn + 1) % SAMPLED
            found: list[RuleMatch] = []
            for route, places in self._by_route(events):
                self._match_route(route, places, events, found)
            found.sort(key=lambda match: match.index)
            return found

    def match_plain(self, event: Event) -> list[RuleMatch]:
        """The same for one event by evaluating every rule of its log source, without prefilter and pruning."""
        with self._lock:
            view, mapping = View(event.fields), event.format.mapping
            plain = [self._one(entry, mapping) for entry in self._index.entries(event.source)]
            return [self._match(0, one, view) for one in plain if (one.test or self._made(one))(view)]

    def seen(self) -> list[tuple[Source, FieldMapping | None, tuple[Form, ...]]]:
        """The sources met so far, each with its mapping and the forms of bytes that were scanned for it."""
        with self._lock:
            return [(*known, tuple(route.forms)) for known, route in self._sources.items()]

    def prepare(
        self,
        seen: Iterable[tuple[Source, FieldMapping | None, tuple[Form, ...]]],
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        """Make the routes that these sources need before their events come: work that a stream would wait for.

        `pause` is called between two rules, so that whoever prepares beside a stream can leave it the processor.
        """
        for source, mapping, forms in seen:
            with self._lock:
                route = self._route(source, mapping, pause)
                for form in forms if route.scans else ():
                    route.scanner(form)
                    pause()

    def tried(self) -> Counter[int]:
        """Number of a rule → how often it was evaluated, about: it had no witness, or its witness was met."""
        with self._lock:
            total: Counter[int] = Counter()
            for route in self._routes.values():
                for position, count in route.tried.items():
                    total[route.routed[position].entry.rule] += count * SAMPLED
                for position in route.always if route.seen else ():
                    total[route.routed[position].entry.rule] += route.seen * SAMPLED
            return total

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
        if not self._turn:
            route.seen += len(places)
            route.tried.update(chain.from_iterable(candidates.values()))
        routed, always = route.routed, route.always
        for number in range(len(places)) if always else sorted(candidates):
            positions = candidates.get(number)
            order = always if positions is None else sorted(positions.union(always))
            view = View(events[places[number]].fields)
            try:
                hits = [at for at in order if ((one := routed[at]).test or self._made(one))(view)]
            except Exception:  # one rule's fault, whichever: asked one by one it costs that rule alone
                hits = self._singly(routed, order, view)
            found += [self._match(places[number], routed[at], view) for at in hits]

    def _singly(self, routed: list[_Routed], order: Iterable[int], view: View) -> list[int]:
        """The same when a rule has raised: the others decide, that one is counted, and off when it does so often."""
        hits = []
        for position in order:
            one = routed[position]
            try:
                if (one.test or self._made(one))(view):
                    hits.append(position)
            except Exception as error:
                number = one.entry.rule
                self.tally.fail(number, self.rules[number].id, error)
                if self.tally.off(number):
                    one.test = _never
        return hits

    def _match(self, place: int, one: _Routed, view: View) -> RuleMatch:
        entry = one.entry
        rule = self.rules[entry.rule]
        self.tally.hits[entry.rule] += 1
        try:
            if one.tree is None:
                one.tree = self._compiler.tested(entry.tree(rule, one.mapping))
            why = matched(one.tree, view)
        except Exception as error:  # what is shown of a match must not undo it
            self.tally.fail(entry.rule, rule.id, error)
            why = {}
        names = entry.names(rule, one.mapping)
        told = activity(entry.category(rule), entry.number, view.fields, names)
        return RuleMatch(place, rule, why, told, names)

    def _route(self, source: Source, mapping: FieldMapping | None, pause: Callable[[], None] = lambda: None) -> _Route:
        key = (source, mapping)
        found = self._sources.get(key)
        if found is None:
            if len(self._sources) >= MAX_SOURCES:
                self._sources.clear()
            found = self._sources[key] = self._routed(source, mapping, pause)
        return found

    def _routed(self, source: Source, mapping: FieldMapping | None, pause: Callable[[], None]) -> _Route:
        """The route of a source; sources with the same rules share it."""
        entries = self._index.entries(source)
        needed = self._needed(entries, mapping, pause)
        ones = [(entry, need.witness) for entry, need in zip(entries, needed, strict=True) if met(need, source)]
        signature = tuple((entry.rule, entry.number, mapping) for entry, _ in ones)
        route = self._routes.get(signature)
        if route is None:
            routed = [self._one(entry, mapping) for entry, _ in ones]
            route = self._routes[signature] = _Route(routed, (witness for _, witness in ones), self.shelf)
        return route

    def _needed(self, entries: list[Entry], mapping: FieldMapping | None, pause: Callable[[], None]) -> list[Needs]:
        """What these rules need, each worked out once: by an earlier process, where it left it on the shelf."""
        numbers = [(entry.rule, entry.number, mapping) for entry in entries]
        if any(number not in self._needs for number in numbers):
            named = key(self.rules, entries, mapping) if self.shelf else b""
            kept = self.shelf.get(named) if self.shelf else None
            if kept is not None:
                self._needs.update(zip(numbers, unpacked(kept), strict=True))
            else:
                for entry, number in zip(entries, numbers, strict=True):
                    if number not in self._needs:
                        self._needs[number] = self._worked_out(entry, mapping)
                        pause()
            if self.shelf and kept is None and not self.tally.failed:
                self.shelf.put(named, packed(self._needs[number] for number in numbers))
        return [self._needs[number] for number in numbers]

    def _worked_out(self, entry: Entry, mapping: FieldMapping | None) -> Needs:
        rule = self.rules[entry.rule]
        try:
            return needs(rule, entry, mapping)
        except Exception as error:  # it was checked when it was loaded; the stream does not stop for it
            self.tally.fail(entry.rule, rule.id, error, for_good=True)
            return NEVER

    def _one(self, entry: Entry, mapping: FieldMapping | None) -> _Routed:
        about = (entry.rule, entry.number, mapping)
        one = self._ones.get(about)
        if one is None:
            one = self._ones[about] = _Routed(entry, mapping)
        return one

    def _made(self, one: _Routed) -> Predicate:
        """A rule's function, compiled at its first candidate."""
        entry, rule = one.entry, self.rules[one.entry.rule]
        try:
            test = self._compiler.condition(entry.tree(rule, one.mapping))
        except Exception as error:  # as above
            self.tally.fail(entry.rule, rule.id, error, for_good=True)
            test = _never
        else:
            test = self._wrap(entry.rule, test) if self._wrap else test
        one.test = test
        return test


def _never(_view: View) -> bool:
    """In the place of a rule that is off."""
    return False
