"""What a feed gives, one at a time: an indicator's row, a word that one is withdrawn, or a fault by its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.indicator import Indicator


@dataclass(frozen=True, slots=True)
class Fault:
    """What is no indicator: where it stands and why. Never holds the entry's value.

    `kind`: "bad", one entry that is wrong; "foreign", one that is right but of a kind that is not matched (a Sigma
    rule, a pattern with FOLLOWEDBY); "end", the reading ended here: what came before counts, it is not the whole.
    """

    where: str
    why: str
    kind: Literal["bad", "foreign", "end"] = "bad"


@dataclass(frozen=True, slots=True)
class Revoked:
    """`source` withdraws all rows of its indicator `id`; `when`, in milliseconds UTC, is 0 where it does not say.

    It may be one that was never given: MISP tells of every attribute that is no indicator any more, or never was.
    """

    source: str
    id: str
    when: int = 0


Entry = Indicator | Revoked | Fault


class ForeignError(ValueError):
    """Well said, but nothing that is matched here. The text names what it is."""


class EndError(ValueError):
    """The reading ends here. The text names the limit, or what is broken."""
