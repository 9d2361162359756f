"""Lines that hold several records: clouds write files of one document, `{"Records": [ … ]}`, or of one array.

Only files are taken apart, since a record on a topic is one event. The lists that are known: CloudTrail's `Records`,
Azure's `records`, Kubernetes' `items` of an EventList, `value` of Microsoft Graph, an array of Microsoft 365's.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

_BEGINNINGS: Final = (
    b"[",
    b'{"Records"',
    b'{"records"',
    b'{"kind":"EventList"',
    b'{"kind": "EventList"',
    b'{"@odata.context"',
    b'{"value"',
)
_LISTS: Final = ("Records", "records", "items", "value")


def apart(line: bytes) -> list[bytes]:
    """The records of a line: itself, or those that it holds."""
    if not line.startswith(_BEGINNINGS):
        return [line]
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        return [line]
    items = document if isinstance(document, list) else bundled(document)
    if not items or not all(isinstance(item, dict) for item in items):
        return [line]
    return [orjson.dumps(item) for item in items]


def bundled(document: dict[str, Any]) -> list[Any]:
    """The list that a document is made of, if it is one of those known and little else stands beside it."""
    if len(document) > 4:
        return []
    found = next((document[name] for name in _LISTS if isinstance(document.get(name), list)), None)
    return found or []
