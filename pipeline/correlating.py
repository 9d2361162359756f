"""From verdicts of correlations to what is told: detections on the stream, rows over recordings.

A file has no watermark: its lines, and the files among themselves, may lie in any order of time. So over recordings
all results are final ones, told at the end of input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, NamedTuple

from detectors.correlation.contribution import About, Contribution
from detectors.correlation.correlation import Correlation
from detectors.correlation.correlator import Correlator, record_of
from detectors.correlation.episodes import Verdict
from detectors.correlation.resolve import Correlations
from detectors.triage.attribution import Attribution
from pipeline.joining import Joining
from schemas.detection import Detection, FindingRef, correlation_id
from schemas.identity import Origin

#: What a match that does not count lacks.
_WHY: Final = {
    "group": "a value to group by",
    "value": "a value to measure",
    "place": "an address whose place counts (private, VPN, mobile, not in QORGAN_GEO)",
}


class Shares(NamedTuple):
    """What some lines of a file contributed, and what was dropped for want of a value."""

    made: list[Contribution]
    dropped: Mapping[tuple[str, str], int]


class Gathering:
    """The contributions of all recordings, and at the end what they come to. `topic`: the one they are judged as."""

    def __init__(self, rules: Correlations, attribution: Attribution, topic: str) -> None:
        self._rules = {rule.id: rule for rule in rules.ordered}
        self._correlator = Correlator(rules)
        self._attribution = attribution
        self._topic = topic
        self._dropped: Counter[tuple[str, str]] = Counter()

    def take(self, shares: Shares) -> None:
        """Take in what some lines contributed; in any order."""
        self._correlator.feed(shares.made)
        self._dropped.update(shares.dropped)

    def rows(self) -> list[dict[str, Any]]:
        """Every episode, as `qorgan detect` prints a detection: file, line and time are its first contribution's."""
        closed = [verdict for verdict in self._correlator.finish() if verdict.state == "closed"]
        return [self._row(one) for one in sorted(closed, key=lambda one: (one.first_time, one.first, one.correlation))]

    def faults(self) -> Iterable[str]:
        """What did not count, a sentence each."""
        for (rule, what), count in sorted((self._dropped + self._correlator.dropped).items()):
            why = _WHY[what]
            yield f"{self._rules[rule].title}: {count:,} matches lack {why} and do not count"
        for rule, fold in self._correlator.folds.items():
            if fold.evicted:
                yield f"{self._rules[rule].title}: {fold.evicted:,} contributions did not fit; results may be missing"

    def _row(self, verdict: Verdict) -> dict[str, Any]:
        rule = self._rules[verdict.correlation]
        file, line = record_of(verdict.first, self._rules)
        about = verdict.about or About()
        return {
            "rule_id": rule.id,
            "title": rule.title,
            "level": rule.level.word,
            "file": file,
            "line": line,
            "time": _iso(verdict.first_time),
            "host": about.host,
            "user": about.user,
            "tags": rule.tags,
            "item": self._item(rule, about, verdict.first_time),
            "matched": rule.group_values(verdict.group),
            "until": _iso(verdict.until),
            "events": verdict.records,
        }

    def _item(self, rule: Correlation, about: About, time_ms: int) -> str:
        finding = self._attribution.attribute(
            kind="correlation",
            subject=rule.id,
            tags=rule.tags,
            level=rule.level.word,
            source=about.source,
            entities=about.entities,
            topic=self._topic,
            time_ms=time_ms,
        )
        return finding.item if finding else ""


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Correlating:
    """What correlate judges by: the correlations in force, and what makes detections of their verdicts."""

    correlations: Correlations
    attribution: Attribution
    shadow: frozenset[str] = frozenset()
    joining: Joining | None = None
    """What judges joined audit events; None: nothing does."""

    @property
    def revision(self) -> str:
        """Changes with any correlation: a checkpoint of another set does not fit."""
        return self.correlations.revision

    @cached_property
    def reach(self) -> int:
        """Milliseconds before the watermark whose contributions a result may rest on."""
        return max([rule.reach for rule in self.correlations.ordered], default=0)

    def beyond(self, kept_ms: int) -> list[Correlation]:
        """Those that reach further back than contributions are kept: a lost checkpoint changes their results."""
        return [rule for rule in self.correlations.ordered if rule.reach > kept_ms]

    @cached_property
    def _rules(self) -> dict[str, Correlation]:
        return {rule.id: rule for rule in self.correlations.ordered}

    def detection(self, verdict: Verdict, kafka_ms: int) -> Detection:
        """What is said of an episode, as a detection. `kafka_ms`: Kafka's time of the record that caused it."""
        rule = self._rules[verdict.correlation]
        about = verdict.about or About()
        first = self._origin(verdict.first)
        shadow = rule.id in self.shadow
        finding = None if shadow else self._finding(rule, about, first.topic, verdict.first_time)
        replaced = verdict.replaces
        return Detection(
            id=correlation_id(rule.id, verdict.group, first),
            kind="correlation",
            subject=rule.id,
            revision=rule.revision,
            title=rule.title,
            level=rule.level.word,
            tags=rule.tags,
            **first._asdict(),
            time=verdict.first_time,
            kafka_time=kafka_ms,
            raw_sha256="",
            format=about.format,
            **about.source._asdict(),
            host=about.host,
            user=about.user,
            src_ip=about.src_ip,
            matched=rule.group_values(verdict.group),
            entities=about.entities,
            finding=finding,
            stage="shadow" if shadow else "production",
            face=verdict.state,
            until=verdict.until,
            records=verdict.records,
            replaces=correlation_id(rule.id, verdict.group, self._origin(replaced)) if replaced else "",
        )

    def _origin(self, first: tuple[str, int]) -> Origin:
        lane, offset = record_of(first, self._rules)
        log, rest = lane.split("/", 1)
        topic, partition = rest.rsplit("/", 1)
        return Origin(log, topic, int(partition), offset)

    def _finding(self, rule: Correlation, about: About, topic: str, time_ms: int) -> FindingRef | None:
        return self.attribution.attribute(
            kind="correlation",
            subject=rule.id,
            tags=rule.tags,
            level=rule.level.word,
            source=about.source,
            entities=about.entities,
            topic=topic,
            time_ms=time_ms,
        )
