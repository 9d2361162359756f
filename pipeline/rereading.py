"""Records of a partition read again, beside the stream: what a fold without a checkpoint must have seen.

It begins far enough back that everything which can still change a result is in it: the watermark at the position where
the stream goes on, which the marks before it tell, less the reach of the rules.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from detectors.correlation.parcels import Marks, UnreadableError, read
from detectors.correlation.partition import NEVER
from pipeline.checkpoints import At
from pipeline.storing_kafka import AioKafka
from schemas.event import Record
from sinks.clickhouse.ledger import Chain

#: Milliseconds further back than the rules reach: records may bear a time so far ahead of their own log.
MARGIN_MS: Final = 300_000
#: Records looked back at for the marks, at first; eight times as many at each further try.
LOOK_BACK: Final = 500


class Rereading:
    """Reads partitions again. Raises UnreachableError, and OutOfRangeError where records left the log meanwhile."""

    def __init__(self, kafka: AioKafka) -> None:
        self._kafka = kafka

    async def read(self, at: At, start: int | None, until: int, reach_ms: int) -> AsyncIterator[Record]:
        """The records below `until`: from `start`, or as far back as rules that reach back `reach_ms` need."""
        first = await self._kafka.first(at.topic, at.partition)
        begin = max(first, start) if start is not None else await self._start(at, first, until, reach_ms)
        async for record in self._range(at, begin, until):
            yield record

    async def close(self) -> None:
        """Let go of connections."""
        await self._kafka.close()

    async def _start(self, at: At, first: int, until: int, reach_ms: int) -> int:
        watermark = await self._watermark(at, first, until)
        if watermark is None:
            return first
        found = await self._kafka.at_time(at.topic, at.partition, watermark - reach_ms - MARGIN_MS)
        return min(until, max(first, found if found is not None else until))

    async def _watermark(self, at: At, first: int, until: int) -> int | None:
        """The least mark at `until`, less the lateness; None where the log does not tell."""
        back = LOOK_BACK
        while True:
            begin = max(first, until - back)
            last: Marks | None = None
            known: dict[str, int] = {}
            async for record in self._range(at, begin, until):
                try:
                    said = read(record.value)
                except UnreadableError:
                    continue
                if isinstance(said, Marks):
                    last = said
                    known |= said.read
            if last is not None:
                least = min([known.get(name, NEVER) for name in last.lanes()], default=NEVER)
                if least != NEVER:
                    return least - last.lateness
            if begin == first:
                return None
            back *= 8

    async def _range(self, at: At, begin: int, until: int) -> AsyncIterator[Record]:
        if begin >= until:
            return
        cursor = await self._kafka.open(Chain(at.log, at.topic, at.partition), begin)
        try:
            while cursor.position < until:
                for record in (await cursor.fetch()).records:
                    if record.offset < until:
                        yield record
        finally:
            await cursor.close()
