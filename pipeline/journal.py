"""Where the journal's truth lies, and who may write it: files on the embedded broker, the topic on Apache Kafka.

Both fence, read to the stable end, then append. With files the fence is a lock and the topic gets a copy of whatever
it lacks, since the embedded broker forgets. With the topic the fence is a transactional producer (a second one with
our name shuts the first one out) and what is written together is one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.delivery import Delivery, Outgoing
from pipeline.kafka import EMBEDDED_PREFIX, aiokafka_options
from pipeline.settings import Settings
from schemas.errors import RefusedError, UnreachableError
from schemas.journal import GENESIS, BrokenJournalError, Head, Sealed, unseal
from sinks.journal.files import FileJournal, read

TOPIC = "journal"
KEY = b"journal"
#: Seconds without any progress after which the broker counts as unreachable.
PATIENCE_S = 30.0
COPY_RECORDS = 500

log = structlog.get_logger("journal")


class Journal(Protocol):
    """The journal's only writer, from `take` to `close`. `head` is the end of the chain."""

    @property
    def head(self) -> Head: ...

    async def take(self, apply: Callable[[Sealed], None]) -> None:
        """Shut others out and read all entries in order into `apply`. May wait for another writer to go, bounded.

        Raises RefusedError where the journal must not be written to, UnreachableError where it cannot be had.
        """

    async def append(self, entries: Sequence[Sealed]) -> None:
        """Write entries together; durable when it returns. After an error nothing more may be written."""

    async def close(self) -> None:
        """Let the next writer in. May be called at any time, more than once."""


def journal_folder(settings: Settings) -> Path:
    """Where the journal's files lie."""
    return settings.state_dir / "journal"


def in_files(settings: Settings, cluster: str) -> bool:
    """Whether the journal's truth lies in files; `cluster` is the broker's id."""
    if settings.journal == "auto":
        return cluster.startswith(EMBEDDED_PREFIX)
    return settings.journal == "files"


def open_journal(settings: Settings, cluster: str, delivery: Delivery) -> Journal:
    """The journal that these settings mean, not taken yet."""
    options = aiokafka_options(settings)
    if in_files(settings, cluster):
        return FilesJournal(journal_folder(settings), options, delivery)
    return TopicJournal(options, f"{settings.group}.journal")


class FilesJournal:
    """Files are the truth; the topic is a copy for those who listen."""

    def __init__(self, folder: Path, options: dict[str, Any], delivery: Delivery) -> None:
        self._folder = folder
        self._files = FileJournal(folder)
        self._options = options
        self._delivery = delivery

    @property
    def head(self) -> Head:
        return self._files.head

    async def take(self, apply: Callable[[Sealed], None]) -> None:
        await asyncio.to_thread(self._files.take, wait=PATIENCE_S)
        try:
            copied = await copied_head(self._options)
            await asyncio.to_thread(self._read, apply, copied)
            await self._copy_after(copied)
        except BaseException:
            self._files.close()
            raise

    async def append(self, entries: Sequence[Sealed]) -> None:
        await asyncio.to_thread(self._files.append, entries)
        await self._delivery.send(TOPIC, [Outgoing(KEY, sealed.line) for sealed in entries])

    async def close(self) -> None:
        self._files.close()

    def _read(self, apply: Callable[[Sealed], None], copied: Head) -> None:
        def compare(sealed: Sealed) -> None:
            if sealed.head.seq == copied.seq and sealed.head.hash != copied.hash:
                raise BrokenJournalError(copied.seq, "the topic `journal` holds another entry in its place")
            apply(sealed)

        cut = self._files.read(compare)
        if cut:
            log.warning("a write that a crash tore was cut off the journal", bytes=cut, entries=self.head.seq)
        if self.head.seq < copied.seq:
            # Files are written first, so a copy that holds more means that the files were cut or exchanged.
            raise BrokenJournalError(
                self.head.seq + 1, f"it stands in the topic `journal`, but no longer in {self._folder}"
            )

    async def _copy_after(self, copied: Head) -> None:
        if copied.seq >= self.head.seq:
            return
        lines = (Outgoing(KEY, sealed.line) for sealed in read(self._folder) if sealed.head.seq > copied.seq)
        while chunk := await asyncio.to_thread(lambda: list(islice(lines, COPY_RECORDS))):
            await self._delivery.send(TOPIC, chunk)
        log.info("the topic `journal` got the entries that it lacked", entries=self.head.seq - copied.seq)


class TopicJournal:
    """The topic is the truth, written in transactions."""

    def __init__(self, options: dict[str, Any], name: str) -> None:
        self._options = options
        self._name = name
        self._producer: AIOKafkaProducer | None = None
        self._head = GENESIS

    @property
    def head(self) -> Head:
        return self._head

    async def take(self, apply: Callable[[Sealed], None]) -> None:
        self._head = GENESIS
        self._producer = AIOKafkaProducer(
            **self._options, transactional_id=self._name, acks="all", compression_type="lz4", max_request_size=4_000_000
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._producer.start()
            async for line in topic_lines(self._options, committed=True):
                sealed = unseal(self._head, line)
                self._head = sealed.head
                apply(sealed)
        except (KafkaError, TimeoutError) as error:
            await self.close()
            raise UnreachableError(
                f"The topic `journal` cannot be taken over ({type(error).__name__}). Kafka must allow transactions "
                f"with the id {self._name}; or set QORGAN_JOURNAL=files."
            ) from error
        except BaseException:
            await self.close()
            raise

    async def append(self, entries: Sequence[Sealed]) -> None:
        producer = self._producer
        if producer is None:
            raise UnreachableError("The topic `journal` is not held by this process; nothing was written.")
        if not entries:
            return
        try:
            async with asyncio.timeout(PATIENCE_S), producer.transaction():
                sent = [await producer.send(TOPIC, sealed.line, key=KEY, partition=0) for sealed in entries]
                await asyncio.gather(*sent)
        except (KafkaError, TimeoutError) as error:
            await self.close()
            raise UnreachableError(
                f"{len(entries)} entries of the journal were not written ({type(error).__name__}). "
                "Another writer may have taken over; nothing was acknowledged, all is read again after the restart."
            ) from error
        self._head = entries[-1].head

    async def close(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()


async def copied_head(options: dict[str, Any]) -> Head:
    """The end of the chain that the topic holds; a repeated entry is passed over."""
    head = GENESIS
    async for line in topic_lines(options, committed=False):
        if _seq(line) > head.seq:
            head = unseal(head, line).head
    return head


async def topic_lines(options: dict[str, Any], *, committed: bool) -> AsyncIterator[bytes]:
    """The values of the topic `journal` from its first to its stable end. Raises UnreachableError."""
    async with _consumer(options, committed=committed) as consumer:
        partition = TopicPartition(TOPIC, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_S
        while True:
            records = (await consumer.getmany(timeout_ms=200)).get(partition, ())
            for record in records:
                yield record.value or b""
            # The high watermark of a fetch is right on both brokers; `end_offsets` is not on the embedded one.
            end = consumer.highwater(partition)
            if not records and end is not None and await consumer.position(partition) >= end:
                return
            if records:
                deadline = loop.time() + PATIENCE_S
            elif loop.time() > deadline:
                raise UnreachableError(f"The topic `journal` could not be read to its end within {PATIENCE_S:.0f} s.")


@asynccontextmanager
async def _consumer(options: dict[str, Any], *, committed: bool) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **options,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed" if committed else "read_uncommitted",
        fetch_max_wait_ms=100,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            await consumer.start()
        yield consumer
    except (KafkaError, TimeoutError) as error:
        raise UnreachableError(f"The topic `journal` cannot be read: {type(error).__name__}.") from error
    finally:
        await consumer.stop()


def _seq(line: bytes) -> int:
    try:
        return int(orjson.loads(line)["seq"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        raise RefusedError("The topic `journal` holds a record that is no entry; someone else writes to it.") from None
