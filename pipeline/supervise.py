"""One process a role, watched: a role that dies is started again, an ingest that is refused ends them all.

A worker that finds its topic recreated, or cannot deliver, leaves on purpose: what it did not acknowledge is read
again. So a death is ordinary and the answer is a restart after a pause; only what a restart cannot mend (settings,
rules, an event list that is refused) ends the tree.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from pipeline.embedded.tether import Stopping, die_with_parent
from schemas.errors import Exit

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
#: A child that lived so long had started well: its next pause is the first again.
GOOD_RUN_S = 60.0
HOPELESS = (Exit.REFUSED, Exit.USAGE)
ESSENTIAL = "ingest"

log = structlog.get_logger("supervise")


@dataclass
class Watched:
    """One child and when it may be started again. `pause` in seconds, times on the monotonic clock."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = FIRST_PAUSE_S
    due: float = 0.0

    @property
    def essential(self) -> bool:
        """Whether the others are of no use without it."""
        return self.name == ESSENTIAL

    def start(self, environment: Mapping[str, str]) -> None:
        self.started = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            self.command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is for the parent, which stops the children in order
            preexec_fn=die_with_parent,
        )

    def ended(self) -> int | None:
        """The exit code, once, of a child that has ended; plans its restart."""
        code = self.process.poll() if self.process is not None else None
        if code is None:
            return None
        self.process = None
        if time.monotonic() - self.started > GOOD_RUN_S:
            self.pause = FIRST_PAUSE_S
        self.due = time.monotonic() + self.pause
        self.pause = min(self.pause * 2, LONGEST_PAUSE_S)
        return code


def role_command(role: str) -> list[str]:
    """The command of one role's process; its settings travel in the environment."""
    return [sys.executable, "-m", "pipeline.cli.main", "worker", "--role", role]


def supervise(
    commands: Mapping[str, Sequence[str]],
    *,
    stop_timeout: float,
    environment: Mapping[str, str] | None = None,
    tick: Callable[[], str | None] = lambda: None,
) -> int:
    """Run the commands until a signal, a hopeless child, or a sentence from `tick` (called about each 0.25 s).

    SIGHUP is passed on to the children (reload). Main thread only. Returns the exit code of the tree.
    """
    environment = os.environ if environment is None else environment
    children = [Watched(name, command) for name, command in commands.items()]
    signal.signal(signal.SIGHUP, lambda *_: _signal_all(children, signal.SIGHUP))
    with Stopping().on_signals() as stopping:
        try:
            for child in children:
                child.start(environment)
            return _watch(children, stopping, environment, tick)
        finally:
            _stop_all(children, stop_timeout)


def _watch(
    children: list[Watched], stopping: Stopping, environment: Mapping[str, str], tick: Callable[[], str | None]
) -> int:
    while not stopping.wait():
        for child in children:
            code = child.ended()
            if code in HOPELESS:
                child.due = time.monotonic() + LONGEST_PAUSE_S
                if child.essential:
                    return code
            if code is not None:
                log.warning(
                    "a role ended and is started again",
                    role=child.name,
                    code=code,
                    in_s=round(child.due - time.monotonic(), 1),
                )
            if child.process is None and time.monotonic() >= child.due:
                child.start(environment)
        reason = tick()
        if reason is not None:
            log.error(reason)
            return Exit.FAILED
    return Exit.OK


def _signal_all(children: list[Watched], number: int) -> None:
    for child in children:
        if child.process is not None and child.process.poll() is None:
            child.process.send_signal(number)


def _stop_all(children: list[Watched], timeout: float) -> None:
    """SIGTERM to all at once, SIGKILL to those that are still there after `timeout` and a moment."""
    _signal_all(children, signal.SIGTERM)
    deadline = time.monotonic() + timeout + 2.0
    for child in children:
        if child.process is None:
            continue
        try:
            child.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
