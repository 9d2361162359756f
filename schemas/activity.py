"""One activity of a host, told by several providers: its key, and how many there were.

Two sightings of one key are one activity when a fuller provider's stands at most `SPAN_MS` away. That is decided of
the whole set, whatever the order in which its members came.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from schemas.identity import short_hash

#: Providers of one host write an activity's time at most so far apart, milliseconds.
SPAN_MS: Final = 2_000


class Sighting(NamedTuple):
    """One provider's event of an activity: its time in milliseconds, and the provider's place, 0 the fullest."""

    time: int
    provider: int


def activity_key(category: str, host: str, parts: Iterable[str]) -> str:
    """The key of what happened, without its time: category, host entity, and what tells it. '' without a host."""
    return short_hash("activity", category, host, *parts) if host else ""


def doubles(one: Sighting, others: Iterable[Sighting]) -> bool:
    """Whether a fuller provider tells the same activity: then `one` is evidence, and counts no more."""
    return any(other.provider < one.provider and abs(other.time - one.time) <= SPAN_MS for other in others)


def distinct(sightings: Sequence[Sighting]) -> int:
    """How many activities of one key these are."""
    return sum(not doubles(one, sightings) for one in sightings)
