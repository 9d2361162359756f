"""Lines of files reach a raw topic, each once, with the time that was asked for; every failure is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from pipeline import publish as sending
from pipeline import topics
from pipeline.embedded.children import Broker
from pipeline.publish import publish
from pipeline.settings import Settings, load
from schemas.errors import QorganError, RefusedError, UnreachableError
from tests.builders import free_port

pytestmark = pytest.mark.flow

OWN_TIME = b'{"@timestamp":"2020-09-20T13:19:31.000Z","EventID":4624,"Channel":"Security","Hostname":"ws-1"}'
OWN_TIME_MS = 1_600_607_971_000


@pytest.fixture
def settings(embedded_broker: Broker) -> Settings:
    made = load(kafka=embedded_broker.address, raw_topics=(f"raw.{uuid4().hex}",), raw_partitions=2)
    topics.apply(made)
    return made


def read(settings: Settings, count: int) -> list[Message]:
    consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": "reader", "auto.offset.reset": "earliest"})
    try:
        consumer.assign([TopicPartition(settings.raw_topics[0], p, 0) for p in range(settings.raw_partitions)])
        return list(_messages(consumer, count))
    finally:
        consumer.close()


def _messages(consumer: Consumer, count: int) -> Iterator[Message]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            count -= 1
            yield message
        elif message is None and count <= 0:  # nothing comes after the last: nothing was doubled
            return


def test_every_line_is_published_once(settings: Settings, tmp_path: Path) -> None:
    lines = [b'{"n":%d}' % n for n in range(5_000)]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines[:4_000]))
    (tmp_path / "b.jsonl").write_bytes(b"\n".join(lines[4_000:]))
    done = publish(settings, [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")], settings.raw_topics[0])
    assert (done.records, done.bytes) == (5_000, sum(map(len, lines)))
    assert sorted(m.value() for m in read(settings, 5_000)) == sorted(lines)


def test_a_record_bears_the_events_own_time_and_now_where_it_has_none(settings: Settings, tmp_path: Path) -> None:
    before = int(time.time() * 1000)
    (tmp_path / "a.jsonl").write_bytes(OWN_TIME + b"\nno event at all")
    publish(settings, [str(tmp_path / "a.jsonl")], settings.raw_topics[0])
    stamps = {message.value(): message.timestamp()[1] for message in read(settings, 2)}
    assert stamps[OWN_TIME] == OWN_TIME_MS
    assert stamps[b"no event at all"] >= before


def test_now_means_now(settings: Settings, tmp_path: Path) -> None:
    before = int(time.time() * 1000)
    (tmp_path / "a.jsonl").write_bytes(OWN_TIME)
    publish(settings, [str(tmp_path / "a.jsonl")], settings.raw_topics[0], timestamps="now")
    assert read(settings, 1)[0].timestamp()[1] >= before


def test_a_rate_is_kept(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"{}\n" * 500)
    done = publish(settings, [str(tmp_path / "a.jsonl")], settings.raw_topics[0], rate=1_000, timestamps="now")
    assert 0.4 < done.seconds < 2.0


def test_an_unknown_topic_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"{}")
    with pytest.raises(RefusedError, match=r"There is no topic raw\.absent .* QORGAN_RAW_TOPICS"):
        publish(settings, [str(tmp_path / "a.jsonl")], "raw.absent")


def test_an_unreachable_broker_is_one_sentence_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sending.CONNECT_S < 10, "what is shipped"
    monkeypatch.setattr(sending, "CONNECT_S", 1.0)
    (tmp_path / "a.jsonl").write_bytes(b"{}")
    started = time.monotonic()
    with pytest.raises(UnreachableError, match="does not answer"):
        publish(load(kafka=f"127.0.0.1:{free_port()}"), [str(tmp_path / "a.jsonl")], "raw.events")
    assert time.monotonic() - started < 4


def test_a_record_too_large_is_counted_and_the_others_are_published(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"{}\n" + b"x" * (70 << 20) + b"\n{}\n")
    with pytest.raises(QorganError, match="1 of 3 records were not published"):
        publish(settings, [str(tmp_path / "a.jsonl")], settings.raw_topics[0], timestamps="now")
    assert len(read(settings, 2)) == 2


def test_a_damaged_file_publishes_what_came_before_and_says_so(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"{}\n")
    (tmp_path / "b.jsonl.gz").write_bytes(b"\x1f\x8b\x08 no such thing")
    with pytest.raises(RefusedError, match="cut off"):
        publish(settings, [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl.gz")], settings.raw_topics[0])
    assert len(read(settings, 1)) == 1
