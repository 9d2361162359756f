"""The traffic light protocol (TLP 2.0 of FIRST): how far something may be passed on, and by which ways it may leave.

Colours are ordered, the strictest last. What is the bank's own starts at AMBER+STRICT: it stays in the bank until
somebody who may relaxes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Final


class Tlp(IntEnum):
    """How far something may be passed on."""

    CLEAR = 0
    GREEN = 1
    AMBER = 2
    AMBER_STRICT = 3
    RED = 4

    @property
    def word(self) -> str:
        """As it is written: amber+strict."""
        return self.name.lower().replace("_", "+")

    @classmethod
    def of(cls, word: str) -> Tlp:
        """The colour of a word as `word` writes it. Raises ValueError for any other."""
        try:
            return _BY_WORD[word]
        except KeyError:
            raise ValueError(f"a colour that is none of {', '.join(WORDS)}") from None


_BY_WORD: Final = {colour.word: colour for colour in Tlp}
WORDS: Final = tuple(_BY_WORD)
OWN: Final = Tlp.AMBER_STRICT

#: The strictest colour that may go each way. The console shows what only its recipients may see; notices and archives
#: stay in the bank; the regulator's card and a contractor are in the circle of AMBER (need to know), the bank alone in
#: that of AMBER+STRICT; an export goes to the community.
STRICTEST: Final = {
    "console": Tlp.RED,
    "notice": Tlp.AMBER_STRICT,
    "archive": Tlp.AMBER_STRICT,
    "card": Tlp.AMBER,
    "contractor": Tlp.AMBER,
    "export": Tlp.GREEN,
}


def may_leave(word: str, way: str) -> bool:
    """Whether something of this colour may leave by this way. An unknown colour or way: no."""
    return word in _BY_WORD and way in STRICTEST and _BY_WORD[word] <= STRICTEST[way]


def strictest(words: Iterable[str]) -> str:
    """Of several colours the one that counts for what is made of all of them; RED where one is unknown."""
    known = [_BY_WORD.get(word, Tlp.RED) for word in words]
    return max(known, default=OWN).word
