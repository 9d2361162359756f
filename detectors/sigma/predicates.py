"""The leaves of a condition as functions of an event: a table from a node's first word to the maker of its function.

Missing fields match nothing but `null`. Of a list one matching element suffices. Every function is total: whatever a
record holds, the answer is yes or no.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from detectors.sigma.fields import View, elements, pick, present
from detectors.sigma.patterns import MANY, like, searcher
from detectors.sigma.readings import READINGS
from detectors.sigma.rule import Node

Predicate = Callable[[View], bool]
Test = Callable[[str], bool]


def predicate(node: Node, zone: tzinfo) -> Predicate:
    """The function of one leaf. `zone`: the bank's, for parts of times. Raises PatternError, ValueError."""
    return MAKERS[node[0]](node, zone)


def _on(field: str | None, cased: bool, test: Test) -> Predicate:
    """`test` applied to the texts of a field, or, for a keyword, to every text of the event."""
    if field is None:
        return lambda view: any(map(test, view.words(cased)))

    def of_field(view: View) -> bool:
        value = view.plain[field] if cased else view.folded[field]
        return test(value) if value.__class__ is str else any(map(test, value))

    return of_field


def _on_values(field: str, test: Callable[[Any], bool]) -> Predicate:
    """`test`, which must be false for an object, applied to the values of a field as they were sent."""

    def of_field(view: View) -> bool:
        value = pick(view.fields, field)
        return any(map(test, elements(value))) if value.__class__ is list else test(value)

    return of_field


def _eq(node: Node, _zone: tzinfo) -> Predicate:
    _, field, texts, cased = node
    return _on(field, cased, frozenset(texts).__contains__)


def _starts(node: Node, _zone: tzinfo) -> Predicate:
    _, field, texts, cased = node
    heads = tuple(texts)
    return _on(field, cased, lambda text: text.startswith(heads))


def _ends(node: Node, _zone: tzinfo) -> Predicate:
    _, field, texts, cased = node
    tails = tuple(texts)
    return _on(field, cased, lambda text: text.endswith(tails))


def _has(node: Node, _zone: tzinfo) -> Predicate:
    _, field, texts, cased = node
    if field is None and not any("\n" in text for text in texts):
        return lambda view: any(text in page for page in (view.page(cased),) for text in texts)
    if len(texts) == 1:
        only = texts[0]
        return _on(field, cased, lambda text: only in text)

    def has(text: str) -> bool:
        for part in texts:  # noqa: SIM110 - a generator for any() costs as much as three look-ups
            if part in text:
                return True
        return False

    return _on(field, cased, has)


def _like(node: Node, _zone: tzinfo) -> Predicate:
    _, field, shapes, cased = node
    tests = [like(tuple(shape)) for shape in shapes]
    if len(tests) == 1:
        return _on(field, cased, tests[0])
    return _on(field, cased, lambda text: any(test(text) for test in tests))


def _re(node: Node, _zone: tzinfo) -> Predicate:
    _, field, pattern, flags = node
    return _on(field, True, searcher(pattern, flags))


def _num(node: Node, _zone: tzinfo) -> Predicate:
    _, field, numbers = node
    exact = frozenset(numbers)
    texts = frozenset(str(number) for number in numbers)

    def equal(value: Any) -> bool:
        if value.__class__ is str:
            return value in texts
        return (value.__class__ is int or value.__class__ is float) and value in exact

    return _on_values(field, equal)


def _cidr(node: Node, _zone: tzinfo) -> Predicate:
    _, field, written = node
    networks = [_bits(_network(text)) for text in written]

    def inside(text: str) -> bool:
        for version, number in _addresses(text):
            for wanted, mask, network in networks:
                if version == wanted and number & mask == network:
                    return True
        return False

    return _on(field, True, inside)


def _network(text: str) -> IPv4Network | IPv6Network:
    """A network; one of IPv4 addresses written as IPv6 is that of the IPv4 addresses."""
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.network_address.ipv4_mapped:
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def _bits(network: IPv4Network | IPv6Network) -> tuple[int, int, int]:
    """Version, mask and number: to compare these takes a tenth of what the objects take."""
    return network.version, int(network.netmask), int(network.network_address)


@lru_cache(maxsize=8192)
def _addresses(text: str) -> tuple[tuple[int, int], ...]:
    """The address that a text is, as version and number; Windows writes IPv4 ones as ::ffff:10.0.0.1, which is that
    IPv4 address as well."""
    try:
        address = ip_address(text) if len(text) < 64 else None
    except ValueError:
        return ()
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return tuple((each.version, int(each)) for each in (address, mapped) if each is not None)


_COMPARE: Final = {"eq": operator.eq, "lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge}


def _cmp(node: Node, _zone: tzinfo) -> Predicate:
    _, field, word, number = node
    compare = _COMPARE[word]

    def holds(value: Any) -> bool:
        found = number_of(value)
        return found is not None and compare(found, number)

    return _on_values(field, holds)


def number_of(value: Any) -> float | int | None:
    """A number, or a text that is one in plain decimal writing."""
    kind = value.__class__
    if kind is int:
        number: int = value
        return number
    if kind is str and len(value) < 64 and value.isascii() and "_" not in value:
        try:
            return int(value)
        except ValueError:
            pass
        try:
            value = float(value)
        except ValueError:
            return None
        kind = float
    return float(value) if kind is float and math.isfinite(value) else None


def _null(node: Node, _zone: tzinfo) -> Predicate:
    field = node[1]

    def absent(view: View) -> bool:
        value = pick(view.fields, field)
        return value is None or (isinstance(value, list) and any(item is None for item in elements(value)))

    return absent


def _any(node: Node, _zone: tzinfo) -> Predicate:
    field = node[1]
    return lambda view: pick(view.fields, field) is not None


def _exists(node: Node, _zone: tzinfo) -> Predicate:
    _, field, wanted = node
    return lambda view: present(view.fields, field) is wanted


def _ref(node: Node, _zone: tzinfo) -> Predicate:
    _, field, other, starts, ends, cased = node
    holds: Callable[[str, str], bool] = operator.eq
    if starts and ends:
        holds = operator.contains
    elif starts:
        holds = str.startswith
    elif ends:
        holds = str.endswith

    def refers(view: View) -> bool:
        texts = view.plain if cased else view.folded
        mine, theirs = texts[field], texts[other]
        if mine.__class__ is str and theirs.__class__ is str:
            return holds(mine, theirs)
        return any(holds(a, b) for a in _each(mine) for b in _each(theirs))

    return refers


def _each(value: str | tuple[str, ...]) -> Iterable[str]:
    return (value,) if isinstance(value, str) else value


_PARTS: Final[dict[str, Callable[[datetime], int]]] = {
    "minute": lambda at: at.minute,
    "hour": lambda at: at.hour,
    "day": lambda at: at.day,
    "week": lambda at: at.isocalendar().week,
    "month": lambda at: at.month,
    "year": lambda at: at.year,
}


def _time(node: Node, zone: tzinfo) -> Predicate:
    _, field, unit, word, number = node
    part, compare = _PARTS[unit], _COMPARE[word]

    def holds(value: Any) -> bool:
        at = moment(value, zone)
        return at is not None and compare(part(at), number)

    return _on_values(field, holds)


#: A number greater than this is in units of this many to the second: nanoseconds, microseconds, milliseconds.
_UNITS: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))


def moment(value: Any, zone: tzinfo) -> datetime | None:
    """A time as shippers write it, in `zone`: ISO 8601 (UTC where it names none), or a number since 1970 in UTC."""
    try:
        if value.__class__ is str and not value.isdigit() and number_of(value) is None:
            at = datetime.fromisoformat(value)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(zone)
        number = number_of(value)
        if number is None or number <= 0:
            return None
        unit = next((unit for least, unit in _UNITS if number > least), 1)
        return datetime.fromtimestamp(number / unit, UTC).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return None


def _via(node: Node, zone: tzinfo) -> Predicate:
    """A leaf over fields that are read out of the provider's own."""
    _, _, reads, leaf = node
    test = predicate(leaf, zone)
    key = tuple(map(tuple, reads))

    def through(view: View) -> bool:
        # Many rules read the same fields of an event; to read them costs more than to look at them.
        found = view.read.get(key)
        if found is None:
            found = view.read[key] = View(dict(_read(view.fields, key)))
        return test(found)

    return through


def _read(fields: Mapping[str, Any], reads: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, Any]]:
    for field, name, reading in reads:
        found = READINGS[reading].read(fields, name) if reading else pick(fields, name)
        if found is not None and found != []:  # what nothing is read of is not there, as for `exists`
            yield field, found


MAKERS: Final[dict[str, Callable[[Node, tzinfo], Predicate]]] = {
    "eq": _eq,
    "starts": _starts,
    "ends": _ends,
    "has": _has,
    "like": _like,
    "re": _re,
    "num": _num,
    "cidr": _cidr,
    "cmp": _cmp,
    "null": _null,
    "any": _any,
    "exists": _exists,
    "ref": _ref,
    "time": _time,
    "via": _via,
}

__all__ = ["MAKERS", "MANY", "Predicate", "moment", "number_of", "predicate"]
