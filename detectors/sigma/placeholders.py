"""Placeholders: `Field|expand: '%name%'` becomes the values that the bank has given that name.

A rule's text is the same everywhere and may come from a cache; the values are the site's. So a rule is read once with
its placeholders open, and filled when the values are known. The rule's revision then covers the values: another list of
administrators is another rule. A name without values keeps the rule from loading.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod
from typing import Any, Final, NamedTuple

import orjson

from detectors.sigma.rule import Node, Refusal, Rule
from schemas.identity import short_hash

Values = Mapping[str, Sequence[str]]
"""Name → values, each written as in a rule: `*` and `?` are wildcards."""

#: Texts of one rule after every placeholder in it is filled.
MAX_TEXTS: Final = 100_000

_GIVE: Final = "Give it values in QORGAN_PLACEHOLDERS, or take the rule out"


class Waiting(NamedTuple):
    """A rule whose placeholders have no values yet, and the line of its detection; no engine takes it so."""

    rule: Rule
    line: int


class PlaceholderError(ValueError):
    """A placeholder that cannot be filled; the text says which and why."""


def awaited(tree: Node) -> tuple[str, ...]:
    """The names of the placeholders in a condition, each once."""
    if tree[0] in ("and", "or", "not"):
        return tuple(dict.fromkeys(name for child in tree[1:] for name in awaited(child)))
    if tree[0] not in ("expand", "expand re"):
        return ()
    return tuple(dict.fromkeys(part[0] for part in tree[2] if isinstance(part, list)))


def fill(waiting: Iterable[Waiting], values: Values) -> tuple[list[Rule], list[Refusal]]:
    """Rules with their placeholders filled, and those that cannot be."""
    filled, refused = [], []
    for rule, line in waiting:
        try:
            tree = filled_tree(rule.tree, values)
        except PlaceholderError as error:
            refused.append(Refusal(rule.file, line, str(error), _GIVE))
            continue
        revision = effective(rule.revision, awaited(rule.tree), values)
        filled.append(replace(rule, condition=orjson.dumps(tree), revision=revision))
    return filled, refused


def effective(revision: str, names: Iterable[str], values: Values) -> str:
    """The revision of a text together with the values of these placeholders."""
    said = sorted(names)
    if not said:
        return revision
    return short_hash("filled", revision, orjson.dumps([[name, list(values.get(name, ()))] for name in said]).decode())


def filled_tree(tree: Node, values: Values) -> Node:
    """A condition with values for its placeholders. Raises PlaceholderError."""
    missing = [name for name in awaited(tree) if not values.get(name)]
    if missing:
        named = ", ".join(f"%{name[:80]}%" for name in missing)
        raise PlaceholderError(
            f"the placeholder {named} has no values"
            if len(missing) == 1
            else f"the placeholders {named} have no values"
        )
    count = _count(tree, values)
    if count > MAX_TEXTS:
        raise PlaceholderError(f"its placeholders come to {count:,} texts; at most {MAX_TEXTS:,} are carried out")
    # pySigma reads the values as it reads a rule's; a set without placeholders never imports it.
    from detectors.sigma import translate

    try:
        made = _filled(tree, values)
        translate.check(made)
    except translate.UntranslatableError as error:
        raise PlaceholderError(f"with its placeholders filled: {error}") from None
    return made


def _count(node: Node, values: Values) -> int:
    """Of how many texts the leaves with placeholders will be."""
    if node[0] in ("and", "or", "not"):
        return sum(_count(child, values) for child in node[1:])
    if node[0] not in ("expand", "expand re"):
        return 0
    return prod(len(values[part[0]]) for part in node[2] if isinstance(part, list))


def _filled(node: Node, values: Values) -> Node:
    from detectors.sigma.translate import joined

    if node[0] == "not":
        return ["not", _filled(node[1], values)]
    if node[0] in ("and", "or"):
        return joined(node[0], [_filled(child, values) for child in node[1:]])
    if node[0] == "expand":
        return joined("or", [_text(node, parts) for parts in _texts(node[2], values)])
    if node[0] == "expand re":
        return joined("or", [_pattern(node, parts) for parts in _texts(node[2], values)])
    return node


def _texts(parts: list[Any], values: Values) -> Iterable[list[tuple[bool, Any]]]:
    """The parts with each combination of values: (of a value, part)."""
    from detectors.sigma.translate import parts_of

    choices = [
        [[(True, each) for each in parts_of(value)] for value in values[part[0]]]
        if isinstance(part, list)
        else [[(False, part)]]
        for part in parts
    ]
    for chosen in product(*choices):
        yield [pair for piece in chosen for pair in piece]


def _text(node: Node, parts: list[tuple[bool, Any]]) -> Node:
    from detectors.sigma.translate import glued, text_node

    return text_node(node[1], glued((part for _, part in parts), node[3]), node[3])


def _pattern(node: Node, parts: list[tuple[bool, Any]]) -> Node:
    """Within a regular expression a value is what it is elsewhere, not a piece of pattern."""
    from detectors.sigma.patterns import MANY
    from detectors.sigma.translate import regex_node

    wild = {True: ".*", False: "."}
    said = [
        part if not of_value else re.escape(part) if isinstance(part, str) else wild[part == MANY]
        for of_value, part in parts
    ]
    return regex_node(node[1], "".join(said), node[3])


__all__ = ["PlaceholderError", "Values", "Waiting", "awaited", "effective", "fill", "filled_tree"]
