"""Sigma's levels, as an order."""

from __future__ import annotations

from enum import IntEnum


class Severity(IntEnum):
    """Sigma's five levels. Comparable; stored and sent by name."""

    INFORMATIONAL = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        """The level as Sigma writes it."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str | None) -> Severity:
        """The severity of Sigma's `level`; `medium` where a rule names none."""
        return cls[word.upper()] if word else cls.MEDIUM
