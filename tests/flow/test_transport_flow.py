"""Record batches through Faust on the embedded broker."""

from __future__ import annotations

import asyncio
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.app import build_app, serve
from pipeline.embedded.children import Broker
from pipeline.logs import Logs
from pipeline.transport_logs import LogChangedError
from pipeline.transport_topics import records
from schemas.errors import Exit, UnreachableError
from schemas.event import RecordBatch
from tests.transporting import (
    Reader,
    committed,
    create,
    delete,
    fresh,
    numbered,
    processed,
    publish,
    reader,
    reading,
    running,
    start,
    until_consuming,
)

pytestmark = pytest.mark.flow


async def test_every_record_comes_once_in_unbroken_batches_and_is_committed(embedded_broker: Broker) -> None:
    kafka, topic = embedded_broker.address, fresh()
    create(kafka, topic, 3)
    await publish(kafka, topic, numbered(3_000), 3)
    settings = reading(kafka, fresh("g"), batch_records=400)
    async with running(reader(settings, topic)) as worker:
        await worker.until(lambda: len(worker.values) >= 3_000)
        log = await Logs(settings).current(topic)
    assert sorted(worker.values) == sorted(numbered(3_000))
    for partition in range(3):
        run = [batch for batch in worker.seen if batch.partition == partition]
        assert [batch.first for batch in run] == [0, *(batch.next for batch in run[:-1])]
        assert all(batch.log == log and len(batch.records) <= 400 for batch in run)
    assert {p: offset for p, (offset, _) in (await committed(kafka, settings, topic, 3)).items()} == dict.fromkeys(
        range(3), 1_000
    )


async def test_an_agent_that_raises_ends_the_worker_and_nothing_of_its_batch_is_committed(
    embedded_broker: Broker,
) -> None:
    """Faust acknowledges what an agent raised over, unless it is told not to; the batch after it must not count."""
    kafka, topic = embedded_broker.address, fresh()
    create(kafka, topic)
    await publish(kafka, topic, numbered(1_000))
    settings = reading(kafka, fresh("g"), batch_records=100)

    async def work(batch: RecordBatch) -> None:
        if batch.first == 300:
            await asyncio.sleep(1.2)  # let what is acknowledged be committed
            raise LookupError("no rules for this")

    with pytest.raises(LookupError):
        async with running(reader(settings, topic, work=work)) as worker:
            await worker.until(lambda: len(worker.values) >= 1_000)
    assert (await committed(kafka, settings, topic))[0][0] == 300
    async with running(reader(settings, topic)) as second:
        await second.until(lambda: len(second.values) >= 700)
    assert second.values == numbered(700, 300)


async def test_a_topic_created_again_ends_the_worker_and_the_next_reads_it_whole(embedded_broker: Broker) -> None:
    """Else records 100 to 299 of the new log are read, and its first hundred never."""
    kafka, topic = embedded_broker.address, fresh()
    create(kafka, topic)
    await publish(kafka, topic, numbered(100))
    settings = reading(kafka, fresh("g"))
    worker = reader(settings, topic)
    with pytest.raises(LogChangedError, match="deleted and created again"):
        await _created_again_under(worker, kafka, topic)
    async with running(reader(settings, topic)) as second:
        await second.until(lambda: len(second.values) >= 300)
    assert second.values == numbered(300, 1_000)


async def _created_again_under(worker: Reader, kafka: str, topic: str) -> None:
    async with running(worker):
        await worker.until(lambda: len(worker.values) == 100)
        delete(kafka, topic)
        create(kafka, topic)
        await publish(kafka, topic, numbered(300, 1_000))
        await worker.until(lambda: False)


async def test_a_record_of_twenty_megabytes_comes_through(embedded_broker: Broker) -> None:
    kafka, topic = embedded_broker.address, fresh()
    create(kafka, topic)
    await publish(kafka, topic, [b"before", b"x" * (20 << 20), b"after"])
    settings = reading(kafka, fresh("g"), fetch_bytes=64 << 10)
    async with running(reader(settings, topic)) as worker:
        await worker.until(lambda: len(worker.values) == 3)
    assert [len(value or b"") for value in worker.values] == [6, 20 << 20, 5]
    delete(kafka, topic)  # the embedded broker keeps everything in memory


async def test_a_slow_agent_holds_a_bounded_number_of_bytes(embedded_broker: Broker) -> None:
    kafka, topic = embedded_broker.address, fresh()
    create(kafka, topic, 2)
    await publish(kafka, topic, [b"x" * 10_000] * 600, 2)
    settings = reading(kafka, fresh("g"), fetch_bytes=64 << 10)
    held: list[int] = []

    async def work(batch: RecordBatch) -> None:
        held.append(sum(cursor.held_bytes for cursor in worker.app.consumer._cursors.values()))
        await asyncio.sleep(0.01)

    worker = reader(settings, topic, work=work)
    async with running(worker):
        await worker.until(lambda: len(worker.values) >= 600)
    limits = worker.app.transport_options.limits
    most_in_a_batch = limits.fetch_bytes + 250 * 10_000  # the limit is looked at every 250 records
    assert max(held) <= limits.held_bytes + most_in_a_batch
    delete(kafka, topic)


async def test_a_record_reaches_the_agent_soon_though_other_partitions_are_idle(embedded_broker: Broker) -> None:
    """Faust waits 1.5 s for idle partitions, which on this broker is 0.4 s for a record of a busy one, on each hop."""
    kafka, topic = embedded_broker.address, fresh()
    create(kafka, topic, 4)
    arrived: list[float] = []

    async def work(batch: RecordBatch) -> None:
        arrived.extend(time.time() - float(record.value or b"0") for record in batch.records)

    worker = reader(reading(kafka, fresh("g")), topic, work=work)
    async with running(worker):
        await worker.until(lambda: len(worker.app.consumer.cursor_status()) == 4)
        for _ in range(15):
            await publish(kafka, topic, [b"%f" % time.time()])
            await asyncio.sleep(0.05)
        await worker.until(lambda: len(arrived) == 15)
    assert statistics.median(arrived) < 0.35


async def test_the_stock_driver_reads_record_by_record_and_commits(embedded_broker: Broker) -> None:
    kafka, topic = embedded_broker.address, fresh()
    create(kafka, topic)
    await publish(kafka, topic, numbered(50))
    settings = reading(kafka, fresh("g"))
    for expected in (numbered(50), numbered(20, 50)):
        app = build_app(settings, "ingest", "stock", fast_join=True)
        seen: list[bytes] = []
        stopping = asyncio.Event()
        app.agent(records(app, topic), name=fresh("agent"), concurrency=1)(_collect(seen, len(expected), stopping))
        await asyncio.wait_for(serve(app, stopping), 30)
        assert seen == expected
        await publish(kafka, topic, numbered(20, 50))
    assert (await committed(kafka, settings, topic))[0][0] == 70


def _collect(seen: list[bytes], wanted: int, stopping: asyncio.Event) -> Callable[..., object]:
    async def read(stream) -> None:  # type: ignore[no-untyped-def] # a Faust agent
        async for event in stream.noack().events():
            seen.append(event.value)
            event.ack()
            if len(seen) == wanted:
                stopping.set()

    return read


async def test_an_unreachable_broker_is_a_sentence() -> None:
    with pytest.raises(UnreachableError, match="QORGAN_KAFKA"):
        await asyncio.wait_for(serve(reader(reading("127.0.0.1:1", "g"), "t").app, asyncio.Event()), 20)


async def test_sigterm_finishes_the_batch_in_hand_and_commits_it(embedded_broker: Broker, tmp_path: Path) -> None:
    kafka, topic = embedded_broker.address, fresh()
    create(kafka, topic)
    await publish(kafka, topic, numbered(100))
    settings = reading(kafka, fresh("g"))
    worker = start(settings, topic, folder=tmp_path, delay=1.0)
    await until_consuming(kafka, settings, topic)
    await asyncio.sleep(0.3)
    code, seconds = worker.end(signal.SIGTERM)
    assert (code, len(processed([worker]))) == (Exit.OK, 100)
    assert seconds < 6.0
    assert (await committed(kafka, settings, topic))[0][0] == 100


async def test_two_workers_share_a_topic_and_nothing_is_lost(embedded_broker: Broker) -> None:
    """The second joins and leaves while the first works: what one has finished is committed before the other begins,
    what it has not is read by the other."""
    kafka, topic = embedded_broker.address, fresh()
    create(kafka, topic, 4)
    settings = reading(kafka, fresh("g"), batch_records=20)

    async def work(batch: RecordBatch) -> None:
        await asyncio.sleep(0.01)

    first, second = reader(settings, topic, work=work), reader(settings, topic, work=work)
    published = 0

    async def more(seconds: float) -> None:
        nonlocal published
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await publish(kafka, topic, numbered(80, published), 4)
            published += 80
            await asyncio.sleep(0.05)

    async with running(first):
        await first.until(lambda: len(first.app.consumer.cursor_status()) == 4)
        await more(0.5)
        async with running(second):
            await asyncio.gather(more(2.0), second.until(lambda: bool(second.seen)))
        await more(1.0)
        wanted = set(numbered(published))
        await first.until(lambda: set(first.values) | set(second.values) >= wanted)
    repeated = Counter(first.values + second.values).total() - published
    assert repeated <= 20 * 4 * 2, "more than whole batches under work was read twice"
