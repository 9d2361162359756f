"""Indicators against the observables of events: look-ups in dictionaries, a constant number for each observable.

A domain also matches every name below it, a network the addresses inside it, a file's name the last part of a path.
Several sources may know one value: of an event, a type and a value there is one match, that of the strongest indicator
that counts then (whose authority, confidence, validity is greatest), with the longest validity, the highest confidence
and the strictest colour of all of them, and all their sources named. What counts when is `lookback`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from detectors.ioc.host_forms import last_part
from detectors.ioc.lookback import Verdict, valid
from detectors.ioc.networks import Networks
from detectors.ioc.rows import Rows, identity_of, owner_of, revision_of, source_of
from detectors.ioc.verdict import Strongest, holds, strongest
from schemas.event import Event, Observable
from schemas.identity import short_hash
from schemas.indicator import Indicator

#: Rows that one source may have of one value: every event that holds it pays for each.
MAX_OF_SOURCE: Final = 256
#: How long after its end an indicator is still loaded: records are replayed for weeks, and tell of the week before.
KEPT_MS: Final = 30 * 86_400_000
_TOTAL: Final = 1 << 64

Judge = Callable[[Indicator, int], Verdict | None]
"""Whether and how an indicator counts at an event's time."""
Held = bytes | tuple[bytes, ...]
"""The rows of one value. One stands alone: a tuple around each of a million would take 60 MB."""
Values = dict[str, Held]
Place = tuple[str, str, Held, Observable]
"""Type and value of indicators, their rows, and where they were found."""


@dataclass(frozen=True, slots=True)
class IndicatorMatch:
    """One value that indicators name, found in `events[index]`.

    `indicator` is the strongest, with the longest validity, the highest confidence and the strictest colour of all that
    count; `sources` are theirs; `rule` is the rule by which it counts (`lookback`).
    """

    index: int
    indicator: Indicator
    observable: Observable
    rule: str = "valid"
    sources: tuple[str, ...] = ()


class IndicatorIndex:
    """Indicators by type and value, changed at any time between two batches. Values must be normalised.

    `now_ms`, where given, leaves out what ended KEPT_MS before it.
    """

    def __init__(self, indicators: Iterable[Indicator] = (), *, now_ms: int | None = None) -> None:
        self._rows = Rows()
        self._by_type: dict[str, Values] = {}
        self._networks = Networks()
        # What else an observable of a type is looked up as; only where there are indicators of such a kind.
        self._wider: dict[str, Callable[[str], Sequence[tuple[str, str, Held]]]] = {}
        self._count = 0
        self._sum = 0
        for indicator in indicators:
            if now_ms is None or not ended(indicator, now_ms):
                self.put(indicator)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Indicator]:
        for kind, values in self._by_type.items():
            for value, held in values.items():
                for row in _each(held):
                    yield self._rows.unpack(row, kind, value)

    @property
    def revision(self) -> str:
        """Changes with any indicator, not with their order. Costs nothing to ask for."""
        return short_hash(self._count, self._sum)

    def observables(self) -> Iterator[Observable]:
        """What is looked for, each type and value once."""
        for kind, values in self._by_type.items():
            for value in values:
                yield Observable(kind, value)

    def put(self, indicator: Indicator) -> bool:
        """Hold an indicator's row, in the place of one of the same source, id, type, value and `also`.

        False, and nothing changes, where its source has MAX_OF_SOURCE rows of this value already.
        """
        kind, value = indicator.type, indicator.value
        values = self._by_type.get(kind)
        if values is None:
            values = self._by_type[kind] = {}
            self._widen(kind)
        row = self._rows.pack(indicator)
        held = values.get(value)
        if held is None:
            values[value] = row
            if kind == "cidr":
                self._networks.add(value)
        else:
            identity, source = identity_of(row), source_of(row)
            kept = [old for old in _each(held) if identity_of(old) != identity]
            if len(kept) == len(_each(held)) and [source_of(old) for old in kept].count(source) >= MAX_OF_SOURCE:
                self._rows.release(row)
                return False
            for old in _each(held):
                if identity_of(old) == identity:
                    self._forget(old)
            values[value] = (*kept, row) if kept else row
        self._count += 1
        self._sum = (self._sum + revision_of(row)) % _TOTAL
        return True

    def remove(self, source: str, name: str, values: Iterable[tuple[str, str]]) -> int:
        """Hold the rows of an indicator (source, id) at these types and values no more. How many there were."""
        owner = self._rows.owner(source, name)
        before = self._count
        for kind, value in values if owner is not None else ():
            places = self._by_type.get(kind, {})
            held = places.get(value)
            if held is None:
                continue
            kept = tuple(row for row in _each(held) if owner_of(row) != owner)
            for row in _each(held):
                if owner_of(row) == owner:
                    self._forget(row)
            if kept:
                places[value] = kept if len(kept) > 1 else kept[0]
            else:
                del places[value]
                if kind == "cidr":
                    self._networks.discard(value)
        return before - self._count

    def match(self, events: Sequence[Event], judge: Judge = valid) -> list[IndicatorMatch]:
        """What is found in these events, in their order, by the stream's rule or another.

        Of an event each type and value of indicators once, and each (source, id) once.
        """
        found: list[IndicatorMatch] = []
        if not self._count:
            return found
        by_type, wider = self._by_type, self._wider
        for index, event in enumerate(events):
            places: list[Place] | None = None
            for observable in event.observables:
                kind, value = observable
                values = by_type.get(kind)
                if values is not None and (held := values.get(value)) is not None:
                    places = [] if places is None else places
                    places.append((kind, value, held, observable))
                if kind in wider and (more := wider[kind](value)):
                    places = [] if places is None else places
                    places += [(*place, observable) for place in more]
            if places is not None:
                found += self._judged(index, event, places, judge)
        return found

    def _widen(self, kind: str) -> None:
        """From now on there are indicators of this type: look for them."""
        if kind == "domain":
            self._wider["domain"] = self._above
        elif kind == "cidr":
            self._wider["ipv4"] = self._wider["ipv6"] = self._around
        elif kind == "file_name":
            self._wider["file_path"] = self._named

    def _above(self, name: str) -> Sequence[tuple[str, str, Held]]:
        """The names that this one lies below."""
        domains = self._by_type["domain"]
        found: list[tuple[str, str, Held]] = []
        dot = name.find(".")
        while dot >= 0:
            name = name[dot + 1 :]
            held = domains.get(name)
            if held is not None:
                found.append(("domain", name, held))
            dot = name.find(".")
        return found

    def _around(self, address: str) -> Sequence[tuple[str, str, Held]]:
        """The networks that this address lies in."""
        networks = self._networks.of(address)
        return [("cidr", network, self._by_type["cidr"][network]) for network in networks] if networks else ()

    def _named(self, path: str) -> Sequence[tuple[str, str, Held]]:
        """The name of the file at the end of this path."""
        name = last_part(path)
        held = self._by_type["file_name"].get(name)
        return () if held is None else (("file_name", name, held),)

    def _judged(self, index: int, event: Event, places: list[Place], judge: Judge) -> Iterator[IndicatorMatch]:
        """One match of each type and value, if any of its indicators counts."""
        values: set[tuple[str, str]] = set()
        best: list[tuple[Strongest, Observable]] = []
        for kind, value, held, observable in places:
            if (kind, value) not in values:
                values.add((kind, value))
                one = strongest(self._counting(event, kind, value, held, judge))
                if one is not None:
                    best.append((one, observable))
        # Of an indicator with several values, too, a hunt says first what the stream said.
        best.sort(key=lambda pair: pair[0].rule != "valid")
        told: set[tuple[str, str]] = set()
        for one, observable in best:
            name = (one.indicator.source, one.indicator.id)
            if name not in told:
                told.add(name)
                yield IndicatorMatch(index, one.indicator, observable, one.rule, one.sources)

    def _counting(
        self, event: Event, kind: str, value: str, held: Held, judge: Judge
    ) -> Iterator[tuple[Indicator, Verdict]]:
        for row in _each(held):
            one = self._rows.unpack(row, kind, value)
            verdict = judge(one, event.time_ms)
            if verdict is not None and all(holds(event, other) for other in one.also):
                yield one, verdict

    def _forget(self, row: bytes) -> None:
        self._count -= 1
        self._sum = (self._sum - revision_of(row)) % _TOTAL
        self._rows.release(row)


def ended(indicator: Indicator, now_ms: int) -> bool:
    """Whether no event that may still come can be matched by it."""
    return bool(indicator.valid_until) and indicator.valid_until < now_ms - KEPT_MS


def _each(held: Held) -> tuple[bytes, ...]:
    return (held,) if type(held) is bytes else held  # type: ignore[return-value]  # type() does not narrow a union
