"""A whole Qorgan on free ports in a temporary folder: broker, store, workers as processes, their metrics as numbers.

For benchmarks and fault tests: parts can be killed, started again, and asked.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from pipeline.embedded.children import Broker, Store, start_broker, start_store
from pipeline.embedded.tether import die_with_parent
from pipeline.health import PORT_OF
from pipeline.supervise import role_command
from schemas.errors import QorganError

Sample = tuple[str, dict[str, str], float]
Identity = tuple[str, int, int]

_ROWS = (
    "SELECT topic, partition, offset FROM qorgan.events UNION ALL "
    "SELECT topic, partition, offset FROM qorgan.dead_letters"
)


def free_ports(count: int) -> int:
    """The first of `count` consecutive ports that are free now."""
    for _ in range(50):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first = int(probe.getsockname()[1])
        if first + count < 65_536 and all(_free(first + step) for step in range(count)):
            return first
    raise QorganError("No run of free ports was found on loopback.")


def _free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


@dataclass
class Worker:
    """One role's process. `metrics` are read from its own endpoint."""

    role: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def metrics(self) -> list[Sample]:
        """(name, labels, value) of everything it exports; empty while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except (OSError, urllib.error.URLError):
            return []
        return [(s.name, s.labels, s.value) for f in text_string_to_metric_families(text) for s in f.samples]

    def total(self, name: str, **labels: str) -> float:
        """The sum over all samples of that name with these labels."""
        return sum(v for n, has, v in self.metrics() if n == name and labels.items() <= has.items())

    def ready(self) -> bool:
        """Whether /readyz says so (200)."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def rss_bytes(self) -> int:
        """Resident memory."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return 0
        return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmRSS"))

    def cpu_seconds(self) -> float:
        """User and system time used so far."""
        return cpu_seconds(self.process.pid)

    def terminate(self, timeout: float = 12.0) -> int:
        """SIGTERM; SIGKILL after `timeout`. Returns the exit code (-9 if it had to be killed)."""
        if self.alive:
            self.process.send_signal(signal.SIGTERM)
            try:
                return self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Rig:
    """The running parts and the environment that every worker gets."""

    folder: Path
    broker: Broker
    store: Store
    environment: dict[str, str]
    workers: list[Worker] = field(default_factory=list)

    def worker(self, role: str, **settings: str) -> Worker:
        """Start one role's process with these settings (names without QORGAN_) on top."""
        base = free_ports(len(PORT_OF))
        log = self.folder / f"{role}-{len(self.workers)}.log"
        environment = {
            **os.environ,
            **self.environment,
            "QORGAN_METRICS_PORT": str(base),
            **{f"QORGAN_{name.upper()}": value for name, value in settings.items()},
        }
        with log.open("wb") as out:
            process = subprocess.Popen(  # noqa: S603 - our own command
                role_command(role),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        worker = Worker(role, base + PORT_OF[role], process, log)
        self.workers.append(worker)
        return worker

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query against the store."""
        import clickhouse_connect

        address = self.store.store_address
        client = clickhouse_connect.get_client(
            host=address.host,
            port=address.port,
            username=address.user,
            password=address.password.get_secret_value(),
            autogenerate_session_id=False,
        )
        try:
            return [tuple(row) for row in client.query(sql).result_rows]
        finally:
            client.close()

    def publish(
        self, topic: str, values: Iterable[bytes | None], *, rate: float = 0.0, into: list[Identity] | None = None
    ) -> int:
        """Publish (at `rate` a second, 0 = at full speed), wait for every acknowledgement; returns how many.

        `into` receives (topic, partition, offset) of each record, as the broker acknowledged it.
        """
        from confluent_kafka import Producer

        producer = Producer(
            {
                "bootstrap.servers": self.broker.address,
                "compression.type": "lz4",
                "linger.ms": 20,
                "sticky.partitioning.linger.ms": 10,
            }
        )
        failed: list[str] = []

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                failed.append(str(error))
            elif into is not None:
                into.append((topic, message.partition(), message.offset()))

        began, count = time.monotonic(), 0
        for value in values:
            while rate and count > (time.monotonic() - began) * rate:
                producer.poll(0.005)
            while True:
                try:
                    producer.produce(topic, value, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.1)
            count += 1
            if count % 1_000 == 0:
                producer.poll(0)
        if producer.flush(60) or failed:
            raise QorganError(f"{len(failed)} records were not published.")
        return count

    def stored(self) -> list[Identity]:
        """(topic, partition, offset) of every row of `events` and `dead_letters`, repeated if it stands twice."""
        rows = self.query(_ROWS) if self._has_tables() else []
        return [(str(topic), int(partition), int(offset)) for topic, partition, offset in rows]

    def stored_count(self) -> int:
        """How many different records stand in `events` and `dead_letters`."""
        if not self._has_tables():
            return 0
        return int(self.query(f"SELECT uniqExact(topic, partition, offset) FROM ({_ROWS})")[0][0])  # noqa: S608 - our own text

    def _has_tables(self) -> bool:
        """Whether a worker has created them yet."""
        found = self.query("SELECT count() FROM system.tables WHERE database = 'qorgan' AND name = 'dead_letters'")
        return bool(found[0][0])

    def create_topics(self, *names: str, partitions: int = 4) -> None:
        """Create raw topics before anything is published to them."""
        from confluent_kafka.admin import AdminClient
        from confluent_kafka.cimpl import NewTopic

        admin = AdminClient({"bootstrap.servers": self.broker.address})
        for future in admin.create_topics([NewTopic(name, partitions, 1) for name in names]).values():
            future.result(30)


@contextlib.contextmanager
def rig(folder: Path, *, kafka_home: Path | None = None, **settings: str) -> Iterator[Rig]:
    """A broker and a store over `folder`; workers are started by the caller and all end with the block."""
    with (
        start_broker(kafka_home=kafka_home, path=folder / "kafka" if kafka_home else None) as broker,
        start_store(folder / "store") as store,
    ):
        environment = {
            "QORGAN_KAFKA": broker.address,
            "QORGAN_CLICKHOUSE": store.url,
            "QORGAN_STATE_DIR": str(folder / "state"),
            "QORGAN_SESSION_TIMEOUT": "6",
            "QORGAN_LOG_FORMAT": "json",
            **{f"QORGAN_{name.upper()}": value for name, value in settings.items()},
        }
        made = Rig(folder, broker, store, environment)
        try:
            yield made
        finally:
            for worker in made.workers:
                if worker.alive:
                    worker.terminate()


def wait_for(what: str, condition: Callable[[], bool], seconds: float, every: float = 0.1) -> float:
    """Wait until the condition holds; returns the seconds it took. Raises QorganError at the deadline."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise QorganError(f"Waited {seconds:.0f} s in vain: {what}.")
        time.sleep(every)
    return time.monotonic() - started
