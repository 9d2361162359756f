"""What the rules in force did, told in metrics and in the log: tries and hits by rule, and rules that raise.

Thousands of rules would be thousands of series. Only a rule that has matched, or was tried often, gets its own name as
a label, and only so many do; the rest are counted together. `qorgan rules stats` reads them from here.
"""

from __future__ import annotations

from typing import Final

import structlog

from detectors.sigma.engine import Engine
from pipeline.metrics import Metrics

#: Rules that are told by name in one process, and from how many tries on.
NAMED: Final = 300
OFTEN: Final = 1_000
OTHER: Final = "other"

log = structlog.get_logger("rules")


class RuleCounts:
    """Carries an engine's counts into metrics. Everything is called on the event loop."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._named: set[str] = set()
        self._engine: Engine | None = None
        self._tried: dict[int, int] = {}
        self._hits: dict[int, int] = {}
        self._failed: dict[int, int] = {}

    def tell(self, engine: Engine) -> None:
        """Add what was done since the last call; of another engine than the last time: since it was made."""
        if engine is not self._engine:
            self._engine, self._tried, self._hits, self._failed = engine, {}, {}, {}
        tried, hits = dict(engine.tried()), dict(engine.tally.hits)
        for number, count in hits.items():
            self._add("rule_hits_total", engine, number, count - self._hits.get(number, 0), count > 0)
        for number, count in tried.items():
            self._add("rule_tries_total", engine, number, count - self._tried.get(number, 0), count >= OFTEN)
        self._tried, self._hits = tried, hits
        self._tell_failures(engine)

    def _add(self, metric: str, engine: Engine, number: int, more: int, notable: bool) -> None:
        if more <= 0:
            return
        rule = engine.rules[number].id
        if notable and len(self._named) < NAMED:
            self._named.add(rule)
        self._metrics[metric].labels(rule=rule if rule in self._named else OTHER).inc(more)

    def _tell_failures(self, engine: Engine) -> None:
        for number, failed in list(engine.tally.failed.items()):
            known = self._failed.get(number, 0)
            if failed.count == known:
                continue
            self._metrics["rule_failures_total"].inc(failed.count - known)
            self._failed[number] = failed.count
            if not known or failed.off:
                file = engine.rules[number].file
                what = "a rule raises and is off until the next set" if failed.off else "a rule raises"
                log.error(what, rule=failed.rule_id, file=file, error=failed.error, times=failed.count)
        self._metrics["rules_off"].set(sum(failed.off for failed in engine.tally.failed.values()))
