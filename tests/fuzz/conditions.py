"""A second reader of conditions, small and slow, that knows nothing of the first."""

from __future__ import annotations

import re
from typing import Final

#: The selections that a condition may name.
NAMES: Final = ("s1", "s2", "f1", "_x1")


class _WrongError(Exception):
    pass


def holds(condition: str, has: set[str]) -> bool | None:
    """Whether a condition holds where just the selections `has` do; None where it is no condition."""
    if "|" in condition:
        return None
    words = re.findall(r"[()]|[^\s()]+", condition)
    words = [word.lower() if word in ("AND", "OR", "NOT", "OF") else word for word in words]
    try:
        found = _either(words, has)
    except _WrongError:
        return None
    return found if not words else None


def _either(words: list[str], has: set[str]) -> bool:
    found = _both(words, has)
    while words[:1] == ["or"]:
        words.pop(0)
        other = _both(words, has)
        found = found or other
    return found


def _both(words: list[str], has: set[str]) -> bool:
    found = _one(words, has)
    while words[:1] == ["and"]:
        words.pop(0)
        other = _one(words, has)
        found = found and other
    return found


def _one(words: list[str], has: set[str]) -> bool:
    if not words:
        raise _WrongError
    word = words.pop(0)
    if word == "not":
        return not _one(words, has)
    if word == "(":
        found = _either(words, has)
        if words[:1] != [")"]:
            raise _WrongError
        words.pop(0)
        return found
    if word in ("1", "any", "all") and words[:1] == ["of"] and len(words) > 1:
        words.pop(0)
        return _of(word, words.pop(0), has)
    if word not in NAMES:
        raise _WrongError
    return word in has


def _of(quantity: str, pattern: str, has: set[str]) -> bool:
    shape = ".*" if pattern == "them" else ".*".join(map(re.escape, pattern.split("*")))
    hidden = pattern.startswith("_")  # what begins with an underscore is named by a pattern that does too
    named = [name for name in NAMES if re.fullmatch(shape, name) and (hidden or not name.startswith("_"))]
    if not named:
        raise _WrongError
    return (all if quantity == "all" else any)(name in has for name in named)
