"""What a feed gives, one at a time: an indicator's row, a word that one is withdrawn, or a fault by its place."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.indicator import Indicator


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry that is no indicator: where it stands and why. Never holds the entry's value."""

    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """`source` withdraws all rows of its indicator `id`; `when`, in milliseconds UTC, is 0 where it does not say."""

    source: str
    id: str
    when: int = 0


Entry = Indicator | Revoked | Fault


@dataclass(slots=True)
class Feed:
    """What one file of a feed gave."""

    indicators: list[Indicator] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
