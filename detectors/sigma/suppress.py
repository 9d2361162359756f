"""Suppressions: filters and disabled rules, as what they are: decisions of a person not to see something until a day.

The rule itself goes on being evaluated. A match that a suppression hides is handed back beside those that stand, so
that what is hidden can be counted and shown; and a suppression costs only where its rule has matched. Whether it is in
force is decided by the record's Kafka time, so that a replay and a hunt decide as the stream did.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Final, Literal, NamedTuple

import orjson

from detectors.sigma.compile import Compiler
from detectors.sigma.engine import RuleMatch
from detectors.sigma.fields import View
from detectors.sigma.filters import Account
from detectors.sigma.predicates import Predicate
from detectors.sigma.routing import NO_MAP, Index, renamed
from detectors.sigma.rule import LogSource, Refusal, Rule
from schemas.event import Event, Source
from schemas.identity import short_hash

ANYWHERE: Final = LogSource()
#: Conditions of filters kept ready; a shipper writes the sources, so there is no natural end to them.
MAX_TESTS: Final = 20_000


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
        self,
        suppressions: Iterable[Suppression] = (),
        rules: Sequence[Rule] = (),
        zone: tzinfo = UTC,
        refused: Iterable[Refusal] = (),
    ) -> None:
        """`rules`: those that are suppressed, others may be among them. `zone`: the bank's, for parts of times in
        filters. `refused`: what is not among the suppressions, and why."""
        self.all = tuple(suppressions)
        self.refused = tuple(refused)
        self._by_rule: dict[str, list[Suppression]] = {}
        for each in self.all:
            for rule in each.rules:
                self._by_rule.setdefault(rule, []).append(each)
        suppressed = [rule for rule in rules if rule.id in self._by_rule]
        self._rules = [rule.id for rule in suppressed]
        self._index = Index(suppressed)
        self._compiler = Compiler(zone)
        self._tests: dict[tuple[Source, str, str], Predicate] = {}

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
            and not (each.condition and self._test(each, match.rule.id, event.source)(view))
        ]

    def _test(self, suppression: Suppression, rule: str, source: Source) -> Predicate:
        """A filter's condition over the fields as the provider of this source names them; made at the first match."""
        key = (source, suppression.id, rule)
        known = self._tests.get(key)
        if known is None:
            if len(self._tests) >= MAX_TESTS:
                self._tests.clear()
            names = next((each.names for each in self._index.entries(source) if self._rules[each.rule] == rule), NO_MAP)
            tree = renamed(orjson.loads(suppression.condition), names)
            known = self._tests[key] = self._compiler.condition(tree)
        return known


NO_SUPPRESSIONS: Final = Suppressions()


def contains(wide: LogSource, narrow: LogSource) -> bool:
    """Whether everything that `wide` names, `narrow` names alike."""
    return all(not said or said == other for said, other in zip(wide, narrow, strict=True))


__all__ = ["ANYWHERE", "NO_SUPPRESSIONS", "Hiding", "Suppression", "Suppressions", "contains"]
