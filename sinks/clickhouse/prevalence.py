"""Where values were seen: hosts, times, counts, asked of `observables` for many values at once.

Addresses, hashes, names of files are looked up by the sorting key. A domain counts every name below it, a network every
address inside it: these read all that was stored of their type, so they are asked for together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from ipaddress import ip_network
from typing import Any, Final, Protocol

from schemas.event import Observable
from schemas.indicator import TYPES
from schemas.indicator_record import MOST_SAMPLES, Seen

#: What is never stored as an observable, or must not be asked for by value.
_UNASKED: Final = frozenset(("card_bin",))
_FACTS: Final = f"""
    greatest(uniqExactArray(hosts), max(host_count)), sum(count), toUnixTimestamp64Milli(min(first)),
    toUnixTimestamp64Milli(max(last)), groupUniqArrayArray({MOST_SAMPLES})(hosts)
"""
# Every name that a domain lies below, itself first: a.b.example → a.b.example, b.example, example.
_SUFFIXES: Final = (
    "arrayMap(i -> arrayStringConcat(arraySlice(splitByChar('.', value), i), '.'), "
    "range(1, length(splitByChar('.', value)) + 1))"
)


class Asks(Protocol):
    """Answers questions (`sinks.clickhouse.client.Clients`). Blocks; raises UnreachableError or HaltError."""

    def rows_of(self, sql: str, values: Iterable[str], parameters: dict[str, Any] | None = None) -> Sequence[Any]: ...


def prevalence(asks: Asks, database: str, values: Iterable[Observable], since: date) -> dict[Observable, Seen]:
    """What was received since that day of these values; those that were not seen are missing.

    Raises UnreachableError or HaltError.
    """
    by_type: dict[str, list[str]] = {}
    for kind, value in dict.fromkeys(values):
        by_type.setdefault(kind, []).append(value)
    found: dict[Observable, Seen] = {}
    for kind, some in by_type.items():
        if kind in _UNASKED or kind not in TYPES:
            continue
        for sql, wanted in _questions(kind, some, database):
            for value, hosts, count, first, last, samples in asks.rows_of(sql, wanted, {"since": since}):
                found[Observable(kind, value)] = Seen(
                    type=kind,
                    value=value,
                    hosts=hosts,
                    count=count,
                    first=first,
                    last=last,
                    samples=tuple(sorted(samples)),
                )
    return found


def _questions(kind: str, values: Sequence[str], database: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Each question, and the values that it is about."""
    table = f"`{database}`.observables"
    if kind == "cidr":
        yield from _networks(values, table)
    elif kind == "domain":
        sql = f"""
            SELECT name, {_FACTS} FROM {table} ARRAY JOIN {_SUFFIXES} AS name
            WHERE type = 'domain' AND day >= %(since)s AND name IN wanted GROUP BY name"""  # noqa: S608 - a checked name
        yield sql, values
    else:
        sql = f"""
            SELECT value, {_FACTS} FROM {table}
            WHERE type = '{kind}' AND day >= %(since)s AND value IN wanted GROUP BY value"""  # noqa: S608 - a checked name and a type of ours
        yield sql, values


def _networks(values: Sequence[str], table: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Networks of one length together: an address cut to that length is looked up among them."""
    by_length: dict[tuple[int, int], list[str]] = {}
    for value in values:
        network = ip_network(value, strict=False)
        by_length.setdefault((network.version, network.prefixlen), []).append(str(network))
    for (version, length), some in sorted(by_length.items()):
        kind = f"ipv{version}"
        cut = f"concat(toString(IPv{version}CIDRToRange(toIPv{version}OrDefault(value), {length}).1), '/{length}')"
        sql = f"""
            SELECT {cut} AS network, {_FACTS} FROM {table}
            WHERE type = '{kind}' AND day >= %(since)s AND network IN wanted GROUP BY network"""  # noqa: S608 - a checked name
        yield sql, some
