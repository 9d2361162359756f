"""The selections of a rule as pySigma's model holds them: maps, lists and keywords, under names that it can read."""

from __future__ import annotations

import re
from typing import Any, Final

from sigma.conditions import ConditionAND, ConditionOR
from sigma.rule import SigmaDetection, SigmaDetectionItem

from detectors.sigma.expansions import UntranslatableError
from detectors.sigma.modifiers import item

_WORDS: Final = re.compile(r"[^\s()]+")
_OPERATORS: Final = frozenset({"AND", "OR", "NOT", "OF", "ALL", "ANY", "THEM"})
#: `2 of selection*`, which some engines take.
_COUNTED: Final = re.compile(r"(?<![^\s()])(0|0*[2-9]|0*[1-9]\d+)\s+of\s", re.IGNORECASE)
_ODD: Final = re.compile(r"[^A-Za-z0-9_*|]")


def plainly_named(said: dict[str, Any]) -> dict[str, Any]:
    """The detection as pySigma reads conditions: names of ASCII letters, digits and _, operators in small letters.

    A letter is written by its number, in names and in patterns alike, so that they match as before.
    """
    conditions = said["condition"] if isinstance(said["condition"], list) else [said["condition"]]
    words = {word for text in conditions for word in _WORDS.findall(text)}
    for text in conditions:
        if (count := _COUNTED.search(text)) and count[1] not in said:
            raise UntranslatableError(f"`{count[1]} of` is no part of Sigma, which has `1 of`, `any of` and `all of`")
    if not any(_ODD.search(word) or _capital(word) for word in (*words, *said)):
        return {**said, "condition": conditions}

    def plain(word: str) -> str:
        if _capital(word) and word not in said:
            return word.lower()
        return _ODD.sub(lambda odd: f"U{ord(odd[0]):x}U", word)

    named = {plain(name): part for name, part in said.items()}
    if len(named) < len(said):
        raise UntranslatableError("two selections have names that are too much alike")
    return {**named, "condition": [_WORDS.sub(lambda word: plain(word[0]), text) for text in conditions]}


def _capital(word: str) -> bool:
    """Whether it is an operator that pySigma would take for a name: `AND`, `Of`."""
    return word.upper() in _OPERATORS and not word.islower()


def as_named(reason: str) -> str:
    """What pySigma says, with the names as they were written."""
    return re.sub(r"U([0-9a-f]{1,6})U", lambda code: chr(int(code[1], 16) % 0x110000), reason)


def detection(said: Any, policy: Any) -> Any:
    """A selection: a map's entries all hold, of a list one does, a list of plain values is keywords."""
    if isinstance(said, dict):
        return SigmaDetection([_item(key, value, policy) for key, value in said.items()])
    if isinstance(said, list) and any(isinstance(each, dict | list) for each in said):
        return SigmaDetection([detection(each, policy) for each in said])
    return SigmaDetection([_item("", said, policy)])


def _item(key: str, said: Any, policy: Any) -> Any:
    field, values, demands_all, negated = item(key, said, policy)
    linking = ConditionAND if demands_all else ConditionOR
    # Without modifiers of pySigma's: they are applied.
    return SigmaDetectionItem(field, [], values, linking, negated)
