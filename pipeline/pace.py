"""Work beside a stream: a thread that takes its turns and then leaves the interpreter alone.

Two threads that both want the interpreter share it about evenly, and matching, which gives it away for each scan, comes
off worse: a quarter of its rate was measured beside a thread that compiles. So a thread that builds asks a `Pace` now
and then, and sleeps for a multiple of what it has used.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from schemas.errors import QorganError

#: Seconds of processor time used before the thread rests, and how much longer than that it rests.
TURN_S: Final = 0.002
REST: Final = 5.0
#: One long piece (a Hyperscan database, which leaves the interpreter alone anyhow) is no reason to rest for long.
LONGEST_REST_S: Final = 0.1


class AbandonedError(QorganError):
    """The work is no longer wanted: its process stops."""


class Pace:
    """Called between two pieces of work, on the thread that does them."""

    def __init__(self) -> None:
        self._used: float | None = None
        self._over = threading.Event()

    def __call__(self) -> None:
        """Rest, if the thread has used its turn. Raises AbandonedError once the work is not wanted any more."""
        used = time.thread_time()
        if self._used is None:
            self._used = used
        elif used - self._used >= TURN_S:
            if self._over.wait(min(LONGEST_REST_S, (used - self._used) * REST)):
                raise AbandonedError("Building the new rules was given up because the worker stops.")
            self._used = time.thread_time()

    def abandon(self) -> None:
        """Let the work end at its next pause. From any thread."""
        self._over.set()
