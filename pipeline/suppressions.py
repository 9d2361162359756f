"""What suppressions hide, kept in view: counts, a few samples by identity, and a loud word when one expires."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import structlog

from detectors.sigma.suppress import Suppressions
from pipeline.detecting import Hidden
from pipeline.metrics import Metrics

#: Places of one suppression that are shown, and logged by a worker.
SAMPLES: Final = 10

log = structlog.get_logger("suppressions")


class HiddenTally:
    """How often each suppression hid each rule, and the first places where it did."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        """(suppression, rule) → matches that it hid."""
        self._sampled: Counter[str] = Counter()

    def add(self, hidden: Iterable[Hidden]) -> list[Hidden]:
        """Count these; gives those of them that are samples: the first SAMPLES of each suppression."""
        samples = []
        for one in hidden:
            self.counts[one.suppression, one.rule] += 1
            if self._sampled[one.suppression] < SAMPLES:
                self._sampled[one.suppression] += 1
                samples.append(one)
        return samples

    def of(self, suppression: str) -> dict[str, int]:
        """Rule → how often this suppression hid it."""
        return {rule: count for (by, rule), count in self.counts.items() if by == suppression}


class Report:
    """The same to metrics and the log of a worker. Identities alone: what the record holds stays in the record."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._tally = HiddenTally()
        self._expired: set[tuple[str, int]] = set()
        self._shown: Suppressions | None = None
        self._next_ms = 0.0

    def hidden(self, hidden: Iterable[Hidden]) -> None:
        """A batch's worth of what is hidden."""
        counts = Counter((one.rule, one.suppression) for one in hidden)
        for (rule, suppression), count in counts.items():
            self._metrics["suppressed_total"].labels(rule=rule, suppression=suppression).inc(count)
        for one in self._tally.add(hidden):
            log.info(
                "a match is suppressed; one of the first few of this suppression",
                suppression=one.suppression,
                rule=one.rule,
                time=one.time_ms,
                **one.origin._asdict(),
            )

    def look(self, suppressions: Suppressions, now_ms: float) -> None:
        """Say which are in force, and loudly which no longer are. Costs nothing until the next one expires."""
        if suppressions is self._shown and now_ms < self._next_ms:
            return
        expired = suppressions.expired(int(now_ms))
        self._metrics["suppressions"].labels(state="in_force").set(len(suppressions.all) - len(expired))
        self._metrics["suppressions"].labels(state="expired").set(len(expired))
        self._metrics["suppressions"].labels(state="refused").set(len(suppressions.refused))
        for each in expired:
            if (each.id, each.until_ms) not in self._expired:
                self._expired.add((each.id, each.until_ms))
                log.warning(
                    "a suppression has expired and hides nothing received since: renew it or take it out",
                    suppression=each.id,
                    title=each.title,
                    owner=each.account.owner,
                    expires=each.account.expires,
                    file=each.file,
                    line=each.line,
                )
        self._shown = suppressions
        self._next_ms = min((each.until_ms for each in suppressions.all if each not in expired), default=float("inf"))


__all__ = ["SAMPLES", "HiddenTally", "Report"]
