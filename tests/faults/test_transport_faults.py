"""A worker that only reads is killed, stuck and broken, on the embedded broker."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path

import pytest

from pipeline.embedded.children import Broker
from schemas.errors import Exit
from tests.transporting import (
    Process,
    committed,
    create,
    fresh,
    numbered,
    processed,
    publish,
    reader,
    reading,
    running,
    start,
    until,
    until_consuming,
)

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


async def test_three_kills_under_load_lose_nothing(embedded_broker: Broker, tmp_path: Path) -> None:
    """Two workers, one of them killed three times in the middle of its work: published minus processed is empty."""
    kafka, topic = embedded_broker.address, fresh()
    create(kafka, topic, 4)
    settings = reading(kafka, fresh("g"), batch_records=50)
    dice = random.Random(3)
    steady = start(settings, topic, folder=tmp_path, delay=0.02)
    workers: list[Process] = [steady]
    published = 0
    for _ in range(3):
        victim = start(settings, topic, folder=tmp_path, delay=0.02)
        workers.append(victim)
        while not victim.lines():
            assert published < 200_000, "the worker never got a record"
            await publish(kafka, topic, numbered(400, published), 4)
            published += 400
            await asyncio.sleep(0.1)
        await asyncio.sleep(dice.uniform(0.0, 0.5))
        victim.end(signal.SIGKILL)
    wanted = {f"{number % 4} {number}" for number in range(published)}
    await until(lambda: wanted <= processed(workers).keys(), 60)
    assert steady.end(signal.SIGTERM)[0] == Exit.OK
    assert processed(workers).keys() == wanted


async def test_a_stuck_worker_does_not_keep_its_partitions_from_the_others(embedded_broker: Broker) -> None:
    """Faust waits for the stuck agent for ever, in the middle of the rebalance, and no one reads its partitions."""
    kafka, topic = embedded_broker.address, fresh()
    create(kafka, topic, 2)
    await publish(kafka, topic, numbered(100), 2)
    settings = reading(kafka, fresh("g"))

    async def stuck(batch: object) -> None:
        await asyncio.Event().wait()

    async with running(reader(settings, topic, work=stuck)) as first:
        await first.until(lambda: len(first.app.consumer.cursor_status()) == 2)
        async with running(reader(settings, topic)) as second:
            await second.until(lambda: len(second.values) == 50, 30)
            await first.stop()
            await second.until(lambda: len(second.values) == 100, 30)
    assert sorted(second.values) == sorted(numbered(100))


async def test_sigterm_is_obeyed_though_the_agent_is_stuck_and_its_batch_stays_uncommitted(
    embedded_broker: Broker, tmp_path: Path
) -> None:
    """Faust waits for the agent for ever."""
    kafka, topic = embedded_broker.address, fresh()
    create(kafka, topic)
    await publish(kafka, topic, numbered(100))
    settings = reading(kafka, fresh("g"), stop_timeout=3.0)
    worker = start(settings, topic, folder=tmp_path, mode="stuck")
    await until_consuming(kafka, settings, topic)
    await asyncio.sleep(0.3)
    _, seconds = worker.end(signal.SIGTERM)
    assert seconds < 4.0
    assert (await committed(kafka, settings, topic))[0][0] == 0


async def test_a_process_whose_agent_raises_ends_with_a_code_that_says_so(
    embedded_broker: Broker, tmp_path: Path
) -> None:
    kafka, topic = embedded_broker.address, fresh()
    create(kafka, topic)
    await publish(kafka, topic, numbered(10))
    worker = start(reading(kafka, fresh("g")), topic, folder=tmp_path, mode="raise")
    assert await asyncio.to_thread(worker.child.wait, 30) == Exit.FAILED
