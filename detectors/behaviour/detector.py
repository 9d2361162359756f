"""What a detector of ours is once it is read: a correlation in everything but how it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from detectors.correlation.correlation import UNIT, Correlation

HOUR_MS: Final = 3_600_000
#: Nobody is farther away than half the way around the Earth.
FARTHEST_KM: Final = 20_040
#: What a silent source may be known by, and chosen by.
SOURCE_PARTS: Final = ("topic", "product", "category", "service", "host")


def memory_of(speed: int) -> int:
    """Milliseconds after which no place is too far away, at so many kilometres an hour."""
    return -(-FARTHEST_KM * HOUR_MS // speed)


@dataclass(frozen=True)
class Detector(Correlation):
    """A detector of ours. Times are milliseconds; what a kind has no word for is 0.

    `timespan` is by how much the first contribution of a result may lie behind the time at which it is final.
    """

    learning: int = 0
    """How long a group must have been known before anything is said of it."""
    memory: int = 0
    """What was not seen for so long is forgotten; and a group of which nothing was. Of travel: until when a place is
    too far away from another, at its speed."""
    bucket: int = 0
    baseline: int = 0
    """How far back a bucket is compared with others."""
    season: int = 0
    """The step back from one bucket of the baseline to the next."""
    factor: int = UNIT
    """Millionths: how many times the baseline's mean, or a source's longest pause."""
    fewest: int = 1
    """Contributions of a bucket without which it is not judged."""
    speed: int = 0
    """Kilometres an hour."""
    distance: int = 0
    """Kilometres that are no travel yet."""
    after: int = 0
    """How long a source must be silent at least."""
    source: tuple[tuple[str, str], ...] = ()
    """Of a detector of silence: the sources it is for, by parts of theirs."""

    @property
    def reach(self) -> int:
        """Milliseconds before the watermark whose contributions a result may rest on."""
        return self.memory + self.longest
