"""A record that could not be parsed: kept whole, with the reason."""

from __future__ import annotations

from dataclasses import dataclass

#: Every reason there is; a metric label and a column, so the list is closed.
REASONS = (
    "empty",
    "encoding",
    "format",
    "json",
    "depth",
    "size",
    "shape",
    "time",
    "fault",  # of our own parser: an alarm, never the shipper's doing
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record that is no event. `raw` is its value as it came; `reason` is one of REASONS."""

    offset: int
    kafka_ms: int
    reason: str
    key: bytes | None
    raw: bytes | None
