"""What tests of curate stand on: documents in a line, a gate without lists, a delivery and a topic in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detectors.ioc.gate import Bounds, Gate
from detectors.ioc.warning import WarningLists
from pipeline.agents.indicators_to_gated import IndicatorsToGated
from pipeline.catalogue import Catalogue
from pipeline.delivery import Outgoing
from pipeline.gated import TOPIC, Read
from pipeline.gatekeeping import Gatekeeper
from pipeline.metrics import Metrics
from schemas.errors import UnreachableError
from schemas.event import Observable
from schemas.indicator_record import SETTLED_KEY, Document, Gated, Pair, Seen, Value

NOW = 1_790_000_000_000


def document(ident: str = "1", *names: str, source: str = "soc", at: int = NOW, **also: Any) -> Document:
    """One indicator of these domains."""
    values = tuple(Value(type="domain", value=name) for name in names or (f"{ident}.example",))
    return Document(source=source, id=ident, values=values, at=at, **also)


def seen_on(name: str, hosts: int) -> dict[Observable, Seen]:
    """A domain that so many hosts asked for."""
    told = Seen(type="domain", value=name, hosts=hosts, count=hosts, first=NOW - 5, last=NOW, samples=("ws-1",))
    return {Observable("domain", name): told}


class FakeTopics:
    """Everything that was delivered, in order; may refuse."""

    def __init__(self) -> None:
        self.log = "log-1"
        self.records: dict[str, list[Outgoing]] = {}
        self.down = False

    async def send(self, topic: str, records: Sequence[Outgoing]) -> None:
        if self.down:
            raise UnreachableError("Kafka is away.")
        self.records.setdefault(topic, []).extend(records)

    async def current(self, topic: str) -> str:
        return self.log

    def gated(self) -> list[Gated]:
        """Every revision, in order."""
        return [Gated.from_bytes(one.value) for one in self.records.get(TOPIC, []) if one.key != SETTLED_KEY]

    def last(self) -> dict[Pair, Gated]:
        """The last record of each indicator: what a compacted topic keeps."""
        return {one.key: one for one in self.gated()}

    def states(self) -> dict[str, str]:
        """Id → state."""
        return {ident: one.state for (_, ident), one in sorted(self.last().items())}

    def reader(self, start: int = 0) -> Any:
        return FakeReader(self, start)


class FakeReader:
    """A reading of what was delivered."""

    def __init__(self, topics: FakeTopics, start: int) -> None:
        self._topics, self._at = topics, start

    def read(self) -> Read:
        there = self._topics.records.get(TOPIC, [])
        piece = there[self._at : self._at + 3]
        self._at += len(piece)
        return Read([(one.key or b"", one.value) for one in piece], self._at, self._at >= len(there))

    def close(self) -> None: ...


class FakeSweep:
    """Where values were seen; or away."""

    def __init__(self, found: Mapping[Observable, Seen] | None = None) -> None:
        self.found = dict(found or {})
        self.away = False
        self.asked: list[Observable] = []

    def __call__(self, values: Iterable[Observable]) -> Mapping[Observable, Seen]:
        if self.away:
            raise UnreachableError("ClickHouse is away.")
        self.asked += values
        return {value: self.found[value] for value in values if value in self.found}


class Curating:
    """An agent over a folder, with everything around it in memory. `again` is a restart."""

    def __init__(self, folder: Path, topics: FakeTopics | None = None, sweep: FakeSweep | None = None) -> None:
        self.folder = folder
        self.topics, self.sweep = topics or FakeTopics(), sweep or FakeSweep()
        self.now = NOW
        self.metrics = Metrics()
        self.lists = WarningLists()
        self.keeper = Gatekeeper(Gate(Bounds(hosts=10), self.lists, lambda _: False), self.sweep, self.seconds)
        self.catalogue = Catalogue(folder / "catalogue.sqlite")
        self.agent = IndicatorsToGated(
            self.catalogue,
            self.keeper,
            self.topics,
            self.topics,
            self.metrics,
            reserved=frozenset(("regulator",)),
            reader=self.topics.reader,
            wall=lambda: self.now,
        )

    def seconds(self) -> float:
        return self.now / 1000

    async def again(self) -> Curating:
        """The same in a new process."""
        await self.agent.release()
        return Curating(self.folder, self.topics, self.sweep)


Acked = Callable[[], None]
