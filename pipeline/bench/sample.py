"""What the benchmarks feed: lines of real recordings cut to a mean size, or the simulated bank's events."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline import recordings
from schemas.errors import RefusedError


def lines_of(files: Sequence[Path]) -> list[bytes]:
    """All lines of the recordings. Raises RefusedError when one cannot be read or all are empty."""
    lines = [line for file in files for chunk in recordings.read(str(file)) for line in chunk.values]
    if not lines:
        raise RefusedError("The files hold no line.")
    return lines


def recorded(files: Sequence[Path], count: int, mean_bytes: int, seed: int = 7) -> list[bytes]:
    """`count` lines of the recordings, seeded, with a mean size of at most `mean_bytes`.

    The largest lines of the recordings are left out until the mean is reached; what stays is drawn in random order,
    again and again if the recordings are shorter than `count`.
    """
    pool = sorted(lines_of(files), key=len)
    total = sum(map(len, pool))
    while len(pool) > 1 and total > mean_bytes * len(pool):
        total -= len(pool.pop())
    rng = random.Random(seed)  # noqa: S311 - a sample that can be drawn again
    drawn: list[bytes] = []
    while len(drawn) < count:
        rng.shuffle(pool)
        drawn += pool[: count - len(drawn)]
    return drawn


def simulated(count: int, seed: int = 7) -> list[bytes]:
    """`count` events of the simulated bank's working day, in arrival order."""
    from pipeline.demo.bank import events

    return list(_values(events(seed, count, start_ms=1_760_000_000_000)))


def _values(messages: Iterator[object]) -> Iterator[bytes]:
    for message in messages:
        value = getattr(message, "value", None)
        if value is not None:
            yield value
