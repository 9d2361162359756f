"""`qorgan hunt`: were these indicators ever seen? The stream's own parser, matcher and ids, over what is stored.

`observables` names the blocks, the events in them are parsed again, the same index decides (by a look-back, since feeds
set `valid_from` to publication: detectors/ioc/lookback.py), and detections go to `detections` marked retrospective.
Their ids are the stream's, so what was found already is found again without a second finding.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

from detectors.ioc.lookback import LookBack
from detectors.ioc.match import IndicatorIndex
from detectors.sigma.engine import Engine
from detectors.triage.attribution import Attribution
from pipeline.agents.raw_to_detections import outgoing
from pipeline.delivery import KafkaDelivery, Outgoing
from pipeline.detecting import DetectionSet
from pipeline.event_list import load_event_list
from pipeline.hunts.past import CHUNK_BYTES, Block, Past
from pipeline.indicators import load_indicators
from pipeline.kafka import aiokafka_options
from pipeline.logs import Logs
from pipeline.parsers import Reader
from pipeline.settings import Settings
from schemas.detection import Detection
from schemas.event import Observable, RecordBatch
from schemas.identity import Origin
from sinks.clickhouse.client import Address, Clients

TOPIC = "detections"
#: A question over a day of a large store takes longer than a worker's requests may.
LEAST_TIMEOUT_S = 300.0


class HuntProgress(NamedTuple):
    """How far a hunt is, after each day."""

    day: date
    days: int
    of: int
    events: int
    detections: int


@dataclass(slots=True)
class HuntSummary:
    """What a hunt did. Days are those of reception, UTC; `days` the number of them on which anything was stored."""

    since: date
    until: date
    revision: str
    """Of the indicators."""
    days: int = 0
    indicators: int = 0
    blocks: int = 0
    events: int = 0
    """Events that were read again."""
    unread: int = 0
    """Stored events that this version's parsers do not read."""
    detections: int = 0
    """Delivered."""
    found: set[str] = field(default_factory=set)
    """Ids of the indicators that were seen."""
    seconds: float = 0.0


class Delivers(Protocol):
    """Where detections go (`pipeline.delivery.Delivery`)."""

    async def send(self, topic: str, records: Sequence[Outgoing]) -> None: ...


def hunt(
    settings: Settings,
    files: Sequence[Path],
    *,
    since: float,
    progress: Callable[[HuntProgress], None] | None = None,
    now: float | None = None,
) -> HuntSummary:
    """Look for the indicators in `files` in what was received during the last `since` seconds.

    Blocks until all detections are delivered. Raises RefusedError for files that cannot be used, UnreachableError
    while ClickHouse or Kafka does not answer; run again, a hunt delivers the same detections.
    """
    started = time.monotonic()
    at = datetime.fromtimestamp(time.time() if now is None else now, UTC)
    index = load_indicators(files).index
    decide = DetectionSet(Engine(()), index, Attribution(load_event_list(settings.event_list)))
    look_back = LookBack(settings.lookback)
    search = Search(Past(clients(settings), settings.database), Reader(settings), decide, look_back)
    first = (at - timedelta(seconds=since)).date()
    summary = asyncio.run(_hunt(settings, search, first, at.date(), progress))
    summary.seconds = time.monotonic() - started
    return summary


async def _hunt(
    settings: Settings, search: Search, since: date, until: date, progress: Callable[[HuntProgress], None] | None
) -> HuntSummary:
    embedded = await Logs(settings).embedded()
    delivery = KafkaDelivery(aiokafka_options(settings), idempotent=not embedded)
    await delivery.start()
    try:
        return await search.run(delivery, since, until, progress)
    finally:
        await delivery.stop()


class Search:
    """One hunt over one store. Questions to the store run in a thread, one at a time."""

    def __init__(self, past: Past, reader: Reader, decide: DetectionSet, look_back: LookBack) -> None:
        self._past, self._reader, self._decide, self._look_back = past, reader, decide, look_back

    async def run(
        self,
        delivery: Delivers,
        since: date,
        until: date,
        progress: Callable[[HuntProgress], None] | None = None,
    ) -> HuntSummary:
        """Search the days from `since` on and deliver what is found."""
        index = self._decide.indicators
        summary = HuntSummary(since, until, index.revision, indicators=len(index))
        questions = list(chunks(index))
        days = await asyncio.to_thread(self._past.days, since) if questions else []
        summary.days = len(days)
        for number, day in enumerate(days, 1):
            # A block is searched once, whatever the number of questions that led to it.
            blocks: dict[tuple[str, int, str, int], Block] = {}
            for chunk in questions:
                for block in await asyncio.to_thread(self._past.blocks, day, chunk):
                    known = blocks.get(block.place)
                    blocks[block.place] = block if known is None else known.joined(block)
            for place in sorted(blocks):
                await self._search_block(blocks[place], delivery, summary)
            if progress is not None:
                progress(HuntProgress(day, number, len(days), summary.events, summary.detections))
        return summary

    async def _search_block(self, block: Block, delivery: Delivers, summary: HuntSummary) -> None:
        summary.blocks += 1
        pages = self._past.records(block)
        while (page := await asyncio.to_thread(next, pages, None)) is not None:
            batch = RecordBatch(block.log, block.topic, block.partition, page[0].offset, page[-1].offset + 1, page)
            found = self._judge(batch, summary)
            if found:
                await delivery.send(TOPIC, [outgoing(one) for one in found])
                summary.detections += len(found)
                summary.found.update(one.subject for one in found)

    def _judge(self, batch: RecordBatch, summary: HuntSummary) -> list[Detection]:
        reading = self._reader.read(batch)
        summary.events += len(reading.events)
        summary.unread += len(reading.dead)
        return [
            self._decide.of_indicator(
                Origin(batch.log, batch.topic, batch.partition, reading.events[match.index].offset),
                reading.events[match.index],
                match,
                retrospective=True,
            )
            for match in self._decide.indicators.match(reading.events, self._look_back)
        ]


def chunks(index: IndicatorIndex) -> Iterator[list[Observable]]:
    """The index's values, each once, type by type, as many at a time as one question takes."""
    chunk: list[Observable] = []
    held = 0
    for value in sorted(index.observables()):
        size = len(value.value.encode()) + 4  # quotes, comma, blank
        if chunk and held + size > CHUNK_BYTES:
            yield chunk
            chunk, held = [], 0
        chunk.append(value)
        held += size
    if chunk:
        yield chunk


def clients(settings: Settings) -> Clients:
    """The store of these settings, for questions that may take long."""
    at = settings.store
    ca = str(settings.clickhouse_ca) if settings.clickhouse_ca else None
    timeout = max(settings.clickhouse_timeout, LEAST_TIMEOUT_S)
    return Clients(Address(at.host, at.port, at.user, at.password.get_secret_value(), at.secure, ca, timeout))
