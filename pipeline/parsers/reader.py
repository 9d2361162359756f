"""A batch of records becomes events and dead letters: each record exactly one of them, whatever its bytes are.

record ── first byte ──┬─ `{` ── orjson, once ── sniff ── JSON format ─┐
                       └─ text ───────────────── sniff ── text format ─┼─ Event: time judged, observables taken
                                                                       └─ DeadLetter: reason, bytes as they came
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from detectors.ioc import free_text, host_forms, money_forms, network_forms, observables
from detectors.sigma.pipelines import MAX_BYTES as MAX_PIPELINE
from detectors.sigma.pipelines import ours
from detectors.sigma.pipelines import read as read_pipeline
from pipeline.parsers.clock import DAY_MS
from pipeline.parsers.columns import columns, place
from pipeline.parsers.formats import EXTRACTORS, OBJECTS, SHAPES, TEXT_SHAPES, tell
from pipeline.parsers.objects import MAX_BYTES, read_object
from pipeline.parsers.shape import Shape, Topic, bound, source
from pipeline.parsers.whole_text import with_text
from pipeline.settings import Settings
from schemas.dead_letter import DeadLetter
from schemas.errors import RefusedError, UnparsableError
from schemas.event import Event, Format, Record, RecordBatch
from schemas.field_mapping import FieldMapping
from schemas.identity import short_hash

#: A record's own time counts when it lies in [Kafka's - 7 days, Kafka's + 5 minutes].
OLDEST_MS: Final = 7 * DAY_MS
NEWEST_MS: Final = 5 * 60_000

LARGE: Final = 64 << 10
SYSLOG: Final = SHAPES["syslog"]
#: What a text format is told by, bytes.
HEAD: Final = 1_024


@dataclass(frozen=True, slots=True)
class Reading:
    """What a batch is, in offset order: len(events) + len(dead) is the number of its records."""

    events: list[Event]
    dead: list[DeadLetter]


class Reader:
    """Reads batches by the settings of their topics. Raises RefusedError for a format or time zone it does not know.

    `bare`: its events have what rules look at; their columns, times and observables are not to be relied on.
    """

    def __init__(self, settings: Settings, *, bare: bool = False) -> None:
        self._zone = _zone(settings.timezone)
        for entry in settings.topics:
            if entry.format != "detect" and entry.format not in SHAPES:
                known = ", ".join(SHAPES)
                raise RefusedError(f"topics: {entry.topic} names the format {entry.format!r}; there are {known}.")
            if entry.timezone:
                _zone(entry.timezone)
        self._settings = settings
        self._bare = bare
        self._mappings = {entry.mapping: mapping(entry.mapping) for entry in settings.topics if entry.mapping}
        self._topics: dict[str, Topic] = {}
        said = orjson.dumps([entry.model_dump() for entry in settings.topics], option=orjson.OPT_SORT_KEYS)
        self.revision: str = short_hash(_code(), settings.timezone, said.decode(), *_revisions(self._mappings))
        """Changes with whatever shapes rows: this code, the topics' settings, the time zone."""

    def read(self, batch: RecordBatch) -> Reading:
        """Read every record of a batch. Never raises.

        A record with the timestamp -1 (Kafka's 'none') has its own time for Kafka's: so are files read.
        """
        topic = self._topics.get(batch.topic) or self._topic(batch.topic)
        events: list[Event] = []
        dead: list[DeadLetter] = []
        for record in batch.records:
            try:
                events.append(_event(record, topic))
            except UnparsableError as refused:
                dead.append(_dead(record, refused.reason))
            except Exception:  # a fault of ours must cost one record's parsing, never the stream
                dead.append(_dead(record, "fault"))
        if topic.mapping is not None:
            for event in events:
                event.format = mapped(event.format, topic.mapping)
        return Reading(events, dead)

    def _topic(self, name: str) -> Topic:
        entry = self._settings.for_topic(name)
        known = Topic(
            _zone(entry.timezone) if entry.timezone else self._zone,
            source(entry.product.lower(), entry.category.lower(), entry.service),
            int(entry.lateness * 1000),
            SHAPES.get(entry.format),
            self._mappings.get(entry.mapping),
            self._bare,
            entry.fields,
            entry.delimiter,
            columns(entry.columns.items()),
            entry.observables == "text",
        )
        self._topics[name] = known
        return known


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise RefusedError(f"timezone: {name!r} is no time zone (try Asia/Almaty).") from None


def mapping(name: str) -> FieldMapping:
    """A mapping that comes with us, or a pySigma pipeline in a file. Raises RefusedError."""
    if not name.endswith((".yml", ".yaml")):
        return ours(name)
    try:
        with Path(name).open("rb") as file:
            return read_pipeline(name, file.read(MAX_PIPELINE + 1))
    except OSError as error:
        raise RefusedError(f"topics: the mapping {name} cannot be read ({error.strerror}).") from None


def _revisions(mappings: dict[str, FieldMapping]) -> list[str]:
    return [each.revision for each in mappings.values()]


@lru_cache(maxsize=1_024)
def mapped(form: Format, topic: FieldMapping) -> Format:
    """A topic's form of a format; one object each, since the engine groups by it. The topic's words go first."""
    items = (*(form.mapping.items if form.mapping is not None else ()), *topic.items)
    name, revision = (
        (topic.name, topic.revision)
        if form.mapping is None
        else (
            f"{form.mapping.name}+{topic.name}",
            short_hash(form.mapping.revision, topic.revision),
        )
    )
    return replace(form, mapping=FieldMapping(name, revision, items))


def _event(record: Record, topic: Topic) -> Event:
    raw = record.value
    if not raw:
        raise UnparsableError("empty")
    start = raw[0]
    if start == 0x7B:  # {
        shape, content = _of_object(raw, topic)
    elif start == 0x3C and topic.shape is None and raw[1:2].isdigit() and len(raw) < LARGE:  # <13>: most text is syslog
        shape, content = SYSLOG, str(raw.rstrip(b" \t\r\n\0"), "utf-8", "replace")
    else:
        shape, content = _other(raw, topic)
    kafka_ms = record.timestamp
    event = shape.parse(content, raw, kafka_ms, topic)
    event.offset = record.offset
    if topic.columns:
        place(event, topic)
    if topic.bare:
        return event
    own_ms = event.time_ms
    if kafka_ms < 0:
        kafka_ms = own_ms
    event.kafka_ms = kafka_ms
    behind = kafka_ms - own_ms
    if own_ms and -NEWEST_MS <= behind <= OLDEST_MS:
        event.late = behind > topic.lateness_ms
    else:
        event.time_ms = kafka_ms
        event.doubtful = True
    event.observables = EXTRACTORS[event.format.name](event)
    if topic.text:
        event.observables = with_text(event)
    if len(raw) > LARGE:
        bound(event)
    return event


def _of_object(raw: bytes, topic: Topic) -> tuple[Shape, Any]:
    """A record's object, decoded once, and its format. Raises UnparsableError."""
    doc = read_object(raw)
    named = topic.shape
    shape = tell(doc) if named is None else named if named.format.name in OBJECTS and named.sniff(doc) else None
    if shape is None:
        raise UnparsableError("format")
    return shape, doc


def _other(raw: bytes, topic: Topic) -> tuple[Shape, Any]:
    """What does not start with a brace: a text format, or an object behind a byte order mark or blanks."""
    bare = raw.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n\0")
    if not bare:
        raise UnparsableError("empty")
    if len(raw) > MAX_BYTES:
        raise UnparsableError("size")
    if bare[0] == 0x7B:
        return _of_object(bare, topic)
    named = topic.shape
    # Told by what is ASCII; to replace what is no UTF-8 costs, and garbage is not worth it.
    head = bare[:HEAD].decode("latin-1")
    for shape in TEXT_SHAPES if named is None else () if named.format.name in OBJECTS else (named,):
        if shape.sniff(head):
            return shape, bare.decode("utf-8", "replace")
    raise UnparsableError("shape" if head[0] in '["' else "format")


def _dead(record: Record, reason: str) -> DeadLetter:
    return DeadLetter(record.offset, record.timestamp, reason, record.key, record.value)


def _code() -> str:
    """A hash of the sources that shape rows: nobody has to remember to raise a number."""
    forms = (observables, free_text, host_forms, money_forms, network_forms)
    here = [*(Path(str(module.__file__)) for module in forms), *sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.blake2b(b"\0".join(path.read_bytes() for path in here), digest_size=8).hexdigest()
