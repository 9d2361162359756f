"""Suppressions: filters and disabled rules, as what they are: decisions of a person not to see something until a day.

The rule itself goes on being evaluated. A match that a suppression hides is handed back beside those that stand, so
that what is hidden can be counted and shown; and a suppression costs only where its rule has matched. Whether it is in
force is decided by the record's Kafka time, so that a replay and a hunt decide as the stream did.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Final, Literal, NamedTuple

import orjson

from detectors.sigma.compile import Compiler
from detectors.sigma.engine import RuleMatch
from detectors.sigma.fields import View
from detectors.sigma.filters import ANY, Account, Filter
from detectors.sigma.predicates import Predicate
from detectors.sigma.routing import renamed
from detectors.sigma.rule import LogSource, Refusal, Rule
from schemas.event import Event
from schemas.identity import short_hash

_CORRECT: Final = "Correct the id or name, or take it out"
_PARTS: Final = "Name the rules that the correlation refers to"
_SOURCE: Final = "Give the filter the rule's logsource, or one that names less of it"


class Disabled(NamedTuple):
    """A rule that shall not detect until a day. `rule`: its id or name."""

    rule: str
    account: Account
    file: str
    line: int


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
            if each.in_force(event.kafka_ms) and not (each.condition and self._test(each, match)(view))
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


def aim(
    filters: Iterable[Filter],
    disabled: Iterable[Disabled],
    rules: Sequence[Rule],
    correlations: Collection[str] = (),
    zone: tzinfo = UTC,
) -> tuple[list[Suppression], list[Refusal]]:
    """Find the rules that filters and disablings speak of. `correlations`: ids and names of what is no single rule.

    A reference that leads nowhere, to a correlation or to another log source is refused by itself; what then applies
    to nothing is not among the suppressions.
    """
    targets = _Targets(rules, {name.lower() for name in correlations})
    made: dict[str, Suppression] = {}
    refused: list[Refusal] = []
    for each in filters:
        if each.id in made:
            reason = f"the id {each.id} is already that of {made[each.id].file}"
            refused.append(Refusal(each.file, each.line, reason, "Give each filter an id of its own, a UUID"))
            continue
        ids, faults = targets.of_filter(each)
        refused += faults
        if ids:
            made[each.id] = _of_filter(each, ids, zone)
    for one in disabled:
        found, fault = targets.found(one.rule, one.file, one.line)
        refused += [fault] if fault else []
        for rule in found:
            suppression = _of_disabled(one, rule, zone)
            if suppression.id in made:
                refused.append(Refusal(one.file, one.line, f"the rule {one.rule} is disabled twice", _CORRECT))
            made.setdefault(suppression.id, suppression)
    return list(made.values()), refused


def _of_filter(said: Filter, ids: tuple[str, ...], zone: tzinfo) -> Suppression:
    return Suppression(
        said.id,
        "filter",
        said.title,
        said.account,
        said.account.until_ms(zone),
        said.revision,
        said.file,
        said.line,
        ids,
        said.condition,
    )


def _of_disabled(said: Disabled, rule: Rule, zone: tzinfo) -> Suppression:
    return Suppression(
        f"disabled-{rule.id}",
        "disabled",
        rule.title,
        said.account,
        said.account.until_ms(zone),
        short_hash("disabled", *said.account),
        said.file,
        said.line,
        (rule.id,),
    )


class _Targets:
    """Rules by what a suppression may call them."""

    def __init__(self, rules: Sequence[Rule], correlations: set[str]) -> None:
        self._rules = rules
        self._correlations = correlations
        self._named: dict[str, list[Rule]] = {}
        for rule in rules:
            self._named.setdefault(rule.id.lower(), []).append(rule)
            if rule.name:
                self._named.setdefault(rule.name.lower(), []).append(rule)

    def found(self, name: str, file: str, line: int) -> tuple[list[Rule], Refusal | None]:
        """The rules of one id or name, or why there are none."""
        rules = self._named.get(name.strip().lower())
        if rules:
            return rules, None
        if name.strip().lower() in self._correlations:
            reason = f"{name[:80]!r} is a correlation, and only single rules can be suppressed"
            return [], Refusal(file, line, reason, _PARTS)
        return [], Refusal(file, line, f"no rule in force has the id or name {name[:80]!r}", _CORRECT)

    def of_filter(self, said: Filter) -> tuple[tuple[str, ...], list[Refusal]]:
        """Ids of the rules that a filter applies to, and the references that lead to none."""
        if said.rules == (ANY,):
            ids = tuple(rule.id for rule in self._rules if contains(said.logsource, rule.logsource))
            reason = f"no rule in force has its logsource ({said.logsource})"
            return ids, [] if ids else [Refusal(said.file, said.line, reason, _SOURCE)]
        ids, refused = (), []
        for name in said.rules:
            rules, fault = self.found(name, said.file, said.line)
            refused += [fault] if fault else []
            for rule in rules:
                if contains(said.logsource, rule.logsource):
                    ids += (rule.id,)
                else:
                    reason = f"{name[:80]!r} has another logsource ({rule.logsource}) than the filter"
                    refused.append(Refusal(said.file, said.line, f"{reason} ({said.logsource})", _SOURCE))
        return tuple(dict.fromkeys(ids)), refused


def contains(wide: LogSource, narrow: LogSource) -> bool:
    """Whether everything that `wide` names, `narrow` names alike."""
    return all(not said or said == other for said, other in zip(wide, narrow, strict=True))


__all__ = ["NO_SUPPRESSIONS", "Disabled", "Hiding", "Suppression", "Suppressions", "aim", "contains"]
