"""What a file holds, format by format, as an analyst asks of a new shipper before its topic goes live.

How many records, whose log source, from when to when, what is not read and why, and which of the topic's settings
would help. The worker's own parsers read the lines, so what is told here is what a worker will see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from pipeline import recordings
from pipeline.offline import iso, near_ms, read
from pipeline.parsers import Reader
from pipeline.parsers.clock import moment
from pipeline.settings import Settings
from schemas.event import NOWHERE, Event

#: Log sources, reasons and the like that are named; the rest is counted.
NAMED: Final = 5
UNREAD: Final = "(unread)"
_COLUMNS: Final = ("host", "user", "src_ip", "dst_ip", "process", "command_line", "domain")
_MARKS: Final = ",;\t|"


@dataclass(slots=True)
class Seen:
    """The records of one format, or those of none."""

    records: int = 0
    line: int = 0
    oldest: int = 0
    newest: int = 0
    doubtful: int = 0
    nowhere: int = 0
    observables: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    columns: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    sample: Event | None = None
    raw: bytes = b""

    def add(self, event: Event) -> None:
        """Count one event."""
        if not self.records:
            self.line, self.sample = event.offset, event
        self.records += 1
        if event.doubtful:
            self.doubtful += 1
        else:
            self.oldest = min(self.oldest or event.time_ms, event.time_ms)
            self.newest = max(self.newest, event.time_ms)
        self.nowhere += event.source == NOWHERE
        self.observables += bool(event.observables)
        self.sources["/".join(event.source[:3])] += 1
        self.columns.update(name for name in _COLUMNS if getattr(event, name))


def recognise(
    settings: Settings, files: Iterable[str], topic: str, most: int, progress: Callable[[int], None] = lambda _: None
) -> Iterator[dict[str, Any]]:
    """For each file a row a format, those that are not read last; of each file at most `most` lines are looked at.

    Raises RefusedError for a file that cannot be read.
    """
    reader = Reader(settings)
    headed = settings.for_topic(topic).headed
    for name in files:
        seen: dict[str, Seen] = {}
        unread = Seen()
        left, near = most, near_ms(name)
        for lines in recordings.read(name, headed=headed):
            some = recordings.Lines(lines.numbers[:left], lines.values[:left])
            reading = read(reader, topic, some, near)
            for event in reading.events:
                seen.setdefault(event.format.name, Seen()).add(event)
            for letter in reading.dead:
                if not unread.records:
                    unread.line, unread.raw = letter.offset, letter.raw or b""
                unread.records += 1
                unread.reasons[letter.reason] += 1
            progress(len(some.numbers))
            left -= len(some.numbers)
            if left <= 0:
                break
        yield from _rows(name, seen, unread)


def _rows(name: str, seen: dict[str, Seen], unread: Seen) -> Iterator[dict[str, Any]]:
    total = sum(each.records for each in seen.values()) + unread.records
    for form, each in sorted(seen.items(), key=lambda item: -item[1].records):
        yield _row(name, form, each, total) | {"advice": list(advice(form, each))}
    if unread.records:
        yield _row(name, UNREAD, unread, total) | {"advice": list(of_unread(unread))}


def _row(name: str, form: str, seen: Seen, total: int) -> dict[str, Any]:
    return {
        "file": name,
        "format": form,
        "records": seen.records,
        "share": round(seen.records / total, 4),
        "line": seen.line,
        "sources": [f"{source} {count}" for source, count in seen.sources.most_common(NAMED)],
        "from": iso(seen.oldest) if seen.oldest else "",
        "to": iso(seen.newest) if seen.newest else "",
        "timeless": seen.doubtful,
        "columns": {name: round(count / seen.records, 2) for name, count in sorted(seen.columns.items())},
        "observables": round(seen.observables / seen.records, 2),
        "reasons": dict(seen.reasons.most_common(NAMED)),
    }


def advice(form: str, seen: Seen) -> Iterator[str]:
    """What the topic's settings could say that the records do not."""
    if seen.nowhere:
        yield f"{seen.nowhere} records tell no log source: set product, category, service"
    if seen.doubtful * 2 > seen.records and seen.sample is not None:
        found = next(_times(seen.sample.fields), "")
        yield f'no time is found within 7 days of the record\'s: is it in columns = {{"time": "{found or "PATH"}"}}?'
    if form in ("json", "csv", "logfmt", "gelf") and not seen.columns:
        yield "no column is found: set columns (host, user, src_ip, …) to the paths of their fields"
    if not seen.observables and form in ("json", "csv", "logfmt", "gelf", "syslog", "access"):
        yield 'no observables are found: observables = "text" looks for them in the whole record'


def _times(fields: dict[str, Any], path: str = "", depth: int = 4) -> Iterator[str]:
    """Paths of values that read like a time of this century."""
    from datetime import UTC

    for name, value in islice(fields.items(), 200):
        where = f"{path}{name}"
        if isinstance(value, dict):
            if depth:
                yield from _times(value, f"{where}.", depth - 1)
        elif moment(value, UTC) > 946_684_800_000:
            yield where


def of_unread(seen: Seen) -> Iterator[str]:
    """What could be wrong, by the reasons and the first line."""
    line = seen.raw[:4_096].decode("utf-8", "replace").split("\n")[0]
    if "shape" in seen.reasons and "\t" in line and line[:1].isdigit():
        yield 'rows of a Zeek log without header: set format = "zeek_tsv" and fields, or service = the log\'s name'
    elif {"format", "shape"} & seen.reasons.keys():
        mark = max(_MARKS, key=line.count)
        if line.count(mark) > 1:
            said = "" if mark == "," else f', delimiter = "{mark}"'.replace("\t", "\\t")
            yield f'values separated by {mark!r}: set format = "csv"{said} and fields, where no header says them'
        elif line[:1] == "[":
            yield "a list of records is no record: let the shipper send one object each"
        else:
            yield "no format of ours: look at line " + str(seen.line)
    if "json" in seen.reasons:
        yield "objects over several lines, or cut: one object a line is a record"
    if "encoding" in seen.reasons:
        yield "no UTF-8: let the shipper convert"
    if "fault" in seen.reasons:
        yield "a fault of ours: please report it with such a line"
