"""The four roles: what each reads, what it does with a batch, and what runs beside it. All wiring is here.

A role is built from settings alone; tests of agents build the agents themselves and give them fakes. Each role is a
module of its own, so that a process loads only what its role needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline.delivery import KafkaDelivery
from pipeline.logs import Logs
from pipeline.metrics import Metrics
from pipeline.settings import Settings
from pipeline.transport_cursor import CursorStatus
from schemas.event import RecordBatch

if TYPE_CHECKING:
    from pipeline.storing import Storing

Ack = Callable[[], None]


class Role(Protocol):
    """One role of a worker. Methods are called on the event loop, in the order start, handle…, stop.

    `handle` judges one batch and sees to it that `ack` is called once its outcome is durable, and not before; it
    raises when that cannot be, and the process then ends without acknowledging. `tick` is called about ten times a
    second with how far the owned partitions have come, `drain` before partitions are given up, `reload` on SIGHUP.
    """

    name: str
    topics: tuple[str, ...]

    @property
    def storing(self) -> Storing | None: ...
    async def start(self) -> None: ...
    async def handle(self, batch: RecordBatch, ack: Ack) -> None: ...
    async def tick(self, cursors: Sequence[CursorStatus]) -> None: ...
    async def drain(self) -> None: ...
    async def reload(self) -> None: ...
    async def stop(self) -> None: ...


@dataclass(frozen=True)
class Shared:
    """What every role is built from."""

    settings: Settings
    metrics: Metrics
    logs: Logs
    delivery: KafkaDelivery
    say: Callable[[str, str | None], None] = lambda what, trouble: None
    """Tell in /readyz what is away, or with None that it is not."""


async def build(name: str, shared: Shared) -> Role:
    """The role of that name. Raises RefusedError for what must be mended first, UnreachableError without Kafka."""
    if name == "ingest":
        from pipeline.roles.ingest import Ingest

        return Ingest(shared)
    if name == "correlate":
        from pipeline.roles.correlate import Correlate

        return Correlate(shared)
    if name == "curate":
        from pipeline.roles.curate import Curate

        return Curate(shared)
    from pipeline.roles.respond import Respond

    return Respond(shared, await shared.logs.cluster())
