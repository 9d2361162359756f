"""An event's fields as rules ask for them: by name, as text, case folded; each worked out once per event.

Numbers and booleans equal their strings. Case is folded by Unicode's *simple* folding (one character to one), because
that is what RE2 does and what can be done in bytes; `str.casefold` would make ß equal ss. A literal dotted key beats a
path. A list gives all its elements, and a path through a list of objects all that it leads to.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

Texts = str | tuple[str, ...]
"""One text, or those of a list; () where there is none."""


#: Simple foldings of Unicode 15.1 between two small letters, which Python's tables of full ones do not show.
_LATER: Final = {"\u1fd3": "\u0390", "\u1fe3": "\u03b0", "\ufb05": "\ufb06"}


def simple_fold(char: str) -> str:
    """Unicode's simple case folding of one character."""
    full = char.casefold()
    if len(full) == 1:
        return full
    if char in _LATER:
        return _LATER[char]
    lower = char.lower()
    return lower if len(lower) == 1 else char


@lru_cache(maxsize=1)
def _odd() -> tuple[re.Pattern[str], dict[int, str]]:
    """The characters that `str.lower` does not fold simply, as a pattern and as a table; about 200 of them."""
    table = {}
    # No character of a plane above 1 has case; sys.maxunicode would cost ten times as long.
    for code in range(128, min(0x20000, sys.maxunicode)):
        char = chr(code)
        fold = simple_fold(char)
        # Σ alone is lowered by what stands around it.
        if fold != char.lower() or char == "Σ":
            table[code] = fold
    return re.compile(f"[{''.join(map(chr, table))}]"), table


def fold(text: str) -> str:
    """`text` with simple case folding; as fast as `str.lower` for all but about 200 rare characters."""
    if text.isascii():
        return text.lower()
    pattern, table = _odd()
    if pattern.search(text) is None:
        return text.lower()
    return "".join([table.get(ord(char)) or char.lower() for char in text])


@lru_cache(maxsize=1)
def variants() -> Mapping[str, str]:
    """Folded character → all characters that fold to it, for those that have more than one."""
    found: dict[str, str] = {}
    for code in range(0x20000):
        char = chr(code)
        folded = simple_fold(char)
        if folded != char:
            found[folded] = found.get(folded, folded) + char
    return found


def text_of(value: Any) -> str | None:
    """A scalar as text; None for null and for what nests."""
    kind = value.__class__
    if kind is str:
        text: str = value
        return text
    if kind is bool:
        return "true" if value else "false"
    if kind is int or kind is float:
        return str(value)
    return None


def pick(fields: Mapping[str, Any], name: str) -> Any:
    """The value of a field: of the literal key, else along the dotted path; None where there is none."""
    value = fields.get(name)
    if value is not None or "." not in name:
        return value
    return None if name in fields else _along(fields, name.split("."))


def present(fields: Mapping[str, Any], name: str) -> bool:
    """Whether the event names this field at all, be its value null."""
    if name in fields or pick(fields, name) is not None:
        return True
    *path, last = name.split(".")
    return bool(path) and any(isinstance(o, dict) and last in o for o in _objects(pick(fields, ".".join(path))))


def _objects(value: Any) -> Iterator[Any]:
    """The value itself, or all that a list of lists holds."""
    if isinstance(value, list):
        for item in value:
            yield from _objects(item)
    else:
        yield value


def _along(value: Any, path: list[str]) -> Any:
    for depth, step in enumerate(path):
        if isinstance(value, list):
            found = [_along(item, path[depth:]) for item in value]
            found = [item for item in found if item is not None]
            return found or None
        if not isinstance(value, dict):
            return None
        rest = ".".join(path[depth:])
        if rest in value:  # a key may hold dots below the top as well
            return value[rest]
        if step not in value and len(path) - depth > 2:
            return _half(value, path[depth:])
        value = value.get(step)
    return value


def _half(value: dict[str, Any], path: list[str]) -> Any:
    """A record that is flattened in part: `{"a.b": {"c": …}}`. The longest key counts."""
    for end in range(len(path) - 1, 1, -1):
        inner = value.get(".".join(path[:end]))
        if inner is not None:
            return _along(inner, path[end:])
    return None


def texts_of(fields: Mapping[str, Any]) -> list[str]:
    """Every scalar of an event, however deep, as text; keys are none. Walked, not recursed into."""
    found: list[str] = []
    stack: list[Any] = list(fields.values())
    while stack:
        value = stack.pop()
        if value.__class__ is str:
            found.append(value)
        elif isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
        elif (text := text_of(value)) is not None:
            found.append(text)
    return found


def elements(value: Any) -> Iterator[Any]:
    """The value itself, or the scalars of a list of (lists of) them; an object has none."""
    if isinstance(value, list):
        for item in value:
            yield from elements(item)
    elif not isinstance(value, dict):
        yield value


class _Plain(dict[str, Texts]):
    """Field name → its text as sent. Filled as it is asked: most rules look at few fields."""

    __slots__ = ("fields",)
    fields: Mapping[str, Any]

    def __missing__(self, name: str) -> Texts:
        value = pick(self.fields, name)
        if value.__class__ is str:
            found: Texts = value
        elif isinstance(value, list):
            found = tuple(text for item in elements(value) if (text := text_of(item)) is not None)
        else:
            text = text_of(value)
            found = () if text is None else text
        self[name] = found
        return found


class _Folded(dict[str, Texts]):
    """Field name → its folded text."""

    __slots__ = ("plain",)
    plain: _Plain

    def __missing__(self, name: str) -> Texts:
        # A text under its own name, as most are, without the steps between.
        value = self.plain.fields.get(name)
        if value.__class__ is not str:
            value = self.plain[name]
        found: Texts
        if value.__class__ is str:
            found = value.lower() if value.isascii() else fold(value)
        else:
            found = tuple(map(fold, value))
        self[name] = found
        return found


class View:
    """One event as predicates see it."""

    __slots__ = ("_folded", "_page", "_words", "fields", "folded", "plain", "read")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields
        self.plain = _Plain()
        self.plain.fields = fields
        self.folded = _Folded()
        self.folded.plain = self.plain
        self.read: dict[Any, View] = {}
        """What was read of the event for `via`, by what was asked."""
        self._words: list[str] | None = None
        self._page: str | None = None
        self._folded = ""

    def words(self, cased: bool) -> list[str]:
        """Every scalar of the event as text, for keywords; folded unless `cased`."""
        if self._words is None:
            self._words = texts_of(self.fields)
        return self._words if cased else [fold(text) for text in self._words]

    def page(self, cased: bool) -> str:
        """The words, one a line: one look instead of thirty."""
        if self._page is None:
            self._page = "\n".join(self.words(cased=True))
            self._folded = fold(self._page)
        return self._page if cased else self._folded
