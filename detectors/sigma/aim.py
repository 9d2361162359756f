"""Which rules do suppressions speak of? A reference that leads nowhere is refused by name, never ignored.

pySigma ignores silently a filter for a rule that is not there, for another log source, or on a correlation; the person
who wrote it then believes in an exception that does not exist.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, tzinfo
from typing import Final, NamedTuple

from detectors.sigma.filters import ANY, Account, Filter
from detectors.sigma.rule import LogSource, Refusal, Rule
from detectors.sigma.suppress import ANYWHERE, Suppression, contains
from schemas.identity import short_hash

_CORRECT: Final = "Correct the id or name, or take it out"
_PARTS: Final = "Name the rules that the correlation refers to"
_SOURCE: Final = "Give the filter the rule's logsource, or one that names less of it"


class Disabled(NamedTuple):
    """Rules that shall not detect until a day.

    `rule`: the id or name of one, or ANY: all of `logsource`. `events`: in events of this source alone, so that one
    provider's mapping can be switched off.
    """

    rule: str
    account: Account
    file: str
    line: int
    logsource: LogSource = ANYWHERE
    events: LogSource = ANYWHERE


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
        found, fault = targets.of_disabled(one)
        refused += [fault] if fault else []
        suppression = _of_disabled(one, found, zone)
        if suppression.id in made:
            refused.append(Refusal(one.file, one.line, f"{suppression.id} stands twice", _CORRECT))
        elif found:
            made[suppression.id] = suppression
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


def _of_disabled(said: Disabled, rules: Sequence[Rule], zone: tzinfo) -> Suppression:
    whole = said.rule == ANY
    what = f"rules of {said.logsource}" if whole else rules[0].title if rules else ""
    narrowed = [short_hash(*said.logsource, *said.events)] if whole or said.events != ANYWHERE else []
    return Suppression(
        "-".join(["disabled", ANY if whole or not rules else rules[0].id, *narrowed]),
        "disabled",
        f"{what}, in events of {said.events}" if said.events != ANYWHERE else what,
        said.account,
        said.account.until_ms(zone),
        short_hash("disabled", *said.account, *said.events),
        said.file,
        said.line,
        tuple(rule.id for rule in rules),
        events=said.events,
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

    def of_disabled(self, said: Disabled) -> tuple[Sequence[Rule], Refusal | None]:
        """The rules that are disabled, or why there are none."""
        if said.rule != ANY:
            return self.found(said.rule, said.file, said.line)
        rules = [rule for rule in self._rules if contains(said.logsource, rule.logsource)]
        reason = f"no rule in force has the logsource {said.logsource}"
        return rules, None if rules else Refusal(said.file, said.line, reason, _CORRECT)

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


__all__ = ["Disabled", "aim"]
