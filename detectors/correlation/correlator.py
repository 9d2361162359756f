"""All correlations in force, judged together: contributions in, verdicts out, chains fed from final results.

A correlation that others name is judged before them. Its final result is a contribution to them, at the time of its
first contribution; so they settle later than it by its timespan.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from typing import Final

import orjson

from detectors.behaviour.detector import Detector
from detectors.behaviour.fold import Behaviour
from detectors.correlation.abouts import Abouts
from detectors.correlation.contribution import Contribution, Found, Lookup, Member, contribute
from detectors.correlation.correlation import Correlation
from detectors.correlation.doubles import Doubles, Sighting, counts_doubles
from detectors.correlation.episodes import OFFSET_BITS, Verdict
from detectors.correlation.fold import Fold, Limits
from detectors.correlation.resolve import Correlations

_VERSION: Final = 3


class UnfitError(ValueError):
    """A dumped state that is of another build, or damaged."""


class Correlator:
    """The state of a set of correlations. No clock and no I/O; one owner."""

    def __init__(self, rules: Correlations, limits: Limits | None = None) -> None:
        self.rules = rules
        self.late = 0
        self.unknown = 0
        """Contributions of correlations that are not in force."""
        self.dropped: Counter[tuple[str, str]] = Counter()
        """Results of correlations that others name and cannot group or measure: (correlation, why) → how many."""
        self._limits = limits
        self._lanes: list[str] = []
        self._lane: dict[str, int] = {}
        self._folds = {rule.id: _fold(rule, self._lanes, limits) for rule in rules.ordered}
        self._abouts = {rule.id: Abouts((limits or Limits()).contributions) for rule in rules.ordered}
        self._doubles = {rule.id: Doubles() for rule in rules.ordered if counts_doubles(rule)}

    @property
    def folds(self) -> dict[str, Fold | Behaviour]:
        """Correlation's id → its state, for metrics."""
        return self._folds

    def feed(self, contributions: Iterable[Contribution]) -> list[Verdict]:
        """Take contributions in, in any order; what is to be said at once."""
        said: list[Verdict] = []
        folds, lanes, silent = self._folds, self._lane, self.rules.silent
        for correlation, group, time, lane, offset, value, late, activity, provider, about in contributions:
            if late:
                self.late += 1
                continue
            fold = folds.get(correlation)
            if fold is None:
                self.unknown += 1
                continue
            number = lanes.get(lane)
            if number is None:
                number = self._enter(lane)
            identity = number << OFFSET_BITS | offset
            if activity and not self._first_hand(fold, activity, Sighting(time, provider, group, identity)):
                continue
            if about is not None:
                self._abouts[correlation].keep(identity, time, about)
            verdict = fold.add(group, time, identity, value)
            if verdict is not None and correlation not in silent:
                said.append(self._with_about(verdict))
        return said

    def advance(self, watermark: int) -> list[Verdict]:
        """No contribution at or before `watermark` (milliseconds) will come, nor one that doubles one of these: what is
        final by that."""
        said: list[Verdict] = []
        for rule in self.rules.ordered:
            named = (self._folds[ref] for ref in rule.rules if ref in self._folds)
            held_back = min([watermark, *(fold.settled - fold.rule.timespan for fold in named)])
            fold = self._folds[rule.id]
            before = fold.settled
            said += self._hand_on(fold.advance(held_back))
            if fold.settled != before:
                self._forget(fold)
        return said

    def finish(self) -> list[Verdict]:
        """Nothing else will come: all that is final then."""
        said: list[Verdict] = []
        for rule in self.rules.ordered:
            said += self._hand_on(self._folds[rule.id].finish())
        return said

    def take_over(self, old: Correlator) -> None:
        """Go on with what another set's correlator holds, where a correlation is the same. Nothing may have been fed
        yet, and the other is not used any more."""
        self._lanes, self._lane = old._lanes, old._lane
        for rule in self.rules.ordered:
            held = old.folds.get(rule.id)
            if held is None or held.rule.revision != rule.revision:
                self._folds[rule.id] = _fold(rule, self._lanes, self._limits)
                continue
            self._folds[rule.id] = held
            self._abouts[rule.id] = old._abouts[rule.id]
            if rule.id in self._doubles:
                self._doubles[rule.id] = old._doubles[rule.id]

    def dump(self) -> bytes:
        """The state, for a checkpoint."""
        heads, bodies = {}, []
        for name, fold in self._folds.items():
            head, parts = fold.dump()
            bodies.append(b"".join(parts))
            heads[name] = [fold.rule.revision, len(bodies[-1]), head]
        body = b"".join(bodies)
        beside = [
            {name: abouts.dump() for name, abouts in self._abouts.items()},
            {name: doubles.dump() for name, doubles in self._doubles.items()},
        ]
        written = orjson.dumps([_VERSION, _digest(body), self._lanes, self.late, heads, beside])
        return len(written).to_bytes(8, "big") + written + body

    def restore(self, data: bytes) -> frozenset[str]:
        """Take a dumped state over; nothing may have been fed yet. Returns the ids of those that it knows nothing of:
        they are new, or changed since. Raises UnfitError for what does not fit."""
        try:
            size = int.from_bytes(data[:8], "big")
            version, check, lanes, late, heads, (abouts, doubles) = orjson.loads(data[8 : 8 + size])
        except ValueError as error:
            raise UnfitError("the state cannot be read") from error
        body = memoryview(data)[8 + size :]
        if version != _VERSION or check != _digest(body):
            raise UnfitError("the state is damaged, or of another version")
        self.late = late
        for lane in lanes:
            self._enter(lane)
        fresh = set(self._folds)
        for name, (revision, length, head) in heads.items():
            mine, body = body[:length], body[length:]
            fold = self._folds.get(name)
            if fold is None or fold.rule.revision != revision:
                continue
            fold.restore(head, mine)
            self._abouts[name].restore(abouts[name])
            if name in self._doubles:
                self._doubles[name].restore(doubles[name])
            fresh.discard(name)
        return frozenset(fresh)

    def _with_about(self, verdict: Verdict) -> Verdict:
        lane, offset = verdict.first
        about = self._abouts[verdict.correlation].of(self._lane[lane] << OFFSET_BITS | offset)
        return verdict if about is None else verdict._replace(about=about)

    def _first_hand(self, fold: Fold | Behaviour, activity: str, new: Sighting) -> bool:
        """Whether a contribution counts; others that tell the same less fully are taken back because of it."""
        doubles = self._doubles.get(fold.rule.id)
        if doubles is None or new.time <= fold.settled:
            return True
        counts, gone = doubles.take(activity, new)
        for one in gone:
            fold.remove(one.group, one.time, one.identity)
        return counts

    def _forget(self, fold: Fold | Behaviour) -> None:
        """What no verdict to come can need."""
        rule = fold.rule
        self._abouts[rule.id].forget(fold.settled - rule.timespan, fold.firsts)
        if rule.id in self._doubles:
            self._doubles[rule.id].forget(fold.settled)

    def _enter(self, lane: str) -> int:
        number = self._lane[lane] = len(self._lanes)
        self._lanes.append(lane)
        return number

    def _hand_on(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        """Give final results to those that name them; what is said to others."""
        said = []
        for verdict in map(self._with_about, verdicts):
            if verdict.correlation not in self.rules.silent:
                said.append(verdict)
            members = self.rules.members.get(verdict.correlation, ())
            if verdict.state == "final" and members:
                said += self.feed(self._of(verdict, members))
        return said

    def _of(self, verdict: Verdict, members: Sequence[Member]) -> Iterable[Contribution]:
        rule = self._folds[verdict.correlation].rule
        # Apart from the record's own contribution: both may count in one group.
        lane = f"{verdict.first[0]}#{rule.id}"
        found = result_lookup(rule, verdict.group)
        time, offset = verdict.first_time, verdict.first[1]
        return contribute([Found(members, found)], time, lane, offset, False, self.dropped, about=verdict.about)


def record_of(first: tuple[str, int], rules: Container[str]) -> tuple[str, int]:
    """The record with which an episode began, whatever chain of correlations, by id, led from it."""
    lane, offset = first
    while (parts := lane.rpartition("#"))[2] in rules:
        lane = parts[0]
    return lane, offset


def _fold(rule: Correlation, lanes: Sequence[str], limits: Limits | None) -> Fold | Behaviour:
    """The empty state of a correlation, or of a detector of ours."""
    return Behaviour(rule, lanes, limits) if isinstance(rule, Detector) else Fold(rule, lanes, limits)


def result_lookup(rule: Correlation, group: str) -> Lookup:
    """The values that a correlation's result has: those of its group, by the names in `group-by`."""
    values = rule.group_values(group)
    return values.get


def _digest(body: bytes | memoryview) -> str:
    return hashlib.blake2b(body, digest_size=8).hexdigest()
