"""What keeps a served process honest: it owns its port, ends when asked, and never outlives its parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import RefusedError

LOOPBACK = "127.0.0.1"
POLL_S = 0.25
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Ready:
    """Said once, when the first request would be answered. `pid` is the process that holds the data."""

    address: str
    pid: int
    facts: dict[str, Any] = field(default_factory=dict)


Announce = Callable[[Ready], None]


def own_port(what: str, host: str, port: int) -> socket.socket:
    """A socket bound to `port`, or to a free one for 0. Raises RefusedError if it cannot be had."""
    family, kind, protocol, _, address = _resolved(what, host, port)
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise RefusedError(
            f"The {what} cannot listen on {host}:{port} ({error.strerror}): stop what uses it or name another port."
        ) from None
    return bound


def _resolved(what: str, host: str, port: int) -> tuple[Any, ...]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, OverflowError) as error:
        raise RefusedError(f"The {what} cannot listen on {host}:{port}: {error}.") from None


def die_with_parent() -> None:
    """Between fork and exec of a child: the kernel kills it when its parent thread ends, however that ends.

    The parent must make such children from its main thread: the signal follows the thread, not the process.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Stopping:
    """Set by SIGTERM, SIGINT or the loss of the parent; `wait` returns True when it is time to leave."""

    def __init__(self, parent: int | None = None) -> None:
        self._parent = parent
        self._event = threading.Event()

    @property
    def orphaned(self) -> bool:
        """The parent is gone: nobody is left to stop us, so we stop ourselves."""
        return self._parent is not None and os.getppid() != self._parent

    def stop(self, *_: object) -> None:
        self._event.set()

    def wait(self, seconds: float = POLL_S) -> bool:
        return self._event.wait(seconds) or self.orphaned

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[Stopping]:
        """SIGTERM and SIGINT stop us inside this block. Main thread only, as Python demands."""
        before = {number: signal.signal(number, self.stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
