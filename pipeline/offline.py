"""Recordings judged without Kafka: the worker's own parsers, rules and indicators over the lines of files.

A line is a record without a Kafka time, so its own time stands for it; where it has none (or none with a year), the
time at which the file was last written does.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from detectors.audit.join import Joins, Room
from pipeline import memory, recordings
from pipeline.parsers import Reader, Reading
from pipeline.settings import Settings
from schemas.dead_letter import DeadLetter
from schemas.detection import Detection
from schemas.event import EVERYWHERE, NOWHERE, Event, RecordBatch

if TYPE_CHECKING:  # `qorgan publish` reads times and needs no engine
    from detectors.audit.piece import Joined, Piece
    from pipeline.correlating import Gathering, Shares
    from pipeline.detecting import DetectionSet, Hidden
    from pipeline.joining import Joining

#: The state of the offline commands: what rules compile to.
CACHE = Path("~/.cache/qorgan").expanduser()
LOG = "file"
Part = tuple[str, recordings.Lines, int]
"""A file's name, some of its lines, and when it was last written, in milliseconds UTC."""
NO_TIME = -1
_PACKINGS = (".xz", ".gz", ".zst")
#: Bytes of records that are worth one more process.
WORTH_BYTES = 64 << 20
#: How many times larger a packed file's records are, about: logs repeat themselves.
PACKED = 20
#: What is held of audit events that are not whole, of all files.
MUCH = Room(2_000_000, 1 << 30, 5_000_000)
#: Of so many lines at most one is read twice: first for the rules alone, then wholly for what is told of it.
FEW = 4


class Line(NamedTuple):
    """One line as a record; its offset is its number. `timestamp` in milliseconds UTC, NO_TIME: its own counts."""

    offset: int
    value: bytes
    timestamp: int = NO_TIME
    timestamp_type: int = 0
    key: None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class Judged(NamedTuple):
    """What some lines of one file gave: rows for people and programs, (line, reason) of what is no event, and what
    suppressions hid.

    `shares`: what they contributed to correlations, for whoever gathers them.
    """

    file: str
    lines: int
    detections: list[dict[str, Any]]
    unparsed: list[tuple[int, str]]
    hidden: list[Hidden]
    shares: Shares | None = None
    pieces: Sequence[Piece] = ()
    """The audit records among them that are to be joined."""
    everywhere: int = 0
    """Events whose log source nothing tells."""


class Judge:
    """Parsers and detection set in one: lines in, detections out. The same in every process that judges."""

    def __init__(self, settings: Settings, decide: DetectionSet, topic: str) -> None:
        self._reader = Reader(settings)
        self._bare = Reader(settings, bare=True)
        self._decide = decide
        # Indicators are looked for in every line, and every line is a sign of its source's life.
        self._sieves = self._few = not len(decide.indicators) and not decide.correlations.silences
        self._topic = topic
        self.headed = settings.for_topic(topic).headed

    def __call__(self, file: str, lines: recordings.Lines, near_ms: int) -> Judged:
        """Judge consecutive lines of a file that was last written at `near_ms`."""
        kept, dead, everywhere = self._sieved(lines) if self._few else (lines, [], 0)
        reading = read(self._reader, self._topic, kept, near_ms)
        # Of lines that were sieved all are counted, and those that are left are marked again.
        everywhere = max(everywhere, _everywhere(reading.events))
        found = self._decide.judge(LOG, self._topic, 0, reading.events)
        self._few = self._sieves and FEW * len({one.offset for one in found.detections}) < len(lines.numbers)
        shares = None
        if self._decide.correlations.ordered:
            from pipeline.correlating import Shares

            shares = Shares([one._replace(lane=file) for one in found.contributions], found.dropped)
        return Judged(
            file,
            len(lines.numbers),
            [row(detection, file) for detection in found.detections if detection.kind != "contribution"],
            [(letter.offset, letter.reason) for letter in (*dead, *reading.dead)],
            found.hidden,
            shares,
            self._pieces(file, reading.events),
            everywhere,
        )

    def _pieces(self, file: str, events: list[Event]) -> Sequence[Piece]:
        """The audit records that are to be joined."""
        if not self._decide.joins:
            return ()
        from pipeline.joining import pieces, told

        return told(pieces(file, events), self._decide.joins)

    def _sieved(self, lines: recordings.Lines) -> tuple[recordings.Lines, list[DeadLetter], int]:
        """The lines in which rules are found, what is no event, and how many tell no log source.

        Most lines are then read for the rules alone.
        """
        bare = self._bare.read(_batch(self._topic, zip(*lines, strict=True), NO_TIME))
        everywhere = _everywhere(bare.events)
        met = {match.index for match in self._decide.engine.match(bare.events)}
        if self._decide.joins:  # of audit records each may be a part of something
            met.update(at for at, event in enumerate(bare.events) if event.source.service == "auditd")
        kept = [bare.events[at] for at in sorted(met)]
        return recordings.Lines([event.offset for event in kept], [event.raw for event in kept]), bare.dead, everywhere


def _everywhere(events: list[Event]) -> int:
    """Let every rule look at events whose log source nothing tells; how many there are.

    A worker asks no rule about them: that would flood it. Here somebody named the file and the rules.
    """
    count = 0
    for event in events:
        if event.source == NOWHERE:
            event.source = EVERYWHERE
            count += 1
    return count


def read(reader: Reader, topic: str, lines: recordings.Lines, near_ms: int) -> Reading:
    """Parse lines as records of `topic`. An event without a whole time of its own gets it from `near_ms`."""
    reading = reader.read(_batch(topic, zip(*lines, strict=True), NO_TIME))
    timeless = [index for index, event in enumerate(reading.events) if event.kafka_ms <= 0]
    if timeless:
        again = ((reading.events[index].offset, reading.events[index].raw) for index in timeless)
        for index, event in zip(timeless, reader.read(_batch(topic, again, near_ms)).events, strict=True):
            reading.events[index] = event
    return reading


def detect(judge: Judge, files: Sequence[str], jobs: int) -> Iterator[Judged]:
    """Judge files in order, on `jobs` processes. Raises RefusedError for a file that cannot be read."""
    # What was loaded lives to the end: the collector need not look at a million objects again and again.
    memory.collect_seldom()
    parts = ((name, lines, near_ms(name)) for name in files for lines in recordings.read(name, headed=judge.headed))
    if jobs == 1:
        # Who reads a pipe ahead could not be interrupted while nothing comes.
        yield from (judge(*part) for part in (_ahead(parts) if all(map(os.path.isfile, files)) else parts))
        return
    # Forked, so that compiled rules are shared and not loaded again; nothing here has started a thread yet.
    global _judge
    _judge = judge
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("fork")) as pool:
        ahead: deque[Future[Judged]] = deque()
        for part in parts:
            ahead.append(pool.submit(_in_child, *part))
            if len(ahead) > 2 * jobs:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _ahead(parts: Iterator[Part]) -> Iterator[Part]:
    """The same parts, the next one read and unpacked by a thread while one is judged: that needs no interpreter."""
    with ThreadPoolExecutor(1) as reading:
        coming = reading.submit(next, parts, None)
        while (part := coming.result()) is not None:
            coming = reading.submit(next, parts, None)
            yield part


def correlated(judged: Iterable[Judged], gathering: Gathering) -> Iterator[Judged]:
    """The same parts, and after the last one what the correlations come to over all of them."""
    for part in judged:
        if part.shares is not None:
            gathering.take(part.shares)
        yield part
    yield Judged("", 0, gathering.rows(), [], [])


def joined(judged: Iterable[Judged], joining: Joining, topic: str) -> Iterator[Judged]:
    """The same parts, and what rules say of audit events: of whole ones at once, of the others after the last part."""
    joins = Joins(MUCH, parents=joining.parents)
    for part in judged:
        yield part
        if part.pieces:
            yield from _of_joined(joins.take(part.pieces), joining, topic)
    yield from _of_joined(joins.finish(), joining, topic)


def _of_joined(told: Sequence[Joined], joining: Joining, topic: str) -> Iterator[Judged]:
    by_file: dict[str, list[Joined]] = {}
    for one in told:
        by_file.setdefault(one.head.lane, []).append(one)
    for file, mine in by_file.items():
        said = joining.judge(mine, topic or LOG)
        rows = [row(detection, file) for detection in said.detections if detection.kind == "rule"]
        yield Judged(file, 0, rows, [], said.hidden)


def near_ms(name: str) -> int:
    """When a recording was last written, milliseconds UTC; standard input is being written now."""
    at = datetime.now(UTC).timestamp() if name == recordings.STDIN else Path(name).stat().st_mtime
    return int(at * 1000)


def processes(files: Sequence[str]) -> int:
    """How many processes files are worth: each makes its routes anew, which costs as much as judging some MB."""
    known = sum((recordings.size(name) or 0) * (PACKED if name.endswith(_PACKINGS) else 1) for name in files)
    return min(len(os.sched_getaffinity(0)), 1 + known // WORTH_BYTES)


def row(detection: Detection, file: str) -> dict[str, Any]:
    """A detection as `qorgan detect` prints it; `line` counts from 1, `time` is ISO 8601 in UTC."""
    told = {
        f"{detection.kind}_id": detection.subject,
        "title": detection.title,
        "level": detection.level,
        "stage": detection.stage,
        "file": file,
        "line": detection.offset,
        "time": iso(detection.time),
        "host": detection.host,
        "user": detection.user,
        "tags": detection.tags,
        "item": detection.finding.item if detection.finding else "",
        "matched": detection.matched,
    }
    return told if detection.indicator is None else told | {"indicator": detection.indicator.model_dump()}


def iso(time_ms: int) -> str:
    """A time as these commands print it, UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_judge: Judge | None = None


def _in_child(file: str, lines: recordings.Lines, near: int) -> Judged:
    if _judge is None:
        raise RuntimeError("judged in a process that was not forked from the one that loaded the rules")
    return _judge(file, lines, near)


def _batch(topic: str, lines: Iterable[tuple[int, bytes]], timestamp: int) -> RecordBatch:
    records = [Line(number, value, timestamp) for number, value in lines]
    first, after = (records[0].offset, records[-1].offset + 1) if records else (0, 0)
    return RecordBatch(LOG, topic, 0, first, after, records)
