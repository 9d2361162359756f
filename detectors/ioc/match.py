"""Indicators against the observables of events: look-ups in dictionaries, nothing else.

A domain's indicator also matches every name below it. An indicator holds from `valid_from` to `valid_until`, judged
by the event's time; a hunt asks without `valid_from`, since what is known to be bad today was bad before it was known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from schemas.event import Event, Observable
from schemas.identity import short_hash
from schemas.indicator import Indicator


class IndicatorMatch(NamedTuple):
    """One indicator found in `events[index]`."""

    index: int
    indicator: Indicator
    observable: Observable


_NOTHING: Final[dict[str, tuple[Indicator, ...]]] = {}


class IndicatorIndex:
    """Indicators by type and value, built once. Values must be normalised as observables are."""

    def __init__(self, indicators: Iterable[Indicator] = ()) -> None:
        self._by_type: dict[str, dict[str, tuple[Indicator, ...]]] = {}
        self._count = 0
        mixed = 0
        for indicator in indicators:
            values = self._by_type.setdefault(indicator.type, {})
            values[indicator.value] = (*values.get(indicator.value, ()), indicator)
            self._count += 1
            # Order does not matter to what is found, so it does not to the revision either.
            mixed ^= int(short_hash(indicator.id, indicator.revision, indicator.type, indicator.value), 16)
        self._domains = self._by_type.get("domain", _NOTHING)
        self.revision: str = short_hash(self._count, mixed)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Indicator]:
        for values in self._by_type.values():
            for found in values.values():
                yield from found

    def match(self, events: Sequence[Event]) -> list[IndicatorMatch]:
        """What is found in these events, in their order: each (event, indicator) once."""
        return self._match(events, before=True)

    def match_any_time(self, events: Sequence[Event]) -> list[IndicatorMatch]:
        """As `match`, but an indicator counts before its `valid_from` too: the question a hunt asks."""
        return self._match(events, before=False)

    def _match(self, events: Sequence[Event], *, before: bool) -> list[IndicatorMatch]:
        found: list[IndicatorMatch] = []
        by_type = self._by_type
        for index, event in enumerate(events):
            if not event.observables:
                continue
            hits: dict[str, IndicatorMatch] | None = None
            for observable in event.observables:
                kind, value = observable
                known = by_type.get(kind, _NOTHING).get(value, ())
                if kind == "domain" and self._domains:
                    known = (*known, *self._above(value))
                for indicator in known:
                    if holds(indicator, event.time_ms, before=before):
                        hits = hits if hits is not None else {}
                        hits.setdefault(indicator.id, IndicatorMatch(index, indicator, observable))
            if hits is not None:
                found.extend(hits.values())
        return found

    def _above(self, name: str) -> list[Indicator]:
        """The indicators of the names that this one lies below."""
        found: list[Indicator] = []
        dot = name.find(".")
        while dot >= 0:
            name = name[dot + 1 :]
            found.extend(self._domains.get(name, ()))
            dot = name.find(".")
        return found


def holds(indicator: Indicator, time_ms: int, *, before: bool = True) -> bool:
    """Whether the indicator counts at a time. `before=False` takes away its `valid_from`."""
    if before and indicator.valid_from and time_ms < indicator.valid_from:
        return False
    return not indicator.valid_until or time_ms < indicator.valid_until
