"""Topics and publishing on Apache Kafka: what the embedded broker does not know is carried out there."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import ConfigResource, ResourceType

from pipeline import topics
from pipeline.bench.rig import wait_for
from pipeline.publish import publish
from pipeline.settings import Settings, load
from tests import embedded

pytestmark = pytest.mark.kafka

OWN_TIME = b'{"EventTime":"2020-09-20T13:19:31Z","EventID":4624,"Channel":"Security","Hostname":"ws-1"}'


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the node keeps its log."""
    return tmp_path_factory.mktemp("kafka")


@pytest.fixture(scope="module")
def settings(data: Path) -> Iterator[Settings]:
    with embedded.kafka_node(data) as node:
        made = load(kafka=node.address, raw_topics=("raw.a",))
        topics.apply(made)
        yield made


def config(settings: Settings, topic: str) -> dict[str, str]:
    resource, admin = ConfigResource(ResourceType.TOPIC, topic), topics._admin(settings)
    answer = admin.describe_configs([resource])[resource].result(10)
    return {name: entry.value for name, entry in answer.items()}


def test_topics_are_as_the_file_says(settings: Settings) -> None:
    assert topics.plan(settings) == []
    raw = config(settings, "raw.a")
    assert raw["message.timestamp.type"] == "LogAppendTime"
    assert raw["retention.ms"] == str(7 * 86_400_000)
    assert raw["max.message.bytes"] == str(32 << 20)
    assert config(settings, "journal")["retention.ms"] == "-1"


def test_a_setting_that_changes_is_applied_and_nothing_is_shortened(settings: Settings) -> None:
    longer = load(kafka=settings.kafka, raw_topics=("raw.a",), raw_retention=9 * 86_400)
    assert [change.what for change in topics.apply(longer)] == ["retention.ms"]
    # Its metadata log is read back a moment after the request is answered.
    wait_for("the change", lambda: config(settings, "raw.a")["retention.ms"] == str(9 * 86_400_000), 20)
    assert topics.apply(settings) == []
    assert config(settings, "raw.a")["retention.ms"] == str(9 * 86_400_000)


def test_the_brokers_clock_counts_on_our_raw_topics(settings: Settings, tmp_path: Path) -> None:
    before = int(time.time() * 1000)
    (tmp_path / "a.jsonl").write_bytes(OWN_TIME)
    publish(settings, [str(tmp_path / "a.jsonl")], "raw.a", timestamps="event")
    consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": "reader"})
    try:
        consumer.assign([TopicPartition("raw.a", p, 0) for p in range(settings.raw_partitions)])
        [message] = consumer.consume(1, timeout=20)
    finally:
        consumer.close()
    assert message.value() == OWN_TIME
    assert message.timestamp()[1] >= before


def test_publishing_is_idempotent_where_the_broker_can(settings: Settings, data: Path, tmp_path: Path) -> None:
    """Every batch on the disk bears a producer's id, by which the broker drops what a retry sends again."""
    (tmp_path / "a.jsonl").write_bytes(b"{}\n" * 100)
    publish(settings, [str(tmp_path / "a.jsonl")], "raw.a", timestamps="now")
    segments = [file for file in data.glob("**/raw.a-*/*.log") if file.stat().st_size]
    assert segments
    for segment in segments:
        # In a batch's header: base offset 8, length 4, epoch 4, magic 1, checksum 4, attributes 2, offset 4, times 16.
        (producer,) = struct.unpack_from(">q", segment.read_bytes(), 43)
        assert producer >= 0
