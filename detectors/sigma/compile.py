"""A condition becomes one code object over its leaves, and leaves that rules share become one function.

rule ── tree ── leaves ── predicates ──────────────────────────────────┐
            └─ "f0(v) and not (x.endswith(c1) if … else f1(v))" ── compiled ── Predicate

Comparisons of texts, nine leaves of ten, stand in the code itself where the field is one text: a call less each. Their
functions are the same look-ups for whatever else a field may be.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from typing import Any, Final, NamedTuple

import orjson

from detectors.sigma.fields import View, elements, pick, text_of, texts_of
from detectors.sigma.predicates import Predicate, predicate
from detectors.sigma.rule import Node

#: What a detection keeps of the fields that matched.
MATCHED_FIELDS: Final = 20
MATCHED_BYTES: Final = 1024


class Compiler:
    """Compiles trees; predicates are shared between all that one compiler made."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._leaves: dict[bytes, Predicate] = {}

    def condition(self, tree: Node) -> Predicate:
        """The function of a whole condition. Raises PatternError, ValueError for a leaf that cannot be."""
        if tree[0] not in ("and", "or", "not"):
            return self.leaf(tree)
        names: dict[str, Any] = {"str": str}
        source = self._source(tree, names)
        # The text is made of names of ours, `_written` and and, or, not; nothing of the rule stands in it.
        compiled: Predicate = eval(f"lambda v: {source}", names)  # noqa: S307 - as said
        return compiled

    def leaf(self, node: Node) -> Predicate:
        """The function of one leaf, made once."""
        key = orjson.dumps(node)
        found = self._leaves.get(key)
        if found is None:
            found = self._leaves[key] = predicate(node, self._zone)
        return found

    def tested(self, tree: Node) -> Tested | Leaf:
        """The tree with the functions of its leaves, for `matched`."""
        if tree[0] in ("and", "or", "not"):
            return [tree[0], *map(self.tested, tree[1:])]
        return Leaf(tree, self.leaf(tree))

    def _source(self, node: Node, names: dict[str, Any]) -> str:
        kind = node[0]
        if kind == "not":
            return f"not ({self._source(node[1], names)})"
        if kind in ("and", "or"):
            return f" {kind} ".join([f"({self._source(child, names)})" for child in node[1:]])
        number = len(names)
        names[f"f{number}"] = self.leaf(node)
        return _written(node, number, names) or f"f{number}(v)"


#: Parts that are looked for one by one in the code; more are looked for by the leaf's function.
MANY_PARTS: Final = 12


def _written(node: Node, number: int, names: dict[str, Any]) -> str:
    """A comparison of texts as code, its constants among the names; '' for other leaves."""
    kind = node[0]
    if kind not in ("eq", "starts", "ends", "has") or node[1] is None:
        return ""
    _, field, texts, cased = node
    if kind == "has":
        if len(texts) > MANY_PARTS:
            return ""
        said = " or ".join(f"c{number}_{place} in x" for place in range(len(texts)))
        names.update({f"c{number}_{place}": text for place, text in enumerate(texts)})
    else:
        said = {"eq": "x in {}", "starts": "x.startswith({})", "ends": "x.endswith({})"}[kind].format(f"c{number}")
        names[f"c{number}"] = frozenset(texts) if kind == "eq" else tuple(texts)
    names[f"n{number}"] = field
    texts_of_event = "v.plain" if cased else "v.folded"
    return f"({said} if (x := {texts_of_event}[n{number}]).__class__ is str else f{number}(v))"


class Leaf(NamedTuple):
    """A leaf and its function."""

    node: Node
    test: Predicate


Tested = list[Any]
"""A tree of which each leaf is a `Leaf`."""


def matched(tree: Tested | Leaf, view: View) -> dict[str, str]:
    """Field → value for the leaves that made the condition true; those under a `not` are none of them.

    At most MATCHED_FIELDS fields of MATCHED_BYTES bytes of UTF-8 each. A keyword is named by the field it stands in.
    """
    found: dict[str, str] = {}
    for node, test in _true_leaves(tree, view):
        name = node[1]
        if name is None:
            name, value = _keyword(test, view)
        else:
            value = _shown(pick(view.fields, name))
        if value is not None and name not in found:
            found[name] = value.encode("utf-8", "replace")[:MATCHED_BYTES].decode("utf-8", "ignore")
            if len(found) == MATCHED_FIELDS:
                break
    return found


def _true_leaves(tree: Tested | Leaf, view: View) -> Iterator[Leaf]:
    if isinstance(tree, Leaf):
        if tree.test(view):
            yield tree
    elif tree[0] != "not":
        for child in tree[1:]:
            # Of alternatives only those that hold; their parts would else name what matched nothing.
            if tree[0] == "and" or _holds(child, view):
                yield from _true_leaves(child, view)


def _holds(tree: Tested | Leaf, view: View) -> bool:
    if isinstance(tree, Leaf):
        return tree.test(view)
    if tree[0] == "and":
        return all(_holds(child, view) for child in tree[1:])
    if tree[0] == "or":
        return any(_holds(child, view) for child in tree[1:])
    return not _holds(tree[1], view)


def _shown(value: Any) -> str | None:
    texts = [text for item in elements(value) if (text := text_of(item)) is not None]
    return ", ".join(texts) if texts else None


def _keyword(test: Predicate, view: View) -> tuple[str, str | None]:
    """The first top-level field that holds the keyword, and the text within it that does."""
    for name, value in view.fields.items():
        for text in texts_of({name: value}):
            if test(View({name: text})):
                return name, text
    return "", None


__all__ = ["Compiler", "Leaf", "Tested", "matched"]
