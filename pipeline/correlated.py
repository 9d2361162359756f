"""What correlations come to over records at hand: for the cases of rules, and for `rules explain`, `diff` and `stats`.

Nothing else will come, so all is final, told when every record has been taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from detectors.correlation.contribution import Contribution
from detectors.correlation.correlation import Correlation
from detectors.correlation.correlator import Correlator, record_of
from detectors.correlation.resolve import Correlations
from detectors.sigma.engine import RuleMatch
from enrichers.geo import NO_PLACES, Places
from pipeline.detecting import contributions
from schemas.event import Event

#: The topic that records at hand count as.
TOPIC: Final = "file"


class Told(NamedTuple):
    """One episode. `file` and `line` are its first record's, `events` how many contributed, times in milliseconds."""

    correlation: Correlation
    group: dict[str, str]
    file: str
    line: int
    first_time: int
    until: int
    events: int


class Gathered:
    """Records and the matches in them, in any order; what comes of it is told once, at the end."""

    def __init__(self, rules: Correlations, places: Places = NO_PLACES) -> None:
        self.dropped: Counter[tuple[str, str]] = Counter()
        """(correlation, "group", "value" or "place") → matches that lack it, and so do not count."""
        self.counted: Counter[str] = Counter()
        """Correlation → contributions."""
        self._rules, self._places = rules, places
        self._correlator = Correlator(rules)

    def take(self, file: str, events: Sequence[Event], matches: Sequence[RuleMatch]) -> list[Contribution]:
        """What the matches in these lines of a file contribute."""
        made = list(contributions(self._rules, file, events, matches, self.dropped, topic=TOPIC, places=self._places))
        self._correlator.feed(made)
        self.counted.update(each.correlation for each in made)
        return made

    def told(self) -> list[Told]:
        """Every episode of a correlation that is told for itself, by the time of its first record."""
        named = {rule.id: rule for rule in self._rules.ordered}
        found = []
        for verdict in self._correlator.finish():
            if verdict.state == "closed":
                rule = named[verdict.correlation]
                file, line = record_of(verdict.first, named)
                group = rule.group_values(verdict.group)
                found.append(Told(rule, group, file, line, verdict.first_time, verdict.until, verdict.records))
        self.dropped += self._correlator.dropped
        return sorted(
            found, key=lambda one: (one.first_time, one.file, one.line, one.correlation.id, *one.group.values())
        )


def below(rules: Correlations, wanted: Iterable[str]) -> Correlations:
    """These correlations, told for themselves, with those that they name and need."""
    own = set(wanted)
    kept: set[str] = set(own)
    for rule in reversed(rules.ordered):
        if rule.id in kept:
            kept.update(rule.rules)
    members = {
        ref: tuple(member for member in naming if member.correlation.id in kept)
        for ref, naming in rules.members.items()
        if ref in kept
    }
    ordered = tuple(rule for rule in rules.ordered if rule.id in kept)
    return Correlations(ordered, members, frozenset(members) - own)
