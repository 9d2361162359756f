"""A place on Earth as one number that fits into 63 bits, for contributions to carry; and how far two are apart."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

RADIUS_KM: Final = 6371.0
MAX_RADIUS: Final = 4_095


class Place(NamedTuple):
    """Degrees, and within how many kilometres of there. As one number it is exact to a hundredth of a degree."""

    latitude: float
    longitude: float
    radius: int = 0

    @property
    def number(self) -> int:
        """The place as one number."""
        latitude, longitude = round((self.latitude + 90) * 100), round((self.longitude + 180) * 100)
        return latitude << 28 | longitude << 12 | min(self.radius, MAX_RADIUS)

    @classmethod
    def of(cls, number: int) -> Place:
        """The place that became this number."""
        return cls((number >> 28) / 100 - 90, (number >> 12 & 0xFFFF) / 100 - 180, number & MAX_RADIUS)


def apart(one: int, other: int) -> int:
    """Kilometres that two places, as numbers, are apart at least: along the great circle, less what either may err."""
    if one == other:
        return 0
    a, b = Place.of(one), Place.of(other)
    north_a, north_b = math.radians(a.latitude), math.radians(b.latitude)
    east = math.radians(b.longitude - a.longitude)
    half = math.sin((north_b - north_a) / 2) ** 2 + math.cos(north_a) * math.cos(north_b) * math.sin(east / 2) ** 2
    return max(0, round(2 * RADIUS_KM * math.asin(min(1.0, math.sqrt(half)))) - a.radius - b.radius)
