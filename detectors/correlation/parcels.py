"""What travels on the topic `contributions`: parcels of contributions, and marks of how far the raw topics are read.

A parcel is what one batch gave to one partition: hosts, users, lanes and correlations stand in it once. A record that
is neither raises UnreadableError, whatever is wrong with it.
"""

from __future__ import annotations

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
    """Contributions of one batch. `revisions`: of the correlations by which they were made, by id."""

    revisions: Mapping[str, str]
    contributions: Sequence[Contribution]


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
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise UnreadableError("it is no parcel of contributions") from error
    raise UnreadableError("it is of another version")


class _Names:
    """Values that repeat, each once, by number."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}

    def number(self, value: Any) -> int:
        return self.numbers.setdefault(value, len(self.numbers))


def _parcel(contributions: Iterable[Contribution], revisions: Mapping[str, str]) -> bytes:
    rules, lanes, abouts = _Names(), _Names(), _Names()
    rows = [
        [
            rules.number(one.correlation),
            one.group,
            one.time,
            lanes.number(one.lane),
            one.offset,
            one.value,
            int(one.late),
            one.activity,
            one.provider,
            abouts.number(one.about or About()),
        ]
        for one in contributions
    ]
    rules_said = [[id_, revisions.get(id_, "")] for id_ in rules.numbers]
    said = {
        "v": _VERSION,
        "rules": rules_said,
        "lanes": list(lanes.numbers),
        "abouts": [*map(said_about, abouts.numbers)],
    }
    return orjson.dumps(said | {"rows": rows})


def _marks(said: Any) -> Marks:
    read_ = {str(name): _whole(time) for name, time in said["read"].items()}
    topics = {str(topic): (str(log), _whole(count)) for topic, (log, count) in said["topics"].items()}
    return Marks(read_, topics, _whole(said["lateness"]))


def _unpacked(said: Any) -> Parcel:
    rules = [str(id_) for id_, _ in said["rules"]]
    lanes = [str(name) for name in said["lanes"]]
    abouts = [about_of(about) for about in said["abouts"]]
    rows = [
        Contribution(
            rules[rule],
            _text(group),
            _whole(time),
            lanes[at],
            _whole(offset),
            _whole(value),
            bool(late),
            _text(activity),
            _whole(provider),
            abouts[about],
        )
        for rule, group, time, at, offset, value, late, activity, provider, about in said["rows"]
    ]
    if any(not 0 <= one.offset <= MAX_OFFSET or not -MAX_TIME < one.time < MAX_TIME for one in rows):
        raise UnreadableError("a number in it is out of range")
    return Parcel({str(id_): str(revision) for id_, revision in said["rules"]}, rows)


def _whole(value: Any) -> int:
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        raise UnreadableError("a number in it is none")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise UnreadableError("a text in it is none")
    return value
