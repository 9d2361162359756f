"""Suppressions: filters and disabled rules, as what they are: decisions of a person not to see something until a day.

The rule itself goes on being evaluated. A match that a suppression hides is handed back beside those that stand, so
that what is hidden can be counted and shown; and a suppression costs only where its rule has matched. Whether it is in
force is decided by the record's Kafka time, so that a replay and a hunt decide as the stream did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Final, Literal, NamedTuple

import orjson

from detectors.sigma.compile import Compiler
from detectors.sigma.engine import RuleMatch
from detectors.sigma.fields import View
from detectors.sigma.filters import Account
from detectors.sigma.predicates import Predicate
from detectors.sigma.routing import renamed
from detectors.sigma.rule import LogSource, Refusal, Rule
from schemas.event import Event
from schemas.identity import short_hash

ANYWHERE: Final = LogSource()


@dataclass(frozen=True, slots=True)
class Suppression:
    """One filter or disabled rule that applies to rules of this set.

    `rules`: their ids; `until_ms`: the first moment at which it is out of force, milliseconds UTC; `condition`: what
    must hold of an event that stays found, the JSON of a tree; empty: nothing stays.
    """

    id: str
    kind: Literal["filter", "disabled"]
    title: str
    account: Account
    until_ms: int
    revision: str
    file: str
    line: int
    rules: tuple[str, ...]
    condition: bytes = b""
    events: LogSource = ANYWHERE
    """It hides in events of this source alone: of one provider of what the rules look at."""

    def in_force(self, at_ms: int) -> bool:
        """Whether it hides what Kafka received at that time."""
        return at_ms < self.until_ms


class Hiding(NamedTuple):
    """A match that stands in no detection, and what hides it."""

    match: RuleMatch
    suppression: Suppression


class Suppressions:
    """All suppressions of a set of rules, ready."""

    def __init__(
        self, suppressions: Iterable[Suppression] = (), zone: tzinfo = UTC, refused: Iterable[Refusal] = ()
    ) -> None:
        """`zone`: the bank's, for parts of times in filters. `refused`: what is not among them, and why."""
        self.all = tuple(suppressions)
        self.refused = tuple(refused)
        self._by_rule: dict[str, list[Suppression]] = {}
        for each in self.all:
            for rule in each.rules:
                self._by_rule.setdefault(rule, []).append(each)
        self._compiler = Compiler(zone)
        self._tests: dict[tuple[str, int], tuple[Mapping[str, object], Predicate]] = {}

    def split(self, matches: list[RuleMatch], events: Sequence[Event]) -> tuple[list[RuleMatch], list[Hiding]]:
        """The matches that stand, and those that are hidden: by every suppression that hides them."""
        if not self._by_rule:
            return matches, []
        kept: list[RuleMatch] = []
        hidden: list[Hiding] = []
        for match in matches:
            told = self._by_rule.get(match.rule.id)
            by = self._hiding(told, match, events[match.index]) if told else None
            if by:
                hidden += by
            else:
                kept.append(match)
        return kept, hidden

    def effective(self, rule: Rule) -> Rule:
        """The rule with a revision that covers its suppressions."""
        applied = self._by_rule.get(rule.id)
        if not applied:
            return rule
        said = sorted(f"{each.id}={each.revision}" for each in applied)
        return replace(rule, revision=short_hash("suppressed", rule.revision, *said))

    def expired(self, at_ms: int) -> list[Suppression]:
        """Those that are out of force at that time."""
        return [each for each in self.all if not each.in_force(at_ms)]

    def _hiding(self, told: list[Suppression], match: RuleMatch, event: Event) -> list[Hiding]:
        view = View(event.fields)
        return [
            Hiding(match, each)
            for each in told
            if each.in_force(event.kafka_ms)
            and (each.events is ANYWHERE or contains(each.events, LogSource(*event.source[:3])))
            and not (each.condition and self._test(each, match)(view))
        ]

    def _test(self, suppression: Suppression, match: RuleMatch) -> Predicate:
        """The filter's condition over the fields of the provider that the rule has matched."""
        key = (suppression.id, id(match.names))
        known = self._tests.get(key)
        if known is None:
            tree = renamed(orjson.loads(suppression.condition), match.names)
            # The names are held on to, or another mapping could come to stand under their number.
            known = self._tests[key] = (match.names, self._compiler.condition(tree))
        return known[1]


NO_SUPPRESSIONS: Final = Suppressions()


def contains(wide: LogSource, narrow: LogSource) -> bool:
    """Whether everything that `wide` names, `narrow` names alike."""
    return all(not said or said == other for said, other in zip(wide, narrow, strict=True))


__all__ = ["ANYWHERE", "NO_SUPPRESSIONS", "Hiding", "Suppression", "Suppressions", "contains"]
