"""Record batches on Apache Kafka: what the embedded broker cannot do."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as Partition
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from pipeline.embedded.children import Broker
from pipeline.logs import Logs
from pipeline.settings import Settings
from pipeline.transport_logs import LogChangedError
from tests import embedded
from tests.transporting import (
    Reader,
    committed,
    create,
    delete,
    fresh,
    group_member,
    numbered,
    publish,
    reader,
    reading,
    running,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def node() -> Iterator[Broker]:
    with embedded.kafka_node(properties={"group.min.session.timeout.ms": "1000"}) as child:
        yield child


def tail(kafka: str, topic: str) -> int:
    """The log's end, control records counted."""
    from confluent_kafka import Consumer

    asking = Consumer({"bootstrap.servers": kafka, "group.id": fresh("asking")})
    try:
        return int(asking.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)[1])
    finally:
        asking.close()


def truncate(kafka: str, topic: str, before: int) -> None:
    """Delete the records before that offset, as retention does."""
    admin, partition = AdminClient({"bootstrap.servers": kafka}), TopicPartition(topic, 0, before)
    admin.delete_records([partition])[partition].result(20)


async def transactions(kafka: str, topic: str, values: list[list[bytes]], *, abort: bool = False) -> None:
    """Each inner list is a transaction; the log gets a marker after it."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=fresh("tx"))
    await producer.start()
    try:
        for several in values:
            await producer.begin_transaction()
            for value in several:
                await producer.send_and_wait(topic, value)
            await (producer.abort_transaction() if abort else producer.commit_transaction())
    finally:
        await producer.stop()


async def all_committed(worker: Reader, kafka: str, topic: str) -> None:
    end = tail(kafka, topic)
    await worker.until(lambda: [status.committed for status in worker.app.consumer.cursor_status()] == [end])


async def test_control_records_leave_no_hole_and_are_committed_over(node: Broker) -> None:
    """Markers between records, a fetch of nothing but markers at the end, and records after that."""
    kafka, topic = node.address, fresh()
    create(kafka, topic)
    await transactions(kafka, topic, [[value] for value in numbered(20)])
    settings = reading(kafka, fresh("g"))
    worker = reader(settings, topic)
    async with running(worker):
        await worker.until(lambda: len(worker.values) == 20)
        await transactions(kafka, topic, [[]])
        await transactions(kafka, topic, [[b"20"]])
        await worker.until(lambda: len(worker.values) == 21)
        await all_committed(worker, kafka, topic)
    assert worker.values == numbered(21)
    assert [batch.first for batch in worker.seen] == [0, *(batch.next for batch in worker.seen[:-1])]
    assert (await committed(kafka, settings, topic))[0][0] == tail(kafka, topic) == 42


async def test_a_fetch_of_a_marker_alone_is_a_batch_without_records(node: Broker) -> None:
    """The record is read before its transaction ends; then only the marker comes."""
    kafka, topic = node.address, fresh()
    create(kafka, topic)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=fresh("tx"))
    await producer.start()
    worker = reader(reading(kafka, fresh("g")), topic)
    async with running(worker):
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"0")
        await worker.until(lambda: worker.values == [b"0"])
        await producer.commit_transaction()
        await worker.until(lambda: len(worker.seen) == 2)
        await all_committed(worker, kafka, topic)
    await producer.stop()
    assert [(batch.first, batch.next, len(batch.records)) for batch in worker.seen] == [(0, 1, 1), (1, 2, 0)]


async def test_every_compression_is_read(node: Broker) -> None:
    kafka, topic = node.address, fresh()
    create(kafka, topic)
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        await publish(kafka, topic, [codec.encode() * 10], compression_type=codec)
    worker = reader(reading(kafka, fresh("g")), topic)
    async with running(worker):
        await worker.until(lambda: len(worker.values) == 4)
    assert worker.values == [codec * 10 for codec in (b"gzip", b"snappy", b"lz4", b"zstd")]


async def test_a_commit_carries_the_logs_id_and_the_next_worker_goes_on_there(node: Broker) -> None:
    kafka, topic = node.address, fresh()
    create(kafka, topic)
    await publish(kafka, topic, numbered(100))
    settings = reading(kafka, fresh("g"))
    async with running(reader(settings, topic)) as first:
        await first.until(lambda: len(first.values) == 100)
    assert await committed(kafka, settings, topic) == {0: (100, await Logs(settings).current(topic))}
    await publish(kafka, topic, numbered(50, 100))

    async def never(topic: str, partition: int) -> str | None:
        raise AssertionError("the ledger was asked though the commit says its log")

    async with running(reader(settings, topic, stored_log=never)) as second:
        await second.until(lambda: len(second.values) >= 50)
    assert second.values == numbered(50, 100)


async def test_a_commit_that_carries_another_log_is_not_used(node: Broker) -> None:
    kafka, topic = node.address, fresh()
    create(kafka, topic)
    await publish(kafka, topic, numbered(100))
    settings = reading(kafka, fresh("g"))
    await commit_by_hand(settings, topic, 60, "0123456789abcdef")
    async with running(reader(settings, topic)) as worker:
        await worker.until(lambda: len(worker.values) >= 100)
    assert worker.values == numbered(100)


@pytest.mark.parametrize("offset", [30, 130], ids=["gone", "not yet there"])
async def test_a_committed_offset_out_of_range_starts_at_the_first_position_and_what_is_gone_is_told(
    node: Broker, offset: int
) -> None:
    kafka, topic = node.address, fresh()
    create(kafka, topic)
    await publish(kafka, topic, numbered(100))
    truncate(kafka, topic, 60)
    settings = reading(kafka, fresh("g"))
    await commit_by_hand(settings, topic, offset, await Logs(settings).current(topic))
    gaps: list[object] = []
    async with running(reader(settings, topic, on_detection_gap=lambda *gap: gaps.append(gap))) as worker:
        await worker.until(lambda: len(worker.values) >= 40)
    assert worker.values == numbered(40, 60)
    assert gaps == ([((topic, 0), 30, 60)] if offset == 30 else [])


async def test_a_log_truncated_under_a_lagging_worker_ends_it_and_the_next_tells_what_is_gone(node: Broker) -> None:
    """aiokafka would leap to the first record that is left, and nobody would know."""
    kafka, topic = node.address, fresh()
    create(kafka, topic)
    await publish(kafka, topic, [b"x" * 50_000] * 200)
    settings = reading(kafka, fresh("g"), fetch_bytes=64 << 10)
    go = asyncio.Event()

    async def work(batch: object) -> None:
        await go.wait()

    with pytest.raises(LogChangedError, match="no longer has the position"):
        await _truncated_under(reader(settings, topic, work=work), kafka, topic, go)
    gaps: list[tuple[object, int, int]] = []
    async with running(reader(settings, topic, on_detection_gap=lambda *gap: gaps.append(gap))) as second:
        await second.until(lambda: len(second.values) >= 10)
    assert [(until - since > 0, until) for _, since, until in gaps] == [(True, 190)]


async def _truncated_under(worker: Reader, kafka: str, topic: str, go: asyncio.Event) -> None:
    async with running(worker):
        await worker.until(lambda: [status.committed for status in worker.app.consumer.cursor_status()] == [0])
        truncate(kafka, topic, 190)
        go.set()
        await worker.until(lambda: False)


async def test_a_topic_created_again_under_a_worker_is_read_whole(node: Broker) -> None:
    """Kafka takes the partition away in between: the worker may end, or be given the new log; none may be skipped."""
    kafka, topic = node.address, fresh()
    create(kafka, topic)
    await publish(kafka, topic, numbered(100))
    settings = reading(kafka, fresh("g"))
    workers = [reader(settings, topic)]
    with contextlib.suppress(LogChangedError):
        await _created_again_under(workers[0], kafka, topic)
    new = await Logs(settings).current(topic)
    if not _read_of(workers, new) >= set(numbered(300, 1_000)):
        workers.append(reader(settings, topic))
        async with running(workers[1]):
            await workers[1].until(lambda: _read_of(workers, new) >= set(numbered(300, 1_000)))
    assert await committed(kafka, settings, topic) == {0: (300, new)}


def _read_of(workers: list[Reader], log: str) -> set[bytes | None]:
    return {record.value for worker in workers for b in worker.seen if b.log == log for record in b.records}


async def _created_again_under(worker: Reader, kafka: str, topic: str) -> None:
    async with running(worker):
        await worker.until(lambda: len(worker.values) == 100)
        delete(kafka, topic)
        create_when_gone(kafka, topic)
        await publish(kafka, topic, numbered(300, 1_000))
        await worker.until(lambda: len(worker.values) == 400, 60)


def create_when_gone(kafka: str, topic: str) -> None:
    """Kafka deletes in the background."""
    for _ in range(100):
        with contextlib.suppress(Exception):
            return create(kafka, topic)
        time.sleep(0.1)
    raise AssertionError("the topic was not deleted within ten seconds")


async def commit_by_hand(settings: Settings, topic: str, offset: int, metadata: str) -> None:
    """What another worker might have committed."""
    async with group_member(settings.kafka, settings) as consumer:
        consumer.assign([Partition(topic, 0)])
        await consumer.commit({Partition(topic, 0): OffsetAndMetadata(offset, metadata)})
