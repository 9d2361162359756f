"""pySigma's model of a rule becomes our tree. The only module that imports pySigma; not imported when a cache serves.

pySigma parses the condition, applies the modifiers and checks the values; what it leaves open is decided here: a
keyword is found anywhere in a value, an expansion (windash, base64offset) is an alternative even under `all`, a value
`*` asks only that the field is there. Texts of one field that are alternatives are joined to one leaf.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sigma import types as sigma
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.exceptions import SigmaError
from sigma.policy import SigmaPolicy
from sigma.rule import SigmaRule

from detectors.sigma.fields import fold
from detectors.sigma.patterns import MANY, ONE, PatternError, compiled, searcher
from detectors.sigma.rule import Node

#: Nested deeper, a condition could not be compiled to Python; SigmaHQ's deepest is 6.
MAX_DEPTH: Final = 40
#: Leaves' values of one rule after all expansion.
MAX_VALUES: Final = 200_000

#: Leaves whose alternatives may be joined, with the place of their list.
_LISTS: Final = {"eq": 2, "starts": 2, "ends": 2, "has": 2, "like": 2, "num": 2, "cidr": 2}


class UntranslatableError(ValueError):
    """This rule cannot be carried out; the text says why."""


class _Engine:
    """What pySigma asks of an engine of regular expressions: RE2 with our bounds, and silent."""

    error = PatternError

    def compile(self, pattern: str, flags: int = 0) -> Any:
        letters = "".join(letter for letter, flag in (("i", 2), ("m", 8), ("s", 16)) if flags & flag)
        return _Compiled(compiled(f"(?{letters}){pattern}" if letters else pattern))


class _Compiled:
    """pySigma asks compiled selectors (`1 of sel*`) whether they match a name; ours take bytes."""

    def __init__(self, pattern: Any) -> None:
        self._pattern = pattern

    def fullmatch(self, text: str) -> Any:
        return self._pattern.fullmatch(text.encode())


_POLICY: Final = SigmaPolicy(regex_engine=_Engine())


class Translated:
    """What one rule document says: its tree and the few attributes we keep."""

    __slots__ = ("level", "name", "status", "tags", "title", "tree")

    def __init__(self, document: dict[str, Any]) -> None:
        """Read one parsed YAML document. Raises UntranslatableError with the reason."""
        try:
            rule = SigmaRule.from_dict(document, policy=_POLICY)
            conditions = [condition.parsed for condition in rule.detection.parsed_condition]
        except SigmaError as error:
            raise UntranslatableError(str(error).removesuffix(".")) from None
        except RecursionError:
            raise UntranslatableError("the condition nests too deeply") from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UntranslatableError(f"not the shape of a Sigma rule ({error})") from None
        trees = [_tree(condition, 0) for condition in conditions]
        self.tree = _joined("or", trees)
        self.title: str = rule.title
        self.name: str = rule.name or ""
        self.level: str = rule.level.name.lower() if rule.level else ""
        self.status: str = rule.status.name.lower() if rule.status else ""
        self.tags: list[str] = [str(tag) for tag in rule.tags]
        _check(self.tree)


def _tree(node: Any, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise UntranslatableError(f"the condition nests more than {MAX_DEPTH} deep")
    if isinstance(node, ConditionNOT):
        return ["not", _tree(node.args[0], depth + 1)]
    if isinstance(node, ConditionAND):
        return _joined("and", [_tree(arg, depth + 1) for arg in node.args])
    if isinstance(node, ConditionOR):
        return _joined("or", [_tree(arg, depth + 1) for arg in node.args])
    if isinstance(node, ConditionFieldEqualsValueExpression):
        return _leaf(node.field, node.value)
    if isinstance(node, ConditionValueExpression):
        return _leaf(None, node.value)
    raise UntranslatableError("the condition is empty")


def _joined(kind: str, nodes: list[Node]) -> Node:
    """One `and` or `or` of these, flat; alternatives of one field and kind become one leaf."""
    flat: list[Node] = []
    for node in nodes:
        flat += node[1:] if node[0] == kind else [node]
    if kind == "or":
        flat = _merged(flat)
    return flat[0] if len(flat) == 1 else [kind, *flat]


def _merged(nodes: list[Node]) -> list[Node]:
    merged: list[Node] = []
    known: dict[tuple[Any, ...], Node] = {}
    for node in nodes:
        at = _LISTS.get(node[0])
        if at is None:
            merged.append(node)
            continue
        key = (node[0], node[1], *node[at + 1 :])
        first = known.get(key)
        if first is None:
            known[key] = fresh = [*node[:at], list(node[at]), *node[at + 1 :]]
            merged.append(fresh)
        else:
            seen = first[at]
            seen += node[at]
    for node in known.values():
        at = _LISTS[node[0]]
        if node[0] != "like":
            node[at] = list(dict.fromkeys(node[at]))
    return merged


def _leaf(field: str | None, value: Any) -> Node:
    if isinstance(value, sigma.SigmaExpansion):
        return _joined("or", [_leaf(field, each) for each in value.values])
    for kind, make in _VALUES:
        if isinstance(value, kind):
            return make(field, value)
    raise UntranslatableError(f"a value of the kind {type(value).__name__} is not known")


def _text(field: str | None, value: sigma.SigmaString) -> Node:
    cased = isinstance(value, sigma.SigmaCasedString)
    parts: list[str | int] = []
    for part in value.s:
        if isinstance(part, sigma.Placeholder):
            raise UntranslatableError(f"the placeholder %{part.name}% has no values")
        if isinstance(part, str):
            text = part if cased else fold(part)
            if parts and isinstance(parts[-1], str):
                parts[-1] += text
            else:
                parts.append(text)
        elif part == sigma.SpecialChars.WILDCARD_SINGLE:
            parts.append(ONE)
        elif not parts or parts[-1] != MANY:
            parts.append(MANY)
    return _keyword(parts, cased) if field is None else _whole(field, parts, cased)


def _whole(field: str, parts: list[str | int], cased: bool) -> Node:
    match parts:
        case []:
            return ["eq", field, [""], cased]
        case [0]:
            return ["exists", field, True]
        case [str(text)]:
            return ["eq", field, [text], cased]
        case [str(text), 0]:
            return ["starts", field, [text], cased]
        case [0, str(text)]:
            return ["ends", field, [text], cased]
        case [0, str(text), 0]:
            return ["has", field, [text], cased]
    return ["like", field, [parts], cased]


def _keyword(parts: list[str | int], cased: bool) -> Node:
    inner = parts[1:] if parts[:1] == [MANY] else parts
    inner = inner[:-1] if inner[-1:] == [MANY] else inner
    if not inner:
        raise UntranslatableError("a keyword is empty and would match every event")
    if len(inner) == 1 and isinstance(inner[0], str):
        return ["has", None, [inner[0]], cased]
    return ["like", None, [[MANY, *inner, MANY]], cased]


def _number(field: str | None, value: sigma.SigmaNumber) -> Node:
    return ["has", None, [str(value.number)], False] if field is None else ["num", field, [value.number]]


def _regex(field: str | None, value: sigma.SigmaRegularExpression) -> Node:
    for part in value.regexp.s:
        if isinstance(part, sigma.Placeholder):
            raise UntranslatableError(f"the placeholder %{part.name}% has no values")
    flags = "".join(sorted(sigma.SigmaRegularExpression.sigma_to_re_flag[flag] for flag in value.flags))
    pattern = str(value.regexp)
    try:
        searcher(pattern, flags)
    except PatternError as error:
        raise UntranslatableError(f"Regular expression {pattern[:80]!r} is invalid: {error}") from None
    return ["re", field, pattern, flags]


def _named(field: str | None, what: str) -> str:
    if field is None:
        raise UntranslatableError(f"{what} needs a field; a keyword is a text, a number or a regular expression")
    return field


def _compare(field: str | None, value: sigma.SigmaCompareExpression) -> Node:
    return ["cmp", _named(field, "a comparison"), value.op.name.lower(), value.number.number]


def _reference(field: str | None, value: sigma.SigmaFieldReference) -> Node:
    return ["ref", _named(field, "fieldref"), value.field, value.starts_with, value.ends_with]


def _time(field: str | None, value: sigma.SigmaTimestampPart) -> Node:
    return ["time", _named(field, "a part of a time"), value.timestamp_part.name.lower(), value.number]


def _bool(field: str | None, value: sigma.SigmaBool) -> Node:
    text = str(value.boolean).lower()
    return ["has", None, [text], False] if field is None else ["eq", field, [text], False]


#: In this order: a part of a time is a number to pySigma.
_VALUES: Final[tuple[tuple[Any, Callable[[str | None, Any], Node]], ...]] = (
    (sigma.SigmaString, _text),
    (sigma.SigmaTimestampPart, _time),
    (sigma.SigmaNumber, _number),
    (sigma.SigmaBool, _bool),
    (sigma.SigmaRegularExpression, _regex),
    (sigma.SigmaCIDRExpression, lambda field, value: ["cidr", field, [str(value.network)]]),
    (sigma.SigmaCompareExpression, _compare),
    (sigma.SigmaFieldReference, _reference),
    (sigma.SigmaExists, lambda field, value: ["exists", _named(field, "exists"), bool(value.exists)]),
    (sigma.SigmaNull, lambda field, _: ["null", _named(field, "null")]),
)


def _check(tree: Node) -> None:
    values, stack = 0, [tree]
    while stack:
        node = stack.pop()
        if node[0] in ("and", "or", "not"):
            stack += node[1:]
        else:
            at = _LISTS.get(node[0])
            values += 1 if at is None else len(node[at])
    if values > MAX_VALUES:
        raise UntranslatableError(f"the condition holds {values:,} values; at most {MAX_VALUES:,} are carried out")
