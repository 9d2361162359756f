"""Boolean conditions over names of rules: `a and (b or not c)`.

Not pySigma's grammar: that takes no name with a dash, so no id, and does not bound how deep brackets nest.
"""

from __future__ import annotations

import re
from typing import Any, Final

from detectors.correlation.correlation import Condition

MAX_DEPTH: Final = 40

_WORD: Final = re.compile(r"\s*([()]|[^\s()]+)")
_RESERVED: Final = frozenset({"and", "or", "not", "(", ")"})


class BooleanError(ValueError):
    """What is wrong with a condition, a predicate of "its condition"."""


def parsed(text: str) -> tuple[Any, list[str]]:
    """The condition as a tree over names, and the names in their order. Raises BooleanError."""
    words = _WORD.findall(text)
    parser = _Parser(words)
    tree = parser.alternatives(0)
    if parser.words:
        raise BooleanError(f"ends before {parser.words[-1][:80]!r}")
    return tree, list(dict.fromkeys(word for word in words if word.lower() not in _RESERVED))


def placed(tree: Any, rules: tuple[str, ...]) -> Condition:
    """The tree with places in `rules` instead of names."""
    if isinstance(tree, str):
        return rules.index(tree)
    return [tree[0], *(placed(part, rules) for part in tree[1:])]


class _Parser:
    """`not` binds before `and`, that before `or`. Takes time proportional to the words."""

    def __init__(self, words: list[str]) -> None:
        self.words = words[::-1]

    def alternatives(self, depth: int) -> Any:
        return self._joined("or", lambda: self._joined("and", lambda: self._single(depth)))

    def _joined(self, word: str, part: Any) -> Any:
        parts = [part()]
        while self.words and self.words[-1].lower() == word:
            self.words.pop()
            parts.append(part())
        return parts[0] if len(parts) == 1 else [word, *parts]

    def _single(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise BooleanError(f"nests more than {MAX_DEPTH} deep")
        word = self.words.pop() if self.words else ""
        if word.lower() == "not":
            return ["not", self._single(depth + 1)]
        if word == "(":
            inner = self.alternatives(depth + 1)
            if not self.words or self.words.pop() != ")":
                raise BooleanError("has a bracket that is not closed")
            return inner
        if not word or word.lower() in _RESERVED:
            raise BooleanError("lacks the name of a rule")
        return word
