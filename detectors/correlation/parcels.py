"""What travels on the topic `contributions`: parcels of contributions, and marks of how far the raw topics are read.

A parcel is what one batch gave to one partition: hosts, users, lanes and correlations stand in it once. A record that
is neither raises UnreadableError, whatever is wrong with it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from detectors.correlation.abouts import about_of
from detectors.correlation.abouts import said as said_about
from detectors.correlation.contribution import About, Contribution
from detectors.correlation.episodes import MAX_OFFSET

_VERSION: Final = 1
#: Contributions of one parcel: some 300 KB at most, as groups and names are bounded.
MAX_ROWS: Final = 500
MAX_TIME: Final = 1 << 53


class UnreadableError(ValueError):
    """A record of the topic that is neither parcel nor marks."""


@dataclass(frozen=True)
class Parcel:
    """Contributions of one batch. `revisions`: of the correlations by which they were made, by id.

    `columns`: a list for each field of `Contribution`, all of one length: made and read so, one costs half as much.
    """

    revisions: Mapping[str, str]
    columns: Sequence[Sequence[Any]]

    def __len__(self) -> int:
        return len(self.columns[0])

    @property
    def contributions(self) -> list[Contribution]:
        """One by one."""
        return list(map(Contribution._make, self.rows()))

    def rows(self) -> Iterator[Any]:
        """The same as plain tuples, for who takes many of them."""
        return zip(*self.columns, strict=True)


@dataclass(frozen=True)
class Marks:
    """How far lanes are read: what comes of them later has, unless it is late, a time after `read[lane] - lateness`.

    `topics`: what there is to read, topic → (log, partitions). Milliseconds UTC, in Kafka's time.
    """

    read: Mapping[str, int]
    topics: Mapping[str, tuple[str, int]]
    lateness: int

    def lanes(self) -> Iterator[str]:
        """Every lane there is."""
        for topic, (log, partitions) in self.topics.items():
            yield from (lane(log, topic, partition) for partition in range(partitions))

    def to_bytes(self) -> bytes:
        """The record's value."""
        return orjson.dumps({"v": _VERSION, "read": self.read, "topics": self.topics, "lateness": self.lateness})


def lane(log: str, topic: str, partition: int) -> str:
    """The name of one partition of one log."""
    return f"{log}/{topic}/{partition}"


def packed(contributions: Sequence[Contribution], revisions: Mapping[str, str]) -> Iterator[bytes]:
    """The records' values that carry these contributions. `revisions`: of all correlations in force, by id."""
    for cut in range(0, len(contributions), MAX_ROWS):
        yield _parcel(contributions[cut : cut + MAX_ROWS], revisions)


def read(value: bytes | None) -> Parcel | Marks:
    """What a record holds. Raises UnreadableError."""
    try:
        said = orjson.loads(value or b"")
        if said["v"] == _VERSION:
            return _marks(said) if "read" in said else _unpacked(said)
    except UnreadableError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise UnreadableError("it is no parcel of contributions") from error
    raise UnreadableError("it is of another version")


def _parcel(contributions: Sequence[Contribution], revisions: Mapping[str, str]) -> bytes:
    rule, group, time, lane_, offset, value, late, activity, provider, about = zip(*contributions, strict=True)
    rules, rule = _numbered(rule)
    lanes, lane_ = _numbered(lane_)
    abouts, about = _numbered([one or About() for one in about])
    columns = (rule, group, time, lane_, offset, value, late, activity, provider, about)
    said = {"v": _VERSION, "rules": [[id_, revisions.get(id_, "")] for id_ in rules], "lanes": lanes}
    return orjson.dumps(said | {"abouts": [*map(said_about, abouts)], "columns": columns})


def _numbered(values: Iterable[Any]) -> tuple[list[Any], tuple[int, ...]]:
    """Values that repeat, each once, and the number of each of them."""
    numbers: dict[Any, int] = {}
    numbered = tuple([numbers.setdefault(value, len(numbers)) for value in values])
    return list(numbers), numbered


def _marks(said: Any) -> Marks:
    read_ = {str(name): _whole(time) for name, time in said["read"].items()}
    topics = {str(topic): (str(log), _whole(count)) for topic, (log, count) in said["topics"].items()}
    return Marks(read_, topics, _whole(said["lateness"]))


def _unpacked(said: Any) -> Parcel:
    rule, group, time, lane_, offset, value, late, activity, provider, about = said["columns"]
    _whole_between(time, -MAX_TIME, MAX_TIME)
    _whole_between(offset, 0, MAX_OFFSET)
    _whole_between(value, -(1 << 63), (1 << 63) - 1)
    _whole_between(provider, 0, 1 << 15)
    "".join(group), "".join(activity)  # a TypeError for what is no text
    columns = (
        _named([str(id_) for id_, _ in said["rules"]], rule),
        group,
        time,
        _named([str(name) for name in said["lanes"]], lane_),
        offset,
        value,
        [bool(one) for one in late],
        activity,
        provider,
        _named([about_of(one) for one in said["abouts"]], about),
    )
    if len({len(column) for column in columns}) != 1:
        raise UnreadableError("its columns are not of one length")
    return Parcel({str(id_): str(revision) for id_, revision in said["rules"]}, columns)


def _named(values: Sequence[Any], numbers: Sequence[int]) -> list[Any]:
    _whole_between(numbers, 0, len(values) - 1)
    return [values[number] for number in numbers]


def _whole_between(column: Sequence[Any], low: int, high: int) -> None:
    """A column is whole numbers within these bounds. `array` looks at them in C; a fraction is a TypeError there."""
    whole = array("q", column)
    if whole and not low <= min(whole) <= max(whole) <= high:
        raise UnreadableError("a number in it is out of range")


def _whole(value: Any) -> int:
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        raise UnreadableError("a number in it is none")
    return value
