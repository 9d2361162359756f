"""ingest's indicators: `indicators.gated` followed beside the stream and put into force a few milliseconds at a time.

    thread: read, decode ── queue, bounded ── loop: put and remove, SLICE_S of every PAUSE_S ── mark on `intake`

A starting worker reads the topic from its beginning, as fast as it can, before it judges its first batch; for how long
at most is a setting. A topic that was made anew is read anew: what it holds stands beside what was there, and when
curate has said that it is complete, what it does not hold goes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import structlog

from detectors.ioc.match import IndicatorIndex
from pipeline.agents.detections_to_intake import INTAKE_KEY
from pipeline.delivery import Delivery, Outgoing
from pipeline.gated import TOPIC, Change, GatedReader, Settled, changes
from schemas.errors import QorganError, UnreachableError
from schemas.event import Observable, RecordBatch
from schemas.indicator_record import Pair
from schemas.intake import IndicatorMark, Position

if TYPE_CHECKING:
    from pipeline.metrics import Metrics

#: Seconds of work on the event loop at a time, and from one to the next while the stream flows.
SLICE_S: Final = 0.004
PAUSE_S: Final = 0.03
#: Changes between two looks at the clock.
FEW: Final = 32
#: Pieces that may wait for the loop.
WAITING: Final = 40
#: Seconds between two questions which log the topic is, and between two marks.
LOOK_S: Final = 2.0
MARK_S: Final = 1.0
#: Seconds after which a reader that failed is made anew.
AGAIN_S: Final = 1.0

log = structlog.get_logger("ingest")


class Logs(Protocol):
    """What is asked of `pipeline.logs.Logs`."""

    async def current(self, topic: str) -> str: ...


class _Piece(NamedTuple):
    """What the thread has read at once. `epoch`: of which reading."""

    epoch: int
    changes: list[Change | Settled | None]
    position: int
    end: bool


class Following:
    """One process's following. `start`, then `wait` before the first batch; used from one event loop.

    `reader` makes a reading of the topic from its beginning. `index` is written to from the loop alone.
    """

    def __init__(
        self,
        index: IndicatorIndex,
        reader: Callable[[], GatedReader],
        logs: Logs,
        delivery: Delivery,
        metrics: Metrics,
        *,
        patience: float,
        expected: bool,
    ) -> None:
        """`patience`: seconds that `wait` may take. `expected`: wait for curate's word too that all stands there."""
        self._index, self._reader, self._logs = index, reader, logs
        self._delivery, self._metrics = delivery, metrics
        self._patience, self._expected = patience, expected
        self._queue: deque[_Piece] = deque()
        self._room = threading.Semaphore(WAITING)
        self._come, self._ready, self._leave = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._stop = threading.Event()
        self._epoch = 0
        self._log = ""
        self._ended = self._settled = False
        self._position = self._marked = 0
        self._known: set[Pair] | None = None
        """While a topic that was made anew is read: what it holds."""
        self._read: dict[tuple[str, int], Position] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        """Begin to read. Raises UnreachableError, RefusedError where there is no such topic."""
        self._log = await self._logs.current(TOPIC)
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._reading, args=(loop,), name="indicators", daemon=True)
        self._thread.start()
        self._tasks = [asyncio.create_task(self._applying()), asyncio.create_task(self._looking())]

    @property
    def waiting(self) -> bool:
        """Whether the first batch waits for indicators."""
        return not self._ready.is_set()

    async def wait(self) -> bool:
        """Until all is in force that was there at the start, or patience ends. False: what waited is given up."""
        began = time.monotonic()
        self._leave.clear()
        waits = [asyncio.create_task(event.wait()) for event in (self._ready, self._leave)]
        await asyncio.wait(waits, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if self._leave.is_set():
            return False
        waited = round(time.monotonic() - began, 2)
        if self._ready.is_set():
            log.info("indicators in force", indicators=len(self._index), waited=waited)
        else:
            log.warning("judging begins before all indicators are in force", indicators=len(self._index), waited=waited)
            self._ready.set()
        return True

    def give_up(self) -> None:
        """Partitions are given up: a batch that waits is left to whoever reads it again."""
        self._leave.set()

    def judging(self, batch: RecordBatch) -> None:
        """A batch is about to be judged: a set that comes into force now may judge only what follows it."""
        self._read[batch.topic, batch.partition] = Position(
            log=batch.log, topic=batch.topic, partition=batch.partition, position=batch.next
        )

    def owns(self, positions: Sequence[Position]) -> None:
        """These partitions are owned, and judged up to there."""
        owned = {(each.topic, each.partition): each for each in positions}
        for at, each in owned.items():
            known = self._read.get(at)
            if known is not None and known.log == each.log and known.position > each.position:
                owned[at] = known
        self._read = owned

    def check(self) -> None:
        """Raise what a task has failed of."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def stop(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._room.release()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, 2.0)

    # The thread.

    def _reading(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read until stopped; begin anew when the epoch changes, or after a failure."""
        while not self._stop.is_set():
            try:
                self._read_on(loop)
            except UnreachableError as error:
                log.warning(f"Indicators stay as they are. {error}")
                self._stop.wait(AGAIN_S)
            except Exception as error:  # without this thread nothing new would ever come into force, without a word
                if loop.is_closed():
                    return
                log.exception("Indicators stay as they are, and are read anew.", error=type(error).__name__)
                self._stop.wait(AGAIN_S)

    def _read_on(self, loop: asyncio.AbstractEventLoop) -> None:
        epoch = self._epoch
        reader = self._reader()
        try:
            while epoch == self._epoch and not self._stop.is_set():
                read = reader.read()
                if read.records or read.end:
                    piece = _Piece(epoch, list(changes(read.records)), read.position, read.end)
                    self._room.acquire()
                    self._queue.append(piece)
                    loop.call_soon_threadsafe(self._come.set)
        finally:
            reader.close()

    # The loop.

    async def _applying(self) -> None:
        while True:
            await self._come.wait()
            self._come.clear()
            while self._queue:
                piece = self._queue.popleft()
                self._room.release()
                if piece.epoch == self._epoch:
                    await self._apply(piece)
            self._metrics["indicators_loaded"].set(len(self._index))

    async def _apply(self, piece: _Piece) -> None:
        until = time.perf_counter() + SLICE_S
        for number, change in enumerate(piece.changes):
            self._take(change)
            if number % FEW == FEW - 1 and time.perf_counter() >= until:
                # Who starts has nothing else to do; a stream that flows gets most of the time.
                await asyncio.sleep(PAUSE_S if self._ready.is_set() else 0)
                until = time.perf_counter() + SLICE_S
        self._position = piece.position
        self._ended = self._ended or piece.end
        if self._ended and (self._settled or not self._expected):
            self._ready.set()

    def _take(self, change: Change | Settled | None) -> None:
        if change is None:
            log.error("a record of indicators.gated cannot be read: somebody else writes there")
        elif isinstance(change, Settled):
            self._settled = True
            self._drop_unknown()
        else:
            if self._known is not None:
                self._known.add(change.key)
            if change.gone:
                self._index.remove(*change.key, change.gone)
            for row in change.rows:
                self._index.put(row)

    def _drop_unknown(self) -> None:
        """The topic is another one and complete: what it does not hold is of a catalogue that is gone."""
        known, self._known = self._known, None
        if known is None:
            return
        for one in [one for one in self._index if (one.source, one.id) not in known]:
            self._index.remove(one.source, one.id, [Observable(one.type, one.value)])

    async def _looking(self) -> None:
        """Whether the topic is still the same; and tell, when something came into force, from where on it judges."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(MARK_S)
            if self._ready.is_set() and self._position != self._marked and self._read:
                await self._mark(self._position)
            if time.monotonic() - looked >= LOOK_S:
                looked = time.monotonic()
                await self._look()

    async def _look(self) -> None:
        try:
            now = await self._logs.current(TOPIC)
        except QorganError:
            return  # away, or being made anew; the next look sees
        if now != self._log:
            log.warning("the topic of indicators is another log now and is read anew")
            self._log, self._known, self._settled = now, set(), False
            self._position = self._marked = 0
            self._epoch += 1

    async def _mark(self, position: int) -> None:
        """Say on `intake`: above these positions the set up to that offset judges. A hunt covers what lies below."""
        mark = IndicatorMark(log=self._log, offset=position, positions=tuple(self._read.values()))
        try:
            await self._delivery.send("intake", [Outgoing(INTAKE_KEY, mark.to_bytes())])
        except UnreachableError as error:
            log.warning("a mark is not delivered, to be told again", error=str(error))
            return
        self._marked = position
