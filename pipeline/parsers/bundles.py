"""Records that hold many, `{"Records": [ … ]}`: a record on a topic is one event, so these are none.

They go to the dead letters by the reason `shape`: half of one read in silence would be worse. Shippers take them apart
(`unnest` of Vector, `split` of Logstash, `expand_event_list_from_field` of Filebeat), `detect` and `publish` too.
"""

from __future__ import annotations

from typing import Any, NoReturn

from pipeline.parsers.shape import Topic
from pipeline.recordings_bundles import bundled
from schemas.errors import UnparsableError
from schemas.event import Format

BUNDLE = Format("bundle", "json")


def is_bundle(doc: dict[str, Any]) -> bool:
    """Little beside a list of objects by a name that clouds give it."""
    items = bundled(doc) if len(doc) < 5 else []
    return bool(items) and isinstance(items[0], dict)


def bundle(_doc: dict[str, Any], _raw: bytes, _near: int, _topic: Topic) -> NoReturn:
    """No event."""
    raise UnparsableError("shape")
