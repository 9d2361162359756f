"""What an engine has done: events seen, how often each rule was tried and hit, and which rules raised.

A predicate is total by design, and a design may be wrong: a rule that raises costs itself, never the stream. It is
counted by name, and after `FAILURES` times it is off until the next set of rules.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

#: Times that a rule may raise before it is off.
FAILURES: Final = 10


@dataclass(slots=True)
class Failed:
    """How often one rule raised, and the kind of its last error; never its text, which may quote an event."""

    rule_id: str
    count: int
    error: str
    off: bool


@dataclass(slots=True)
class Tally:
    """Counts of one engine since it was made. Written by the engine alone; numbers are the rules' places in it."""

    events: int = 0
    hits: Counter[int] = field(default_factory=Counter)
    failed: dict[int, Failed] = field(default_factory=dict)

    def fail(self, number: int, rule_id: str, error: Exception, *, for_good: bool = False) -> None:
        """Note that a rule raised; `for_good`: it could not even be compiled, so it is off at once."""
        known = self.failed.setdefault(number, Failed(rule_id, 0, "", False))
        known.count += 1
        known.error = type(error).__name__
        known.off = known.off or for_good or known.count >= FAILURES

    def off(self, number: int) -> bool:
        """Whether the rule is no longer evaluated."""
        known = self.failed.get(number)
        return known is not None and known.off

    @property
    def failures(self) -> int:
        """Exceptions of all rules together."""
        return sum(known.count for known in self.failed.values())
