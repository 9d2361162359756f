"""Who claims a text: names that several have are no one's, and a better kind of claim stands before a worse one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

AMBIGUOUS: Final = "ambiguous"
BETWEEN: Final = "\t"


class Claims:
    """Texts and whom they name. What one person claims by UPN is his, though another has it as a mail address."""

    def __init__(self) -> None:
        self._best: dict[str, tuple[int, str, str]] = {}

    def add(self, text: str, rank: int, how: str, owner: str) -> None:
        """`owner` claims a text. Lower ranks win; equal ranks of two owners make it ambiguous."""
        if not text:
            return
        known = self._best.get(text)
        if known is None or rank < known[0]:
            self._best[text] = (rank, how, owner)
        elif rank == known[0] and known[2] != owner:
            self._best[text] = (rank, AMBIGUOUS, "")
        elif rank == known[0] and known[1] != AMBIGUOUS and how < known[1]:
            self._best[text] = (rank, how, owner)

    def entries(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Entries of a table: prefix and text → how, and whom."""
        for text, (_, how, owner) in self._best.items():
            yield prefix + text, how + BETWEEN + owner
