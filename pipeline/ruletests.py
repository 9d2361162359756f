"""Cases of rules carried out: whole records through the worker's own parsers and engine, each rule judged alone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from detectors.correlation.correlation import Correlation
from detectors.sigma.engine import Engine
from detectors.sigma.fields import fold
from detectors.sigma.rule import Rule
from pipeline import recordings
from pipeline.correlated import Gathered, Told, below
from pipeline.offline import read
from pipeline.parsers import Reader
from pipeline.rulecases import Asked, Episode, Judged, SourceSettings, judged, told
from pipeline.rules import LoadedRules
from pipeline.settings import Settings, TopicSettings
from schemas.event import Event

TOPIC: Final = "case"
#: 2026-01-01 UTC: when records without a whole time of their own happened.
NEAR_MS: Final = 1_767_225_600_000


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case; `fault` is empty when it passed."""

    rule: Judged
    case: Asked
    fault: str
    seconds: float


def run(settings: Settings, loaded: LoadedRules, cases: Sequence[Asked], zone: tzinfo) -> Iterator[Result]:
    """Carry out the cases of the rules that there are, whatever their stage."""
    bench = _Bench(settings, loaded, zone)
    rules = {rule.id: rule for rule in judged(loaded)}
    for case in cases:
        rule = rules.get(case.rule)
        if rule is not None:
            started = time.monotonic()
            fault = case.fault or bench.judge(rule, case)
            yield Result(rule, case, fault, time.monotonic() - started)


def without(loaded: LoadedRules, results: Iterable[Result]) -> list[tuple[Judged, str]]:
    """What lacks a positive or a negative case, with the kind that it lacks. What is not told for itself needs none:
    the cases of the correlations that name it show what it is for."""
    had = {(result.rule.id, bool(result.case.least)) for result in results}
    kinds = ((True, "positive"), (False, "negative"))
    return [(rule, kind) for rule in told(loaded) for positive, kind in kinds if (rule.id, positive) not in had]


class _Bench:
    """Parsers and engines, each made once."""

    def __init__(self, settings: Settings, loaded: LoadedRules, zone: tzinfo) -> None:
        self._settings, self._loaded, self._zone = settings, loaded, zone
        self._readers: dict[SourceSettings, Reader] = {}
        self._engines: dict[str, Engine] = {}

    def judge(self, rule: Judged, case: Asked) -> str:
        """What is wrong, or nothing. A record that is no event proves nothing, so it fails a case of either kind."""
        events: list[Event] = []
        total = 0
        for source, records in case.parts:
            numbers = range(total + 1, total + 1 + len(records))
            reading = read(self._reader(source), TOPIC, recordings.Lines(numbers, records), NEAR_MS)
            if reading.dead:
                return f"record {reading.dead[0].offset} is no event ({reading.dead[0].reason})"
            events += reading.events
            total += len(records)
        if isinstance(rule, Correlation):
            return self._correlated(rule, case, events)
        return self._matched(rule, case, events)

    def _matched(self, rule: Rule, case: Asked, events: list[Event]) -> str:
        engine = self._engines.setdefault(rule.id, Engine([rule], self._zone))
        found = {events[match.index].offset for match in engine.match(events)}
        fault = _raised(engine)
        if fault:
            return fault
        if case.least and len(found) < case.least:
            return f"found in {len(found)} of {len(events)} records, expected in {case.least} at least"
        if not case.least and found:
            return f"found in record {min(found)}, expected in none"
        return ""

    def _correlated(self, rule: Correlation, case: Asked, events: list[Event]) -> str:
        timeless = next((event.offset for event in events if event.doubtful), None)
        if timeless is not None:
            return f"record {timeless} bears no whole time, with its year; a correlation is judged by it"
        rules = below(self._loaded.correlations, [rule.id])
        engine = self._engines.get(rule.id)
        if engine is None:
            named = [each for each in self._loaded.rules if each.id in rules.members]
            engine = self._engines[rule.id] = Engine(named, self._zone)
        gathered = Gathered(rules, case.places)
        gathered.take(TOPIC, events, engine.match(events))
        return _raised(engine) or _differing(gathered.told(), case)

    def _reader(self, source: SourceSettings) -> Reader:
        reader = self._readers.get(source)
        if reader is None:
            topic = TopicSettings(topic=TOPIC, **source.model_dump())
            reader = self._readers[source] = Reader(self._settings.model_copy(update={"topics": (topic,)}))
        return reader


def _raised(engine: Engine) -> str:
    failed = engine.tally.failed
    return f"the rule raises {next(iter(failed.values())).error}" if failed else ""


def _differing(found: Sequence[Told], case: Asked) -> str:
    said = "; ".join(map(_said, found[:5])) or "nothing"
    if case.episodes:
        pairs = zip(case.episodes, found, strict=False)
        if len(found) == len(case.episodes) and all(_is(expected, one) for expected, one in pairs):
            return ""
        return f"it tells {said}; expected {'; '.join(map(_wanted, case.episodes[:5]))}"
    if case.least and len(found) < case.least:
        return f"it tells {said}; expected {case.least} episodes at least"
    return f"it tells {said}; expected nothing" if found and not case.least else ""


def _is(expected: Episode, one: Told) -> bool:
    group = {name: fold(value) for name, value in expected.group.items()}
    return (
        expected.first in (None, one.line)
        and expected.events in (None, one.events)
        and group.items() <= one.group.items()
    )


def _said(one: Told) -> str:
    return _wanted(Episode(first=one.line, events=one.events, group=one.group))


def _wanted(expected: Episode) -> str:
    group = ", ".join(f"{name}={value}" for name, value in expected.group.items())
    count = "" if expected.events is None else f"{expected.events} events "
    return f"{count}from record {expected.first or 'any'}" + (f" of {group}" if group else "")
