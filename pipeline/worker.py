"""The process of one role: what it starts, how it ends, and what it says of itself meanwhile.

Order matters twice. Starting: everything that can be refused (settings, rules, topics) before the group is joined.
Stopping: the Faust app first, so that the batch in hand is finished and committed, then the role, then delivery.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import structlog

from pipeline import logging, memory, topics
from pipeline.app import build_app
from pipeline.app import serve as serve_app
from pipeline.delivery import KafkaDelivery
from pipeline.health import PORT_OF, HealthState
from pipeline.health import serve as serve_health
from pipeline.kafka import aiokafka_options
from pipeline.logs import TIMEOUT_S, Logs
from pipeline.metrics import Metrics
from pipeline.roles import Role, Shared, build
from pipeline.settings import Settings
from pipeline.supervise import role_command, supervise
from pipeline.transport import batches
from pipeline.watch import Watch
from schemas.errors import Exit, QorganError, RefusedError, UnreachableError

ROLES = tuple(PORT_OF)
#: Seconds between two looks of what runs beside the agent.
TICK_S = 0.1
log = structlog.get_logger("worker")


def run_worker(role: str, settings: Settings) -> int:
    """Run one role until a signal; `all`: each role as a process of its own. Returns the exit code."""
    logging.configure(settings)
    if role == "all":
        return supervise({name: role_command(name) for name in ROLES}, stop_timeout=settings.stop_timeout)
    if role not in ROLES:
        raise RefusedError(f"There is no role {role}: {', '.join(ROLES)} or all.")
    memory.give_back()
    memory.share_the_interpreter()
    return asyncio.run(_run(role, settings))


async def _run(name: str, settings: Settings) -> int:
    started = time.monotonic()
    metrics, health, stopping = Metrics(), HealthState(name), asyncio.Event()
    with _serving_health(settings, metrics, health), _leaving(stopping, settings.stop_timeout):
        logs = Logs(settings, timeout=min(TIMEOUT_S, settings.start_timeout))
        embedded = await _patiently(logs.embedded, stopping, settings.start_timeout)
        if stopping.is_set():
            return Exit.OK
        if settings.create:
            await asyncio.to_thread(topics.ensure, settings)
        delivery = KafkaDelivery(aiokafka_options(settings), idempotent=not embedded)
        shared = Shared(settings, metrics, logs, delivery, health.say)
        role = await build(name, shared)
        for topic in role.topics:
            await logs.current(topic)  # a topic that there is not is refused before the group is joined
        metrics["start_seconds"].labels(phase="load").set(time.monotonic() - started)
        memory.collect_seldom()
        health.loaded = True
        await delivery.start()
        try:
            await role.start()
            return await _serve(role, shared, health, stopping, embedded, started)
        finally:
            await role.stop()
            await delivery.stop()


async def _serve(
    role: Role, shared: Shared, health: HealthState, stopping: asyncio.Event, embedded: bool, started: float
) -> int:
    """Join the group and judge batches until told to stop. Returns the exit code."""
    metrics, storing = shared.metrics, role.storing

    def gap(at: tuple[str, int], committed: int, first: int) -> None:
        metrics["detection_gap_records_total"].labels(topic=at[0]).inc(first - committed)
        log.error("records left the log unjudged", topic=at[0], partition=at[1], first=committed, until=first)

    app = build_app(
        shared.settings,
        role.name,
        "batch",
        fast_join=embedded,
        logs=shared.logs,
        stored_log=storing.newest_log if storing is not None else None,
        on_detection_gap=gap,
        before_release=role.drain,
    )
    watch = Watch(app, role, metrics, health, started)

    @app.agent(batches(app, *role.topics), concurrency=1)  # type: ignore[untyped-decorator] # Faust has no types
    async def judge(stream: Any) -> None:
        async for event in stream.noack().events():
            watch.owns(event.value)
            await role.handle(event.value, event.ack)

    app.on_partitions_assigned.connect(watch.assigned)
    app.on_partitions_revoked.connect(watch.revoked)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, lambda: watch.keep(asyncio.ensure_future(role.reload())))
    beside = asyncio.create_task(_beside(watch, role))
    served = asyncio.create_task(serve_app(app, stopping))
    await asyncio.wait([beside, served], return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    try:
        await served
    except QorganError as error:
        log.error(str(error))  # noqa: TRY400 - a sentence for a person; the trace is no help
        return error.exit
    finally:
        failed = await _ended(beside)
    if failed is not None:
        raise failed
    return Exit.OK


async def _beside(watch: Watch, role: Role) -> None:
    """What runs beside the agent: waiting updates go out, ownership reaches storing, metrics tell how it stands."""
    while True:
        await asyncio.sleep(TICK_S)
        cursors = watch.look()
        await role.tick(cursors)


async def _ended(task: asyncio.Task[None]) -> BaseException | None:
    """Cancel the task; the error it had ended with, if it had."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        try:
            await task
        except Exception as error:
            return error
    return None


async def _patiently(ask: Callable[[], Awaitable[bool]], stopping: asyncio.Event, seconds: float) -> bool:
    """Ask a broker that may still be starting. Raises UnreachableError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not stopping.is_set():
        try:
            return await ask()
        except UnreachableError as error:
            if time.monotonic() > deadline:
                raise
            log.warning(str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), 1.0)
    return False


@contextlib.contextmanager
def _serving_health(settings: Settings, metrics: Metrics, health: HealthState) -> Iterator[None]:
    """Metrics and health on the role's port; none where metrics_port is 0."""
    if settings.metrics_port:
        port = settings.metrics_port + PORT_OF[health.role]
        with contextlib.closing(serve_health(health, metrics, settings.listen, port)):
            yield
    else:
        yield


@contextlib.contextmanager
def _leaving(stopping: asyncio.Event, stop_timeout: float) -> Iterator[None]:
    """SIGTERM and SIGINT ask to stop. Should the process still be there after `stop_timeout`, it ends itself: what
    was not acknowledged is read again, so that loses nothing."""
    loop = asyncio.get_running_loop()

    def leave() -> None:
        stopping.set()
        watchdog = threading.Timer(stop_timeout, os._exit, [Exit.FAILED])
        watchdog.daemon = True
        watchdog.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
