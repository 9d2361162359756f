"""The embedded pair for tests: real processes on free ports, gone when the block is left.

    with broker() as kafka:      kafka.address, kafka.cluster, kafka.kill(), kafka.held_bytes()
    with store() as clickhouse:  clickhouse.url, .store_address, .password, .client(), .kill(), .stop()
    with kafka_node() as kafka:  Apache Kafka from QORGAN_KAFKA_HOME (mark the test `kafka`)

`store(path)` keeps its directory, so that a test can kill it and start it again over the same data.
Session-wide ones are the fixtures `embedded_broker` and `embedded_store`: use fresh topic and database names there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import clickhouse_connect

from pipeline.embedded.children import Broker, Store, start_broker, start_store

KAFKA_HOME = "QORGAN_KAFKA_HOME"


@contextmanager
def broker(port: int = 0) -> Iterator[Broker]:
    """An embedded broker of one's own."""
    with start_broker(port) as child:
        yield child


@contextmanager
def store(path: Path | None = None, port: int = 0) -> Iterator[Store]:
    """A store of one's own; without `path` over a directory that is removed with it."""
    with (
        tempfile.TemporaryDirectory(prefix="qorgan-store-") as scratch,
        start_store(path or Path(scratch), port) as child,
    ):
        yield child


@contextmanager
def kafka_node(path: Path | None = None, port: int = 0, properties: dict[str, str] | None = None) -> Iterator[Broker]:
    """An Apache Kafka node; `properties` are laid over ours (other listeners, TLS, SASL)."""
    home = os.environ.get(KAFKA_HOME)
    if not home:
        raise AssertionError(f"{KAFKA_HOME} is not set: it names the folder of Apache Kafka's jars")
    with tempfile.TemporaryDirectory(prefix="qorgan-kafka-") as scratch:
        extra = Path(scratch) / "extra.properties"
        extra.write_text("".join(f"{name}={value}\n" for name, value in (properties or {}).items()))
        with start_broker(port, Path(home), path or Path(scratch) / "data", extra=extra) as child:
            yield child


def client(child: Store, **options: Any) -> Any:
    """clickhouse-connect's client on a store, without sessions so that threads may share it."""
    return clickhouse_connect.get_client(
        host="127.0.0.1",
        port=child.port,
        username="qorgan",
        password=child.password,
        autogenerate_session_id=False,
        **options,
    )
