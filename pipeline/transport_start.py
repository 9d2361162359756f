"""Where each owned partition is read from: asks the broker and, where its commits keep no metadata, the ledger."""

from __future__ import annotations

from collections.abc import Set

import structlog
from faust.types import TP

from pipeline.transport_cursor import Cursor, Found, Start, start_of
from pipeline.transport_logs import LogWatch
from pipeline.transport_options import TransportOptions
from pipeline.transport_thread import ConsumerThread, Known

#: Seconds for one round of questions; the caller bounds the whole.
ASK_S = 45.0

log = structlog.get_logger("transport")


async def find_starts(
    options: TransportOptions, watch: LogWatch, thread: ConsumerThread, tps: Set[TP]
) -> dict[TP, Cursor]:
    """A cursor at its start for each partition. Raises UnreachableError, RefusedError, KafkaError, TimeoutError."""
    logs = await watch.names(tp.topic for tp in tps)
    # The embedded broker's answer to "where does the log end" is wrong, and it never loses a log's tail.
    ends = not await options.logs.embedded()
    known = await thread.run(thread.known(tps, ends), ASK_S)
    cursors = {}
    for tp in sorted(tps):
        found = await _tie(options, tp, known[tp], ends)
        start = start_of(logs[tp.topic], found)
        _tell(options, tp, found, start)
        cursors[tp] = Cursor(logs[tp.topic], start.position, start.committed)
    return cursors


async def _tie(options: TransportOptions, tp: TP, known: Known, ends: bool) -> Found:
    """Which log the committed offset belongs to: its metadata says, else the ledger, else (not asked) we trust it."""
    name, vouched = known.metadata, False
    if known.committed is not None and not name:
        if options.stored_log is None:
            vouched = True
        else:
            name = await options.stored_log(tp.topic, tp.partition) or ""
    return Found(known.first, known.end if ends else None, known.committed, name, vouched)


def _tell(options: TransportOptions, tp: TP, found: Found, start: Start) -> None:
    if found.committed is None or start.committed is not None:
        return
    if start.gap and options.on_detection_gap is not None:
        options.on_detection_gap((tp.topic, tp.partition), found.committed, start.position)
        return
    why = "records left the log unjudged" if start.gap else "the committed offset is not of this log"
    place = {"topic": tp.topic, "partition": tp.partition}
    log.warning(f"{why}: reading from its first position", **place, committed=found.committed, first=start.position)
