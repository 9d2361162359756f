"""When an indicator counts, and by which rule: on the stream by its validity, in a hunt also before it was known.

A feed sets `valid_from` to the day of publication, so a hunt ignores it. It asks how far before the first sighting
(`first_seen`, else `valid_from`) a value may have meant the same: a digest always did, a domain for half a year, an
address for a month. Beyond that the match counts with half the confidence. After `valid_until` nothing counts.

The rules, as a verdict names them:

| rule | the event's time | confidence |
| --- | --- | --- |
| `valid` | from `valid_from` to `valid_until`: what the stream finds | as given |
| `seen` | from `first_seen` on, before `valid_from` | as given |
| `look-back:30d`, `look-back:all` | before the first sighting, within the type's look-back | as given |
| `beyond:30d` | before that | halved, but for the regulator's and the sectoral centre's, which nothing decays |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from schemas.indicator import TYPES, Indicator

DAY_MS: Final = 86_400_000
#: Days before the first sighting by type; 0: everything that is kept. What describes a program itself (digests, what
#: it creates) does not change hands; names are bought and sold, addresses are leased.
DAYS: Final[Mapping[str, int]] = dict.fromkeys(TYPES, 180) | {
    **dict.fromkeys(("md5", "sha1", "sha256", "sha512", "imphash", "ssdeep", "certificate"), 0),
    **dict.fromkeys(("mutex", "registry_key", "file_path"), 0),
    **dict.fromkeys(("ipv4", "ipv6", "cidr"), 30),
}
MAX_DAYS: Final = 36_500


class Verdict(NamedTuple):
    """That an indicator counts at a time: by which rule, and how surely (0 to 100)."""

    rule: str
    confidence: int


def valid(indicator: Indicator, time_ms: int) -> Verdict | None:
    """The stream's rule: valid at the event's time."""
    if time_ms < indicator.valid_from or (indicator.valid_until and time_ms >= indicator.valid_until):
        return None
    return Verdict("valid", indicator.confidence)


class LookBack:
    """A hunt's rule. `days` by type, 0: everything; types that are not named have the default."""

    def __init__(self, days: Mapping[str, int] | None = None) -> None:
        self.days: Final = {**DAYS, **(days or {})}

    def __call__(self, indicator: Indicator, time_ms: int) -> Verdict | None:
        """Whether and how the indicator counts at a time."""
        confidence = indicator.confidence
        if indicator.valid_until and time_ms >= indicator.valid_until:
            return None
        if time_ms >= indicator.valid_from:
            return Verdict("valid", confidence)
        first = min(indicator.first_seen or indicator.valid_from, indicator.valid_from)
        if time_ms >= first:
            return Verdict("seen", confidence)
        days = self.days[indicator.type]
        if not days:
            return Verdict("look-back:all", confidence)
        if time_ms >= first - days * DAY_MS:
            return Verdict(f"look-back:{days}d", confidence)
        return Verdict(f"beyond:{days}d", confidence if indicator.authority else confidence // 2)


def parse_days(text: str) -> dict[str, int]:
    """`domain=365 ipv4=60 md5=0`, parted by blanks or commas. Raises ValueError, which names the fault."""
    days: dict[str, int] = {}
    for part in text.replace(",", " ").split():
        kind, _, number = part.partition("=")
        if kind not in TYPES:
            raise ValueError(f"{kind[:40]} is no indicator type; there are {', '.join(TYPES)}")
        if not (number.isascii() and number.isdigit() and len(number) < 6 and int(number) <= MAX_DAYS):
            raise ValueError(f"{kind} needs days from 0 (everything) to {MAX_DAYS}, as in {kind}=180")
        days[kind] = int(number)
    return days
