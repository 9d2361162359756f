"""A Faust consumer whose waits end: shared by the batch driver and the stock one.

Faust waits without limit for agents to finish, at stop and at every rebalance. An agent that is stuck, or has raised,
then keeps the process from leaving (SIGTERM was ignored for minutes) or leaves it holding partitions that others have.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import faust
import structlog
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.futures import notify

from pipeline.transport_options import TransportOptions
from schemas.errors import QorganError

#: The part of stop_timeout that the batch in hand may use; the rest is for the commit, leaving the group, closing.
WORK_SHARE = 0.5
#: Seconds that the commit after it may take, with the question whether the log is still the same.
COMMIT_S = 2.5
#: Seconds between looks while waiting for an acknowledgement that may never come.
LOOK_S = 0.2

log = structlog.get_logger("transport")


class BoundedConsumer(driver.Consumer):  # type: ignore[misc] # Faust publishes no types
    """Faust's consumer with bounded waits and without its own, misleading, liveness complaints."""

    _stop_by: float | None = None
    _waiting_for_ack: asyncio.Future[None] | None = None

    @property
    def options(self) -> TransportOptions:
        options: TransportOptions = self.app.transport_options
        return options

    def patience(self) -> float:
        """Seconds that what is under work may still take: one budget for the whole stop, one for each rebalance."""
        if not self.app.should_stop:
            return min(self.options.stop_timeout, self.options.rebalance_timeout / 2)
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self.options.stop_timeout * WORK_SHARE
        return max(0.0, self._stop_by - time.monotonic())

    async def wait_empty(self) -> None:
        """Let what is under work finish, as long as patience lasts, then commit what is acknowledged.

        Raises nothing: this is called in the middle of a stop or a rebalance. An error of ours crashes the consumer.
        """
        try:
            await self._wait_for_work()
            async with asyncio.timeout(COMMIT_S):
                await self.commit_and_end_transactions()
        except TimeoutError:
            log.warning("the last commit got no answer in time; what it covered is read again")
        except QorganError as error:
            await self.crash(error)

    async def _wait_for_work(self) -> None:
        give_up = (started := time.monotonic()) + self.patience()
        while not self.should_stop and self._pending() and (left := give_up - time.monotonic()) > 0:
            await self._release(left)
            await self._wait_for_ack(min(LOOK_S, left))
        if give_up > started and not self.should_stop and (unfinished := self._pending()):
            log.warning("not finished in time, to be read again", events=unfinished)

    async def _release(self, timeout: float) -> None:
        if self.options.before_release is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.options.before_release(), timeout)

    def _pending(self) -> int:
        self._clean_unacked_messages()
        return len(self._unacked_messages)

    async def _wait_for_ack(self, timeout: float) -> None:
        """Until something is acknowledged or taken, at most `timeout` seconds. Any number may wait at once."""
        waiting: asyncio.Future[None] | None = self._waiting_for_ack
        if waiting is None or waiting.done():
            waiting = self._waiting_for_ack = asyncio.get_running_loop().create_future()
        await asyncio.wait([waiting], timeout=timeout)

    def look_again(self) -> None:
        """Wake whoever waits for an acknowledgement: something else happened that may count."""
        notify(self._waiting_for_ack)

    async def verify_all_partitions_active(self) -> None:
        """Nothing: Faust compares wall clock with monotonic time here; `cursor_status` tells what counts."""

    def close(self) -> None:
        """Nothing: Faust would close the thread's client from another loop; the thread closes it when it ends."""


class TakenSensor(faust.Sensor):  # type: ignore[misc] # Faust publishes no types
    """Tells the consumer that an agent took a batch: there may be room for another before it is acknowledged."""

    def __init__(self, app: Any) -> None:
        super().__init__()
        self._app = app

    def on_message_in(self, tp: TP, offset: int, message: Any) -> None:
        self._app.consumer.look_again()
