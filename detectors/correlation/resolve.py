"""References become ids: correlations over the rules that are there, in the order in which they must be judged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from detectors.behaviour.detector import Detector
from detectors.correlation.contribution import Member
from detectors.correlation.correlation import Alias, Correlation
from detectors.sigma.rule import Refusal, Rule
from schemas.identity import long_hash

#: Correlations of correlations: each link delays the final result by a timespan.
MAX_CHAIN: Final = 8

_MEND: Final = "Mend the correlation or take it out"


@dataclass(frozen=True)
class Correlations:
    """Correlations in force, each after those it names."""

    ordered: tuple[Correlation, ...] = ()
    members: Mapping[str, tuple[Member, ...]] = field(default_factory=dict)
    """Id of a rule or correlation → the correlations that name it, and as what."""
    silent: frozenset[str] = frozenset()
    """Rules and correlations that are not told for themselves: named, and by none with `generate`."""

    @cached_property
    def silences(self) -> tuple[Detector, ...]:
        """The detectors that live on signs of life, not on matches."""
        return tuple(rule for rule in self.ordered if isinstance(rule, Detector) and rule.kind == "silence")

    @property
    def revision(self) -> str:
        """Changes with any correlation; what it names is found again by id."""
        return long_hash("correlations", *(f"{rule.id}={rule.revision}" for rule in self.ordered))


NO_CORRELATIONS: Final = Correlations()


def resolve(rules: Iterable[Rule], correlations: Sequence[Correlation]) -> tuple[Correlations, list[Refusal]]:
    """Resolve every reference. What cannot be, and what names that, is refused by name; the rest is in force."""
    rules = list(rules)
    resolver = _Resolver(rules, correlations)
    ordered = list(resolver.all())
    members: dict[str, list[Member]] = {}
    for rule in ordered:
        for place, ref in enumerate(rule.rules):
            members.setdefault(ref, []).append(Member(rule, place))
    silent = frozenset(
        ref for ref, naming in members.items() if not any(member.correlation.generate for member in naming)
    )
    found = Correlations(tuple(ordered), {ref: tuple(naming) for ref, naming in members.items()}, silent)
    return found, resolver.refused


class _Resolver:
    def __init__(self, rules: Sequence[Rule], correlations: Sequence[Correlation]) -> None:
        self.refused: list[Refusal] = []
        self._known: dict[str, Correlation] = {}
        self._rules = {rule.id for rule in rules}
        self._names: dict[str, set[str]] = {}
        self._depth: dict[str, int] = {}
        self._done: dict[str, Correlation | None] = {}
        for rule in rules:
            self._name(rule.name, rule.id)
        for correlation in correlations:
            if correlation.id in self._rules or correlation.id in self._known:
                self._refuse(correlation, f"the id {correlation.id} is already that of another rule")
                continue
            self._known[correlation.id] = correlation
            self._name(correlation.name, correlation.id)

    def all(self) -> Iterator[Correlation]:
        for correlation in self._known.values():
            self._resolve(correlation, ())
        # In the order in which they were done: those that are named first.
        yield from (correlation for correlation in self._done.values() if correlation is not None)

    def _name(self, name: str, id_: str) -> None:
        if name:
            self._names.setdefault(name, set()).add(id_)

    def _refuse(self, correlation: Correlation, reason: str) -> None:
        self.refused.append(Refusal(correlation.file, correlation.line, reason, _MEND))

    def _resolve(self, correlation: Correlation, above: tuple[str, ...]) -> bool:
        """Whether the correlation can be in force. `above`: the ids that led here."""
        if correlation.id in self._done:
            return self._done[correlation.id] is not None
        reason, ids = self._references(correlation, (*above, correlation.id))
        aliases, stray = (correlation.aliases, "") if reason else self._aliases(correlation, ids)
        if reason or stray:
            self._refuse(correlation, reason or stray)
            self._done[correlation.id] = None
            return False
        self._depth[correlation.id] = 1 + max([0, *(self._depth.get(ref, 0) for ref in ids)])
        self._done[correlation.id] = replace(correlation, rules=tuple(ids), aliases=aliases, loose=())
        return True

    def _aliases(self, correlation: Correlation, ids: list[str]) -> tuple[tuple[Alias, ...], str]:
        """The aliases with all their rules in place, or why they cannot be."""
        made = {alias.name: dict(alias.fields) for alias in correlation.aliases}
        for name, ref, field_ in correlation.loose:
            found = self._find(ref)
            place = ids.index(min(found)) if len(found) == 1 and min(found) in ids else None
            if place is None:
                return (), f"the alias {name[:80]!r} is for {ref[:80]!r}, which `rules` lacks"
            if made[name].setdefault(place, field_) != field_:
                return (), f"the alias {name[:80]!r} names two fields of {ref[:80]!r}"
        return tuple(Alias(name, tuple(fields.items())) for name, fields in made.items()), ""

    def _references(self, correlation: Correlation, path: tuple[str, ...]) -> tuple[str, list[str]]:
        """Why it cannot be, or the ids of what it names."""
        ids: list[str] = []
        for ref in correlation.rules:
            found = self._find(ref)
            if len(found) != 1:
                why = "there is no such rule" if not found else f"{len(found)} rules have that name"
                return f"it refers to {ref[:80]!r}: {why}", []
            (id_,) = found
            if id_ in path:
                back = "itself" if id_ == correlation.id else f"{ref[:80]!r}, which leads back to it"
                return f"it refers to {back}", []
            if id_ in ids:
                return f"it refers to {ref[:80]!r} twice", []
            named = self._known.get(id_)
            if named is not None and named.kind == "silence":
                return f"it refers to {ref[:80]!r}, a detector of silence: its results come too long after the fact", []
            if named is not None:
                if len(path) > MAX_CHAIN:
                    return f"it stands in a chain of more than {MAX_CHAIN} correlations", []
                if not self._resolve(named, path):
                    return f"it refers to {ref[:80]!r}, which is refused", []
                if self._depth[id_] >= MAX_CHAIN:
                    return f"it stands in a chain of more than {MAX_CHAIN} correlations", []
            ids.append(id_)
        return "", ids

    def _find(self, ref: str) -> set[str]:
        low = ref.lower()
        if low in self._rules or low in self._known:
            return {low}
        if ref in self._rules or ref in self._known:
            return {ref}
        return self._names.get(ref, set())
