"""`qorgan rules stats`: what each rule costs and finds, the worst first; over recordings, or of the running worker."""

from __future__ import annotations

import http.client
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from prometheus_client.parser import text_string_to_metric_families

from detectors.sigma.engine import Engine
from detectors.sigma.fields import View
from detectors.sigma.predicates import Predicate
from pipeline import recordings
from pipeline.correlated import Gathered, below
from pipeline.health import PORT_OF
from pipeline.loading import Loaded
from pipeline.metrics import PREFIX
from pipeline.offline import near_ms, read
from pipeline.parsers import Reader
from pipeline.rulecases import Judged
from pipeline.settings import Settings
from pipeline.verdicts import Judged as Verdicts
from schemas.errors import UnreachableError

Row = dict[str, Any]
COLUMNS: Final[tuple[str, ...]] = ("seconds", "tries", "hits", "level", "stage", "title", "rule_id")
PRECISE: Final[tuple[str, ...]] = ("precision", "verdicts", *COLUMNS)
TIMEOUT_S: Final = 10.0
#: Readings from which the cost of a reading itself is told.
CALIBRATION: Final = 20_000


class Stopwatch:
    """Processor time and calls of each rule's condition. What several rules look at is paid for by the first."""

    def __init__(self, clock: Callable[[], int] = time.thread_time_ns) -> None:
        self._clock = clock
        self.spent: dict[int, int] = {}
        self.tries: dict[int, int] = {}
        self._own = self._calibrated()

    def wrap(self, number: int, test: Predicate) -> Predicate:
        """The same function, measured (`Engine`'s `wrap`)."""
        clock, spent, tries = self._clock, self.spent, self.tries
        spent.setdefault(number, 0)
        tries.setdefault(number, 0)

        def measured(view: View) -> bool:
            start = clock()
            try:
                return test(view)
            finally:
                spent[number] += clock() - start
                tries[number] += 1

        return measured

    def seconds(self, number: int) -> float:
        """Time spent in a rule, without that of reading the clock."""
        return max(0.0, self.spent[number] - self._own * self.tries[number]) / 1e9

    def _calibrated(self) -> float:
        """Nanoseconds that a measurement of nothing tells."""
        empty = self.wrap(-1, lambda _view: False)
        view = View({})
        for _ in range(CALIBRATION):
            empty(view)
        del self.tries[-1]
        return self.spent.pop(-1) / CALIBRATION


def over_files(
    settings: Settings, loaded: Loaded, files: Iterable[str], topic: str, progress: Callable[[int], None]
) -> list[Row]:
    """A row for each rule that was tried: seconds of processor time, tries, hits. A correlation's tries are its
    contributions, its hits the episodes; its seconds are not measured: None."""
    watch = Stopwatch()
    engine = Engine(loaded.rules.rules, ZoneInfo(settings.timezone), watch.wrap)
    correlations = loaded.rules.correlations
    gathered = Gathered(below(correlations, (rule.id for rule in correlations.ordered)))
    reader = Reader(settings)
    for file in files:
        near = near_ms(file)
        for lines in recordings.read(file):
            events = read(reader, topic, lines, near).events
            gathered.take(file, events, engine.match(events))
            progress(len(lines.numbers))
    rows = [
        _row(rule, loaded, watch.seconds(number), watch.tries[number], engine.tally.hits[number])
        for number, rule in enumerate(engine.rules)
        if watch.tries.get(number)
    ]
    episodes = Counter(one.correlation.id for one in gathered.told())
    rows += [
        _row(rule, loaded, None, gathered.counted[rule.id], episodes[rule.id])
        for rule in correlations.ordered
        if gathered.counted[rule.id]
    ]
    return _worst_first(rows)


def of_worker(settings: Settings, loaded: Loaded) -> list[Row]:
    """The same of the ingest worker that the settings name, since it started. It does not measure seconds, and tells
    its busiest rules by name, the rest together as `other`. Raises UnreachableError."""
    counted: dict[str, dict[str, int]] = {}
    for family in text_string_to_metric_families(_metrics(settings)):
        for sample in family.samples:
            if sample.name in (f"{PREFIX}rule_tries_total", f"{PREFIX}rule_hits_total"):
                what = "tries" if "tries" in sample.name else "hits"
                counted.setdefault(sample.labels["rule"], {})[what] = int(sample.value)
    rules = {rule.id: rule for rule in loaded.rules.rules}
    return _worst_first(
        _row(rules.get(name), loaded, None, counts.get("tries", 0), counts.get("hits", 0)) | {"rule_id": name}
        for name, counts in counted.items()
    )


def with_precision(rows: Iterable[Row], verdicts: Mapping[str, Verdicts]) -> list[Row]:
    """The same rows with what people found of each rule's detections; the least precise first, then as they were."""
    told = [
        row | {"verdicts": of.looked_at if of else 0, "precision": round(of.precision, 3) if of else None}
        for row in rows
        for of in (verdicts.get(row["rule_id"]),)
    ]
    return sorted(told, key=lambda row: 1.0 if row["precision"] is None else row["precision"])


def _metrics(settings: Settings) -> str:
    host = "127.0.0.1" if settings.listen in ("0.0.0.0", "") else settings.listen  # noqa: S104 - asked, not listened on
    port = settings.metrics_port + PORT_OF["ingest"]
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(
            f"No worker answers on {host}:{port} ({type(error).__name__}). Start one, set QORGAN_LISTEN and "
            "QORGAN_METRICS_PORT to its own, or name recordings to measure over."
        ) from None
    finally:
        connection.close()


def _row(rule: Judged | None, loaded: Loaded, seconds: float | None, tries: int, hits: int) -> Row:
    return {
        "rule_id": rule.id if rule else "",
        "title": rule.title if rule else "",
        "level": rule.level.word if rule else "",
        "stage": loaded.stages.of(rule) if rule else "",
        "file": rule.file if rule else "",
        "seconds": None if seconds is None else round(seconds, 6),
        "tries": tries,
        "hits": hits,
    }


def _worst_first(rows: Iterable[Row]) -> list[Row]:
    held: Sequence[Row] = list(rows)
    return sorted(held, key=lambda row: (-(row["seconds"] or 0), -row["tries"], -row["hits"], row["rule_id"]))
