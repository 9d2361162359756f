"""The journal and its topic: the copy gets what the broker forgot, and a copy that knows more stops the writer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pipeline import topics
from pipeline.delivery import KafkaDelivery
from pipeline.embedded.children import Broker
from pipeline.journal import Journal, TopicJournal, in_files, open_journal, topic_lines
from pipeline.kafka import aiokafka_options
from pipeline.settings import Settings, load
from schemas.errors import UnreachableError
from schemas.journal import BrokenJournalError, Fact, Intake, Notified, Sealed, chained
from tests import embedded

pytestmark = pytest.mark.flow


@pytest.fixture
def kafka() -> Iterator[Broker]:
    """A broker that may be stopped."""
    with embedded.broker() as child:
        yield child


def settings_of(broker: Broker, folder: Path) -> Settings:
    settings = load(kafka=broker.address, state_dir=folder)
    topics.ensure(settings)
    return settings


@asynccontextmanager
async def taken(broker: Broker, folder: Path) -> AsyncIterator[tuple[Journal, list[Sealed]]]:
    """The journal that the settings mean, taken, and what it read."""
    settings = settings_of(broker, folder)
    delivery = KafkaDelivery(aiokafka_options(settings), idempotent=False)
    await delivery.start()
    journal = open_journal(settings, broker.cluster, delivery)
    seen: list[Sealed] = []
    try:
        await journal.take(seen.append)
        yield journal, seen
    finally:
        await journal.close()
        await delivery.stop()


async def write(journal: Journal, count: int) -> None:
    facts = [
        Fact(
            at=number,
            incident="i",
            revision=1,
            intake=Intake(log="l", offset=number),
            body=Notified(reason="registered", severity="high", priority=1),
        )
        for number in range(count)
    ]
    await journal.append(chained(journal.head, journal.head.epoch + 1, facts))


async def lines(settings: Settings) -> list[bytes]:
    return [line async for line in topic_lines(aiokafka_options(settings), committed=True)]


async def test_a_broker_that_forgot_gets_every_entry_again(kafka: Broker, tmp_path: Path) -> None:
    async with taken(kafka, tmp_path) as (journal, _):
        await write(journal, 700)
        await write(journal, 3)
    before = await lines(settings_of(kafka, tmp_path))
    assert len(before) == 703
    kafka.kill()
    with embedded.broker() as successor:
        async with taken(successor, tmp_path) as (journal, seen):
            assert len(seen) == 703
            assert await lines(settings_of(successor, tmp_path)) == before
            await write(journal, 1)
        async with taken(successor, tmp_path):
            pass
        assert len(await lines(settings_of(successor, tmp_path))) == 704, "what the topic has is not sent again"


async def test_files_that_were_cut_or_exchanged_are_told_by_their_copy(kafka: Broker, tmp_path: Path) -> None:
    async with taken(kafka, tmp_path) as (journal, _):
        await write(journal, 2)
        await write(journal, 1)
    path = next((tmp_path / "journal").glob("*.jsonl"))
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    with pytest.raises(BrokenJournalError, match=r"entry 3.*topic"):
        async with taken(kafka, tmp_path):
            pass
    path.unlink()
    other = tmp_path / "other"
    (other / "journal").mkdir(parents=True)
    with pytest.raises(BrokenJournalError, match="entry 1"):
        async with taken(kafka, other):
            pass
    path.write_bytes(whole)
    async with taken(kafka, tmp_path) as (_, seen):
        assert len(seen) == 3


def test_auto_means_files_on_the_embedded_broker_and_the_topic_elsewhere(tmp_path: Path) -> None:
    auto, files, topic = (load(journal=kind, state_dir=tmp_path) for kind in ("auto", "files", "topic"))
    assert in_files(auto, "embedded-1")
    assert not in_files(auto, "MkU3OEVBNTcwNTJENDM2Qk")
    assert in_files(files, "MkU3OEVBNTcwNTJENDM2Qk")
    assert not in_files(topic, "embedded-1")


@pytest.mark.kafka
@pytest.mark.faults
async def test_a_writer_that_wakes_up_after_another_took_over_writes_nothing(tmp_path: Path) -> None:
    with embedded.kafka_node() as broker:
        settings = settings_of(broker, tmp_path)
        first, second = (TopicJournal(aiokafka_options(settings), "qorgan.journal") for _ in range(2))
        await first.take(lambda _: None)
        await write(first, 3)
        seen: list[Sealed] = []
        await second.take(seen.append)
        assert len(seen) == 3
        with pytest.raises(UnreachableError, match="Another writer"):
            await write(first, 1)
        await write(second, 1)
        await second.close()
        assert len(await lines(settings)) == 4
