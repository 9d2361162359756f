"""`indicators.gated` read from a position, without a group: by a thread that hands over what it has read in pieces.

confluent-kafka reads and waits without the interpreter. The end is told by the broker's answer to a fetch that found
nothing more: its offsets of the end cannot be relied on everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from sys import intern
from typing import Any, Final, NamedTuple

import orjson
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from pipeline.kafka import confluent_options
from pipeline.settings import Settings
from schemas.errors import UnreachableError
from schemas.event import Observable
from schemas.indicator import Indicator
from schemas.indicator_record import MATCHED

TOPIC: Final = "indicators.gated"
#: Records handed over at once, and seconds that a wait for them lasts.
PIECE: Final = 500
WAIT_S: Final = 0.2


class Read(NamedTuple):
    """Some records, as (key, value), the position after them, and whether that was the end when they were read."""

    records: list[tuple[bytes, bytes]]
    position: int
    end: bool


class GatedReader:
    """A reading of the topic's only partition. Used by one thread at a time; `close` it."""

    def __init__(self, settings: Settings, start: int = 0, *, last: bool = False) -> None:
        """`last`: begin near the end; a few records before it may come first."""
        self._settings = settings
        self._consumer = Consumer(
            {
                **confluent_options(settings),
                "group.id": "qorgan-gated",  # none is joined; the client insists on a name
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
                "fetch.error.backoff.ms": 50,
                "reconnect.backoff.max.ms": 1_000,
                "queued.max.messages.kbytes": 16_384,
            }
        )
        self._position = start
        self._consumer.assign([TopicPartition(TOPIC, 0, OFFSET_END if last else start or OFFSET_BEGINNING)])

    def read(self) -> Read:
        """What comes next, within WAIT_S; perhaps nothing. Raises UnreachableError for what waiting does not mend."""
        records: list[tuple[bytes, bytes]] = []
        end = False
        try:
            for message in self._consumer.consume(PIECE, WAIT_S):
                error = message.error()
                if error is None:
                    records.append((message.key() or b"", message.value() or b""))
                    self._position, end = message.offset() + 1, False
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes begin so
                    self._position, end = max(self._position, message.offset()), True
                elif not error.retriable() and error.code() not in _PASSING:
                    raise _unreadable(error)
        except KafkaException as error:
            raise _unreadable(error.args[0]) from None
        return Read(records, self._position, end)

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()


def _unreadable(error: KafkaError) -> UnreachableError:
    return UnreachableError(f"The topic {TOPIC} cannot be read ({error.name()}). Check Kafka and our rights.")


#: A broker or topic that is away for a while: the client goes on trying.
_PASSING: Final = frozenset(
    (
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - librdkafka's own codes begin so
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001
    )
)


class Change(NamedTuple):
    """What one record says to an index: values that go, then rows that come. `key`: source and id."""

    key: tuple[str, str]
    gone: list[Observable]
    rows: list[Indicator]


class Settled(NamedTuple):
    """Everything that curate held stands before this."""

    at: int


def changes(records: list[tuple[bytes, bytes]]) -> Iterator[Change | Settled | None]:
    """What the records say; None for one that cannot be read: its writer was not curate.

    Not by pydantic: a starting worker reads a million of them, and curate has checked each.
    """
    for _, value in records:
        try:
            said = orjson.loads(value)
            yield Settled(int(said["at"])) if said["kind"] == "settled" else _change(said)
        except (ValueError, KeyError, TypeError):
            yield None


def _change(said: dict[str, Any]) -> Change:
    document = said["document"]
    key = (intern(said["source"]), said["id"])
    values = [(one["type"], one["value"], one.get("also", ())) for one in document["values"]]
    gone = [Observable(kind, value) for kind, value in said.get("gone", ())]
    if said["state"] not in MATCHED:
        return Change(key, [*gone, *(Observable(kind, value) for kind, value, _ in values)], [])
    tags = tuple(map(intern, document.get("tags", ())))
    if said.get("grouped"):
        tags = (*tags, GROUPED)
    rows = [
        Indicator(
            id=key[1],
            type=intern(kind),
            value=value,
            title=intern(document.get("title", "")),
            level=intern(document.get("level", "high")),
            confidence=document.get("confidence", 50),
            valid_from=document.get("valid_from", 0),
            valid_until=document.get("valid_until", 0),
            revision=said["content"],
            source=key[0],
            tlp=intern(document.get("tlp", "amber+strict")),
            tags=tags,
            also=tuple(Observable(kind, other) for kind, other in also),
            phases=tuple(map(intern, document.get("phases", ()))),
            authority=intern(document.get("authority", "")),
            first_seen=document.get("first_seen", 0),
        )
        for kind, value, also in values
    ]
    return Change(key, gone, rows)


#: The tag of an authority's indicator that is seen on many hosts: triage groups by it and need not page.
GROUPED: Final = "qorgan.grouped"
