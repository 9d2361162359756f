"""Whatever a record of the topic holds, it is pieces that can be joined and judged, or unreadable."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from detectors.audit.join import Joins
from detectors.audit.parcels import packed, read
from detectors.correlation.parcels import UnreadableError
from pipeline.parsers.audit_joined import event_of
from tests.audit import connected, parts, started, written

ODD: Final[list[Any]] = [
    None, True, 0, -1, 1 << 63, 1e300, "", "x", "-1", "\u0661", "99999999999", [], {}, [[]], {"a": None}, {"pid": ""},
    "1.000:1", "a/b/c", "a/b/1", "SYSCALL", "EXECVE", {"items": "\u00b2"}, {"SYSCALL": "execve"}, {"saddr": "0A00"},
]  # fmt: skip
PIECES = parts(
    *started(1, ["a", "b c"]), *written(2, "x"), *connected(3, "0200115CCB0071090000000000000000"), *started(4, ["d"])
)
(VALUE,) = packed(PIECES)


def mutated(value: Any, chance: random.Random) -> Any:
    """Now and then something odd in the place of what was there."""
    if chance.random() < 0.001:
        return chance.choice(ODD)
    if isinstance(value, dict):
        return {name: mutated(inner, chance) for name, inner in value.items() if chance.random() > 0.001}
    if isinstance(value, list):
        return [mutated(inner, chance) for inner in value if chance.random() > 0.001]
    return value


@given(st.integers(0, 1 << 30))
def test_a_parcel_is_read_or_refused(seed: int) -> None:
    said = mutated(json.loads(VALUE), random.Random(seed))
    joins = Joins(parents=True)
    with suppress(UnreadableError):
        told = joins.take(read(json.dumps(said).encode()))
        for one in [*told, *joins.finish()]:
            assert one.origin.partition == 0 or one.origin.topic
            event_of(one)
    Joins(parents=True).restore(joins.dump())
