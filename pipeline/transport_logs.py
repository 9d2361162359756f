"""Whether a topic is still the log that we read, asked before every commit, and every two seconds without one.

A topic that is deleted and created again under a running consumer keeps its name and its offsets' look: the consumer
reads on in the middle of the new log and would commit there. Nothing in fetching tells; only the topic's id does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

import structlog

from pipeline.transport_options import LogNames
from schemas.errors import QorganError, RefusedError, UnreachableError

#: Seconds for which an answer holds while there is nothing to commit.
FRESH_S = 2.0

log = structlog.get_logger("transport")


class LogChangedError(QorganError):
    """The log that was read is gone. The process ends, and its successor starts at the present log's first position."""


class LogWatch:
    """The logs of topics, and whether they are still the same. `clock` is monotonic, in seconds."""

    def __init__(self, logs: LogNames, clock: Callable[[], float] = time.monotonic) -> None:
        self._logs = logs
        self._clock = clock
        self._asked: dict[str, float] = {}

    async def names(self, topics: Iterable[str]) -> dict[str, str]:
        """The present log of each topic. Raises UnreachableError and RefusedError."""
        wanted = sorted(set(topics))
        found = await asyncio.gather(*(self._logs.current(topic) for topic in wanted))
        self._asked = dict.fromkeys(wanted, self._clock())
        return dict(zip(wanted, found, strict=True))

    async def hold(self, read: Iterable[tuple[str, str]], timeout: float, *, fresh: float = FRESH_S) -> set[str]:
        """Of the (topic, log) that are read: the topics that are still so. Commit nothing of the others now.

        An answer younger than `fresh` seconds will do; before a commit none will, since the embedded broker keeps no
        trace of the log in a commit and would hand its successor an offset of the wrong one. Raises LogChangedError.
        """
        wanted = dict(read)
        now = self._clock()
        stale = [topic for topic in wanted if now - self._asked.get(topic, now - fresh) >= fresh]
        answers = await asyncio.gather(*(self._ask(topic, timeout) for topic in stale))
        for topic, present in zip(stale, answers, strict=True):
            if present is None:
                self._asked.pop(topic, None)
            elif present == wanted[topic]:
                self._asked[topic] = now
            else:
                raise LogChangedError(
                    f"Topic {topic} was deleted and created again while it was read (log {wanted[topic]} is now "
                    f"{present}). What was under work is dropped; the restart reads the new log from its beginning."
                )
        return {topic for topic in wanted if topic in self._asked}

    async def _ask(self, topic: str, timeout: float) -> str | None:
        try:
            return await asyncio.wait_for(self._logs.current(topic), timeout)
        except (UnreachableError, RefusedError, TimeoutError) as error:
            log.warning("commit withheld: the topic's id cannot be read", topic=topic, error=str(error) or "no answer")
            return None
