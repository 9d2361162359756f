"""ingest's side of correlations: contributions go to the partition of their group, marks to every partition.

A mark stands in a partition behind the contributions that it speaks of: it is sent when these are delivered. Where no
correlation is in force nothing is sent.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol, cast

import structlog

from detectors.audit.parcels import packed as packed_pieces
from detectors.audit.piece import Piece
from detectors.correlation.contribution import Contribution
from detectors.correlation.parcels import Marks as Said
from detectors.correlation.parcels import packed
from detectors.correlation.placement import MAX_KNOWN, Placement
from detectors.correlation.resolve import NO_CORRELATIONS, Correlations
from pipeline.delivery import Delivery, Outgoing
from pipeline.joining import late
from pipeline.marks import Flight, Marks
from pipeline.metrics import Metrics
from pipeline.settings import Settings
from pipeline.transport_cursor import CursorStatus
from schemas.errors import QorganError, UnreachableError
from schemas.event import RecordBatch

TOPIC: Final = "contributions"
#: Seconds between two tellings of marks, and between two looks at what there is to read.
TELL_S: Final = 1.0
LOOK_S: Final = 10.0
#: Marks are told again after so many seconds though nothing moved: a reader that begins anew waits for them.
AGAIN_S: Final = 30.0
#: Signs of life remembered; forgetting costs sending them once more.
MAX_SIGNS: Final = 50_000

log = structlog.get_logger("ingest")


class Logs(Protocol):
    """What is asked of `pipeline.logs.Logs`."""

    async def current(self, topic: str) -> str: ...
    async def partitions(self, topic: str) -> int: ...


class Contributing:
    """One process's contributions and marks. Used from one event loop. `clock`: monotonic; `wall`: milliseconds UTC."""

    def __init__(
        self,
        settings: Settings,
        logs: Logs,
        delivery: Delivery,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._settings, self._logs, self._delivery, self._metrics = settings, logs, delivery, metrics
        self._clock = clock
        lateness = {topic: int(settings.for_topic(topic).lateness * 1000) for topic in settings.raw_topics}
        self._lateness = max(lateness.values())
        self._marks = Marks(wall, lambda topic: lateness.get(topic, self._lateness))
        self._rules = NO_CORRELATIONS
        self._revisions: dict[str, str] = {}
        self._placement = Placement(NO_CORRELATIONS, 1)
        self._partitions = 0
        self._hosts: dict[str, int] = {}
        self._silences: frozenset[str] = frozenset()
        self._signs: set[tuple[str, str, int, str, bool]] = set()
        self._topics: Mapping[str, tuple[str, int]] = {}
        self._tell_at = self._look_at = 0.0
        self._again_at = clock() + AGAIN_S
        self._telling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Ask how many partitions the topic has. Raises RefusedError where there is none, UnreachableError."""
        self._partitions = await self._logs.partitions(TOPIC)

    def began(self, batch: RecordBatch) -> Flight:
        """A batch is being judged; its flight is delivered when its outcome is durable."""
        return self._marks.began(batch)

    def read(
        self, part: RecordBatch, contributions: Sequence[Contribution], pieces: Sequence[Piece] = ()
    ) -> tuple[Sequence[Contribution], Sequence[Piece]]:
        """A part of a batch is read: what it contributes, and its audit records to be joined, late where its
        partition's mark says so."""
        if not pieces:
            return self._marks.read(part, contributions), ()
        made: Sequence[Contribution | Piece] = self._marks.read(part, [*contributions, *pieces])
        own = cast(list[Contribution], made[: len(contributions)])  # in the order in which they were given
        return own, late(cast(list[Piece], made[len(own) :]), self._marks.at(part))

    def parcels(self, rules: Correlations, contributions: Iterable[Contribution]) -> list[Outgoing]:
        """The records that carry them. `rules`: the set that made them."""
        if rules is not self._rules:
            self._rules = rules
            self._placement = Placement(rules, self._partitions)
            self._revisions = {rule.id: rule.revision for rule in rules.ordered}
            self._silences = frozenset(rule.id for rule in rules.silences)
        by_partition: dict[int, list[Contribution]] = {}
        for one in contributions:
            if one.correlation in self._silences and not self._first_sign(one):
                continue
            by_partition.setdefault(self._placement.partition(one.correlation, one.group), []).append(one)
        return [
            Outgoing(None, value, partition=partition)
            for partition, mine in sorted(by_partition.items())
            for value in packed(mine, self._revisions)
        ]

    def joins(self, pieces: Sequence[Piece]) -> list[Outgoing]:
        """The records that carry audit records to where those of their host are joined."""
        by_partition: dict[int, list[Piece]] = {}
        for one in pieces:
            by_partition.setdefault(self._of_host(one.key.host), []).append(one)
        self._metrics["audit_pieces_total"].labels(outcome="sent").inc(len(pieces))
        return [
            Outgoing(None, value, partition=partition)
            for partition, mine in sorted(by_partition.items())
            for value in packed_pieces(mine)
        ]

    def _of_host(self, host: str) -> int:
        known = self._hosts.get(host)
        if known is None:
            if len(self._hosts) >= MAX_KNOWN:
                self._hosts.clear()
            digest = hashlib.blake2b(host.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            known = self._hosts[host] = int.from_bytes(digest) % self._partitions
        return known

    def _first_sign(self, sign: Contribution) -> bool:
        """Whether a lane tells of a source in this minute for the first time: the offsets of others are higher, so they
        add nothing, and every batch would hold some."""
        known = (sign.correlation, sign.group, sign.time, sign.lane, sign.late)
        if known in self._signs:
            return False
        if len(self._signs) >= MAX_SIGNS:
            self._signs.clear()
        self._signs.add(known)
        return True

    def dropped(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Count matches that gave nothing for want of a value."""
        for (_, what), count in counts.items():
            self._metrics["contributions_total"].labels(outcome=f"no_{what}").inc(count)

    def tick(self, rules: Correlations, cursors: Sequence[CursorStatus], *, joins: bool = False) -> None:
        """Look at the cursors; when it is time, tell the marks. `joins`: audit records are joined."""
        self._marks.look(cursors)
        if self._telling is not None and self._telling.done():
            telling, self._telling = self._telling, None
            telling.result()
        now = self._clock()
        if (rules.ordered or joins) and self._telling is None and now >= self._tell_at:
            self._tell_at = now + TELL_S
            self._telling = asyncio.create_task(self._tell(now))

    async def stop(self) -> None:
        """Give up what is being told: whoever owns the partitions next tells it."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait([self._telling])

    async def _tell(self, now: float) -> None:
        if now >= self._look_at:
            await self._look()
            self._look_at = now + LOOK_S
        if now >= self._again_at:
            self._again_at = now + AGAIN_S
            self._marks.again()
        due = self._marks.due()
        if due and self._topics:
            value = Said(due, self._topics, self._lateness).to_bytes()
            try:
                await self._delivery.send(
                    TOPIC, [Outgoing(None, value, partition=at) for at in range(self._partitions)]
                )
            except UnreachableError as error:  # nothing rests on them but time
                log.warning("marks are not delivered, to be told again", error=str(error))
                self._marks.again()

    async def _look(self) -> None:
        """What there is to read: a topic that cannot be asked for stays as it was known."""
        try:
            self._topics = {
                topic: (await self._logs.current(topic), await self._logs.partitions(topic))
                for topic in self._settings.raw_topics
            }
        except QorganError as error:
            log.warning("the partitions of raw topics cannot be read; marks go on with those known", error=str(error))
