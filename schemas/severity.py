"""Sigma's levels, as an order."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, cast

Level = Literal["informational", "low", "medium", "high", "critical"]


class Severity(IntEnum):
    """Sigma's five levels. Comparable; stored and sent by name."""

    INFORMATIONAL = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def word(self) -> Level:
        """The level as Sigma writes it."""
        return cast(Level, self.name.lower())

    @classmethod
    def of(cls, word: str | None) -> Severity:
        """The severity of Sigma's `level`; `medium` where a rule names none."""
        return cls[word.upper()] if word else cls.MEDIUM
