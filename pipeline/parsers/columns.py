"""Where a topic's records hold the columns and the log source, as its settings say: for shippers nobody foresaw.

Applied to whatever a format's parser has found, so that it completes a known format as well as generic JSON or CSV.
"""

from __future__ import annotations

from collections.abc import Iterable

from detectors.ioc.observables import address
from pipeline.parsers.clock import moment
from pipeline.parsers.shape import Topic, reach, source, word
from schemas.event import Event

Columns = tuple[tuple[str, tuple[str, ...]], ...]
_SOURCE = ("product", "category", "service")
_ADDRESSES = ("src_ip", "dst_ip")


def columns(said: Iterable[tuple[str, str]]) -> Columns:
    """Settings as paths: `("host", "device.name")` → `(("host", ("device", "name")),)`."""
    return tuple((name, tuple(path.split("."))) for name, path in sorted(said))


def place(event: Event, topic: Topic) -> None:
    """Fill the columns that the topic's settings name; what a record does not hold stays as its format had it."""
    told: dict[str, str] = {}
    for name, path in topic.columns:
        value = reach(event.fields, path)
        if name == "time":
            event.time_ms = moment(value, topic.zone) or event.time_ms
            continue
        text = word(value)
        if not text or text == "-":
            continue
        if name in _SOURCE:
            told[name] = text.lower()
        elif name not in _ADDRESSES:
            setattr(event, name, text)
        elif (known := address(text)) is not None:
            setattr(event, name, known.value)
    if told:
        product, category, service = (told.get(name, getattr(event.source, name)) for name in _SOURCE)
        event.source = source(product, category, service, event.source.event_id)
