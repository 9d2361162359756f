"""Which partition of `contributions` a group belongs to, so that one fold sees all of it, its chain included.

A correlation's final result is a contribution to those that name it, with a group that follows from its own. So a group
is placed by the group that its chain ends in, and nothing ever has to travel between partitions. Where a correlation is
named by two, its results end in two groups: all that hangs together there lies in one partition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from detectors.correlation.contribution import group_of
from detectors.correlation.correlator import result_lookup
from detectors.correlation.resolve import Correlations

#: Places remembered; groups are named by data, so there is no natural end to them.
MAX_KNOWN: Final = 100_000


class Placement:
    """The partitions of groups, for one set of correlations and one number of partitions."""

    def __init__(self, rules: Correlations, partitions: int) -> None:
        self._rules = {rule.id: rule for rule in rules.ordered}
        self._members = rules.members
        self._partitions = partitions
        self._together = _forked(rules)
        self._known: dict[tuple[str, str], int] = {}

    def partition(self, correlation: str, group: str) -> int:
        """Where a correlation's group lies."""
        known = self._known.get((correlation, group))
        if known is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            name = self._together.get(correlation) or "\x1f".join(self._end(correlation, group))
            digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            known = self._known[correlation, group] = int.from_bytes(digest) % self._partitions
        return known

    def _end(self, correlation: str, group: str) -> tuple[str, str]:
        """The end of the chain: a correlation that none names, and its group."""
        while naming := self._members.get(correlation):
            (member,) = naming
            further = group_of(member, result_lookup(self._rules[correlation], group))
            if further is None:  # this result is dropped there, and concerns no other group
                break
            correlation, group = member.correlation.id, further
        return correlation, group


def _forked(rules: Correlations) -> Mapping[str, str]:
    """Correlations that hang together with one that several name → the name of what hangs together."""
    heap = {rule.id: rule.id for rule in rules.ordered}

    def top(id_: str) -> str:
        while heap[id_] != id_:
            id_ = heap[id_]
        return id_

    for rule in rules.ordered:
        for ref in rule.rules:
            if ref in heap:
                heap[top(ref)] = top(rule.id)
    forked = {top(id_) for id_ in heap if len(rules.members.get(id_, ())) > 1}
    return {id_: min(each for each in heap if top(each) == top(id_)) for id_ in heap if top(id_) in forked}
