"""TLS, client certificates, SASL PLAIN and SCRAM against Apache Kafka, for every client that we use."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from pipeline.app import serve
from pipeline.bench.rig import free_ports
from pipeline.logs import Logs
from pipeline.settings import Settings
from schemas.errors import QorganError, RefusedError, UnreachableError
from tests import embedded
from tests.transporting import create, fresh, numbered, publish, reader, running

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

PASSWORD = "correct horse"


@dataclass
class Node:
    """Apache Kafka with four doors; `plain` is for the test itself."""

    plain: str
    sasl: str
    tls: str
    sasl_tls: str
    keys: Path


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    keys = tmp_path_factory.mktemp("keys")
    make_keys(keys)
    first = free_ports(3)
    sasl, tls, both = (f"127.0.0.1:{first + at}" for at in range(3))
    jaas = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_qorgan="{PASSWORD}";'
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    properties = {
        "group.min.session.timeout.ms": "1000",
        "listeners": f"SASL://{sasl},TLS://{tls},BOTH://{both}",
        "listener.security.protocol.map": "SASL:SASL_PLAINTEXT,TLS:SSL,BOTH:SASL_SSL",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        **{f"listener.name.{door}.plain.sasl.jaas.config": jaas for door in ("sasl", "both")},
        **{
            f"listener.name.{door}.scram-sha-{bits}.sasl.jaas.config": scram
            for door in ("sasl", "both")
            for bits in (256, 512)
        },
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keys / "server-chain.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(keys / "ca.pem"),
        "listener.name.tls.ssl.client.auth": "required",
    }
    with embedded.kafka_node(properties=properties) as child:
        give_passwords(child.address)
        yield Node(child.address, sasl, tls, both, keys)


def make_keys(folder: Path) -> None:
    """An authority, and certificates of it for a server and a client."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "2")
    for name in ("server", "client"):
        openssl("req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")
    chain = (folder / "server.key").read_text() + (folder / "server.pem").read_text() + (folder / "ca.pem").read_text()
    (folder / "server-chain.pem").write_text(chain)


def give_passwords(address: str) -> None:
    admin = AdminClient({"bootstrap.servers": address})
    given = [
        UserScramCredentialUpsertion("qorgan", ScramCredentialInfo(mechanism, 4096), PASSWORD.encode())
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
    ]
    for one in given:
        admin.alter_user_scram_credentials([one])["qorgan"].result(20)


def through(node: Node, door: str, **more: Any) -> Settings:
    """Settings for one of the node's doors."""
    base: dict[str, Any] = {"kafka": getattr(node, door), "kafka_security": door, "group": fresh("g")}
    if door != "tls":
        base |= {"kafka_user": "qorgan", "kafka_password": PASSWORD}
    if door != "sasl":
        base |= {"kafka_ca": node.keys / "ca.pem"}
    if door == "tls":
        base |= {"kafka_cert": node.keys / "client.pem", "kafka_cert_key": node.keys / "client.key"}
    base["kafka_security"] = {"sasl": "sasl_plaintext"}.get(door, door)
    return Settings(session_timeout=2.0, stop_timeout=6.0, **(base | more))


DOORS = [
    ("sasl", {"kafka_sasl": "PLAIN"}),
    ("sasl", {"kafka_sasl": "SCRAM-SHA-256"}),
    ("sasl", {"kafka_sasl": "SCRAM-SHA-512"}),
    ("tls", {}),
    ("sasl_tls", {"kafka_sasl": "SCRAM-SHA-512"}),
]


@pytest.mark.parametrize(("door", "more"), DOORS, ids=lambda value: value if isinstance(value, str) else str(value))
async def test_a_worker_reads_commits_and_names_its_log_through_every_door(
    node: Node, door: str, more: dict[str, Any]
) -> None:
    topic = fresh()
    create(node.plain, topic)
    await publish(node.plain, topic, numbered(10))
    settings = through(node, door, **more)
    worker = reader(settings, topic)
    async with running(worker):
        await worker.until(lambda: len(worker.values) == 10)
        await worker.until(lambda: [status.committed for status in worker.app.consumer.cursor_status()] == [10])
    assert worker.seen[0].log == await Logs(Settings(kafka=node.plain)).current(topic)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_a_wrong_password_is_refused_in_a_sentence_without_it(node: Node, mechanism: str) -> None:
    settings = through(node, "sasl", kafka_sasl=mechanism, kafka_password="battery staple")
    errors: list[QorganError] = []
    for ask, refusal in (
        (Logs(settings, timeout=5.0).cluster, RefusedError),
        (lambda: served(settings), UnreachableError),
    ):
        with pytest.raises(refusal, match="kafka_user") as caught:
            await asyncio.wait_for(ask(), 20)
        errors.append(caught.value)
    assert "battery" not in "".join(map(str, errors))


async def test_a_certificate_of_another_authority_is_a_sentence(node: Node, tmp_path: Path) -> None:
    make_keys(tmp_path)
    settings = through(node, "tls", kafka_ca=tmp_path / "ca.pem")
    for ask in (Logs(settings, timeout=5.0).cluster, lambda: served(settings)):
        with pytest.raises((RefusedError, UnreachableError), match="kafka_security"):
            await asyncio.wait_for(ask(), 20)


async def served(settings: Settings) -> None:
    await serve(reader(settings, "any").app, asyncio.Event())
