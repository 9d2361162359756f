"""What a running role knows of itself: the partitions it owns, how far its two cursors have come, whether it is well.

Ownership reaches storing from here, and health and metrics are told from here, about once a second.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from pipeline.health import HealthState
from pipeline.metrics import Metrics
from pipeline.roles import Role
from pipeline.transport_cursor import CursorStatus
from schemas.event import RecordBatch

REPORT_S = 1.0
STATES = ("waiting", "catching_up", "live", "halted")

Owned = dict[tuple[str, int], str]


class Watch:
    """Looks at one role's app. Everything is called on the event loop."""

    def __init__(self, app: Any, role: Role, metrics: Metrics, health: HealthState, started: float) -> None:
        self._app = app
        self._role = role
        self._metrics = metrics
        self._health = health
        self._started = started
        self._owned: Owned = {}
        self._reported = 0.0
        self._joined = False
        self._read = False
        self._kept: set[asyncio.Future[Any]] = set()

    def keep(self, future: asyncio.Future[Any]) -> None:
        """Hold on to a task until it is done; the loop itself would forget it."""
        self._kept.add(future)
        future.add_done_callback(self._kept.discard)

    async def assigned(self, *_: Any, **__: Any) -> None:
        """Faust: the group has given us partitions, perhaps none (we stand by)."""
        if not self._joined:
            self._joined = True
            self._metrics["start_seconds"].labels(phase="joined").set(time.monotonic() - self._started)

    async def revoked(self, *_: Any, **__: Any) -> None:
        """Faust: our partitions are given away and committed. What a role still holds, it lets go now."""
        await self._role.drain()
        self._sync({})

    def owns(self, batch: RecordBatch) -> None:
        """A batch has come: storing must know its partition before the rows are offered."""
        if not self._read:
            self._read = True
            self._metrics["start_seconds"].labels(phase="first_batch").set(time.monotonic() - self._started)
        at = (batch.topic, batch.partition)
        if self._owned.get(at) != batch.log:
            self._sync({**self._owned, at: batch.log})

    def look(self) -> list[CursorStatus]:
        """Tell storing what is owned now; report when it is time. Returns how far each owned partition has come."""
        self._health.beat()
        cursors = self._app.consumer.cursor_status() if self._joined else []
        self._sync({(cursor.tp.topic, cursor.tp.partition): cursor.log for cursor in cursors})
        now = time.monotonic()
        if now - self._reported >= REPORT_S:
            self._reported = now
            self._report(cursors, now)
        return cursors

    def _sync(self, now: Owned) -> None:
        storing = self._role.storing
        if storing is not None and now != self._owned:
            for at, log in self._owned.items():
                if now.get(at) != log:
                    storing.revoked(*at)
            for at, log in now.items():
                if self._owned.get(at) != log:
                    storing.assigned(*at, log)
        if now != self._owned:
            self._forget(set(self._owned) - set(now))
            self._owned = now

    def _forget(self, gone: set[tuple[str, int]]) -> None:
        """A partition that another process owns has no value here: its gauges go."""
        for topic, partition in gone:
            for name in ("detect_lag_records", "detect_uncommitted_seconds"):
                self._metrics[name].remove_by_labels({"topic": topic, "partition": str(partition)})
            for name in ("store_lag_records", "store_unstored_seconds", "store_state"):
                self._metrics[name].remove_by_labels({"topic": topic, "partition": str(partition)})

    def _report(self, cursors: list[CursorStatus], now: float) -> None:
        for cursor in cursors:
            labels = {"topic": cursor.tp.topic, "partition": str(cursor.tp.partition)}
            since = cursor.oldest_uncommitted_monotonic
            self._metrics["detect_lag_records"].labels(**labels).set(cursor.lag)
            self._metrics["detect_uncommitted_seconds"].labels(**labels).set(0 if since is None else now - since)
        self._health.joined, self._health.active = self._joined, bool(self._owned)
        self._report_storing()
        name = self._role.name
        self._metrics["role_ready"].labels(role=name).set(self._health.ready)
        self._metrics["role_active"].labels(role=name).set(bool(self._owned))

    def _report_storing(self) -> None:
        if self._role.storing is None:
            return
        halted: list[str] = []
        for status in self._role.storing.status():
            labels = {"topic": status.topic, "partition": str(status.partition)}
            self._metrics["store_lag_records"].labels(**labels).set(status.lag)
            for state in STATES:
                self._metrics["store_state"].labels(**labels, state=state).set(state == status.state)
            if status.state == "halted":
                halted.append(f"storing of {status.topic}/{status.partition} is halted: {status.reason}")
        self._health.say("storing", "; ".join(halted) or None)
        up = self._role.storing.up
        self._health.say("store", None if up else "ClickHouse does not answer; detection goes on, rows wait in Kafka")
