"""Broker and store as child processes of this one: started, awaited, measured, stopped. For `up`, the demo and tests.

The child runs `python -m pipeline.embedded ...`, says one line of JSON when it answers, and ends when we do.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson
from pydantic import SecretStr

from pipeline.settings import StoreAddress
from schemas.errors import Exit, QorganError, RefusedError, UnreachableError

_RAISED: dict[int, type[QorganError]] = {Exit.REFUSED: RefusedError, Exit.UNREACHABLE: UnreachableError}
#: Seconds that a killed process may take to give back what it held.
GONE_S: Final = 10.0


def _lives(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return False


@dataclass
class Child:
    """A started broker or store. Leaving its `with` block stops it."""

    what: str
    address: str
    pid: int
    facts: dict[str, Any]
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def held_bytes(self) -> int:
        """Anonymous memory of the process that holds the data, 0 once it is gone.

        What the broker allocated, records and overhead, which is what runs out; its mapped binary is left out.
        """
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return 0
        lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        return int(lines.get("RssAnon", "0 kB").split()[0]) << 10

    def stop(self, timeout: float = 10.0) -> int:
        """SIGTERM, then SIGKILL after `timeout` seconds. Returns the exit code."""
        if self.alive:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        self._close()
        return self.process.wait()

    def kill(self) -> None:
        """SIGKILL to the process that holds the data and to the one that watches it: the test of a crash."""
        for pid in {self.pid, self.process.pid}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()
        # That one is not our own child: until it is gone it has its port.
        deadline = time.monotonic() + GONE_S
        while _lives(self.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        self._close()

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


@dataclass
class Broker(Child):
    """A broker; `address` is the bootstrap server."""

    @property
    def cluster(self) -> str:
        return str(self.facts.get("cluster", ""))


@dataclass
class Store(Child):
    """A store; `url` holds user and password, as the setting `clickhouse` wants it."""

    password: str = field(default="", repr=False)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"http://qorgan:{self.password}@{self.address}"

    @property
    def store_address(self) -> StoreAddress:
        host = self.address.rpartition(":")[0]
        return StoreAddress(secure=False, host=host, port=self.port, user="qorgan", password=SecretStr(self.password))


def start_broker(
    port: int = 0, kafka_home: Path | None = None, path: Path | None = None, *, extra: Path | None = None
) -> Broker:
    """Start a broker on loopback and wait until it answers. Raises RefusedError or UnreachableError with its sentence.

    `extra` is a file of Kafka properties laid over ours (listeners of a test); only with `kafka_home`.
    """
    arguments = ["broker", "--port", str(port)]
    for name, value in (("--kafka-home", kafka_home), ("--path", path), ("--extra", extra)):
        arguments += [name, str(value)] if value is not None else []
    process, said = _start(arguments, 90.0 if kafka_home else 30.0)
    return Broker("broker", said["address"], said["pid"], said["facts"], process)


def start_store(path: Path, port: int = 0, password_file: Path | None = None) -> Store:
    """Start a store on loopback over the directory `path` and wait until it answers."""
    arguments = ["store", "--port", str(port), "--path", str(path)]
    arguments += ["--password-file", str(password_file)] if password_file is not None else []
    process, said = _start(arguments, 60.0)
    password = Path(said["facts"]["password_file"]).read_text().strip()
    return Store("store", said["address"], said["pid"], said["facts"], process, password=password)


def _start(arguments: list[str], seconds: float) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    command = [sys.executable, "-m", "pipeline.embedded", *arguments, "--parent", str(os.getpid())]
    process = subprocess.Popen(  # noqa: S603 - our own command
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C is for us: we stop the children in our own order
    )
    try:
        said = _first_line(process, arguments[0], seconds)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process, said


def _first_line(process: subprocess.Popen[bytes], what: str, seconds: float) -> dict[str, Any]:
    assert process.stdout is not None  # noqa: S101 - stdout=PIPE above
    deadline = time.monotonic() + seconds
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise UnreachableError(f"The {what} did not start in {seconds:.0f} s.")
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                raise QorganError(f"The {what} ended before it answered (code {process.wait()}).")
            line += chunk
    said: dict[str, Any] = orjson.loads(line)
    if "error" in said:
        process.wait()
        raise _RAISED.get(said["exit"], QorganError)(said["error"])
    return said
