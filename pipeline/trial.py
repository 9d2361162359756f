"""Whether a new set of rules is worse than the one before it: a decision over counts, without a clock.

A set is on trial for its first minutes. It fails when its rules raise, more of them than the set before had raise; when
it finds many times as much per event; or when it cannot judge at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from detectors.correlation.resolve import Correlations
from detectors.sigma.engine import Engine
from detectors.sigma.suppress import Suppressions
from pipeline.detecting import DetectionSet, Judgement
from schemas.event import Event

#: Fewer events tell nothing of a rate, of either set.
LEAST_EVENTS: Final = 1_000
#: Fewer hits are no flood, whatever the rate was before.
LEAST_HITS: Final = 100
#: A set that found next to nothing is compared as if it had found this much per event.
LEAST_RATE: Final = 0.001


class Detects(Protocol):
    """What judges events: a set, or one on trial."""

    @property
    def suppressions(self) -> Suppressions: ...
    @property
    def correlations(self) -> Correlations: ...
    @property
    def joins(self) -> frozenset[str]: ...
    def judge(self, log: str, topic: str, partition: int, events: Sequence[Event]) -> Judgement: ...


class Counted(NamedTuple):
    """What one engine has done so far. Hits of rules in shadow count too: a flood costs the same whoever sees it."""

    events: int
    hits: int
    failures: int

    @classmethod
    def of(cls, engine: Engine) -> Counted:
        """The counts of an engine."""
        return cls(engine.tally.events, engine.tally.hits.total(), engine.tally.failures)


class Bounds(NamedTuple):
    """What a set on trial may do: hits per event this many times as often as before, failures this many."""

    factor: float
    failures: int


def verdict(before: Counted, now: Counted, bounds: Bounds) -> str | None:
    """Why the new set must go, or None. `before` is what the proven set has done in all its time."""
    if now.failures >= bounds.failures and now.failures * max(before.events, 1) > (
        bounds.factor * before.failures * max(now.events, 1)
    ):
        return f"its rules raised {now.failures} exceptions in {now.events:,} events"
    if min(before.events, now.events) < LEAST_EVENTS or now.hits < LEAST_HITS:
        return None
    usual, found = max(before.hits / before.events, LEAST_RATE), now.hits / now.events
    if found > bounds.factor * usual:
        return f"it finds {found:.3g} per event, {found / usual:.0f} times as much as the set before"
    return None


@dataclass(slots=True)
class OnTrial:
    """A new set in force, with the proven one behind it: should the new one fail as a whole, no event goes unjudged."""

    new: DetectionSet
    proven: DetectionSet
    broken: str = ""
    """The kind of the error with which the new set failed; empty while it judges."""

    @property
    def suppressions(self) -> Suppressions:
        """Those of the set that judges."""
        return self.proven.suppressions if self.broken else self.new.suppressions

    @property
    def correlations(self) -> Correlations:
        """Those of the set that judges."""
        return self.proven.correlations if self.broken else self.new.correlations

    @property
    def joins(self) -> frozenset[str]:
        """Those of the set that judges."""
        return self.proven.joins if self.broken else self.new.joins

    def judge(self, log: str, topic: str, partition: int, events: Sequence[Event]) -> Judgement:
        """As the new set's; as the proven one's from the moment at which the new one cannot."""
        if not self.broken:
            try:
                return self.new.judge(log, topic, partition, events)
            except Exception as error:  # whatever it is: no event goes unjudged for it
                self.broken = type(error).__name__
        return self.proven.judge(log, topic, partition, events)

    def verdict(self, bounds: Bounds) -> str | None:
        """Why the new set must go, or None."""
        if self.broken:
            return f"it could not judge ({self.broken})"
        return verdict(Counted.of(self.proven.engine), Counted.of(self.new.engine), bounds)
