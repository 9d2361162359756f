"""The Faust app of a role, and its life from the first connection to the last commit.

Faust is kept to what it is good at: the group, assignments, supervision, timers. No web server, no leader election,
no tables, no producer of its own (results go through `pipeline.delivery`), no settings from the environment.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from faust.app.base import App, BootStrategy
from faust.transport.drivers import aiokafka as driver
from mode import CrashingSupervisor
from yarl import URL

from pipeline.kafka import aiokafka_options, faust_credentials, servers
from pipeline.logs import Logs
from pipeline.settings import Settings
from pipeline.transport_bounds import BoundedConsumer, TakenSensor
from pipeline.transport_options import BeforeRelease, DetectionGap, Limits, LogNames, StoredLog, TransportOptions
from pipeline.transport_thread import BoundedThread
from schemas.errors import RefusedError

ROLES = ("ingest", "correlate", "respond", "curate")
#: A join on the embedded broker takes half of the session timeout.
FAST_SESSION_S = 6.0
REBALANCE_S = 60.0
COMMIT_INTERVAL_S = 0.5
#: Batches that may wait for the agent. Few: what waits in Kafka instead comes in larger batches.
WAITING_BATCHES = 8
#: What is handed out and not acknowledged may be so many fetches of one partition.
HELD_FETCHES = 4
#: What ingest lets the broker collect before it answers, at most for FETCH_WAIT_MS; the rest answer at once.
INGEST_MIN_BYTES = 256 << 10
FETCH_WAIT_MS = 100
#: How soon a topic's new partitions are noticed, milliseconds.
METADATA_MS = 30_000
#: Seconds of silence after which the group expels a worker whose agent is stuck.
STUCK_S = 300.0


class RoleBoot(BootStrategy):  # type: ignore[misc] # Faust publishes no types
    """What Faust starts: the consumer and the agents."""

    enable_web = False
    enable_kafka_producer = False


class RoleApp(App):  # type: ignore[misc] # Faust publishes no types
    """A Faust app that carries what its transport is told."""

    BootStrategy = RoleBoot
    transport_options: TransportOptions

    def _create_directories(self) -> None:
        """None: they are for tables, and there are none."""


class StockConsumer(BoundedConsumer):
    """Faust's consumer, one event a record, with our fetching, bounded waits, and commits that count when done."""

    def _new_consumer_thread(self) -> BoundedThread:
        return BoundedThread(self, loop=self.loop, beacon=self.beacon)

    async def _commit_offsets(self, offsets: Any, start_new_transaction: bool = True) -> bool:
        """Faust believes a failed commit (#316) and so would never repeat it."""
        before = {tp: self._committed_offset[tp] for tp in offsets}
        done: bool = await super()._commit_offsets(offsets, start_new_transaction)
        if not done:
            self._committed_offset.update(before)
            for tp, offset in offsets.items():
                self._acked[tp].append(offset - 1)
                self._acked_index[tp].add(offset - 1)
        return done


class StockTransport(driver.Transport):  # type: ignore[misc] # Faust publishes no types
    """Faust's aiokafka transport with the consumer above."""

    Consumer = StockConsumer


def group_of(settings: Settings, role: str) -> str:
    """The consumer group of a role."""
    return f"{settings.group}-{role}"


def build_app(
    settings: Settings,
    role: str,
    driver: Literal["batch", "stock"],
    *,
    fast_join: bool = False,
    logs: LogNames | None = None,
    stored_log: StoredLog | None = None,
    on_detection_gap: DetectionGap | None = None,
    before_release: BeforeRelease | None = None,
) -> RoleApp:
    """The app of a role, with nothing connected yet.

    `driver`: "batch" (events are RecordBatches, topics from `pipeline.transport_topics.batches`) or "stock" (events
    are records, topics from `records` there). `fast_join`: a short session, for the embedded broker
    (`await Logs.embedded()`). `stored_log`, `on_detection_gap`, `before_release`: see `pipeline.transport_options`;
    without `stored_log` a committed offset that carries no log id is trusted. Raises RefusedError for an unknown role
    or files that cannot be read.
    """
    if role not in ROLES:
        raise RefusedError(f"There is no role {role}; the roles are {', '.join(ROLES)}.")
    session = min(FAST_SESSION_S, settings.session_timeout) if fast_join else settings.session_timeout
    rebalance = session if fast_join else max(REBALANCE_S, session)
    app = RoleApp(
        group_of(settings, role),
        broker=[URL(f"{'batch' if driver == 'batch' else 'kafka'}://{server}") for server in servers(settings)],
        broker_producer=[URL(f"kafka://{server}") for server in servers(settings)],
        broker_client_id=f"qorgan-{role}",
        broker_credentials=faust_credentials(settings),
        broker_session_timeout=session,
        broker_heartbeat_interval=max(0.5, session / 12),
        broker_rebalance_timeout=rebalance,
        broker_request_timeout=rebalance + 30.0,
        broker_commit_interval=COMMIT_INTERVAL_S,
        broker_max_poll_interval=STUCK_S,
        broker_max_poll_records=settings.batch_records,
        consumer_max_fetch_size=settings.fetch_bytes,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=METADATA_MS,
        processing_guarantee="at_least_once",
        agent_supervisor=CrashingSupervisor,
        stream_wait_empty=True,
        stream_buffer_maxsize=4096,  # never reached with batches: what is handed out is bounded in bytes
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,
        store="memory://",
        web_enabled=False,
        autodiscover=False,
        env={},
    )
    app.transport_options = TransportOptions(
        client=aiokafka_options(settings),
        logs=logs or Logs(settings),
        limits=Limits(
            settings.batch_records, settings.fetch_bytes, HELD_FETCHES * settings.fetch_bytes, WAITING_BATCHES
        ),
        stop_timeout=settings.stop_timeout,
        rebalance_timeout=rebalance,
        fetch_min_bytes=INGEST_MIN_BYTES if role == "ingest" else 1,
        fetch_max_wait_ms=FETCH_WAIT_MS,
        stored_log=stored_log,
        on_detection_gap=on_detection_gap,
        before_release=before_release,
    )
    if driver == "stock":
        app.transport = StockTransport(app.conf.broker_consumer, app)
    else:
        app.sensors.add(TakenSensor(app))
    return app


async def serve(app: Any, stopping: asyncio.Event) -> None:
    """Run the app until `stopping` is set or it crashes; it has stopped when this returns, in about `stop_timeout`.

    Raises what the app crashed of: the error of an agent, LogChangedError, UnreachableError, RefusedError. The
    process must then end: what was not acknowledged is read again by its successor.
    """
    running = asyncio.create_task(_live(app))
    told = asyncio.create_task(stopping.wait())
    await asyncio.wait([running, told], return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    await app.stop()
    running.cancel()
    await asyncio.wait([running])
    if app.crash_reason is not None:
        raise app.crash_reason
    if not running.cancelled() and (error := running.exception()) is not None:
        raise error


async def _live(app: Any) -> None:
    await app.start()
    await app.wait_until_stopped()
