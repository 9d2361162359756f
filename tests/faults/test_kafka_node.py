"""One Apache Kafka node from its jars: what the embedded broker cannot do is had with the same command."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from pipeline.embedded.children import Broker
from tests import embedded

pytestmark = [pytest.mark.faults, pytest.mark.kafka]


def clients(broker: Broker) -> dict[str, object]:
    return {"bootstrap.servers": broker.address, "log_level": 0}


def read(broker: Broker, topic: str, count: int) -> list[bytes]:
    consumer = Consumer(clients(broker) | {"group.id": "test", "isolation.level": "read_committed"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    values: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(values) < count and time.monotonic() < deadline:
        values += [message.value() for message in consumer.consume(count, 0.2) if message.error() is None]
    consumer.close()
    return values


def test_records_and_cluster_survive_a_kill_and_a_restart(tmp_path: Path) -> None:
    values = [b"record-%d" % number for number in range(1000)]
    with embedded.kafka_node(tmp_path / "kafka") as kafka:
        admin = AdminClient(clients(kafka))
        admin.create_topics([NewTopic("durable", 1, 1)])["durable"].result(30)
        producer = Producer(clients(kafka) | {"enable.idempotence": True, "transactional.id": "test"})
        producer.init_transactions(30)
        producer.begin_transaction()
        for value in values:
            producer.produce("durable", value)
        producer.commit_transaction(30)
        cluster = kafka.cluster
        assert "no-such-topic" not in admin.list_topics(timeout=20).topics
        kafka.kill()
    # On the same port, as a broker has it: else Kafka may send a transaction's markers to its old one for ever.
    with embedded.kafka_node(tmp_path / "kafka", int(kafka.address.rpartition(":")[2])) as kafka:
        assert kafka.cluster == cluster
        assert AdminClient(clients(kafka)).list_topics(timeout=20).cluster_id == cluster
        assert read(kafka, "durable", 1000) == values
        assert kafka.stop(30) == 0


def test_a_topic_is_not_made_by_asking_for_it_and_other_listeners_can_be_added(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    login = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_bank="secret";'
    properties = {
        "listeners": f"SASL_PLAINTEXT://127.0.0.1:{port}",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": login,
        "listener.security.protocol.map": "SASL_PLAINTEXT:SASL_PLAINTEXT",
    }
    with embedded.kafka_node(tmp_path / "kafka", properties=properties) as kafka:
        sasl = {"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN", "sasl.username": "bank"}
        secure = {"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0, **sasl}
        found = AdminClient(secure | {"sasl.password": "secret"}).list_topics("asked-for", timeout=30)
        assert found.topics["asked-for"].error is not None
        assert "asked-for" not in AdminClient(clients(kafka)).list_topics(timeout=20).topics


def test_the_jars_are_named_by_the_environment() -> None:
    assert list(Path(os.environ[embedded.KAFKA_HOME]).rglob("kafka_*.jar"))
