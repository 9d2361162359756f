"""curate: `indicators` and feeds → gate → `indicators.gated`. One process is active, the others stand by."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Final

import structlog

from pipeline.agents.indicators_to_gated import SUBMISSIONS, IndicatorsToGated
from pipeline.catalogue import Catalogue
from pipeline.feeds import load_feeds
from pipeline.gated import GatedReader
from pipeline.gatekeeping import Gatekeeper, StoreSweep, build_gate
from pipeline.polling import Polling
from pipeline.roles import Ack, Shared
from pipeline.transport_cursor import CursorStatus
from schemas.errors import RefusedError
from schemas.event import RecordBatch
from schemas.indicator_record import STATES, Poll

#: Seconds between two looks at what is due, what waits for the store, and how many there are of each state.
STEP_S: Final = 0.2
AGAIN_S: Final = 2.0
COUNT_S: Final = 5.0

#: Behind the stream, whose processor it may be: a feed of a million entries is work of minutes.
NICE: Final = 10

log = structlog.get_logger("curate")


class Curate:
    """indicators → indicators.gated; active while it holds the partition of `indicators`."""

    name = "curate"
    topics: tuple[str, ...] = (SUBMISSIONS,)
    storing = None

    def __init__(self, shared: Shared) -> None:
        settings = shared.settings
        for path in settings.indicators:
            if not path.exists():
                raise RefusedError(f"indicators: {path} does not exist. Check QORGAN_INDICATORS.")
        feeds = load_feeds(settings)
        self._settings, self._shared, self._metrics = settings, shared, shared.metrics
        self._catalogue = Catalogue(settings.state_dir / "curate" / "catalogue.sqlite")
        self._keeper = Gatekeeper(build_gate(settings), StoreSweep(settings))
        self._agent = IndicatorsToGated(
            self._catalogue,
            self._keeper,
            shared.logs,
            shared.delivery,
            shared.metrics,
            reserved=frozenset(feed.name for feed in feeds),
            on_poll=lambda asked: self._polling.ask(asked),
            reader=lambda start: GatedReader(settings, start),
        )
        self._polling = Polling(settings, feeds, self._agent, self._catalogue, shared.metrics)
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        os.nice(NICE)

    async def handle(self, batch: RecordBatch, ack: Ack) -> None:
        await self._agent.handle(batch, ack)

    async def tick(self, cursors: Sequence[CursorStatus]) -> None:
        if self._running is not None and self._running.done():
            running, self._running = self._running, None
            running.result()
        if self._running is None and any(cursor.tp.topic == SUBMISSIONS for cursor in cursors):
            self._running = asyncio.create_task(self._run(), name="curate")

    async def drain(self) -> None:
        """Let go: a successor takes the catalogue from its topic, or from the file."""
        await self._cancel()
        await self._agent.release()

    async def reload(self) -> None:
        """Poll every feed now."""
        self._polling.ask(Poll())

    async def stop(self) -> None:
        await self._cancel()
        await self._agent.release()

    async def _cancel(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.wait([running])

    async def _run(self) -> None:
        """What an active process does beside its batches."""
        await self._agent.take_over()
        self._polling.anew()
        again = count = 0.0
        while True:
            await self._polling.step()
            now = time.monotonic()
            if now >= again:
                await self._agent.again()
                again = now + AGAIN_S
            if now >= count:
                await self._count()
                count = now + COUNT_S
            await asyncio.sleep(STEP_S)

    async def _count(self) -> None:
        counts = await asyncio.to_thread(self._catalogue.counts)
        for state in STATES:
            self._metrics["indicator_entries"].labels(state=state).set(counts.get(state, 0))
        waiting = f"{counts['waiting']:,} indicators wait for the store. " if counts.get("waiting") else ""
        self._shared.say("store", f"{waiting}{self._keeper.away}" if self._keeper.away else None)
