"""A JSON object out of bytes, once, and bounded: by its size, and by how deep it nests."""

from __future__ import annotations

from typing import Any, Final

import orjson

from schemas.errors import UnparsableError

#: Larger records are not read: four times what a topic takes, so only a broker set up by others sends them.
MAX_BYTES: Final = 128 << 20
#: Containers within containers; orjson takes 1,024, which is more than a recursive reader of the event survives.
MAX_DEPTH: Final = 100
_NESTING: Final = frozenset((dict, list))


def read_object(raw: bytes) -> Any:
    """The object that starts with the first byte, a brace. Raises UnparsableError: size, json, encoding, depth."""
    if len(raw) > MAX_BYTES:
        raise UnparsableError("size")
    try:
        doc = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise UnparsableError(_reason(error.msg)) from None
    # A document that nests so deep holds as many opening marks; few others do, and to walk each would cost more.
    # `bytes.count` looks at one byte after the other and takes four times as long as `replace`.
    size = len(raw)
    if 2 * size - len(raw.replace(b"{", b"")) - len(raw.replace(b"[", b"")) > MAX_DEPTH and _deep(doc):
        raise UnparsableError("depth")
    return doc


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
