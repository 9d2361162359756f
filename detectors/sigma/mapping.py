"""A rule in a provider's words: its condition rewritten when a route is compiled, so that an event costs nothing more.

Names are exchanged. A value of a closed list (`S-1-16-12288` for `High`) is turned round: the rule looks for the
provider's own value, so the literal that the prefilter scans for is the one that stands in the bytes. What is no closed
list is read (`readings`) by a leaf of its own, `via`, beside what its plain fields must then hold.

A mapped value counts in both spellings, the provider's and Sigma's: rules are written in either.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from detectors.sigma.fields import View, elements, fold, pick, text_of
from detectors.sigma.predicates import predicate
from detectors.sigma.readings import READINGS
from detectors.sigma.rule import LogSource, Node
from schemas.field_mapping import FieldMapping

_NO_VALUES: Final[Mapping[str, str]] = MappingProxyType({})


class Told(NamedTuple):
    """How a provider tells a rule's field: under `name`, or also under others; `values`: its value → Sigma's; or by a
    reading.
    """

    name: str
    values: Mapping[str, str] = _NO_VALUES
    reading: str = ""
    also: tuple[str, ...] = ()


Names = Mapping[str, Told]
NO_NAMES: Final[Names] = MappingProxyType({})


@lru_cache(maxsize=1_024)
def names_of(mapping: FieldMapping, source: LogSource) -> Names:
    """What a format's or topic's mapping says for rules of one log source; of two items the later one counts."""
    found: dict[str, Told] = {}
    for item in mapping.items:
        if not item.sources or any(_covers(pattern, source) for pattern in item.sources):
            found |= {field: Told(names[0], also=names[1:]) for field, names in item.names}
    return found


def _covers(pattern: tuple[str, str, str], source: LogSource) -> bool:
    return all(word in ("", said) for word, said in zip(pattern, source, strict=True))


_TEXTUAL: Final = ("eq", "starts", "ends", "has")


def provided(tree: Node, names: Names) -> Node:
    """The condition in a provider's words."""
    if not names:
        return tree
    if tree[0] in ("and", "or", "not"):
        return [tree[0], *(provided(child, names) for child in tree[1:])]
    if tree[0] == "ref":
        return _reference(tree, names)
    if tree[0] == "via":  # a provider's names within a format's
        return _through(tree, names)
    told = names.get(tree[1]) if tree[1] is not None else None
    return tree if told is None else _leaf(tree, told)


def value_of(fields: Mapping[str, Any], name: str, names: Names) -> str:
    """A field in Sigma's words and the spelling that Sysmon would use; '' where it is absent."""
    told = names.get(name, Told(name))
    if told.reading:
        spellings = READINGS[told.reading].read(fields, told.name)
        # Of a path or a number Sigma's spelling comes last, of what is put together first.
        at = -1 if told.reading in ("path", "hex") else 0
        return spellings[at] if spellings else ""
    text = next((text for item in elements(pick(fields, told.name)) if (text := text_of(item)) is not None), "")
    return told.values.get(text, text)


def _leaf(node: Node, told: Told) -> Node:
    if told.also:
        absent = node[0] == "null" or (node[0] == "exists" and not node[2])
        each = (_leaf(node, Told(name)) for name in (told.name, *told.also))
        return ["and" if absent else "or", *each]
    plain = [node[0], told.name, *node[2:]]
    if told.values and node[0] not in ("null", "exists"):
        test = predicate(node, UTC)
        raws = [raw for raw, said in told.values.items() if test(View({node[1]: said}))]
        return ["or", plain, ["eq", told.name, [fold(raw) for raw in raws], False]] if raws else plain
    return _read(node, plain, told) if told.reading else plain


def _read(node: Node, plain: Node, told: Told) -> Node:
    reading = READINGS[told.reading]
    if node[0] in ("null", "exists") and not reading.whole:
        return plain
    # The end of a path, or a part of one, is the same however it begins.
    if told.reading == "path" and node[0] in ("ends", "has") and not any(":" in text for text in node[2]):
        return plain
    via: Node = ["via", told.name, [[node[1], told.name, told.reading]], node]
    needs = reading.needs(told.name, node[2], node[3]) if node[0] in _TEXTUAL else None
    found = via if needs is None else ["and", needs, via]
    return found if reading.whole else ["or", plain, found]


def _reference(node: Node, names: Names) -> Node:
    """Two fields of one event: renamed, or both read."""
    told = [names.get(name, Told(name)) for name in node[1:3]]
    if not any(each.reading for each in told):
        return [node[0], told[0].name, told[1].name, *node[3:]]
    reads = [[name, each.name, each.reading] for name, each in zip(node[1:3], told, strict=True)]
    return ["via", told[0].name, reads, node]


def _through(node: Node, names: Names) -> Node:
    reads = [[field, names.get(name, Told(name)).name, reading] for field, name, reading in node[2]]
    return ["via", reads[0][1], reads, node[3]]
