"""Documents with a top-level `detector` become `Detector`s. What they say wrongly is refused by the key's name."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from detectors.behaviour.detector import SOURCE_PARTS, Detector, memory_of
from detectors.correlation.correlation import OWN_KINDS, UNIT, OwnKind
from detectors.correlation.read import MAX_GROUP_BY, CorrelationError, aliases_of, group_by_of, named_rules
from schemas.severity import Severity

MINUTE: Final = 60_000
DAY: Final = 86_400_000
#: Nothing is remembered longer.
MAX_SPAN: Final = 366 * DAY
#: Buckets of one group that a rate is compared with.
MAX_BUCKETS: Final = 2_100
MAX_TAGS: Final = 100
#: Beyond what is counted, or as fast as a signal.
MAX_NUMBER: Final = 1_000_000_000
LEVELS: Final = frozenset(level.word for level in Severity)

_COMMON: Final = frozenset({"type", "rules", "aliases", "group-by", "generate"})
_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "first_seen": _COMMON | {"field", "learning", "memory"},
    "rate": _COMMON | {"bucket", "baseline", "season", "factor", "least", "learning"},
    "travel": _COMMON | {"field", "speed", "distance"},
    "silence": frozenset({"type", "group-by", "source", "after", "factor", "learning", "memory"}),
}
_SPAN: Final = re.compile(r"([1-9][0-9]{0,8})([smhdw])")
_UNITS: Final = {"s": 1_000, "m": MINUTE, "h": 60 * MINUTE, "d": DAY, "w": 7 * DAY}

_Error = CorrelationError


def detector_of(document: dict[Any, Any], *, id_: str, revision: str, file: str, line: int) -> Detector:
    """Read one parsed document. Raises CorrelationError."""
    said = document.get("detector")
    if not isinstance(said, dict):
        raise _Error("its `detector` is not a mapping")
    kind = said.get("type")
    if not isinstance(kind, str) or kind not in OWN_KINDS:
        raise _Error(f"{str(kind)[:80]!r} is no type of detector; the types are {', '.join(OWN_KINDS)}")
    unknown = sorted(str(key) for key in said if key not in _KEYS[kind])
    if unknown:
        keys = ", ".join(sorted(_KEYS[kind]))
        raise _Error(f"a detector of type {kind} has no key {unknown[0][:80]!r}; it knows {keys}")
    rules = () if kind == "silence" else named_rules(said.get("rules"), [])
    generate = said.get("generate", False)
    if not isinstance(generate, bool):
        raise _Error("its `generate` is neither true nor false")
    own: dict[str, Any] = {"first_seen": _first_seen, "rate": _rate, "travel": _travel, "silence": _silence}[kind](said)
    aliases, loose = aliases_of(said.get("aliases"), rules)
    return Detector(
        **_about(document),
        id=id_,
        revision=revision,
        file=file,
        line=line,
        kind=cast(OwnKind, kind),
        rules=rules,
        group_by=group_by_of(said.get("group-by")),
        aliases=aliases,
        loose=loose,
        bounds=(),
        generate=generate,
        **{"timespan": 0} | own,
    )


def _about(document: dict[Any, Any]) -> dict[str, Any]:
    """What is said of any rule."""
    title, level, tags = document.get("title"), document.get("level", "medium"), document.get("tags", [])
    if not isinstance(title, str) or not title.strip():
        raise _Error("it has no title")
    if not isinstance(level, str) or level not in LEVELS:
        raise _Error(f"{str(level)[:80]!r} is no level")
    if not isinstance(tags, list) or len(tags) > MAX_TAGS or not all(isinstance(tag, str) for tag in tags):
        raise _Error(f"its `tags` are no list of up to {MAX_TAGS} texts")
    status = document.get("status", "")
    return {
        "name": str(document.get("name") or ""),
        "title": title,
        "level": Severity.of(level),
        "tags": tuple(tags),
        "status": status if isinstance(status, str) else "",
    }


def _first_seen(said: dict[Any, Any]) -> dict[str, Any]:
    learning, memory = _span(said, "learning", 7 * DAY), _span(said, "memory", 90 * DAY)
    if learning >= memory:
        raise _Error("its `learning` is not shorter than its `memory`: it would never have learnt")
    return {"fields": _fields(said, MAX_GROUP_BY), "learning": learning, "memory": memory}


def _rate(said: dict[Any, Any]) -> dict[str, Any]:
    bucket, baseline = _span(said, "bucket"), _span(said, "baseline", 7 * DAY)
    season, learning = _span(said, "season", bucket), _span(said, "learning", baseline)
    for name, span, unit, of in (("season", season, bucket, "bucket"), ("baseline", baseline, season, "season")):
        if span % unit:
            raise _Error(f"its `{name}` is no multiple of its `{of}`")
    if baseline // bucket > MAX_BUCKETS:
        raise _Error(f"its `baseline` has {baseline // bucket:,} buckets; at most {MAX_BUCKETS:,} are kept")
    fewest = _whole(said, "least")
    return {
        "bucket": bucket,
        "baseline": baseline,
        "season": season,
        "learning": learning,
        "memory": baseline,
        "factor": _factor(said, 3.0),
        "fewest": fewest,
        "timespan": bucket,
    }


def _travel(said: dict[Any, Any]) -> dict[str, Any]:
    speed, distance = _whole(said, "speed", 900), _whole(said, "distance", 500)
    return {"fields": _fields(said, 1), "speed": speed, "distance": distance, "memory": memory_of(speed)}


def _silence(said: dict[Any, Any]) -> dict[str, Any]:
    after = _span(said, "after")
    learning, memory = _span(said, "learning", 7 * DAY), _span(said, "memory", 10 * DAY)
    names = group_by_of(said.get("group-by"))
    strange = next((name for name in names if name not in SOURCE_PARTS), None)
    if strange is not None or not names:
        raise _Error(f"its `group-by` names {strange!r:.80}; a source is known by {', '.join(SOURCE_PARTS)}")
    if after < 2 * MINUTE:
        raise _Error("its `after` is shorter than 2m: signs of life are told by the minute")
    if after >= memory:
        raise _Error("its `after` is not shorter than its `memory`: a silent source would be forgotten")
    return {
        "after": after,
        "learning": learning,
        "memory": memory,
        "factor": _factor(said, 2.0),
        "source": _source(said.get("source")),
    }


def _source(said: Any) -> tuple[tuple[str, str], ...]:
    if said is None:
        return ()
    if not isinstance(said, dict) or not all(isinstance(value, str) and value.strip() for value in said.values()):
        raise _Error("its `source` is no mapping of texts such as `{product: windows}`")
    strange = next((key for key in said if key not in SOURCE_PARTS), None)
    if strange is not None:
        raise _Error(f"its `source` names {str(strange)[:80]!r}; a source is known by {', '.join(SOURCE_PARTS)}")
    return tuple(sorted((key, value.strip().lower()) for key, value in said.items()))


def _fields(said: dict[Any, Any], most: int) -> tuple[str, ...]:
    named = said.get("field")
    fields = [named] if isinstance(named, str) else named
    if not isinstance(fields, list) or not fields or not all(isinstance(name, str) and name for name in fields):
        raise _Error("its `field` names no field")
    if len(set(fields)) < len(fields) or len(fields) > most:
        raise _Error(f"its `field` names a field twice, or more than {most}")
    return tuple(fields)


def _span(said: dict[Any, Any], key: str, default: int | None = None) -> int:
    value = said.get(key)
    if value is None and default is not None:
        return default
    found = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise _Error(f"its `{key}` is no time such as 30m, 12h or 7d")
    span = int(found[1]) * _UNITS[found[2]]
    if span > MAX_SPAN:
        raise _Error(f"its `{key}` is longer than {MAX_SPAN // DAY} days")
    return span


def _whole(said: dict[Any, Any], key: str, default: int | None = None) -> int:
    value = said.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_NUMBER:
        raise _Error(f"its `{key}` is no whole number from 1 to {MAX_NUMBER:,}")
    return value


def _factor(said: dict[Any, Any], default: float) -> int:
    value = said.get("factor", default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _Error("its `factor` is no number")
    if not 1 <= value <= 10_000:
        raise _Error("its `factor` is not between 1 and 10,000")
    return round(value * UNIT)
