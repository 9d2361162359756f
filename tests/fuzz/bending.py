"""Bytes bent at random: pieces put in, cut out, repeated or changed."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random


def mutated(random: Random, data: bytes, pieces: Sequence[bytes]) -> bytes:
    """`data`, changed in one to six places."""
    made = bytearray(data)
    for _ in range(random.randint(1, 6)):
        at = random.randrange(len(made) + 1)
        match random.randrange(4):
            case 0:
                made[at:at] = random.choice(pieces)
            case 1:
                del made[at : at + random.randint(1, 20)]
            case 2:
                made[at:at] = made[max(0, at - random.randint(1, 200)) : at] * random.randint(1, 5)
            case _:
                made[at : at + 1] = bytes([random.randrange(256)])
    return bytes(made)
