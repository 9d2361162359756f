"""ATT&CK in Sigma's tags: which tags are tactics, in the order in which an attack tends to go, and which techniques."""

from __future__ import annotations

import re
from collections.abc import Iterable

from schemas.event_list import tag

#: Both namings of what was one tactic are known: rules of either age are in use.
TACTICS = (
    "reconnaissance",
    "resource-development",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "stealth",
    "defense-impairment",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
)
_ORDER = {tactic: place for place, tactic in enumerate(TACTICS)}
_TECHNIQUE = re.compile(r"t\d{4}(\.\d{3})?")


def _attack(tags: Iterable[str]) -> set[str]:
    words = (tag(word) for word in tags)
    return {word.removeprefix("attack.") for word in words if word.startswith("attack.")}


def tactics_of(tags: Iterable[str]) -> set[str]:
    """The tactics among Sigma tags, without `attack.`."""
    return _attack(tags) & _ORDER.keys()


def techniques_of(tags: Iterable[str]) -> set[str]:
    """The techniques among Sigma tags, as t1003.001."""
    return {word for word in _attack(tags) if _TECHNIQUE.fullmatch(word)}


def in_order(tactics: Iterable[str]) -> tuple[str, ...]:
    """Tactics from first to last of an attack."""
    return tuple(sorted(tactics, key=lambda tactic: (_ORDER.get(tactic, len(_ORDER)), tactic)))
