"""The near side of curate: documents and commands are published, and its verdicts are waited for.

Behind what is published goes a question; its answer stands behind all verdicts on `indicators.gated`, so whatever has
no new revision by then was known already. Waiting is bounded, and nothing is lost by giving up: curate goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from confluent_kafka import KafkaException, Producer
from pydantic import ValidationError

from detectors.ioc.feeds import Fault
from pipeline.feeds import load_feeds
from pipeline.gated import GatedReader
from pipeline.indicators import load_indicators
from pipeline.kafka import confluent_options
from pipeline.settings import Settings
from schemas.errors import RefusedError, UnreachableError
from schemas.indicator_record import (
    FILES,
    SETTLED_KEY,
    Command,
    Document,
    Gated,
    Pair,
    Poll,
    Submission,
    grouped,
    record_key,
)

#: A name that no feed has: nothing is polled, only answered.
NOBODY: Final = "-"
FLUSH_S: Final = 30.0


@dataclass(slots=True)
class Verdicts:
    """What became of what was submitted. `unchanged` was known already, just so."""

    changed: list[Gated] = field(default_factory=list)
    unchanged: int = 0
    faults: list[Fault] = field(default_factory=list)
    polls: dict[str, str] = field(default_factory=dict)
    """Feed → what its poll failed of; empty for a good one."""


def add(settings: Settings, files: Sequence[Path], source: str, *, seconds: float) -> Verdicts:
    """Submit the indicators of files; `source` names them, else each file does. Raises QorganError."""
    loaded = load_indicators(files)
    now = int(time.time() * 1000)
    rows = (row._replace(source=source or row.source, authority="") for row in loaded.index)
    documents = grouped(rows, "", now)
    taken = {feed.name for feed in load_feeds(settings)} & {one.source for one in documents}
    if taken:
        raise RefusedError(f"{sorted(taken)[0]} is the name of a feed: give these another one with --source.")
    done = submit(settings, documents, NOBODY, seconds=seconds)
    done.faults = list(loaded.faults)
    return done


def import_now(settings: Settings, feed: str, *, seconds: float) -> Verdicts:
    """Have a feed polled now, or all (`feed` empty). Raises RefusedError for one that there is not."""
    known = {each.name for each in load_feeds(settings) if each.enabled} | ({FILES} if settings.indicators else set())
    if not known or feed not in ("", *known):
        named = f"There is no feed {feed}" if feed else "There is no feed"
        raise RefusedError(f"{named}: {', '.join(sorted(known)) or 'name some'} (QORGAN_FEEDS, QORGAN_INDICATORS).")
    return submit(settings, [], feed, seconds=seconds)


def submit(settings: Settings, said: Sequence[Document | Command], poll: str, *, seconds: float) -> Verdicts:
    """Publish these, have `poll` polled, and wait for curate's answer.

    Raises UnreachableError where Kafka or curate does not answer in time; what was published is taken in all the same.
    """
    asked = Poll(feed=poll, at=time.time_ns() // 1_000_000)
    keys = {one.key for one in said}
    reader = GatedReader(settings, last=True)
    try:
        deadline = time.monotonic() + seconds
        while not reader.read().end:
            _in_time(deadline, settings)
        _publish(settings, [*said, asked])
        return _heard(reader, asked, keys, lambda: _in_time(deadline, settings))
    finally:
        reader.close()


def _heard(reader: GatedReader, asked: Poll, keys: set[Pair], in_time: Callable[[], None]) -> Verdicts:
    changed: dict[Pair, Gated] = {}
    while True:
        for key, value in reader.read().records:
            if key == SETTLED_KEY:
                told: dict[str, Any] = orjson.loads(value)
                if told.get("asked", 0) >= asked.at:
                    faults = told.get("faults", {})
                    polled = {*told.get("polled", {}), *faults}
                    polls = {name: faults.get(name, "") for name in sorted(polled) if asked.feed in ("", name)}
                    return Verdicts(list(changed.values()), len(keys - changed.keys()), [], polls)
                continue
            try:
                entry = Gated.from_bytes(value)
            except ValidationError:
                continue
            if entry.key in keys or (asked.feed != NOBODY and asked.feed in ("", entry.feed)):
                changed[entry.key] = entry
        in_time()


def _publish(settings: Settings, said: Iterable[Submission]) -> None:
    producer = Producer({**confluent_options(settings), "compression.type": "lz4", "linger.ms": 5})
    failed: list[str] = []

    def delivered(error: Any, _: Any) -> None:
        if error is not None:
            failed.append(error.name())

    try:
        for one in said:
            key = b"/" if isinstance(one, Poll) else record_key(*one.key)
            while True:
                try:
                    producer.produce("indicators", one.to_bytes(), key, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.1)
        left = producer.flush(FLUSH_S)
    except KafkaException as error:
        raise UnreachableError(f"Kafka at {settings.kafka} takes nothing ({error.args[0].name()}).") from None
    if left or failed:
        raise UnreachableError(f"Kafka at {settings.kafka} did not confirm {left + len(failed):,} records. Try again.")


def _in_time(deadline: float, settings: Settings) -> None:
    if time.monotonic() > deadline:
        raise UnreachableError(
            f"No answer on indicators.gated at {settings.kafka} yet. Does a curate worker run? What was published is "
            "taken in when it does; `qorgan indicators list` shows it then."
        )
