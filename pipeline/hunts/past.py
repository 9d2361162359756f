"""The past, as a hunt asks for it: days, the blocks in which a value was seen, the records of a block.

`observables` names the block, the first and last time and the hosts of every value, so only those events of a block
are read that can hold it. Nothing is decided here: what comes back is read and judged again.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final, Protocol

from schemas.event import Observable

#: Bytes of values in one question: ClickHouse takes a query of 256 KB.
CHUNK_BYTES: Final = 200_000
#: Records read at once; 2.5 KB each.
PAGE: Final = 1_000

# Every name that a domain lies below, itself first: a.b.example → a.b.example, b.example, example.
_SUFFIXES: Final = (
    "arrayMap(i -> arrayStringConcat(arraySlice(splitByChar('.', value), i), '.'), "
    "range(1, length(splitByChar('.', value)) + 1))"
)
#: The network of each of some lengths that an address lies in, as we write it: 10.1.2.3 → 10.0.0.0/8, 10.1.0.0/16.
_AROUND: Final = (
    "arrayMap(n -> concat(toString(tupleElement(IPv{family}CIDRToRange(toIPv{family}OrDefault(value), n), 1)), "
    "'/', toString(n)), {lengths})"
)
_LAST_PART: Final = "extract(value, '[^/\\\\\\\\]*$')"
_BITS: Final = {"4": 32, "6": 128}


class Asks(Protocol):
    """Answers questions (`sinks.clickhouse.client.Clients`). Blocks; raises UnreachableError or HaltError."""

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> Sequence[Sequence[Any]]: ...


@dataclass(frozen=True, slots=True)
class Block:
    """A stored block in which some of the values were seen, and what narrows its events. Times in ms UTC.

    `hosts` are all that it can be, or empty where they are not all known.
    """

    log: str
    topic: str
    partition: int
    first: int
    last: int
    received: int
    earliest: int
    latest: int
    hosts: frozenset[str]

    @property
    def place(self) -> tuple[str, int, str, int]:
        """Which block it is; blocks are searched in this order."""
        return self.topic, self.partition, self.log, self.first

    def joined(self, other: Block) -> Block:
        """The same block, narrowed no more than both: the answer to two questions."""
        return replace(
            self,
            earliest=min(self.earliest, other.earliest),
            latest=max(self.latest, other.latest),
            hosts=self.hosts | other.hosts if self.hosts and other.hosts else frozenset(),
        )


@dataclass(frozen=True, slots=True)
class PastRecord:
    """A stored record as Kafka gave it; key and headers shape no event and are not read."""

    offset: int
    timestamp: int
    value: bytes
    key: None = None
    timestamp_type: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


class Past:
    """The stored events and observables of one database."""

    def __init__(self, asks: Asks, database: str) -> None:
        self._asks, self._database = asks, database

    def days(self, since: date) -> list[date]:
        """The days on which records were received, from `since` on."""
        sql = f"SELECT DISTINCT day FROM `{self._database}`.observables WHERE day >= %(since)s ORDER BY day"  # noqa: S608 - a checked name
        return [row[0] for row in self._asks.rows(sql, {"since": since})]

    def blocks(self, day: date, values: Sequence[Observable]) -> list[Block]:
        """The blocks of a day that hold one of these values: also a name below, an address inside, a path that ends so.

        At most CHUNK_BYTES of values. Domains cost 1 µs a row of the day's, since their parents are looked up too.
        """
        where, parameters = _where(values)
        sql = f"""
            SELECT log, topic, partition, block_first, block_last, toUnixTimestamp64Milli(max(received)),
                   toUnixTimestamp64Milli(min(first)), toUnixTimestamp64Milli(max(last)),
                   groupUniqArrayArray(hosts), max(host_count > length(hosts))
            FROM `{self._database}`.observables
            WHERE day = %(day)s AND ({where})
            GROUP BY log, topic, partition, block_first, block_last
            """  # noqa: S608 - a checked name and texts of ours
        rows = self._asks.rows(sql, {**parameters, "day": day})
        return [
            Block(log, topic, partition, first, last, received, earliest, latest, frozenset(() if more else hosts))
            for log, topic, partition, first, last, received, earliest, latest, hosts, more in rows
        ]

    def records(self, block: Block) -> Iterator[list[PastRecord]]:
        """The block's records that can hold what was looked for, in offset order, PAGE at a time."""
        after = block.first - 1
        while True:
            page = self._page(block, after)
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = page[-1].offset

    def _page(self, block: Block, after: int) -> list[PastRecord]:
        # `base64` because a raw record is bytes, and a column of texts would be decoded.
        narrowed = "AND host IN %(hosts)s" if block.hosts else ""
        sql = f"""
            SELECT offset, toUnixTimestamp64Milli(kafka_time), base64Encode(raw)
            FROM `{self._database}`.events
            WHERE received = fromUnixTimestamp64Milli(%(received)s)
              AND log = %(log)s AND topic = %(topic)s AND partition = %(partition)s
              AND offset > %(after)s AND offset <= %(last)s
              AND time >= fromUnixTimestamp64Milli(%(earliest)s) AND time <= fromUnixTimestamp64Milli(%(latest)s)
              {narrowed}
            ORDER BY offset LIMIT {PAGE}"""  # noqa: S608 - a checked name and a number of ours
        parameters = {
            "received": block.received,
            "log": block.log,
            "topic": block.topic,
            "partition": block.partition,
            "after": after,
            "last": block.last,
            "earliest": block.earliest,
            "latest": block.latest,
            "hosts": ["", *sorted(block.hosts)],  # events without a host are in no list of hosts
        }
        rows = self._asks.rows(sql, parameters)
        return [PastRecord(offset, at, base64.b64decode(raw)) for offset, at, raw in rows]


def _where(values: Sequence[Observable]) -> tuple[str, dict[str, Any]]:
    """The condition for these values, and what is bound in it. The values' kinds are ours, each value is bound."""
    by_type: dict[str, list[str]] = {}
    for kind, value in values:
        by_type.setdefault(kind, []).append(value)
    parts: list[str] = []
    parameters: dict[str, Any] = {}
    for number, (kind, some) in enumerate(sorted(by_type.items())):
        name = f"%(values{number})s"
        parameters[f"values{number}"], parameters[f"type{number}"] = some, kind
        if kind == "cidr":
            parts += _inside(some, name)
            del parameters[f"type{number}"]
            continue
        held = f"arrayExists(name -> name IN {name}, {_SUFFIXES})" if kind == "domain" else f"value IN {name}"
        parts.append(f"(type = %(type{number})s AND {held})")
        if kind == "file_name":
            parts.append(f"(type = 'file_path' AND {_LAST_PART} IN {name})")
    return " OR ".join(parts), parameters


def _inside(networks: Sequence[str], name: str) -> Iterator[str]:
    """Addresses in one of the networks: for each length of prefix that these have, a look-up."""
    for family, bits in _BITS.items():
        lengths = {int(one.rpartition("/")[2]) for one in networks if (":" in one) == (bits == 128)}
        if lengths:
            around = _AROUND.format(family=family, lengths=sorted(lengths))
            yield f"(type = 'ipv{family}' AND arrayExists(network -> network IN {name}, {around}))"
