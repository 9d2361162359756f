"""Signs of life of sources, for detectors of silence: contributions that no match makes.

Each event is one, and of those of one source in one minute, in one batch, the first alone is sent. It bears the
minute's last millisecond, so it is never behind the watermark; and of a minute's signs the one with the least offset
is in every batch that it can be in, so what is final does not depend on how records were cut into batches.

A late record tells by Kafka's time: a host whose clock is wrong still sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from detectors.behaviour.detector import Detector
from detectors.correlation.contribution import MAX_VALUE, About, Contribution
from detectors.correlation.correlation import BETWEEN
from detectors.sigma.fields import fold
from schemas.event import Event

MINUTE_MS: Final = 60_000


def heartbeats(
    rules: Sequence[Detector], topic: str, lane: str, events: Sequence[Event], host_of: Callable[[str], str]
) -> Iterator[Contribution]:
    """The signs of life in events of one partition, the lane, by increasing offsets.

    `host_of` gives a raw host name's entity, '' for none: such an event is no sign of any particular host.
    """
    if not rules or not events:
        return
    minutes = _by_minute(events)
    for rule in rules:
        named = {*rule.group_by, *dict(rule.source)}
        by_host, by_source = "host" in named, not named <= {"host", "topic"}
        for minute, within in minutes:
            sent = set()
            for event in _first(within, by_source, by_host):
                group = _group(rule, topic, event, host_of)
                if group is not None and group not in sent:
                    sent.add(group)
                    about = About(event.host if by_host else "", source=event.source, format=event.format.name)
                    time = (minute + 1) * MINUTE_MS - 1
                    yield Contribution(rule.id, group, time, lane, event.offset, 0, about=about)


def _by_minute(events: Sequence[Event]) -> Iterable[tuple[int, Sequence[Event]]]:
    """The events of each minute; mostly one."""
    minutes = {event.time_ms // MINUTE_MS for event in events}
    if len(minutes) == 1 and True not in [event.late for event in events]:
        return [(minutes.pop(), events)]
    found: dict[int, list[Event]] = {}
    for event in events:
        found.setdefault((event.kafka_ms if event.late else event.time_ms) // MINUTE_MS, []).append(event)
    return found.items()


def _first(events: Sequence[Event], by_source: bool, by_host: bool) -> Sequence[Event]:
    """The first event of each log source, host, or both, by offsets.

    Comprehensions over what is needed alone, since each is paid for every event; backwards, so that the first event
    stays. Parsers hand out one object per log source, and its id is hashed in a quarter of the time.
    """
    if by_source and by_host:
        found: dict[Any, Event] = {(id(event.source), event.host): event for event in events[::-1]}
    elif by_host:
        found = {event.host: event for event in events[::-1]}
    elif by_source:
        found = {id(event.source): event for event in events[::-1]}
    else:
        found = {"": events[0]}
    return sorted(found.values(), key=lambda event: event.offset)


def _group(rule: Detector, topic: str, event: Event, host_of: Callable[[str], str]) -> str | None:
    """The group of an event's source, None for one that the rule is not for."""

    def part(name: str) -> str:
        if name == "topic":
            return topic
        return host_of(event.host) if name == "host" else str(getattr(event.source, name))

    if any(fold(part(name)) != value for name, value in rule.source):
        return None
    values = [fold(part(name)) for name in rule.group_by]
    if not any(values) or ("host" in rule.group_by and not part("host")):
        return None
    return BETWEEN.join(value[:MAX_VALUE].replace(BETWEEN, "\ufffd") for value in values)
