"""Of the indicators of one value that an event holds: which of them counts there, and what all of them together say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from detectors.ioc.host_forms import last_part
from detectors.ioc.lookback import Verdict
from detectors.ioc.networks import contains
from schemas.event import Event, Observable
from schemas.indicator import AUTHORITIES, Indicator
from schemas.tlp import strictest

_NEVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Strongest:
    """Of the indicators of one value: the strongest, what all of them give it, and whose they are."""

    indicator: Indicator
    rule: str
    sources: tuple[str, ...]


def strongest(counting: Iterable[tuple[Indicator, Verdict]]) -> Strongest | None:
    """Which of several sources speaks; None where there are none.

    What the stream finds goes before what a hunt alone finds, so that both say the same of an event.
    """
    every = list(counting)
    some = [pair for pair in every if pair[1].rule == "valid"] or every
    if not some:
        return None
    best, verdict = min(some, key=lambda pair: _strength(*pair))
    best = best._replace(
        confidence=max(verdict.confidence for _, verdict in some),
        valid_until=0 if any(not one.valid_until for one, _ in some) else max(one.valid_until for one, _ in some),
        tlp=strictest(one.tlp for one, _ in some),
    )
    return Strongest(best, verdict.rule, tuple(sorted({one.source for one, _ in some})))


def _strength(one: Indicator, verdict: Verdict) -> tuple[int, int, int, str, str, str, tuple[Observable, ...]]:
    """The least is the strongest; all of it, so that the order of arrival decides nothing."""
    authority = AUTHORITIES.index(one.authority) if one.authority else len(AUTHORITIES)
    until = one.valid_until or _NEVER
    return authority, -verdict.confidence, -until, one.source, one.id, one.revision, one.also


def holds(event: Event, wanted: Observable) -> bool:
    """Whether the event holds what an indicator names beside its value, by the same rules."""
    kind, value = wanted
    if kind == "domain":
        below = f".{value}"
        return any(has == kind and (name == value or name.endswith(below)) for has, name in event.observables)
    if kind == "cidr":
        return any(has in ("ipv4", "ipv6") and contains(value, where) for has, where in event.observables)
    if kind == "file_name" and any(has == "file_path" and last_part(path) == value for has, path in event.observables):
        return True
    return wanted in event.observables
