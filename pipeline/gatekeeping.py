"""The gate with its store: where values were seen, asked in bounded time; nobody waits for a store that is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

import structlog

from detectors.ioc.gate import Bounds, Gate
from pipeline.settings import Settings
from pipeline.warninglists import load_lists, load_suffixes, networks
from schemas.errors import QorganError
from schemas.event import Observable
from schemas.indicator_record import Seen
from sinks.clickhouse import check
from sinks.clickhouse.client import Address, Clients
from sinks.clickhouse.prevalence import prevalence

#: Days looked back at: three months.
DAYS: Final = 92
#: Seconds until a store that failed is asked again.
AGAIN_S: Final = 2.0
#: Seconds that one question may take, however large the store is.
MOST_S: Final = 30.0

log = structlog.get_logger("curate")


class Sweep(Protocol):
    """Where values were seen. Blocks; raises UnreachableError or HaltError."""

    def __call__(self, values: Iterable[Observable]) -> Mapping[Observable, Seen]: ...


class Sight(NamedTuple):
    """What the store answered: which values it was asked for, and those that it has seen."""

    asked: frozenset[Observable]
    seen: Mapping[Observable, Seen]

    def of(self, values: Iterable[Observable]) -> bool:
        """Whether it was asked for all of these."""
        return self.asked.issuperset(values)


NOTHING: Final = Sight(frozenset(), {})


class StoreSweep:
    """By the tables of the store, which are made if that is wanted and they are not there yet."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        at = settings.store
        ca = str(settings.clickhouse_ca) if settings.clickhouse_ca else None
        seconds = min(MOST_S, settings.clickhouse_timeout)
        self._clients = Clients(
            Address(at.host, at.port, at.user, at.password.get_secret_value(), at.secure, ca, seconds)
        )
        self._settings, self._clock = settings, clock
        self._ready = False

    def __call__(self, values: Iterable[Observable]) -> Mapping[Observable, Seen]:
        if not self._ready and self._settings.create:
            check.create(self._clients, self._settings.database, self._settings.events_days)
        self._ready = True
        since = datetime.fromtimestamp(self._clock(), UTC) - timedelta(days=DAYS)
        return prevalence(self._clients, self._settings.database, values, since.date())


class Gatekeeper:
    """Asks the sweep, and remembers when it failed. Used from one event loop."""

    def __init__(self, gate: Gate, sweep: Sweep, clock: Callable[[], float] = time.monotonic) -> None:
        self.gate = gate
        self._sweep, self._clock = sweep, clock
        self._away_until = 0.0
        self.away = ""
        """Why the store cannot be asked; empty while it can."""

    async def look(self, values: Sequence[Observable]) -> Sight:
        """Where these were seen; NOTHING while the store is away."""
        if not values or self._clock() < self._away_until:
            return NOTHING
        try:
            found = await asyncio.to_thread(self._sweep, values)
        except QorganError as error:
            if not self.away:
                log.warning(f"New indicators wait for the store. {error}")
            self.away, self._away_until = str(error), self._clock() + AGAIN_S
            return NOTHING
        self.away = ""
        return Sight(frozenset(values), found)


def build_gate(settings: Settings) -> Gate:
    """The gate of these settings. Takes about a second. Raises RefusedError."""
    bounds = Bounds(settings.gate_hosts, networks(settings.own_networks))
    return Gate(bounds, load_lists(settings.warning_lists, settings.warning_files), load_suffixes())
