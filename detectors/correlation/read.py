"""Correlation documents become `Correlation`s. pySigma's model is the reader; what it refuses is normalised before it.

Ours, since pySigma does not take them: ranges such as `{gt: 1, lte: 5}`, the types `temporal_extended` and
`temporal_ordered_extended`, and boolean conditions over names with a dash (`boolean`).
"""

from __future__ import annotations

from typing import Any, Final

from detectors.correlation.boolean import BooleanError, parsed, placed
from detectors.correlation.correlation import (
    KINDS,
    MAX_RULES,
    OPERATORS,
    UNIT,
    Alias,
    Bound,
    Correlation,
    Loose,
)
from detectors.correlation.fold import MAX_GROUP
from detectors.correlation.measure import UnorderedError, steps_of
from schemas.severity import Severity

MAX_CONDITION: Final = 10_000
MAX_GROUP_BY: Final = 16
MAX_ALIASES: Final = 64
#: Beyond what any measure comes to; NaN and infinity are beyond it too.
MAX_BOUND: Final = 9e15
#: A timespan: windows beyond it would outlive the topics that carry contributions.
MAX_TIMESPAN_S: Final = 31 * 86_400

#: The percentile where none is named.
MEDIAN: Final = 50

_KEYS: Final = frozenset({"type", "rules", "aliases", "group-by", "timespan", "condition", "generate"})
_VALUES: Final = ("value_sum", "value_avg", "value_percentile", "value_median")
_OPPOSED: Final = {"gt": "lower", "gte": "lower", "lt": "upper", "lte": "upper"}


class CorrelationError(ValueError):
    """A correlation that cannot be carried out; the text says why."""


def correlation_of(document: dict[Any, Any], *, id_: str, revision: str, file: str, line: int) -> Correlation:
    """Read one parsed document. Raises CorrelationError."""
    said = document.get("correlation")
    if not isinstance(said, dict):
        raise CorrelationError("its `correlation` is not a mapping")
    unknown = sorted(str(key) for key in said if key not in _KEYS)
    if unknown:
        raise CorrelationError(f"`correlation` has no key {unknown[0][:80]!r}; it knows {', '.join(sorted(_KEYS))}")
    kind, extended = _kind(said.get("type"))
    tree, names = _condition(said.get("condition"), kind, extended)
    rules = named_rules(said.get("rules"), names)
    bounds = () if tree is not None else _bounds(said.get("condition"), kind, len(rules))
    fields, percentile = _fields(said.get("condition"), kind), _percentile(said.get("condition"), kind)
    group_by, (aliases, loose) = group_by_of(said.get("group-by")), aliases_of(said.get("aliases"), rules)
    read = _by_pysigma({**document, "correlation": _plain(said, kind, rules)})
    seconds: int = read.timespan.seconds
    if seconds > MAX_TIMESPAN_S:
        raise CorrelationError(f"its timespan is longer than {MAX_TIMESPAN_S // 86_400} days")
    found = Correlation(
        id=id_,
        name=str(document.get("name") or ""),
        title=read.title,
        level=Severity.of(read.level.name if read.level else None),
        tags=tuple(str(tag) for tag in read.tags),
        status=read.status.name.lower() if read.status else "",
        revision=revision,
        file=file,
        line=line,
        kind=kind,
        rules=rules,
        group_by=group_by,
        aliases=aliases,
        loose=loose,
        timespan=seconds * 1000,
        bounds=bounds,
        fields=fields,
        percentile=percentile,
        condition=placed(tree, rules) if tree is not None else None,
        generate=bool(read.generate),
    )
    _check(found)
    return found


def _kind(said: Any) -> tuple[Any, bool]:
    kind = said.strip().lower() if isinstance(said, str) else ""
    extended = kind.endswith("_extended")
    plain = kind.removesuffix("_extended")
    if plain not in KINDS or (extended and not plain.startswith("temporal")):
        raise CorrelationError(f"{str(said)[:80]!r} is no type of correlation; the types are {', '.join(KINDS)}")
    return plain, extended


def named_rules(said: Any, names: list[str]) -> tuple[str, ...]:
    rules = [said] if isinstance(said, str) else said
    if rules is None:
        rules = names
    if not isinstance(rules, list) or not rules or not all(isinstance(ref, str) and ref.strip() for ref in rules):
        raise CorrelationError("its `rules` are not names or ids of rules")
    rules = [ref.strip() for ref in rules]
    if len(rules) > MAX_RULES:
        raise CorrelationError(f"it names {len(rules):,} rules; at most {MAX_RULES} are correlated")
    twice = next((ref for ref in rules if rules.count(ref) > 1), None)
    if twice is not None:
        raise CorrelationError(f"it refers to {twice[:80]!r} twice")
    if names and set(names) != set(rules):
        odd = sorted(set(names) ^ set(rules))[0]
        raise CorrelationError(f"{odd[:80]!r} stands in only one of `rules` and `condition`")
    return tuple(rules)


def _plain(said: dict[Any, Any], kind: str, rules: tuple[str, ...]) -> dict[Any, Any]:
    """The correlation as pySigma takes it: one operator, a condition that is a mapping."""
    condition: Any = {"gte": len(rules)}
    if isinstance(said.get("condition"), dict):
        condition = {key: value for key, value in said["condition"].items() if key not in OPERATORS}
        condition["gte"] = 1
        condition.pop("percentile", None)
    return {**said, "type": kind, "rules": list(rules), "condition": condition}


def _by_pysigma(document: dict[Any, Any]) -> Any:
    # Here and not above: a worker whose rules come from the cache never pays for pySigma.
    from sigma.correlations import SigmaCorrelationRule
    from sigma.exceptions import SigmaError

    from detectors.sigma.translate import beside

    try:
        return SigmaCorrelationRule.from_dict(beside(document))
    except SigmaError as error:
        raise CorrelationError(str(error).removesuffix(".")[:500]) from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CorrelationError(f"not the shape of a Sigma correlation ({str(error)[:200]})") from None


# Conditions.


def _bounds(said: Any, kind: str, rules: int) -> tuple[Bound, ...]:
    if said is None and kind.startswith("temporal"):
        return (Bound("gte", rules),)
    if not isinstance(said, dict):
        raise CorrelationError("it has no condition such as `gte: 10`")
    unknown = [str(key) for key in said if key not in (*OPERATORS, "field", "percentile")]
    if unknown:
        raise CorrelationError(f"its condition has no {unknown[0][:80]!r}; it knows {', '.join(OPERATORS)}, field")
    bounds = tuple(Bound(key, _number(value, kind)) for key, value in said.items() if key in OPERATORS)
    if not bounds:
        raise CorrelationError(f"its condition compares with nothing; it takes {', '.join(OPERATORS)}")
    _possible(bounds, 1)
    return bounds


def _number(said: Any, kind: str) -> int:
    if isinstance(said, str):
        try:
            said = float(said) if not said.strip().lstrip("+-").isdigit() else int(said)
        except ValueError:
            said = None
    if isinstance(said, bool) or not isinstance(said, (int, float)) or not abs(said) <= MAX_BOUND:
        raise CorrelationError("its condition compares with what is no number, or too large a one")
    if kind in _VALUES:
        return round(said * UNIT)
    if said != int(said):
        raise CorrelationError(f"its condition compares a count with {said}")
    return int(said)


def _possible(bounds: tuple[Bound, ...], step: int) -> None:
    """Refuse a range that nothing lies in. Raises CorrelationError."""
    low = max([number + (op == "gt") * step for op, number in bounds if op in ("gt", "gte", "eq")], default=None)
    high = min([number - (op == "lt") * step for op, number in bounds if op in ("lt", "lte", "eq")], default=None)
    if low is not None and high is not None and low > high:
        raise CorrelationError("no number meets its condition")


def _fields(said: Any, kind: str) -> tuple[str, ...]:
    named = said.get("field") if isinstance(said, dict) else None
    if not kind.startswith("value_"):
        if named is not None:
            raise CorrelationError(f"a condition of {kind} takes no field")
        return ()
    fields = [named] if isinstance(named, str) else named
    if not isinstance(fields, list) or not fields or not all(isinstance(name, str) and name for name in fields):
        raise CorrelationError("its condition names no field")
    if len(fields) > (MAX_GROUP_BY if kind == "value_count" else 1):
        raise CorrelationError(f"{kind} measures one field")
    return tuple(fields)


def _percentile(said: Any, kind: str) -> int:
    named = said.get("percentile") if isinstance(said, dict) else None
    if kind != "value_percentile":
        if named is not None:
            raise CorrelationError(f"a condition of {kind} takes no percentile")
        return MEDIAN
    if named is None:  # the specification's own example names none, and hints at the median
        return MEDIAN
    if isinstance(named, bool) or not isinstance(named, int) or not 0 <= named <= 100:
        raise CorrelationError("its condition names no percentile from 0 to 100")
    return named


def group_by_of(said: Any) -> tuple[str, ...]:
    names = [] if said is None else [said] if isinstance(said, str) else said
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise CorrelationError("its `group-by` is no list of fields")
    if len(set(names)) < len(names) or len(names) > MAX_GROUP_BY:
        raise CorrelationError(f"its `group-by` names a field twice, or more than {MAX_GROUP_BY}")
    return tuple(names)


def aliases_of(said: Any, rules: tuple[str, ...]) -> tuple[tuple[Alias, ...], tuple[Loose, ...]]:
    """What aliases mean in each rule, and apart what they say of rules that `rules` calls otherwise, by id or name."""
    if isinstance(said, dict) and len(said) > MAX_ALIASES:
        raise CorrelationError(f"it has {len(said):,} aliases; at most {MAX_ALIASES} are known")
    aliases, loose = [], []
    for name, fields in (said or {}).items() if isinstance(said, dict) or said is None else [("", None)]:
        if not isinstance(fields, dict) or not all(isinstance(field, str) and field for field in fields.values()):
            raise CorrelationError("its `aliases` do not name a field for each rule")
        known = tuple((rules.index(ref), field) for ref, field in fields.items() if ref in rules)
        aliases.append(Alias(str(name), known))
        loose += [Loose(str(name), str(ref), field) for ref, field in fields.items() if ref not in rules]
    return tuple(aliases), tuple(loose)


def _check(found: Correlation) -> None:
    """What must fit together. Raises CorrelationError."""
    if found.least > MAX_GROUP // 2:
        raise CorrelationError(f"it waits for more than {MAX_GROUP // 2:,} events of one group")
    if found.kind != "temporal_ordered":
        return
    if found.condition is None and found.bounds != (Bound("gte", len(found.rules)),):
        raise CorrelationError("an ordered correlation takes all its rules, in their order; it has no other count")
    try:
        steps_of(found)
    except UnorderedError as error:
        raise CorrelationError(
            f"its condition is no sequence ({error}): rules or alternatives joined by `and`, `not` for what is absent"
        ) from None


def _condition(said: Any, kind: str, extended: bool) -> tuple[Any, list[str]]:
    """A boolean condition as a tree over names, and the names in their order; None for a mapping or nothing."""
    if not isinstance(said, str):
        if extended and said is not None:
            raise CorrelationError("an extended type has a boolean condition over names of rules")
        return None, []
    if not kind.startswith("temporal"):
        raise CorrelationError(f"a boolean condition is for temporal types, not for {kind}")
    if len(said) > MAX_CONDITION:
        raise CorrelationError(f"its condition has {len(said):,} characters; at most {MAX_CONDITION:,} are read")
    try:
        return parsed(said)
    except BooleanError as error:
        raise CorrelationError(f"its condition {error}") from None
