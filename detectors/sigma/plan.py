"""What each rule needs of a record: worked out once, or taken from a shelf.

It takes a second for all rules over a hundred sources, and half of that again for the databases made of it. A process
with a shelf finds both there as the last one left them, and reads a condition only when a record is a candidate.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import orjson

from detectors.sigma.prefilter import Witness, witness
from detectors.sigma.routing import Entry, event_ids
from detectors.sigma.rule import Rule
from schemas.event import Source
from schemas.field_mapping import FieldMapping


class Needs(NamedTuple):
    """What a condition needs of a record: its witness, and one of these event ids (None: any)."""

    witness: Witness | None
    event_ids: frozenset[int] | None


#: What stands in the place of a condition that cannot be read: nothing meets it.
NEVER = Needs(frozenset(), None)


def needs(rule: Rule, entry: Entry, mapping: FieldMapping | None) -> Needs:
    """What a rule's condition, in the words of its place, needs. Raises what a broken condition raises."""
    tree = entry.tree(rule, mapping)
    return Needs(witness(tree), event_ids(tree))


def met(needed: Needs, source: Source) -> bool:
    """Whether events of a source can meet the condition: it does not demand another event id."""
    wanted = needed.event_ids
    return wanted is None or not source.event_id or source.product != "windows" or source.event_id in wanted


def key(rules: Sequence[Rule], entries: Iterable[Entry], mapping: FieldMapping | None) -> bytes:
    """Changes with all that the needs of these entries are made of, the code aside.

    Names that shippers write are no part of it, so they cannot fill a shelf.
    """
    about = orjson.dumps(None if mapping is None else [mapping.name, mapping.revision])
    digest = hashlib.blake2b(about, digest_size=16)
    for entry in entries:
        rule = rules[entry.rule]
        digest.update(orjson.dumps([entry.number, *rule.logsource, len(rule.condition)]))
        digest.update(rule.condition)
    return b"needs" + digest.digest()


def packed(needed: Iterable[Needs]) -> bytes:
    """Needs as bytes."""
    return orjson.dumps([[None if part is None else sorted(part) for part in each] for each in needed])


def unpacked(content: bytes) -> list[Needs]:
    """The needs that bytes of `packed` are. Literals that several rules look for are one object."""
    return [
        Needs(
            None if literals is None else frozenset(map(sys.intern, literals)), None if ids is None else frozenset(ids)
        )
        for literals, ids in orjson.loads(content)
    ]
