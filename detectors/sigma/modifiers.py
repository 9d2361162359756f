"""What stands behind a field's name (`F|expand|base64offset|contains`): a table from each modifier to its function.

pySigma's own modifiers refuse or mistake what the specification allows: `utf16le`, text beyond ASCII in UTF-16, more
than three dashes, `all` before `re`, numbers under `contains`, integers beyond 2^53, a placeholder that is encoded by
its name. So the values are pySigma's, the modifiers are ours; each takes one value and gives one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from sigma import types as sigma

from detectors.sigma.expansions import (
    Chain,
    UntranslatableError,
    base64,
    base64offset,
    expand,
    expression,
    refuse_open,
    utf16,
    windash,
)
from detectors.sigma.predicates import number_of

#: Years have four digits; comparisons may go somewhat beyond.
MAX_PART: Final = 100_000


class Item(NamedTuple):
    """A field, or None for keywords, with its values, and how these belong together."""

    field: str | None
    values: list[Any]
    all: bool
    negated: bool


def item(key: str, said: Any, policy: Any) -> Item:
    """One entry of a selection: `F|contains|all: [a, b]`. Raises UntranslatableError, pySigma's errors."""
    field, *words = key.split("|")
    unknown = [word for word in words if word not in MODIFIERS and word not in _OF_LISTS]
    if unknown:
        raise UntranslatableError(f"Unknown modifier {unknown[0]!r} in {key[:80]!r}")
    chain = _ordered([word for word in words if word not in _OF_LISTS])
    values = [_typed(value, key, "re" in chain) for value in (said if isinstance(said, list) else [said])]
    for at, word in enumerate(chain):
        around = Chain(chain[at + 1 :], policy)
        values = [_applied(word, value, around) for value in values]
    if not field and ("startswith" in chain) != ("endswith" in chain):
        for value in values:
            _tie(value)
    return Item(field or None, values, "all" in words, "neq" in words)


def _tie(value: Any) -> None:
    """A keyword with startswith or endswith is no longer found anywhere in a value, but at that end of it."""
    if isinstance(value, sigma.SigmaExpansion):
        for each in value.values:
            _tie(each)
    elif isinstance(value, sigma.SigmaString):
        value.tied = True


#: These speak of all values at once, wherever they stand.
_OF_LISTS: Final = frozenset({"all", "neq"})


def _ordered(words: list[str]) -> list[str]:
    """What makes a value's kind comes first, `cased` last: `F|contains|fieldref` is `F|fieldref|contains`.

    Placeholders are marked first, so that what would encode them sees them, but last in an expression, whose text is
    still written anew.
    """
    first = ["expand"] if "expand" in words and "re" not in words else []
    first += [word for word in words if word in _PARTS]
    first += [word for word in ("re", "fieldref", "cidr") if word in words]
    last = [word for word in ("expand", "cased") if word in words and word not in first]
    return [*first, *(word for word in words if word not in (*first, *last)), *last]


def _typed(value: Any, key: str, raw: bool) -> Any:
    """pySigma's value of a YAML one. Integers stay exact; texts are parsed for wildcards unless `raw`."""
    if isinstance(value, bool):
        return sigma.SigmaString.from_str(str(value).lower()) if raw else sigma.SigmaBool(value)
    if isinstance(value, int | float):
        number = sigma.SigmaNumber(value)  # refuses what is not finite
        number.number = value
        return sigma.SigmaString.from_str(str(value)) if raw else number
    if isinstance(value, str):
        return sigma.SigmaString.from_str(value) if raw else sigma.SigmaString(value)
    if value is None:
        return sigma.SigmaNull()
    todo = "write nested fields with dots" if isinstance(value, dict | list) else "put it in quotes"
    raise UntranslatableError(f"a value of {key[:80]!r} is a {type(value).__name__}; {todo}")


def _applied(word: str, value: Any, chain: Chain) -> Any:
    if isinstance(value, sigma.SigmaExpansion):
        return sigma.SigmaExpansion([_applied(word, each, chain) for each in value.values])
    is_plain = isinstance(value, sigma.SigmaNumber | sigma.SigmaBool) and not isinstance(
        value, sigma.SigmaTimestampPart
    )
    if word in _TEXTUAL and is_plain:
        text = str(value.number) if isinstance(value, sigma.SigmaNumber) else str(value.boolean).lower()
        value = sigma.SigmaString.from_str(text)
    if word in _NUMERIC and isinstance(value, sigma.SigmaString):
        number = number_of(str(value))
        if number is not None:
            value = _typed(number, word, False)
    if word == "exists" and str(value).lower() in ("true", "false"):
        value = sigma.SigmaBool(str(value).lower() == "true")
    kinds, modify = MODIFIERS[word]
    if not isinstance(value, kinds):
        raise UntranslatableError(f"the modifier {word!r} does not fit {_shown(value)}")
    return modify(value, chain)


def _shown(value: Any) -> str:
    if isinstance(value, sigma.SigmaNull):
        return "null"
    text = f"{value}" if isinstance(value, sigma.SigmaString | sigma.SigmaNumber | sigma.SigmaBool) else ""
    return f"the value {text[:80]!r}" if text else "a value that another modifier made"


def _around(starts: bool, ends: bool) -> Callable[[Any, Chain], Any]:
    """contains, startswith, endswith: on texts, on expressions (which are found anywhere), on other fields."""

    def modify(value: Any, chain: Chain) -> Any:
        if isinstance(value, sigma.SigmaFieldReference):
            value.starts_with |= starts
            value.ends_with |= ends
            return value
        if isinstance(value, sigma.SigmaRegularExpression):
            if starts and ends:
                return value
            made = expression(rf"\A(?:{value.regexp})" if starts else rf"(?:{value.regexp})\z", chain)
            made.flags |= value.flags
            return made
        many = sigma.SpecialChars.WILDCARD_MULTI
        made = value if not ends or value.startswith(many) else many + value
        return made if not starts or made.endswith(many) else made + many

    return modify


def _flag(flag: Any) -> Callable[[Any, Chain], Any]:
    def modify(value: Any, _chain: Chain) -> Any:
        value.add_flag(flag)
        return value

    return modify


def _fieldref(value: Any, chain: Chain) -> Any:
    refuse_open(value, "another field's name")
    if value.contains_special() or not value.s:
        raise UntranslatableError("fieldref names one field, without wildcards")
    made = sigma.SigmaFieldReference("".join(value.s))
    made.cased = "cased" in chain.after
    return made


def _cidr(value: Any, _chain: Chain) -> Any:
    refuse_open(value, "a network")
    return sigma.SigmaCIDRExpression(str(value).strip())


def _cased(value: Any, _chain: Chain) -> Any:
    if isinstance(value, sigma.SigmaRegularExpression):
        if _FLAGS.IGNORECASE in value.flags:
            raise UntranslatableError("`i` says that case does not matter, `cased` that it does")
        return value
    is_reference = isinstance(value, sigma.SigmaFieldReference)
    return value if is_reference else sigma.SigmaCasedString.from_sigma_string(value)


def _exists(value: Any, _chain: Chain) -> Any:
    return sigma.SigmaExists(value.boolean)


def _compare(operator: Any) -> Callable[[Any, Chain], Any]:
    return lambda value, _chain: sigma.SigmaCompareExpression(value, operator)


def _part(unit: Any) -> Callable[[Any, Chain], Any]:
    def modify(value: Any, _chain: Chain) -> Any:
        if value.number != int(value.number) or abs(value.number) > MAX_PART:
            raise UntranslatableError(f"a part of a time is a whole number of a calendar, not {value.number}")
        return sigma.SigmaTimestampPart(unit, int(value.number))

    return modify


_TEXT: Final = (sigma.SigmaString,)
_TEXTS: Final = (sigma.SigmaString, sigma.SigmaRegularExpression, sigma.SigmaFieldReference)
_NUMBER: Final = (sigma.SigmaNumber,)
_REGEX: Final = (sigma.SigmaRegularExpression,)
_FLAGS: Final = sigma.SigmaRegularExpressionFlag

#: Modifier → the kinds of values that it takes, and what it makes of one.
MODIFIERS: Final[Mapping[str, tuple[tuple[Any, ...], Callable[[Any, Chain], Any]]]] = {
    "contains": (_TEXTS, _around(True, True)),
    "startswith": (_TEXTS, _around(True, False)),
    "endswith": (_TEXTS, _around(False, True)),
    "exists": ((sigma.SigmaBool,), _exists),
    "cased": (_TEXTS, _cased),
    "windash": (_TEXT, windash),
    "re": (_TEXT, lambda value, chain: expression("".join(value.s), chain)),
    "i": (_REGEX, _flag(_FLAGS.IGNORECASE)),
    "m": (_REGEX, _flag(_FLAGS.MULTILINE)),
    "s": (_REGEX, _flag(_FLAGS.DOTALL)),
    "ignorecase": (_REGEX, _flag(_FLAGS.IGNORECASE)),
    "multiline": (_REGEX, _flag(_FLAGS.MULTILINE)),
    "dotall": (_REGEX, _flag(_FLAGS.DOTALL)),
    "base64": (_TEXT, base64),
    "base64offset": (_TEXT, base64offset),
    "wide": (_TEXT, utf16("utf-16-le")),
    "utf16le": (_TEXT, utf16("utf-16-le")),
    "utf16be": (_TEXT, utf16("utf-16-be")),
    "utf16": (_TEXT, utf16("utf-16-le", b"\xff\xfe")),
    "cidr": (_TEXT, _cidr),
    "expand": ((sigma.SigmaString, sigma.SigmaRegularExpression), expand),
    "fieldref": (_TEXT, _fieldref),
    **{word: (_NUMBER, _compare(sigma.CompareOperators[word.upper()])) for word in ("lt", "lte", "gt", "gte")},
    **{unit.name.lower(): (_NUMBER, _part(unit)) for unit in sigma.TimestampPart},
}
#: Before these a number or boolean is its text, and a numeric text a number.
_TEXTUAL: Final = frozenset({"contains", "startswith", "endswith", "cased", "windash", "re", "expand", "cidr"}) | {
    "fieldref", "base64", "base64offset", "wide", "utf16le", "utf16be", "utf16",
}  # fmt: skip
_PARTS: Final = frozenset(unit.name.lower() for unit in sigma.TimestampPart)
_NUMERIC: Final = frozenset({"lt", "lte", "gt", "gte"}) | _PARTS
