"""`qorgan up`: broker, store and workers on this machine, in one process tree.

The embedded broker keeps every record in memory and forgets when it stops. So `up` says so, shows what it holds,
warns at half of the limit, and at the limit waits until everything is stored before it stops and says what to do.
"""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import structlog
from prometheus_client.parser import text_string_to_metric_families

from pipeline.embedded.children import Broker, start_broker, start_store
from pipeline.health import PORT_OF
from pipeline.settings import Settings
from pipeline.supervise import role_command, supervise
from schemas.errors import RefusedError

log = structlog.get_logger("up")

CHECK_S = 5.0
#: How long the last records may take to be stored once the limit is reached.
STORE_PATIENCE_S = 120.0


def run_up(settings: Settings, say: Callable[[str], None], *, kafka_home: Path | None = None) -> int:
    """Run until Ctrl-C, SIGTERM, or the broker's limit. `say` shows a line to a person. Returns the exit code."""
    state = settings.state_dir
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    port = _port_of(settings.kafka)
    with (
        start_broker(port, kafka_home, state / "kafka" if kafka_home else None) as broker,
        start_store(state / "store", settings.store.port) as store,
    ):
        environment = {**os.environ, "QORGAN_KAFKA": broker.address, "QORGAN_CLICKHOUSE": store.url}
        say(f"Kafka       {broker.address}   publish to {', '.join(settings.raw_topics)}")
        say(f"ClickHouse  http://{store.address}   user qorgan, password in {store.facts['password_file']}")
        if settings.metrics_port:
            say(
                f"Metrics     http://{settings.listen}:{settings.metrics_port}/metrics   "
                "(+1 correlate, +2 respond, +3 curate)"
            )
        if kafka_home is None:
            say(
                "The embedded broker keeps records in memory and forgets them when it stops; what is stored stays. "
                "For a broker that remembers: qorgan up --kafka-home DIR"
            )
        say("Ctrl-C stops everything.")
        watch = BrokerLimit(broker, settings, say) if kafka_home is None else None
        return supervise(
            {role: role_command(role) for role in PORT_OF},
            stop_timeout=settings.stop_timeout,
            environment=environment,
            tick=watch.tick if watch else lambda: None,
        )


class BrokerLimit:
    """Watches what the embedded broker holds. `tick` returns a sentence when it is time to stop."""

    def __init__(
        self,
        broker: Broker,
        settings: Settings,
        say: Callable[[str], None],
        unstored: Callable[[], float | None] | None = None,
    ) -> None:
        self._broker = broker
        self._limit = settings.broker_limit
        self._say = say
        self._unstored = unstored or (lambda: unstored_records(settings.metrics_port))
        self._checked = 0.0
        self._warned = False
        self._reached: float | None = None

    def tick(self, now: float | None = None) -> str | None:
        """Look at most every CHECK_S seconds, and at each call once the limit is reached."""
        now = time.monotonic() if now is None else now
        if self._reached is None and now - self._checked < CHECK_S:
            return None
        self._checked = now
        held = self._broker.held_bytes()
        if self._reached is None and held >= self._limit:
            self._reached = now
            self._say(f"The embedded broker holds {_mib(held)}, its limit: storing what it holds, then stopping.")
        if self._reached is not None:
            return self._when_stored(now, held)
        if held >= self._limit / 2 and not self._warned:
            self._warned = True
            self._say(
                f"The embedded broker holds {_mib(held)} of {_mib(self._limit)} allowed (QORGAN_BROKER_LIMIT). "
                "At the limit everything is stored and Qorgan stops; Apache Kafka (--kafka-home) has no such limit."
            )
        return None

    def _when_stored(self, now: float, held: int) -> str | None:
        left = self._unstored()
        mend = (
            "Start again (the records are stored and the broker empty), raise QORGAN_BROKER_LIMIT, "
            "or use a broker that remembers: --kafka-home."
        )
        if left == 0:
            return f"Stopped at the embedded broker's limit with {_mib(held)} held, all of it stored. {mend}"
        if self._reached is not None and now - self._reached > STORE_PATIENCE_S:
            count = "an unknown number of" if left is None else f"{left:.0f}"
            return (
                f"Stopped at the embedded broker's limit; {count} records were not stored in time and are gone. {mend}"
            )
        return None


def unstored_records(port: int) -> float | None:
    """Records of all partitions not yet stored, from ingest's own metrics; None when it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            lags = [s.value for f in families for s in f.samples if s.name == "qorgan_store_lag_records"]
    except (OSError, urllib.error.URLError):
        return None
    return sum(lags) if lags else None


def _port_of(bootstrap: str) -> int:
    host, _, port = bootstrap.split(",")[0].rpartition(":")
    if host not in ("127.0.0.1", "localhost") or not port.isdigit():
        raise RefusedError(
            f"`qorgan up` brings its own broker on loopback, but QORGAN_KAFKA is {bootstrap}: "
            "unset it, or use `qorgan worker` with your own cluster."
        )
    return int(port)


def _mib(count: int) -> str:
    return f"{count / (1 << 20):,.0f} MiB"
