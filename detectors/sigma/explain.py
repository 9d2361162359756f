"""Why a rule finds an event or does not: its condition as a tree, each part with whether it holds and on what value.

Nothing is cut short: the parts behind one that has failed are asked as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from detectors.sigma.fields import View, pick
from detectors.sigma.mapping import Names, provided
from detectors.sigma.predicates import Predicate
from detectors.sigma.routing import Entry
from detectors.sigma.rule import Node, Rule

#: Values of one leaf that are written out, and the length to which an event's value is.
SHOWN: Final = 6
LONGEST: Final = 300

_WORDS: Final = {
    "eq": "is",
    "starts": "starts with",
    "ends": "ends with",
    "has": "contains",
    "like": "is like",
    "num": "is",
    "re": "matches",
    "cidr": "is in",
    "null": "is null or absent",
    "time": "has",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a condition. `field` None: a keyword, or no leaf. `value`: the event's, as JSON; None: absent."""

    says: str
    holds: bool
    selection: str = ""
    field: str | None = None
    value: str | None = None
    parts: tuple[Part, ...] = ()
    error: str = ""


class Explainer:
    """Explains conditions over one event. `compiled` makes their functions, `names` tell the rule's fields in its
    provider's words, `selections` says which node of the tree is which selection of the rule, by its JSON."""

    def __init__(
        self,
        view: View,
        compiled: Callable[[Node], Predicate],
        names: Names,
        selections: Mapping[bytes, str],
    ) -> None:
        self._view = view
        self._compiled = compiled
        self._names = names
        self._selections = selections

    def explain_entry(self, rule: Rule, entry: Entry | None) -> Part:
        """A rule's condition, with what its provider's events must be besides."""
        said = self.explain(rule.tree)
        if entry is None or entry.place.when is None:
            return said
        plain = Explainer(self._view, self._compiled, {}, {}).explain(entry.place.when)
        return Part("all of", plain.holds and said.holds, parts=(plain, said))

    def explain(self, node: Node) -> Part:
        """The part that a node is."""
        name = self._selections.get(orjson.dumps(node), "")
        kind = node[0]
        if kind in ("and", "or", "not"):
            parts = tuple(map(self.explain, node[1:]))
            held = [part.holds for part in parts]
            holds = all(held) if kind == "and" else any(held) if kind == "or" else not held[0]
            says = {"and": "all of", "or": "any of", "not": "not"}[kind]
            return Part(says, holds, name, parts=parts)
        return self._of_leaf(node, name)

    def _of_leaf(self, node: Node, name: str) -> Part:
        """A leaf, told by its provider's field, of which a condition of several parts may be made."""
        error, told = "", provided(node, self._names)
        try:
            holds = self._compiled(told)(self._view)
        except Exception as raised:  # whatever a rule does wrong is what is to be explained
            holds, error = False, type(raised).__name__
        field = _field(told)
        value = None if field is None else _value(pick(self._view.fields, field))
        return Part(_says([node[0], field, *node[2:]]), holds, name, field, value, error=error)


def _field(node: Node) -> str | None:
    """The first field that a condition of one leaf looks at."""
    while node[0] in ("and", "or", "not"):
        node = node[1]
    field: str | None = node[1]
    return field


def selection_nodes(name: str, tree: Node) -> dict[bytes, str]:
    """The nodes by which a selection is known again in a condition: its own, and those that are joined to others."""
    parts = tree[1:] if tree[0] in ("and", "or") else []
    return {orjson.dumps(node): name for node in (*parts, tree)}


def _says(node: Node) -> str:
    kind, field = node[0], node[1] if node[1] is not None else "any value"
    if kind == "exists":
        return f"{field} is there" if node[2] else f"{field} is not there"
    if kind == "cmp":
        return f"{field} { ({'lt': '<', 'lte': '<=', 'gt': '>', 'gte': '>='}[node[2]]) } {node[3]}"
    if kind == "ref":
        word = {(False, False): "is", (True, False): "starts with", (False, True): "ends with"}
        return f"{field} {word.get((bool(node[3]), bool(node[4])), 'contains')} the value of {node[2]}"
    said = f"{field} {_WORDS.get(kind, kind)}"
    if kind == "null":
        return said
    if kind == "re":
        return f"{said} /{node[2]}/{node[3]}"
    if kind == "via":
        return f"{_says(node[3])}, read from {field}"
    if kind == "any":
        return f"{field} has a value"
    if kind == "time":
        compared = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}.get(node[3], "=")
        return f"{said} {node[2]} {compared} {node[4]}"
    return f"{said} {_listed(kind, node[2])}{' (by case)' if node[-1] is True else ''}"


def _listed(kind: str, values: list[Any]) -> str:
    shown = [_pattern(value) if kind == "like" else _value(value) or "" for value in values[:SHOWN]]
    more = f" or one of {len(values) - SHOWN:,} more" if len(values) > SHOWN else ""
    return " or ".join(shown) + more


def _pattern(parts: list[Any]) -> str:
    return "".join({0: "*", 1: "?", 2: "any dash"}.get(part, "") if isinstance(part, int) else part for part in parts)


def _value(value: Any) -> str | None:
    if value is None:
        return None
    try:
        said = orjson.dumps(value).decode()
    except TypeError:
        said = ascii(value)
    return said if len(said) <= LONGEST else said[:LONGEST] + "…"
