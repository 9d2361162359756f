"""`qorgan broker --kafka-home DIR`: one Apache Kafka node in KRaft mode, the durable choice on one machine.

From an unpacked distribution (DIR/libs) or a folder of its jars; Java must be present. What the embedded broker cannot
do (retention, transactions, restarts that keep records) is had here with the same settings of the worker.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path

from pipeline.embedded.broker import supervise
from pipeline.embedded.tether import LOOPBACK, Announce, own_port
from schemas.errors import QorganError, RefusedError

START_S = 60.0
_FORMAT_S = 60.0
_HEAP = "-Xms256m -Xmx1g"
_KAFKA_JAR = re.compile(r"kafka_\d+\.\d+-(\d+\.\d+\.\d+)[\w.-]*\.jar")
_LOG4J = """\
<Configuration status="ERROR"><Appenders><Console name="out"><PatternLayout pattern="%p %c{1}: %m%n"/></Console>
</Appenders><Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""


def run_kafka_node(
    port: int,
    kafka_home: Path,
    path: Path,
    *,
    extra: Path | None = None,
    parent: int | None = None,
    announce: Announce | None = None,
) -> int:
    """Serve one Kafka node on loopback, its data in `path`, until SIGTERM or SIGINT; returns an exit code.

    `extra` is a file of properties laid over ours. Raises RefusedError when Java, Kafka or the directory are amiss.
    """
    jars = jars_of(kafka_home)
    java = java_program()
    # The controller's port is only known to this node: a free one at each start.
    with own_port("broker", LOOPBACK, port) as probe, own_port("broker's controller", LOOPBACK, 0) as other:
        port, controller = probe.getsockname()[1], other.getsockname()[1]
    given = read_properties(extra) if extra is not None else {}
    properties = node_properties(port, controller, path / "log", given)
    command = [java, *_options(path), "-cp", f"{jars}/*"]
    cluster = _prepare(command, path, properties)
    command += ["kafka.Kafka", str(path / "server.properties")]
    facts = {"cluster": cluster, "path": str(path)}
    return supervise("Apache Kafka node", command, port, facts, START_S, parent=parent, announce=announce)


def jars_of(kafka_home: Path) -> Path:
    """The folder of Kafka's jars under `kafka_home`. Raises RefusedError if there is no Kafka 3.3 or newer in it."""
    for folder in (kafka_home / "libs", kafka_home):
        versions = [match[1] for file in folder.glob("kafka_*.jar") if (match := _KAFKA_JAR.fullmatch(file.name))]
        if versions:
            newest = max(tuple(map(int, version.split("."))) for version in versions)
            if newest < (3, 3):
                raise RefusedError(f"{kafka_home} holds Kafka {versions[0]}: KRaft needs 3.3 or newer.")
            return folder.resolve()
    raise RefusedError(f"{kafka_home} is no Apache Kafka: neither it nor its folder libs holds kafka_*.jar.")


def java_program() -> str:
    """Java's executable, of JAVA_HOME or of PATH. Raises RefusedError without one."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if found is None:
        where = f"JAVA_HOME ({home})" if home else "PATH"
        raise RefusedError(f"Apache Kafka needs Java 17 or newer, and none is in {where}: install a JRE.")
    return found


def node_properties(port: int, controller: int, log: Path, given: dict[str, str]) -> dict[str, str]:
    """The node's configuration: one replica of everything, nothing made by itself, loopback; `given` wins.

    A `listeners` of `given` is added to ours, which stays the one we ask for readiness.
    """
    given = dict(given)
    more = given.pop("listeners", "")
    advertised = given.pop("advertised.listeners", more)
    ours = f"PLAINTEXT://{LOOPBACK}:{port}"
    protocols = given.pop("listener.security.protocol.map", "")
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listeners": _joined(ours, f"CONTROLLER://{LOOPBACK}:{controller}", more),
        "advertised.listeners": _joined(ours, advertised),
        "listener.security.protocol.map": _joined("PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT", protocols),
        "log.dirs": str(log),
        "auto.create.topics.enable": "false",
        "num.partitions": "1",
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "message.max.bytes": str(32 << 20),
        **given,
    }


def read_properties(file: Path) -> dict[str, str]:
    """The `name=value` lines of a properties file."""
    lines = (line.strip() for line in file.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def cluster_id() -> str:
    """A new id as Kafka writes them: 16 random bytes in base64 for URLs."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _options(path: Path) -> list[str]:
    heap = os.environ.get("KAFKA_HEAP_OPTS", _HEAP).split()
    quiet = [f"-Dlog4j2.configurationFile={path / 'log4j2.xml'}", "-Djava.awt.headless=true"]
    return [*heap, "-XX:+UseG1GC", "-XX:+ExitOnOutOfMemoryError", *quiet]


def _prepare(command: list[str], path: Path, properties: dict[str, str]) -> str:
    """Write the configuration, format the storage the first time, and return the cluster's id."""
    meta = path / "log" / "meta.properties"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        (path / "log4j2.xml").write_text(_LOG4J)
        lines = (f"{name}={value}\n" for name, value in properties.items())
        (path / "server.properties").write_text("".join(lines))
        if not meta.exists():
            tool = [*command, "kafka.tools.StorageTool", "format"]
            _run([*tool, f"--cluster-id={cluster_id()}", "--config", str(path / "server.properties")])
        return read_properties(meta)["cluster.id"]
    except OSError as error:
        raise RefusedError(f"Kafka's directory {path} cannot be used ({error.strerror}).") from None
    except (KeyError, IndexError):
        raise RefusedError(f"{meta} is no configuration of a Kafka node: name an empty directory.") from None


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FORMAT_S, check=False)  # noqa: S603 - our own command
    except subprocess.TimeoutExpired:
        raise QorganError(f"Kafka's storage tool did not end in {_FORMAT_S:.0f} s.") from None
    if done.returncode != 0:
        said = " | ".join((done.stdout + done.stderr).split("\n"))[-400:]
        raise RefusedError(f"Kafka's storage could not be prepared (code {done.returncode}): {said}")
    return done.stdout


def _joined(*parts: str) -> str:
    return ",".join(part for part in parts if part)
