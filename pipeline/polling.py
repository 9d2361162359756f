"""curate polls the feeds: those of QORGAN_FEEDS at their intervals, the files of QORGAN_INDICATORS when they change.

What a feed says is folded here and does not travel over the topic `indicators`: there anybody may write, and only what
came by a feed of ours may call itself the regulator's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import TYPE_CHECKING, Final

import aiohttp
import structlog

from detectors.ioc.feeds import Entry, Fault, Revoked
from pipeline.agents.indicators_to_gated import IndicatorsToGated
from pipeline.catalogue import Catalogue
from pipeline.feeds import poll
from pipeline.indicators import load_indicators
from pipeline.settings import Settings
from pipeline.watched import fingerprint_of
from schemas.errors import QorganError
from schemas.feed import FeedSettings
from schemas.indicator import Indicator
from schemas.indicator_record import FILES, Command, Document, grouped
from schemas.indicator_record import Poll as Asked

if TYPE_CHECKING:
    from pipeline.metrics import Metrics

#: Documents taken in at once: the store is asked for their values together.
TOGETHER: Final = 20_000
#: Faults that the log names of one poll.
NAMED: Final = 5
#: Seconds until a feed that failed is polled again, at most; a shorter interval counts.
AGAIN_S: Final = 300.0

log = structlog.get_logger("curate")


class FeedError(Exception):
    """A feed cannot be polled. Told apart from what we fail of ourselves, which ends the process."""


@contextmanager
def _of_the_feed() -> Iterator[None]:
    """Whatever is raised inside is the feed's: it is not ours to mend, and nothing stops for it."""
    try:
        yield
    except (QorganError, OSError) as error:
        raise FeedError(str(error)) from None
    except Exception as error:  # a fault of ours that this feed brings out; the others go on
        log.exception("a feed brings out a fault of ours", error=type(error).__name__)
        raise FeedError(f"Unexpected {type(error).__name__}; the log says where.") from None


@dataclass(slots=True)
class _State:
    """What is known of one feed. Times on the monotonic clock, `done` on the wall's (ms) of the last good poll."""

    due: float = 0.0
    done: int = 0
    asked: int = 0
    fault: str = ""
    settings: FeedSettings | None = field(default=None)


class Polling:
    """All feeds of one process. `step` does what is due, one feed after the other. Used from one event loop."""

    def __init__(
        self,
        settings: Settings,
        feeds: Sequence[FeedSettings],
        agent: IndicatorsToGated,
        catalogue: Catalogue,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._agent, self._catalogue, self._metrics = settings, agent, catalogue, metrics
        self._clock, self._wall = clock, wall
        self._states = {feed.name: _State(settings=feed) for feed in feeds if feed.enabled}
        if settings.indicators:
            self._states[FILES] = _State()
        self._files, self._changing = "", ""
        self._look_at = 0.0
        self._first = self._asked = True
        self._last = 0
        """When the last request was made: it is answered when that is told."""

    def ask(self, asked: Asked) -> None:
        """Somebody wants a feed polled now, all of them, or (a name that no feed has) only an answer."""
        for name, state in self._states.items():
            if asked.feed in ("", name):
                state.due, state.asked = 0.0, max(state.asked, asked.at)
        self._last = max(self._last, asked.at)
        self._files = "" if asked.feed in ("", FILES) else self._files
        self._asked = True

    def anew(self) -> None:
        """Another process may have had the catalogue: say again when everything is settled."""
        self._first = True

    async def step(self) -> None:
        """Poll what is due; when everything was polled once, or was asked for, say so on the topic."""
        self._look_at_files()
        if self._first and FILES not in self._states:
            await self._tell()  # what is held is published; nobody waits for feeds that are far away
        for name in sorted(self._states, key=lambda name: name != FILES):  # files first: a start waits for them
            state = self._states[name]
            if state.due <= self._clock():
                await self._poll(name, state)
            if self._first and name == FILES:
                await self._tell()
        if self._first or self._asked:
            await self._tell()
        self._measure()

    async def _tell(self) -> None:
        last, self._first, self._asked = self._last, False, False
        polled = {name: state.done for name, state in self._states.items() if state.done}
        faults = {name: state.fault for name, state in self._states.items() if state.fault}
        await self._agent.settle({"polled": polled, "faults": faults, "asked": last})

    def _measure(self) -> None:
        for name, state in self._states.items():
            if state.done:
                age = self._wall() - state.done / 1000
                self._metrics["feed_poll_age_seconds"].labels(feed=name).set(max(0.0, age))

    def _look_at_files(self) -> None:
        """Files are polled when they differ from those that were, and no longer change."""
        state = self._states.get(FILES)
        if state is None or (self._files and self._clock() < self._look_at):
            return
        first = not self._files
        self._look_at = self._clock() + (self._settings.rules_watch or 3600.0)
        seen = fingerprint_of(self._settings.indicators)
        if first or (seen == self._changing and seen != self._files):
            self._files, state.due = seen, 0.0
        self._changing = seen

    async def _poll(self, name: str, state: _State) -> None:
        started, now = self._clock(), int(self._wall() * 1000)
        cursor, number = await asyncio.to_thread(self._catalogue.feed, name)
        interval = state.settings.interval if state.settings is not None else float("inf")
        try:
            if state.settings is None:
                faults = await self._of_files(number + 1, now)
                cursor = {}
            else:
                faults, cursor = await self._of_feed(state.settings, cursor, number + 1, now)
        except FeedError as error:
            state.fault = str(error)
            state.due = self._clock() + min(interval, AGAIN_S)
            self._metrics["feed_faults_total"].labels(feed=name, what="poll").inc()
            log.error(f"A feed is not polled, and what it gave stays. {error}", feed=name)  # noqa: TRY400 - a sentence
            return
        await asyncio.to_thread(self._catalogue.keep_feed, name, cursor, number + 1)
        state.fault, state.done, state.due = "", max(now, state.asked), self._clock() + interval
        self._metrics["feed_faults_total"].labels(feed=name, what="entry").inc(faults.count)
        for fault in faults.named:
            log.warning("an entry of a feed is not used", feed=name, where=fault.where, why=fault.why)
        log.info("feed polled", feed=name, faults=faults.count, seconds=round(self._clock() - started, 1))

    async def _of_files(self, number: int, now: int) -> _Faults:
        """What the files hold; what they no longer hold is withdrawn."""
        with _of_the_feed():
            loaded = await asyncio.to_thread(load_indicators, self._settings.indicators)
        documents = await asyncio.to_thread(grouped, loaded.index, "", now)
        for piece in _pieces(documents, TOGETHER):
            await self._agent.take(piece, feed=FILES, poll=number)
        if not any(fault.kind == "end" for fault in loaded.faults):  # else it was not the whole
            await self._agent.withdraw(FILES, number)
        faults = _Faults()
        faults.add(loaded.faults)
        return faults

    async def _of_feed(
        self, feed: FeedSettings, cursor: dict[str, object], number: int, now: int
    ) -> tuple[_Faults, dict[str, object]]:
        faults = _Faults()
        async with aiohttp.ClientSession() as session:
            polled = poll(feed, cursor, self._wall, session)
            async for piece in _batched(aiter(polled), TOGETHER):
                faults.add(piece)
                await self._agent.take(_said(piece, feed, now), feed=feed.name, poll=number)
                await asyncio.to_thread(self._catalogue.keep_feed, feed.name, polled.cursor, number - 1)
        if feed.snapshot and polled.whole:
            await self._agent.withdraw(feed.name, number)
        return faults, polled.cursor


class _Faults:
    """How many entries of a poll are not used, and the first of them: a feed may have millions."""

    def __init__(self) -> None:
        self.count = 0
        self.named: list[Fault] = []

    def add(self, entries: Iterable[Entry]) -> None:
        """Count the faults among these. What is no indicator is no fault of one."""
        found = [entry for entry in entries if isinstance(entry, Fault) and entry.kind != "foreign"]
        self.count += len(found)
        self.named += found[: NAMED - len(self.named)]


def _said(entries: Iterable[Entry], feed: FeedSettings, now: int) -> list[Document | Command]:
    """What entries of a feed say, in their order."""
    said: list[Document | Command] = []
    for kind, some in groupby(entries, key=type):
        if kind is Indicator:
            said += grouped(some, feed.owner, now)  # type: ignore[arg-type] # told apart by `kind`
        elif kind is Revoked:
            said += [
                Command(kind="revoke", source=one.source, id=one.id, by=feed.name, at=one.when or now)
                for one in some
                if isinstance(one, Revoked)
            ]
    return said


def _pieces(some: Iterable[Document], most: int) -> Iterator[list[Document]]:
    rest = iter(some)
    while piece := list(islice(rest, most)):
        yield piece


async def _batched(entries: AsyncIterator[Entry], most: int) -> AsyncIterator[list[Entry]]:
    """The same, many at a time; the rows of one id stay together."""
    piece: list[Entry] = []
    while True:
        with _of_the_feed():
            entry = await anext(entries, None)
        if entry is None:
            break
        if len(piece) >= most and not _of_one(piece[-1], entry):
            yield piece
            piece = []
        piece.append(entry)
        if len(piece) % 500 == 0:
            await asyncio.sleep(0)
    if piece:
        yield piece


def _of_one(one: Entry, other: Entry) -> bool:
    return isinstance(one, Indicator) and isinstance(other, Indicator) and one.id == other.id
