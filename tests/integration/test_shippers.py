"""The configurations of deploy/shippers, run by the shippers themselves, against Apache Kafka and our parsers.

The librdkafka that Debian's shippers are built with is too old for the embedded broker.

rsyslog and syslog-ng come as Debian packages; the others are checked by their own command, which their file names.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from pipeline.embedded.children import Broker
from schemas.event import Event
from tests import embedded
from tests.parsing import event as read

SHIPPERS = Path(__file__).parents[2] / "deploy" / "shippers"
#: The relay's own zone, which a message of RFC 3164 does not name.
ZONE = "Asia/Almaty"
OLD = b"<38>Jan  5 11:20:00 web-1 sshd[411]: Failed password for root from 203.0.113.9 port 51002 ssh2\n"
NEW = (
    b'<85>1 2026-01-05T11:20:01.250+05:00 db-2 sudo 77 - [x@1 k="v"] '
    b"alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/id\n"
)
DEADLINE_S = 30.0
#: The day after, so that the year which the first line does not name is told.
KAFKA_MS = 1_767_657_600_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, environment: dict[str, str]) -> Iterator[None]:
    """The shipper, once it listens."""
    process = subprocess.Popen(command, env=os.environ | {"TZ": ZONE} | environment)
    try:
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, "it has ended"
                assert time.monotonic() < deadline, "it does not listen"
                time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def configuration(name: str, broker: Broker, topic: str) -> str:
    """The shipped file with this broker and topic, and nothing else changed."""
    text = (SHIPPERS / name).read_text()
    assert "127.0.0.1:9092" in text
    assert "raw.linux" in text
    return text.replace("127.0.0.1:9092", broker.address).replace("raw.linux", topic)


def sent(port: int, lines: list[bytes]) -> None:
    with socket.create_connection(("127.0.0.1", port), 5) as peer:
        peer.sendall(b"".join(lines))


def received(broker: Broker, topic: str, count: int) -> list[bytes]:
    """The first `count` records of the topic."""
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "t", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[bytes] = []
    deadline = time.monotonic() + DEADLINE_S
    try:
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} records came"
            message = consumer.poll(0.5)
            if message is not None and not message.error():
                found.append(message.value() or b"")
    finally:
        consumer.close()
    return found


def made_topic(broker: Broker, name: str) -> str:
    admin = AdminClient({"bootstrap.servers": broker.address})
    for future in admin.create_topics([NewTopic(name, 1, 1)]).values():
        future.result(10)
    return name


def judged(records: list[bytes]) -> None:
    """Both lines, with everything that a line of syslog holds."""
    old, new = sorted((read(record, KAFKA_MS) for record in records), key=lambda event: event.time_ms)
    said(old, "web-1", "sshd", "root", "203.0.113.9")
    # The relay, which reads the line now, gives it a year and its zone: 11:20 in Almaty.
    assert old.fields["message"].startswith("Failed password")
    said(new, "db-2", "sudo", "alice", "")
    assert new.time_ms == at("2026-01-05T06:20:01.250+00:00")
    assert new.fields["COMMAND"] == "/bin/id"
    assert new.fields["k"] == "v"


def said(event: Event, host: str, service: str, user: str, source: str) -> None:
    found = (event.format.name, event.host, event.source.service, event.user, event.src_ip)
    assert found == ("syslog", host, service, user, source)


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)


@pytest.fixture(scope="module")
def kafka() -> Iterator[Broker]:
    with embedded.kafka_node() as node:
        yield node


@pytest.mark.shippers
def test_rsyslog_sends_what_qorgan_reads(kafka: Broker, tmp_path: Path) -> None:
    topic, port = made_topic(kafka, "raw.rsyslog"), free_port()
    ours = tmp_path / "60-qorgan.conf"
    ours.write_text(configuration("rsyslog.conf", kafka, topic))
    main = tmp_path / "rsyslog.conf"
    main.write_text(
        f'global(workDirectory="{tmp_path}")\nmodule(load="imtcp")\n'
        f'input(type="imtcp" address="127.0.0.1" port="{port}")\ninclude(file="{ours}")\n'
    )
    program = shutil.which("rsyslogd", path=os.environ["PATH"] + ":/usr/sbin")
    assert program, "rsyslogd is not here: Debian's packages rsyslog and rsyslog-kafka have it"
    command = [program, "-n", "-f", str(main), "-i", str(tmp_path / "pid")]
    with running(command, port, {}):
        sent(port, [OLD, NEW])
        judged(received(kafka, topic, 2))


@pytest.mark.shippers
def test_syslog_ng_sends_what_qorgan_reads(kafka: Broker, tmp_path: Path) -> None:
    topic, port, newer = made_topic(kafka, "raw.syslog-ng"), free_port(), free_port()
    root = Path(os.environ.get("QORGAN_SYSLOG_NG", "/"))
    program = root / "usr/sbin/syslog-ng"
    assert program.exists(), (
        f"{program} is not here: Debian's packages syslog-ng-core and syslog-ng-mod-rdkafka have it"
    )
    main = tmp_path / "syslog-ng.conf"
    main.write_text(
        "@version: 3.35\n"
        f'source s_src {{ network(ip("127.0.0.1") port({port}) transport("tcp"));\n'
        f'network(ip("127.0.0.1") port({newer}) transport("tcp") flags(syslog-protocol)); }};\n'
        f"{configuration('syslog-ng.conf', kafka, topic)}"
    )
    command = [
        str(program), "-F", "--no-caps", "-f", str(main), "-R", str(tmp_path / "persist"), "-p", str(tmp_path / "pid"),
        "-c", str(tmp_path / "control"), "--module-path", str(*(root / "usr/lib/syslog-ng").glob("[0-9]*")),
    ]  # fmt: skip
    libraries = f"{root / 'usr/lib'}:{root / 'usr/lib/syslog-ng'}"
    with running(command, newer, {"LD_LIBRARY_PATH": libraries}):
        sent(port, [OLD])
        sent(newer, [NEW])
        judged(received(kafka, topic, 2))


@pytest.mark.parametrize("name", ["vector.yaml", "fluent-bit.yaml", "filebeat.yml", "winlogbeat.yml"])
def test_every_yaml_file_is_one(name: str) -> None:
    assert yaml.safe_load((SHIPPERS / name).read_text())


def test_every_shipper_has_its_file_and_its_place_in_the_page() -> None:
    page = (SHIPPERS.parent / "docs" / "shippers.md").read_text()
    files = sorted(path.name for path in SHIPPERS.iterdir())
    assert len(files) == 7
    assert [name for name in files if f"](../shippers/{name})" not in page] == []
