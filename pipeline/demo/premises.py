"""The parts that the demonstration runs on: a broker, a store and one worker of each role, in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.bench.rig import Rig, Worker, rig
from pipeline.health import PORT_OF
from pipeline.journal import journal_folder
from pipeline.settings import Settings, load
from pipeline.topics import ensure
from schemas.errors import Exit, QorganError, RefusedError

#: Lines of a dead worker's log that are shown.
LAST_LINES: Final = 12
_PREFIX: Final = "QORGAN_"
#: What of the user's environment holds in the demonstration too; the rest is about another Qorgan.
_KEPT: Final = frozenset({"QORGAN_LOG_LEVEL"})


@dataclass(frozen=True, slots=True)
class Premises:
    """The running parts and the settings by which we reach them."""

    rig: Rig
    settings: Settings

    def check(self) -> None:
        """Raise QorganError, with the last lines of its log, when a process is gone."""
        for what, child in (("broker", self.rig.broker), ("store", self.rig.store)):
            if not child.alive:
                raise QorganError(f"The {what} ended unexpectedly (code {child.process.poll()}).")
        for worker in self.rig.workers:
            if not worker.alive:
                raise _ended(worker)

    def ready(self) -> bool:
        """Whether every worker says that it is."""
        return all(worker.ready() for worker in self.rig.workers)

    def judged(self) -> tuple[float, float]:
        """How many records ingest has judged, and how many detections that gave, by its own metrics."""
        ingest = self.rig.workers[0]
        return ingest.total("qorgan_records_total"), ingest.total("qorgan_detections_total")

    def rules(self) -> tuple[float, float]:
        """How many rules ingest has in force, and how many it refused."""
        ingest = self.rig.workers[0]
        return ingest.total("qorgan_rules_loaded"), ingest.total("qorgan_rules_refused")

    def addresses(self) -> Iterator[str]:
        """Where to look at what."""
        store = self.rig.store
        topics = ", ".join([*self.settings.raw_topics, "detections", "incidents", "journal", "dead-letters"])
        yield f"Kafka       {self.rig.broker.address}   {topics}"
        yield f"ClickHouse  http://{store.address}   user qorgan, password in {store.facts['password_file']}"
        for worker in self.rig.workers:
            yield f"Metrics     http://127.0.0.1:{worker.port}/metrics   {worker.role}, log in {worker.log}"
        yield f"Journal     {journal_folder(self.settings)}"
        yield "Ctrl-C stops everything and removes it."

    def stay(self) -> None:
        """Until Ctrl-C, or until a process dies."""
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                self.check()
                time.sleep(1)


def _ended(worker: Worker) -> QorganError:
    """What to say of a worker that is gone: its own sentence where it refused to start, else its last lines."""
    code = worker.process.poll()
    last = worker.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    if code == Exit.REFUSED and last:
        return RefusedError(last[-1].removeprefix("qorgan: "))
    return QorganError(
        f"The {worker.role} worker ended unexpectedly (code {code}). Its last lines:\n" + "\n".join(last)
    )


@contextlib.contextmanager
def opened(folder: Path, settings: Mapping[str, str]) -> Iterator[Premises]:
    """Everything started with these settings (names without QORGAN_), and gone when the block ends."""
    with _no_other_settings(), rig(folder, kafka_home=None, **settings) as made:
        ours = {name.removeprefix(_PREFIX).lower(): value for name, value in made.environment.items()}
        premises = Premises(made, load(**ours))
        ensure(premises.settings)
        for role in PORT_OF:
            made.worker(role)
        yield premises


@contextlib.contextmanager
def _no_other_settings() -> Iterator[None]:
    """Settings in the environment speak of the user's own Qorgan, which must not get our records."""
    taken = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(_PREFIX) and name not in _KEPT}
    try:
        yield
    finally:
        os.environ.update(taken)
