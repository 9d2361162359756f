"""What a match contributes to correlations: its group, its time, its identity, and the value that is measured."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from detectors.correlation.correlation import BETWEEN, UNIT, Correlation
from detectors.sigma.fields import elements, fold, pick, text_of
from detectors.sigma.mapping import NO_NAMES, Names, value_of
from schemas.event import Source
from schemas.identity import short_hash

#: Characters of one value of a group; what is longer keeps its beginning and a hash of the whole.
MAX_VALUE: Final = 200
#: What fits into 63 bits as millionths.
MAX_NUMBER: Final = 9.2e12
#: `group-by` of an entity: `entity.host`, `entity.user`, `entity.src`, and the type that `enrichers` give it.
ENTITY_TYPES: Final[Mapping[str, str]] = {
    "entity.host": "host:",
    "entity.user": "user:",
    "entity.src": "source:",
}


class About(NamedTuple):
    """What is kept of a contributing record, to tell of an episode that begins with it."""

    host: str = ""
    user: str = ""
    src_ip: str = ""
    entities: tuple[str, ...] = ()
    source: Source = Source()
    format: str = ""


class Contribution(NamedTuple):
    """One record's share in one group of one correlation.

    (`lane`, `offset`) is the record's identity: a lane is a partition of a log, or a file. `time` is the correlation
    time in milliseconds UTC. `value`: the bits of the rules that matched, a hash of the counted value, or the number
    in millionths. A late one counts neither provisionally nor finally. `activity`, `provider`: of what happened, where
    several providers of a host tell it (`schemas.activity`).
    """

    correlation: str
    group: str
    time: int
    lane: str
    offset: int
    value: int
    late: bool = False
    activity: str = ""
    provider: int = 0
    about: About | None = None


class Member(NamedTuple):
    """A rule's place in a correlation that names it."""

    correlation: Correlation
    place: int


Lookup = Callable[[str], str | None]
"""A field's value as text, None where there is none."""

#: The place of the address in a field, as a number: `place.IpAddress`.
PLACE_OF: Final = "place."

Whereabouts = Callable[[str], int | None]
"""The place of an address (`schemas.place`) as a number; None where it has none that counts."""


def nowhere(address: str) -> int | None:
    """Without a snapshot of networks no address has a place."""
    return None


def lookup(
    fields: Mapping[str, Any],
    entities: Sequence[str],
    names: Names = NO_NAMES,
    whereabouts: Whereabouts = nowhere,
) -> Lookup:
    """An event's values: of its fields (a list's elements joined, sorted), and of its resolved entities.

    `names`: how the event's provider tells what rules name, so that `Image` is Security 4688's NewProcessName too.
    """

    def value(name: str) -> str | None:
        if name.startswith(PLACE_OF):
            address = value(name.removeprefix(PLACE_OF))
            place = whereabouts(address) if address is not None else None
            return str(place) if place is not None else None
        kind = ENTITY_TYPES.get(name)
        if kind is not None:
            return next((entity.removeprefix(kind) for entity in entities if entity.startswith(kind)), None)
        if name in names and (told := value_of(fields, name, names)):
            return told
        found = [text for item in elements(pick(fields, name)) if (text := text_of(item)) is not None]
        return ",".join(sorted(found, key=fold)) if found else None

    return value


class Found(NamedTuple):
    """One match in a record: the correlations that name its rule, and the values as that rule's names read them."""

    members: Sequence[Member]
    value_of: Lookup


def contribute(
    matches: Iterable[Found],
    time: int,
    lane: str,
    offset: int,
    late: bool,
    dropped: Counter[Any],
    *,
    activity: str = "",
    provider: int = 0,
    about: About | None = None,
) -> Iterator[Contribution]:
    """What one record gives, by its matches: one contribution for each correlation and group.

    What lacks a value to group by, or to measure, is dropped, and counted by (correlation, "group"/"value"/"place").
    """
    found: dict[tuple[str, str], int] = {}
    for members, values in matches:
        for member in members:
            rule, place = member
            group = group_of(member, values)
            if group is None:
                dropped[rule.id, "group"] += 1
                continue
            value = _value(rule, place, values)
            if value is None:
                dropped[rule.id, "place" if rule.kind == "travel" else "value"] += 1
                continue
            key = (rule.id, group)
            if rule.kind.startswith("temporal"):
                found[key] = found.get(key, 0) | value
            else:
                found.setdefault(key, value)
    for (correlation, group), value in found.items():
        yield Contribution(correlation, group, time, lane, offset, value, late, activity, provider, about)


def group_of(member: Member, value_of: Lookup) -> str | None:
    """The group that a match belongs to; None where it lacks a value."""
    rule, place = member
    values = []
    for name in rule.group_by:
        said = value_of(rule.field_of(name, place))
        if said is None:
            return None
        values.append(_short(fold(said)).replace(BETWEEN, "\ufffd"))
    return BETWEEN.join(values)


def _short(value: str) -> str:
    return value if len(value) <= MAX_VALUE else value[:MAX_VALUE] + "…" + short_hash(value)


def _value(rule: Correlation, place: int, value_of: Lookup) -> int | None:
    if rule.kind.startswith("temporal"):
        return 1 << place
    if rule.kind in ("event_count", "rate"):
        return 0
    if rule.kind == "travel":
        number = value_of(PLACE_OF + rule.field_of(rule.fields[0], place))
        return int(number) if number is not None else None
    said = [value_of(rule.field_of(name, place)) for name in rule.fields]
    if any(value is None for value in said):
        return None
    if rule.kind in ("value_count", "first_seen"):
        text = BETWEEN.join(fold(value or "") for value in said)
        return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()) >> 1
    return _number(said[0] or "")


def _number(text: str) -> int | None:
    """A number in millionths; None for what is none, or too large to be measured."""
    try:
        number = float(text)
    except ValueError:
        return None
    return round(number * UNIT) if math.isfinite(number) and abs(number) <= MAX_NUMBER else None
