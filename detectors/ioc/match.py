"""Indicators against the observables of events: look-ups in dictionaries, nothing else.

A domain's indicator also matches every name below it. An indicator holds from `valid_from` to `valid_until`, judged
by the event's time; a hunt asks without `valid_from`, since what is known to be bad today was bad before it was known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from schemas.event import Event, Observable
from schemas.identity import short_hash
from schemas.indicator import Indicator


@dataclass(frozen=True, slots=True)
class IndicatorMatch:
    """One indicator found in `events[index]`."""

    index: int
    indicator: Indicator
    observable: Observable


#: One indicator stands alone: a tuple around each of a million would cost 60 MB.
Entry = Indicator | list[Indicator]
_NOTHING: Final[dict[str, Entry]] = {}


class IndicatorIndex:
    """Indicators by type and value, built once. Values must be normalised as observables are.

    The same id with the same value counts once: the last one given stands.
    """

    def __init__(self, indicators: Iterable[Indicator] = ()) -> None:
        self._by_type: dict[str, dict[str, Entry]] = {}
        for indicator in indicators:
            values = self._by_type.setdefault(indicator.type, {})
            held = values.get(indicator.value)
            if held is None or (type(held) is Indicator and held.id == indicator.id):
                values[indicator.value] = indicator
            else:
                values[indicator.value] = [*(one for one in _each(held) if one.id != indicator.id), indicator]
        self._domains = self._by_type.get("domain", _NOTHING)
        self._count = 0
        mixed = 0
        for indicator in self:
            self._count += 1
            # Order does not matter to what is found, so it does not to the revision either.
            content = repr((indicator.id, indicator.revision, indicator.type, indicator.value)).encode()
            mixed ^= int.from_bytes(blake2b(content, digest_size=8).digest(), "big")
        self.revision: str = short_hash(self._count, mixed)
        """Changes with any indicator, not with their order."""

    def put(self, indicator: Indicator) -> None:
        """Take one in; the same (source, id) with the same value is replaced."""
        self.remove(indicator.source, indicator.id, [Observable(indicator.type, indicator.value)])
        values = self._by_type.setdefault(indicator.type, {})
        held = values.get(indicator.value)
        values[indicator.value] = indicator if held is None else [*_each(held), indicator]
        self._domains = self._by_type.get("domain", _NOTHING)
        self._count += 1
        self.revision = short_hash(self._count, self.revision, indicator.id, indicator.revision)

    def remove(self, source: str, ident: str, values: Iterable[Observable]) -> None:
        """Take these values of one indicator away; those that are not there do not matter."""
        for kind, value in values:
            known = self._by_type.get(kind, _NOTHING)
            held = known.get(value)
            if held is None:
                continue
            left = [one for one in _each(held) if (one.source, one.id) != (source, ident)]
            self._count -= len(_each(held)) - len(left)
            if left:
                known[value] = left[0] if len(left) == 1 else left
            else:
                del known[value]
            self.revision = short_hash(self._count, self.revision, ident)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Indicator]:
        for values in self._by_type.values():
            for held in values.values():
                yield from _each(held)

    def match(self, events: Sequence[Event]) -> list[IndicatorMatch]:
        """What is found in these events, in their order: each (event, indicator) once."""
        return self._match(events, before=True)

    def match_any_time(self, events: Sequence[Event]) -> list[IndicatorMatch]:
        """As `match`, but an indicator counts before its `valid_from` too: the question a hunt asks."""
        return self._match(events, before=False)

    def _match(self, events: Sequence[Event], *, before: bool) -> list[IndicatorMatch]:
        found: list[IndicatorMatch] = []
        by_type, domains = self._by_type, self._domains
        if not by_type:
            return found
        for index, event in enumerate(events):
            for observable in event.observables:
                kind, value = observable
                held = by_type.get(kind, _NOTHING).get(value)
                if held is not None:
                    self._add(found, index, event, observable, _each(held), before=before)
                if kind == "domain" and domains:
                    self._add(found, index, event, observable, self._above(value), before=before)
        return found

    def _add(
        self,
        found: list[IndicatorMatch],
        index: int,
        event: Event,
        observable: Observable,
        held: Iterable[Indicator],
        *,
        before: bool,
    ) -> None:
        """Take what holds at the event's time, each indicator once an event."""
        for indicator in held:
            if not holds(indicator, event.time_ms, before=before):
                continue
            if not any(known.index == index and known.indicator.id == indicator.id for known in reversed(found)):
                found.append(IndicatorMatch(index, indicator, observable))

    def _above(self, name: str) -> Iterator[Indicator]:
        """The indicators of the names that this one lies below."""
        dot = name.find(".")
        while dot >= 0:
            name = name[dot + 1 :]
            held = self._domains.get(name)
            if held is not None:
                yield from _each(held)
            dot = name.find(".")


def _each(held: Entry) -> Sequence[Indicator]:
    return (held,) if type(held) is Indicator else held  # type: ignore[return-value]  # type() does not narrow a union of tuples


def holds(indicator: Indicator, time_ms: int, *, before: bool = True) -> bool:
    """Whether the indicator counts at a time. `before=False` takes away its `valid_from`."""
    if before and indicator.valid_from and time_ms < indicator.valid_from:
        return False
    return not indicator.valid_until or time_ms < indicator.valid_until
