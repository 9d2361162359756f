"""Where a rule's fields stand in a format, or in one topic's records: names only, and for which log sources."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MappingItem:
    """Rule's field → the names under which its value may stand. `sources`: (product, category, service) of the rules
    it is for, '' meaning any; none: all rules.
    """

    names: tuple[tuple[str, tuple[str, ...]], ...]
    sources: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """A mapping by its name and the hash of its text; of two items the later one counts."""

    name: str
    revision: str
    items: tuple[MappingItem, ...] = field(compare=False)
