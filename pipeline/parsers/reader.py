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
from detectors.ioc.observables import extract
from detectors.sigma.pipelines import MAX_BYTES as MAX_PIPELINE
from detectors.sigma.pipelines import ours
from detectors.sigma.pipelines import read as read_pipeline
from pipeline.parsers.clock import DAY_MS
from pipeline.parsers.formats import JSON_SHAPES, SHAPES, TEXT_SHAPES
from pipeline.parsers.shape import Shape, Topic, bound, source
from pipeline.settings import Settings
from schemas.dead_letter import DeadLetter
from schemas.errors import RefusedError, UnparsableError
from schemas.event import Event, Format, Record, RecordBatch
from schemas.field_mapping import FieldMapping
from schemas.identity import short_hash

#: A record's own time counts when it lies in [Kafka's - 7 days, Kafka's + 5 minutes].
OLDEST_MS: Final = 7 * DAY_MS
NEWEST_MS: Final = 5 * 60_000

#: Larger records are not read: four times what a topic takes, so only a broker set up by others sends them.
MAX_BYTES: Final = 128 << 20
#: Containers within containers; orjson takes 1,024, which is more than a recursive reader of the event survives.
MAX_DEPTH: Final = 100
LARGE: Final = 64 << 10
#: What a text format is told by, bytes.
HEAD: Final = 1_024
_NESTING: Final = frozenset((dict, list))


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
        try:
            self._zone = ZoneInfo(settings.timezone)
        except (OSError, ValueError, KeyError):
            raise RefusedError(f"timezone: {settings.timezone!r} is no time zone (try Asia/Almaty).") from None
        for entry in settings.topics:
            if entry.format != "detect" and entry.format not in SHAPES:
                known = ", ".join(SHAPES)
                raise RefusedError(f"topics: {entry.topic} names the format {entry.format!r}; there are {known}.")
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
            self._zone,
            source(entry.product.lower(), entry.category.lower(), entry.service),
            int(entry.lateness * 1000),
            SHAPES.get(entry.format),
            self._mappings.get(entry.mapping),
            self._bare,
        )
        self._topics[name] = known
        return known


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
    shape, content = _content(raw, topic.shape)
    kafka_ms = record.timestamp
    event = shape.parse(content, raw, kafka_ms, topic)
    event.offset = record.offset
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
    event.observables = extract(event, shape.table)
    if len(raw) > LARGE:
        bound(event)
    return event


def _content(raw: bytes, named: Shape | None) -> tuple[Shape, Any]:
    """The record's object or text, decoded once, and its format. Raises UnparsableError."""
    start = raw[0]
    if start == 0x7B:  # {
        doc = _object(raw)
        for shape in JSON_SHAPES if named is None else (named,) if named in JSON_SHAPES else ():
            if shape.sniff(doc):
                return shape, doc
        raise UnparsableError("format")
    return _other(raw, named)


def _object(raw: bytes) -> Any:
    if len(raw) > MAX_BYTES:
        raise UnparsableError("size")
    try:
        doc = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise UnparsableError(_reason(error.msg)) from None
    # A document that nests so deep holds as many opening marks; few others do, and to walk each would cost more.
    if _held(raw, b"{") + _held(raw, b"[") > MAX_DEPTH and _deep(doc):
        raise UnparsableError("depth")
    return doc


def _held(raw: bytes, mark: bytes) -> int:
    """How often a byte is in a record. `bytes.count` looks at one byte after the other and takes four times as long."""
    return len(raw) - len(raw.replace(mark, b""))


def _reason(message: str) -> str:
    if "UTF-8" in message or "surrogate" in message:
        return "encoding"
    return "depth" if "depth" in message else "json"


def _deep(doc: dict[str, Any]) -> bool:
    """Whether containers stand in containers more than MAX_DEPTH times."""
    level: list[Any] = [value for value in doc.values() if type(value) in _NESTING]
    for _ in range(MAX_DEPTH):
        if not level:
            return False
        inner: list[Any] = []
        for outer in level:
            values = outer.values() if type(outer) is dict else outer
            inner += [value for value in values if type(value) in _NESTING]
        level = inner
    return bool(level)


def _other(raw: bytes, named: Shape | None) -> tuple[Shape, Any]:
    """What does not start with a brace: a text format, or an object behind a byte order mark or blanks."""
    bare = raw.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n\0")
    if not bare:
        raise UnparsableError("empty")
    if len(raw) > MAX_BYTES:
        raise UnparsableError("size")
    if bare[:1] == b"{":
        return _content(bare, named)
    if bare[:1] in (b"[", b'"'):
        raise UnparsableError("shape")
    head = bare[:HEAD].decode("utf-8", "replace")
    for shape in TEXT_SHAPES if named is None else (named,) if named in TEXT_SHAPES else ():
        if shape.sniff(head):
            return shape, bare.decode("utf-8", "replace")
    raise UnparsableError("format")


def _dead(record: Record, reason: str) -> DeadLetter:
    return DeadLetter(record.offset, record.timestamp, reason, record.key, record.value)


def _code() -> str:
    """A hash of the sources that shape rows: nobody has to remember to raise a number."""
    forms = (observables, free_text, host_forms, money_forms, network_forms)
    here = [*(Path(str(module.__file__)) for module in forms), *sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.blake2b(b"\0".join(path.read_bytes() for path in here), digest_size=8).hexdigest()
