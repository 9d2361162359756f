"""Storing on the embedded pair: both of them come and go, and every record is stored once."""

from __future__ import annotations

import asyncio
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.embedded.children import Broker, Store
from pipeline.logs import Logs
from pipeline.settings import Settings
from pipeline.storing import open_store
from sinks.clickhouse.ledger import broken
from tests import embedded
from tests.storing_stream import expected, origins, publish, start, storing, until
from tests.transporting import create, delete, fresh

pytestmark = pytest.mark.flow


def settings_of(kafka: str, url: str, database: str, **more: object) -> Settings:
    return Settings(kafka=kafka, clickhouse=url, database=database, block_rows=400, clickhouse_timeout=5.0, **more)


@pytest.fixture
def topic(embedded_broker: Broker) -> str:
    name = fresh("raw.storing")
    create(embedded_broker.address, name, 2)
    return name


async def test_the_store_goes_away_and_comes_back_and_everything_is_stored_once(
    embedded_broker: Broker, topic: str, tmp_path: Path
) -> None:
    with embedded.store(tmp_path) as first:
        settings, port = settings_of(embedded_broker.address, first.url, "q"), first.port
        log = await Logs(settings).current(topic)
        async with storing(settings, topic) as made:
            await publish(settings.kafka, topic, 1_000)
            await until(lambda: sum((s.tail or 0) + 1 for s in made.status()) == 1_000)
            first.kill()
            await publish(settings.kafka, topic, 1_500)
            await until(lambda: not made.up and {s.state for s in made.status()} == {"waiting"})
            assert made._means.budget.held == 0
            with embedded.store(tmp_path, port):
                await until(lambda: sum((s.tail or 0) + 1 for s in made.status()) == 2_500)
                assert origins(settings, topic) == expected(log, 2_500)
                ledger = open_store(settings).ledger
                assert [broken(ledger.chain(chain)) for chain in ledger.chains()] == [None, None]


async def test_a_storer_killed_in_the_middle_of_blocks_loses_and_doubles_nothing(
    embedded_broker: Broker, embedded_store: Store, topic: str
) -> None:
    given = {
        "kafka": embedded_broker.address,
        "clickhouse": embedded_store.url,
        "database": fresh("s").replace("-", "_"),
    }
    settings, rng = Settings(**given, block_rows=300), random.Random(5)
    log = await Logs(settings).current(topic)
    await publish(settings.kafka, topic, 6_000)
    for _ in range(2):
        with start({**given, "block_rows": 300}, topic) as process:
            assert process.stdout is not None
            for _ in range(rng.randint(2, 8)):
                await asyncio.to_thread(process.stdout.readline)
            process.kill()
    async with storing(settings, topic) as made:
        await until(lambda: sum((s.tail or 0) + 1 for s in made.status()) == 6_000)
        assert origins(settings, topic) == expected(log, 6_000)


async def test_a_broker_that_starts_again_at_offset_0_over_a_kept_store_loses_nothing_of_either_log(
    embedded_store: Store,
) -> None:
    topic, logs = fresh("raw.again"), []
    with embedded.broker() as first:
        port, settings = first.address.rpartition(":")[2], settings_of(first.address, embedded_store.url, "again")
        create(first.address, topic, 2)
        logs.append(await Logs(settings).current(topic))
        await publish(first.address, topic, 300)
        async with storing(settings, topic) as made:
            await until(lambda: sum((s.tail or 0) + 1 for s in made.status()) == 300)
    with embedded.broker(int(port)):
        create(settings.kafka, topic, 2)
        logs.append(await Logs(settings).current(topic))
        await publish(settings.kafka, topic, 500)
        async with storing(settings, topic) as made:
            assert await made.newest_log(topic, 0) == logs[0]
            await until(lambda: sum((s.tail or 0) + 1 for s in made.status()) == 500)
            assert await made.newest_log(topic, 0) == logs[1]
    assert logs[0] != logs[1]
    assert origins(settings, topic) == expected(logs[0], 300) + expected(logs[1], 500)


async def test_a_topic_created_anew_under_a_running_storer_is_told_and_not_stored_under_the_old_name(
    embedded_broker: Broker, embedded_store: Store, topic: str
) -> None:
    settings, told = settings_of(embedded_broker.address, embedded_store.url, "anew"), []
    log = await Logs(settings).current(topic)
    async with storing(settings, topic, recreated=told.append) as made:
        await publish(settings.kafka, topic, 200)
        await until(lambda: sum((s.tail or 0) + 1 for s in made.status()) == 200)
        delete(settings.kafka, topic)
        create(settings.kafka, topic, 2)
        await publish(settings.kafka, topic, 900)
        await until(lambda: topic in told)
    assert origins(settings, topic) == expected(log, 200)


SILENT = """
import asyncio, sys, time
from tests.storing_stream import storing
from pipeline.settings import Settings

async def main():
    settings = Settings(kafka=sys.argv[1], clickhouse=sys.argv[2], clickhouse_timeout=60.0)
    async with storing(settings, sys.argv[3]) as made:
        await asyncio.sleep(1.0)
        print({s.state for s in made.status()}, flush=True)
        started = time.monotonic()
        await made.stop(2.0)
        print(time.monotonic() - started, flush=True)

asyncio.run(main())
print("ended", flush=True)
"""


async def test_a_process_ends_in_its_time_though_the_store_takes_requests_and_never_answers(
    embedded_broker: Broker, topic: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://qorgan:x@127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-c", SILENT, embedded_broker.address, url, topic]
        folder = Path(__file__).parents[2]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as process:  # noqa: ASYNC220 - it starts at once
            out = process.stdout
            assert out is not None
            assert (await asyncio.to_thread(out.readline)).strip() == "{'waiting'}"
            assert float(await asyncio.to_thread(out.readline)) < 4.0
            said, started = await asyncio.to_thread(out.readline), time.monotonic()
            assert said.strip() == "ended"
            assert await asyncio.to_thread(process.wait, 10) == 0
            assert time.monotonic() - started < 8.0
