"""Feeds: bytes of one source become indicators and faults. Fetching them is the pipeline's business."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.indicator import Indicator


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry that is no indicator: where it stands and why. Never holds the entry's value."""

    where: str
    why: str


@dataclass(slots=True)
class Feed:
    """What one file of a feed gave."""

    indicators: list[Indicator] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


__all__ = ["Fault", "Feed"]
