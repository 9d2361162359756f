"""Logs: one line an event of the program, JSON for machines, text on a terminal. Never a payload, never settings.

Qorgan's own lines come from structlog; those of the libraries come through the standard library and end in the same
place, from WARNING on, because Faust and aiokafka tell of every rebalance and fetch. `Seldom` bounds lines that a flood
of bad records would repeat.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog

from pipeline.settings import Settings

#: "pipeline" too: Faust's parts that we derive from log under our modules' names; our own lines do not.
LIBRARIES = (
    "faust",
    "pipeline",
    "mode",
    "aiokafka",
    "kafka",
    "asyncio",
    "aiohttp",
    "clickhouse_connect",
    "urllib3",
    "sigma",
)
SELDOM_S = 10.0


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Send every log line to `stream` (stderr) as the settings say. Calling it again replaces what was before."""
    out = stream or sys.stderr
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    as_text = settings.log_format == "text" or (settings.log_format == "auto" and out.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _kind_and_place if settings.log_level != "debug" else structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.dev.ConsoleRenderer(colors=out.isatty()) if as_text else structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(level if settings.log_level == "debug" else max(level, logging.WARNING))


class Seldom:
    """A line that may repeat without bound is written at most once in `every` seconds, with how many it stands for.

    `seldom("dead letter", reason="json", offset=17)` logs the first at once; the next one that is written carries
    `times`, all since the last that was. A key each for what must not hide another.
    """

    def __init__(
        self, log: Any, *, every: float = SELDOM_S, clock: Callable[[], float] = time.monotonic, keys: int = 256
    ) -> None:
        self._log = log
        self._every = every
        self._clock = clock
        self._keys = keys
        self._seen: dict[str, tuple[float, int]] = {}

    def __call__(self, event: str, *, key: str = "", **facts: Any) -> None:
        """Log `event` as a warning, or count it. `key`: what it is told apart by, beside its text."""
        name, now = f"{event}\0{key}", self._clock()
        last, held = self._seen.get(name, (-self._every, 0))
        if now - last < self._every:
            self._seen[name] = (last, held + 1)
            return
        if len(self._seen) >= self._keys and name not in self._seen:
            del self._seen[next(iter(self._seen))]
        self._seen[name] = (now, 0)
        self._log.warning(event, **facts, times=held + 1)


def _kind_and_place(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An error's kind and place instead of its traceback, whose text may quote a record or a password."""
    info = event.pop("exc_info", None)
    error = info[1] if isinstance(info, tuple) else info if isinstance(info, BaseException) else sys.exc_info()[1]
    if info and error is not None:
        event["error"] = type(error).__name__
        frames = traceback.extract_tb(error.__traceback__)
        if frames:
            event["at"] = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    return event
