"""What a rule can find with a provider that lacks some of its fields: decided on its condition, without any event.

A leaf over an absent field is as good as false (`null`: true). What follows from that is a rule's state:

- `cannot fire`: its condition can no more be true;
- `weaker`: a filter looks at such a field, so it filters less: likelier false positives;
- `narrower`: an alternative needs such a field: less is found, nothing wrong;
- `full`: nothing that it looks at is absent, or what is absent changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

from detectors.sigma.providers import Place
from detectors.sigma.rule import Node

State = Literal["full", "narrower", "weaker", "cannot fire"]

#: What every Windows event has, whoever its provider is.
GENERAL: Final = frozenset(
    {
        *("EventID", "Channel", "Computer", "Hostname", "Provider_Name", "Level"),
        *("Task", "Opcode", "Keywords", "Version", "EventRecordID"),
    }
)


class Coverage(NamedTuple):
    """A rule with one provider. `filters`, `alternatives`: the absent fields that filters and selections ask for."""

    state: State
    filters: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()


def lacks(place: Place) -> Callable[[str], bool]:
    """Whether a provider never gives a field, in Sigma's words; none is known to be absent where none is declared."""
    return lambda field: bool(place.fields) and field not in place.fields and field not in GENERAL


def covered(tree: Node, absent: Callable[[str], bool]) -> Coverage:
    """A rule's state where some fields are absent. `tree`: the rule's own, in Sigma's words."""
    found: dict[bool, set[str]] = {True: set(), False: set()}
    always = _decided(tree, absent, True, found)
    filters, alternatives = (tuple(sorted(found[side])) for side in (False, True))
    if always is False:
        return Coverage("cannot fire", filters, alternatives)
    if filters or always:
        return Coverage("weaker", filters, alternatives)
    return Coverage("narrower" if alternatives else "full", filters, alternatives)


def fields_of(tree: Node) -> Iterator[str]:
    """Every field that a condition looks at."""
    if tree[0] in ("and", "or", "not"):
        for child in tree[1:]:
            yield from fields_of(child)
    elif tree[1] is not None:
        yield tree[1]
        if tree[0] == "ref":
            yield tree[2]


def _decided(node: Node, absent: Callable[[str], bool], selects: bool, found: dict[bool, set[str]]) -> bool | None:
    """What a part of the condition comes to without asking an event; None: that depends on the event.

    `selects`: it stands under an even number of `not`. Absent fields that take a chance away go to `found`.
    """
    if node[0] == "not":
        inner = _decided(node[1], absent, not selects, found)
        return None if inner is None else not inner
    if node[0] in ("and", "or"):
        stops: bool = node[0] == "or"
        known = [_decided(child, absent, selects, found) for child in node[1:]]
        if stops in known:
            return stops
        return None if None in known else not stops
    missing = [field for field in fields_of(node) if absent(field)]
    if not missing:
        return None
    holds: bool = node[0] == "null" or (node[0] == "exists" and not node[2])
    if not holds:
        found[selects].update(missing)
    return holds
