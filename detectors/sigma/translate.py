"""pySigma's model of a rule becomes our tree. It and `modifiers` alone import pySigma; not at all when a cache serves.

pySigma parses texts and the condition and checks what stands beside the detection; what it leaves open is decided here:
a keyword is found anywhere in a value, an expansion (windash, base64offset) is an alternative even under `all`, a value
`*` asks only that the field is there. Texts of one field that are alternatives are joined to one leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
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
from sigma.rule import SigmaDetections, SigmaRule

from detectors.sigma.expansions import WINDASH, UntranslatableError
from detectors.sigma.fields import fold
from detectors.sigma.patterns import DASH, MANY, ONE, PatternError, compiled, like_size, size
from detectors.sigma.rule import Node
from detectors.sigma.selections import as_named, detection, plainly_named

#: Nested deeper, a condition could not be compiled to Python; SigmaHQ's deepest is 6.
MAX_DEPTH: Final = 40
#: Leaves' values of one rule after all expansion.
MAX_VALUES: Final = 200_000
#: RE2's instructions of one rule, as many as 1,000 expressions of SigmaHQ's usual size; some 20 bytes each.
MAX_SIZE: Final = 100_000
#: Parts of a time: their least and greatest values. An ISO year may have 53 weeks.
RANGES: Final = {
    "minute": (0, 59), "hour": (0, 23), "day": (1, 31), "week": (1, 53), "month": (1, 12), "year": (1, 9999),
}  # fmt: skip

#: Leaves whose alternatives may be joined, with the place of their list.
_LISTS: Final = {"eq": 2, "starts": 2, "ends": 2, "has": 2, "like": 2, "num": 2, "cidr": 2}


Part = str | int | list[str]
"""Of a text: itself, MANY, ONE, DASH, or the [name] of a placeholder."""


class _Engine:
    """What pySigma asks of an engine of regular expressions: RE2 with our bounds, and silent. One a rule: it counts."""

    error = PatternError

    def __init__(self) -> None:
        self._size = 0

    def compile(self, pattern: str, flags: int = 0) -> Any:
        letters = "".join(letter for letter, flag in (("i", 2), ("m", 8), ("s", 16)) if flags & flag)
        made = compiled(f"(?{letters}){pattern}" if letters else pattern)
        self._size += made.programsize
        if self._size > MAX_SIZE:  # before the next of a thousand such is compiled
            raise PatternError(_TOO_LARGE)
        return _Compiled(made)


class _Compiled:
    """pySigma asks compiled selectors (`1 of sel*`) whether they match a name; ours take bytes."""

    def __init__(self, pattern: Any) -> None:
        self._pattern = pattern

    def fullmatch(self, text: str) -> Any:
        return self._pattern.fullmatch(text.encode())


_TOO_LARGE: Final = "its regular expressions and wildcards are too large together; make several rules"


class Translated:
    """What one rule document says: its tree and the few attributes we keep."""

    __slots__ = ("level", "name", "status", "tags", "title", "tree")

    def __init__(self, document: dict[str, Any]) -> None:
        """Read one parsed YAML document. Raises UntranslatableError with the reason."""
        policy = SigmaPolicy(regex_engine=_Engine())
        try:
            # Beside the detection all is pySigma's; of the detection it would lose integers and refuse modifiers.
            rule = SigmaRule.from_dict({**beside(document), "detection": _ANY}, policy=policy)
            said = plainly_named(document["detection"])
            detections = SigmaDetections(
                {name: detection(part, policy) for name, part in said.items() if name != "condition"},
                said["condition"],
                policy=policy,
            )
            self.tree = joined("or", [_tree(condition.parsed, 0) for condition in detections.parsed_condition])
        except UntranslatableError:
            raise
        except SigmaError as error:
            raise UntranslatableError(as_named(str(error)).removesuffix(".")) from None
        except RecursionError:
            raise UntranslatableError("the condition nests too deeply") from None
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise UntranslatableError(f"not the shape of a Sigma rule ({error})") from None
        self.title: str = rule.title
        self.name: str = rule.name or ""
        self.level: str = rule.level.name.lower() if rule.level else ""
        self.status: str = rule.status.name.lower() if rule.status else ""
        self.tags: list[str] = [str(tag) for tag in rule.tags]
        check(self.tree)


def beside(document: dict[str, Any]) -> dict[str, Any]:
    """What pySigma is given of a document: it demands UUIDs and a list of false positives, which Sigma does not."""
    said = {key: value for key, value in document.items() if key not in ("id", "related")}
    if isinstance(said.get("falsepositives"), str):
        said["falsepositives"] = [said["falsepositives"]]
    return said


#: Stands where pySigma expects a detection.
_ANY: Final = {"any": {"any": "any"}, "condition": "any"}


def _tree(node: Any, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise UntranslatableError(f"the condition nests more than {MAX_DEPTH} deep")
    if isinstance(node, ConditionNOT):
        return ["not", _tree(node.args[0], depth + 1)]
    if isinstance(node, ConditionAND):
        return joined("and", [_tree(arg, depth + 1) for arg in node.args])
    if isinstance(node, ConditionOR):
        return joined("or", [_tree(arg, depth + 1) for arg in node.args])
    if isinstance(node, ConditionFieldEqualsValueExpression):
        return _leaf(node.field, node.value)
    if isinstance(node, ConditionValueExpression):
        return _leaf(None, node.value)
    raise UntranslatableError("the condition is empty")


def joined(kind: str, nodes: list[Node]) -> Node:
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
        return joined("or", [_leaf(field, each) for each in value.values])
    for kind, make in _VALUES:
        if isinstance(value, kind):
            return make(field, value)
    raise UntranslatableError(f"a value of the kind {type(value).__name__} is not known")


def _text(field: str | None, value: sigma.SigmaString) -> Node:
    cased = isinstance(value, sigma.SigmaCasedString)
    parts = glued(map(_part, value.s), cased)
    if any(isinstance(part, list) for part in parts):
        return ["expand", field, parts, cased]
    return text_node(field, parts, cased, tied=getattr(value, "tied", False))


def _part(part: Any) -> Part:
    if isinstance(part, sigma.Placeholder):
        return DASH if part.name == WINDASH else [part.name]
    return part if isinstance(part, str) else ONE if part == sigma.SpecialChars.WILDCARD_SINGLE else MANY


def parts_of(value: str) -> list[Part]:
    """A value as a rule would write it: `*` and `?` are wildcards, a backslash before them makes them plain."""
    return list(map(_part, sigma.SigmaString(value).s))


def glued(parts: Iterable[Part], cased: bool) -> list[Part]:
    """The parts of one text: folded unless `cased`, neighbours joined."""
    made: list[Part] = []
    for part in parts:
        last = made[-1] if made else None
        if isinstance(part, str):
            text = part if cased else fold(part)
            if isinstance(last, str):
                made[-1] = last + text
            else:
                made.append(text)
        elif part != MANY or last != MANY:
            made.append(part)
    return made


def text_node(field: str | None, parts: list[Any], cased: bool, tied: bool = False) -> Node:
    """The leaf of one text without placeholders. `tied`: a keyword that is tied to an end of a value.

    Raises UntranslatableError for a keyword that asks for nothing.
    """
    if field is None and (not tied or parts in ([], [MANY])):
        return _keyword(parts, cased)
    return _whole(field, parts, cased)


def _whole(field: str | None, parts: list[str | int], cased: bool) -> Node:
    match parts:
        case []:
            return ["eq", field, [""], cased]
        case [0]:
            return ["any", field]
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
    number = value.number
    if field is None:
        return ["has", None, [str(number)], False]
    if isinstance(number, int):
        if -(2**63) <= number < 2**64:
            return ["num", field, [number]]
        # Beyond 64 bits no JSON keeps a number exactly; its digits may still stand in a text.
        return ["or", ["num", field, [float(number)]], ["eq", field, [str(number)], False]]
    if number.is_integer():
        return joined("or", [_number(field, sigma.SigmaNumber(int(number))), ["eq", field, [str(number)], False]])
    return ["num", field, [number]]


def _regex(field: str | None, value: sigma.SigmaRegularExpression) -> Node:
    flags = "".join(sorted(sigma.SigmaRegularExpression.sigma_to_re_flag[flag] for flag in value.flags))
    if not value.regexp.contains_placeholder():
        return regex_node(field, str(value.regexp), flags)
    parts: list[Part] = []
    for is_name, run in groupby(value.regexp.s, lambda part: isinstance(part, sigma.Placeholder)):
        # What pySigma took for wildcards is written as it stood.
        text = sigma.SigmaString()
        text.s = list(run)
        parts += [_part(part) for part in text.s] if is_name else [str(text)]
    return ["expand re", field, parts, flags]


def regex_node(field: str | None, pattern: str, flags: str) -> Node:
    """The leaf of a regular expression. Raises UntranslatableError for what RE2 cannot carry out."""
    try:
        size(pattern, flags)
    except PatternError as error:
        raise UntranslatableError(f"Regular expression {pattern[:80]!r} is invalid: {error}") from None
    return ["re", field, pattern, flags]


def _named(field: str | None, what: str) -> str:
    if field is None:
        raise UntranslatableError(f"{what} needs a field; a keyword is a text, a number or a regular expression")
    return field


def _compare(field: str | None, value: sigma.SigmaCompareExpression) -> Node:
    word, number = value.op.name.lower(), value.number.number
    if isinstance(value.number, sigma.SigmaTimestampPart):
        unit = value.number.timestamp_part.name.lower()
        return ["time", _named(field, "a part of a time"), unit, word, number]
    exact = isinstance(number, float) or -(2**63) <= number < 2**64
    return ["cmp", _named(field, "a comparison"), word, number if exact else float(number)]


def _reference(field: str | None, value: sigma.SigmaFieldReference) -> Node:
    return ["ref", _named(field, "fieldref"), value.field, value.starts_with, value.ends_with, value.cased]


def _time(field: str | None, value: sigma.SigmaTimestampPart) -> Node:
    unit, number = value.timestamp_part.name.lower(), value.number
    least, most = RANGES[unit]
    if not least <= number <= most:
        raise UntranslatableError(f"{unit} is a number between {least} and {most}, not {number}")
    return ["time", _named(field, "a part of a time"), unit, "eq", number]


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
    (sigma.SigmaCIDRExpression, lambda field, value: ["cidr", _named(field, "cidr"), [str(value.network)]]),
    (sigma.SigmaCompareExpression, _compare),
    (sigma.SigmaFieldReference, _reference),
    (sigma.SigmaExists, lambda field, value: ["exists", _named(field, "exists"), bool(value.exists)]),
    (sigma.SigmaNull, lambda field, _: ["null", _named(field, "null")]),
)


def check(tree: Node) -> None:
    """Refuse what would take too much memory once it is compiled. Raises UntranslatableError."""
    values, work, stack = 0, 0, [tree]
    while stack:
        node = stack.pop()
        if node[0] in ("and", "or", "not"):
            stack += node[1:]
            continue
        at = _LISTS.get(node[0])
        values += 1 if at is None else len(node[at])
        if node[0] == "re":
            work += size(node[2], node[3])
        elif node[0] == "like":
            work += sum(map(_size, node[2]))
        if work > MAX_SIZE:
            raise UntranslatableError(_TOO_LARGE)
    if values > MAX_VALUES:
        raise UntranslatableError(f"the condition holds {values:,} values; at most {MAX_VALUES:,} are carried out")


def _size(shape: list[str | int]) -> int:
    try:
        return like_size(tuple(shape))
    except PatternError as error:
        raise UntranslatableError(f"a text with wildcards is too long: {error}") from None


__all__ = ["Translated", "UntranslatableError"]
