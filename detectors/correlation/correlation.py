"""What a correlation is once it is read: plain values, for a cache to keep and the fold to judge by.

A boolean condition is a tree of JSON arrays over places in `rules`: ["and", node, …], ["or", node, …], ["not", node],
or a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple, get_args

from schemas.severity import Severity

SigmaKind = Literal[
    "event_count",
    "value_count",
    "temporal",
    "temporal_ordered",
    "value_sum",
    "value_avg",
    "value_percentile",
    "value_median",
]
KINDS: Final[tuple[str, ...]] = get_args(SigmaKind)
#: Detectors of our own (`detectors.behaviour`), which stand wherever a correlation does.
OwnKind = Literal["first_seen", "rate", "travel", "silence"]
OWN_KINDS: Final[tuple[str, ...]] = get_args(OwnKind)
Kind = SigmaKind | OwnKind
Operator = Literal["gt", "gte", "lt", "lte", "eq", "neq"]
OPERATORS: Final[tuple[str, ...]] = get_args(Operator)

#: Values are whole numbers of millionths: sums are then exact, and the same in any order.
UNIT: Final = 1_000_000
#: A rule that a contribution stands for is one bit of a 64-bit number.
MAX_RULES: Final = 60
DAY_MS: Final = 86_400_000
#: Between the values of a group that is one text.
BETWEEN: Final = "\x1f"

Condition = list[Any] | int


class Bound(NamedTuple):
    """A demand on the measure: `number` is in UNITs for values, plain for counts."""

    operator: str
    number: int


class Alias(NamedTuple):
    """A name in `group_by`, or the condition's field, and the field it stands for in each rule (by place)."""

    name: str
    fields: tuple[tuple[int, str], ...]


class Loose(NamedTuple):
    """What an alias says of a rule that `rules` calls otherwise: by its name where they give its id, or the reverse."""

    alias: str
    ref: str
    field: str


@dataclass(frozen=True)
class Correlation:
    """One Sigma correlation. `rules` are references as written until they are resolved, then ids."""

    id: str
    name: str
    title: str
    level: Severity
    tags: tuple[str, ...]
    status: str
    revision: str
    file: str
    line: int
    kind: Kind
    rules: tuple[str, ...]
    group_by: tuple[str, ...]
    aliases: tuple[Alias, ...]
    timespan: int
    """Milliseconds."""
    bounds: tuple[Bound, ...]
    """All must hold. Empty where a boolean condition stands instead."""
    fields: tuple[str, ...] = ()
    """Whose values are counted or measured."""
    percentile: int = 50
    condition: Condition | None = None
    generate: bool = False
    loose: tuple[Loose, ...] = ()
    """Empty once references are resolved."""

    @property
    def longest(self) -> int:
        """Milliseconds from its first contribution after which an episode is cut."""
        return max(DAY_MS, 4 * self.timespan)

    @property
    def reach(self) -> int:
        """Milliseconds before the watermark whose contributions a result may rest on."""
        return self.longest + self.timespan

    @cached_property
    def growing(self) -> bool:
        """Whether more contributions can only make the condition truer, so that it may be told at once.

        For a sum that rests on values that are not negative, which the fold watches.
        """
        if self.condition is not None:
            return not any(node == "not" for node in _words(self.condition))
        if self.kind in ("value_avg", "value_percentile", "value_median"):
            return False
        return all(bound.operator in ("gt", "gte") for bound in self.bounds)

    @cached_property
    def least(self) -> int:
        """Contributions without which the condition cannot hold; at least 1."""
        if self.kind not in ("event_count", "value_count"):
            return 1
        lows = [bound.number + (bound.operator == "gt") for bound in self.bounds if bound.operator in ("gt", "gte")]
        return max([1, *lows])

    def field_of(self, name: str, place: int) -> str:
        """The field that `name` means in the events of the rule at `place`."""
        for alias in self.aliases:
            if alias.name == name:
                return dict(alias.fields).get(place, name)
        return name

    def group_values(self, group: str) -> dict[str, str]:
        """A group's text taken apart: name of `group_by` → value."""
        return dict(zip(self.group_by, group.split(BETWEEN), strict=True)) if self.group_by else {}


def _words(condition: Condition) -> Iterator[Any]:
    if isinstance(condition, list):
        for part in condition:
            yield from _words(part)
    else:
        yield condition
