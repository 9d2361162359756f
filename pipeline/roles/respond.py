"""respond: `intake` → journal → `incidents`. One process is active, the others stand by."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from pipeline.agents.intake_to_incidents import IntakeToIncidents
from pipeline.event_list import load_event_list
from pipeline.journal import open_journal
from pipeline.roles import Ack, Shared
from pipeline.transport_cursor import CursorStatus
from schemas.errors import QorganError
from schemas.event import RecordBatch

log = structlog.get_logger("respond")


class Respond:
    """intake → journal → incidents; active while it holds the partition of `intake`."""

    name = "respond"
    topics: tuple[str, ...] = ("intake",)
    storing = None

    def __init__(self, shared: Shared, cluster: str) -> None:
        settings = shared.settings
        self._shared = shared
        self._agent = IntakeToIncidents(
            open_journal(settings, cluster, shared.delivery),
            load_event_list(settings.event_list),
            shared.delivery,
            shared.metrics,
            settings.timezone,
        )

    async def start(self) -> None: ...

    async def handle(self, batch: RecordBatch, ack: Ack) -> None:
        await self._agent.handle(batch, ack)

    async def tick(self, cursors: Sequence[CursorStatus]) -> None:
        await self._agent.tick()

    async def drain(self) -> None:
        await self._agent.release()

    async def reload(self) -> None:
        """Take the event list anew, or keep the old one and say why."""
        reloads = self._shared.metrics["reloads_total"]
        try:
            self._agent.use(load_event_list(self._shared.settings.event_list))
        except QorganError as error:
            reloads.labels(outcome="refused").inc()
            log.error(f"The new event list is refused and the old one stays. {error}")  # noqa: TRY400 - a sentence
            return
        reloads.labels(outcome="swapped").inc()

    async def stop(self) -> None:
        await self._agent.release()
