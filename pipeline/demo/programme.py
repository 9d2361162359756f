"""The whole performance as data: an hour five weeks ago, the bank's day, the attack in it, a few damaged records.

Every record carries a mark that says what it is, so that the account can ask afterwards what became of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from pipeline.demo.attack import EARLY, PAST_DAYS, Stage, attack, early_contact, plot
from pipeline.demo.bank import DAY_MS, MINUTE_MS, events
from pipeline.demo.cast import cast
from pipeline.demo.damaged import damaged
from pipeline.demo.scene import Message, Scene
from pipeline.demo.shapes import ALMATY

#: Marks of records; a record of a stage carries the stage's name.
ORDINARY: Final = ""
EARLY_CONTACT: Final = "early contact"
DAMAGED: Final = "damaged"
#: One record in fifty belongs to the hour five weeks ago.
_PAST_SHARE: Final = 50


@dataclass(frozen=True, slots=True)
class Marked:
    """A record and what it is."""

    message: Message
    mark: str = ORDINARY


@dataclass(frozen=True, slots=True)
class Programme:
    """What will be published. `start_ms` is the day's local midnight, milliseconds UTC."""

    seed: int
    count: int
    start_ms: int

    @property
    def past_ms(self) -> int:
        """The start of the earlier hour."""
        return self.start_ms - PAST_DAYS * DAY_MS + 14 * 60 * MINUTE_MS

    @property
    def total(self) -> int:
        """How many records there are, those with a mark included."""
        marked = sum(len(stage.records) for stage in self.stages()) + len(damaged(self.start_ms)) + 1
        return self.count + marked

    def stages(self) -> tuple[Stage, ...]:
        """The attack, the same at every call."""
        return attack(plot(self._scene()), self.start_ms)

    def records(self) -> Iterator[Marked]:
        """Every record in the order of its arrival, the past first; `count` ordinary ones and those with a mark."""
        past = self.count // _PAST_SHARE
        hour = 60 * MINUTE_MS
        contact = early_contact(plot(self._scene()), self.past_ms + 23 * MINUTE_MS)
        yield from _merged(
            (Marked(message) for message in events(self.seed + 1, past, self.past_ms, hour)),
            [Marked(contact, EARLY_CONTACT)],
        )
        yield from _merged(
            (Marked(message) for message in events(self.seed, self.count - past, self.start_ms)),
            [Marked(message, stage.name) for stage in self.stages() for message in stage.records],
            [Marked(message, DAMAGED) for message in damaged(self.start_ms + 11 * hour)],
        )

    def _scene(self) -> Scene:
        return Scene(cast(self.seed), Random(f"attack/{self.seed}"))  # noqa: S311 (a simulation must be repeatable)


def _merged(*streams: Iterator[Marked] | list[Marked]) -> Iterator[Marked]:
    return heapq.merge(*streams, key=lambda marked: marked.message.time_ms)


def last_working_day(now_ms: int) -> int:
    """The local midnight (milliseconds UTC) that began the last whole working day before `now_ms`."""
    day = datetime.fromtimestamp(now_ms / 1000, ALMATY).replace(hour=0, minute=0, second=0, microsecond=0)
    day -= timedelta(days=1)
    while day.weekday() >= 5:
        day -= timedelta(days=1)
    return int(day.timestamp()) * 1000


def indicator_file() -> str:
    """The new indicator, as a CSV that `qorgan hunt --indicators` reads."""
    return (
        "type,value,title,level,confidence,source\n"
        f"domain,{EARLY[0]},Control server of the invoice campaign,high,90,demo bulletin\n"
    )
