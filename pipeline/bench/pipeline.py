"""`qorgan bench pipeline`: broker to stored, with detections delivered; one ingest worker, store and broker beside it.

The records lie on the broker before the worker starts, so what is measured is how fast the worker takes them through
parsing, matching, delivery and storing; its start and the group's join stand apart.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.bench.rig import Rig, Worker, cpu_seconds, rig, wait_for
from pipeline.bench.sample import recorded, simulated

TOPIC = "raw.bench"
STAGES = ("parse", "match", "deliver", "columns", "arrow", "hash", "insert")


def run(
    files: Sequence[Path] = (),
    rules: Sequence[Path] = (),
    indicators: Sequence[Path] = (),
    *,
    made_indicators: int = 0,
    meanwhile: int = 0,
    events: int = 200_000,
    mean_bytes: int = 2_500,
    kafka_home: Path | None = None,
    state: Path | None = None,
) -> dict[str, Any]:
    """Measure with the files' lines (or, without files, the simulated bank's). Returns figures in the units named.

    `made_indicators`: so many addresses, domains and hashes that no event holds are in force as well; `meanwhile`: so
    many come into force while the events are judged, gated by a curate worker on the same machine. `state`: a
    folder whose cache of compiled rules is used and kept; without it the worker starts cold.
    """
    lines = recorded(files, events, mean_bytes) if files else simulated(events)
    with tempfile.TemporaryDirectory(prefix="qorgan-bench-") as folder:
        coming = Path(folder) / "coming"
        coming.mkdir()
        feeds = [*indicators, *_made(Path(folder) / "made.csv", made_indicators), *([coming] if meanwhile else ())]
        settings = {"raw_topics": TOPIC, "rules": ",".join(map(str, rules)), "indicators": ",".join(map(str, feeds))}
        if state is not None:
            settings["state_dir"] = str(state)
        with rig(Path(folder), kafka_home=kafka_home, **{k: v for k, v in settings.items() if v}) as bench:
            bench.create_topics(TOPIC)
            bench.publish(TOPIC, lines)
            if feeds:
                curate = bench.worker("curate", rules_watch="0.2", warning_lists="empty-hashes")
                wait_for("the indicators to pass the gate", lambda: _gated(curate), 900, 0.5)
            started = time.monotonic()
            worker = bench.worker("ingest")
            coming_in = Meanwhile(worker, coming / "made.csv", meanwhile, made_indicators, events)
            return _figures(bench, worker, len(lines), sum(map(len, lines)) / len(lines), started, coming_in)


def _gated(curate: Worker) -> bool:
    """Whether it has polled the files, and all of them passed the gate."""
    return any(name == "qorgan_feed_poll_age_seconds" for name, _, _ in curate.metrics())


class Meanwhile:
    """Indicators that come into force when a third of the events is judged: how long that takes, and how fast events
    are judged before and during it."""

    def __init__(self, worker: Worker, feed: Path, count: int, start: int, events: int) -> None:
        self._worker, self._feed, self._count, self._from, self._events = worker, feed, count, start, events
        self._marks: list[tuple[float, float]] = []
        """Time and events judged: when judging began, when they were written, when the first was in force."""
        self._had = 0.0
        self.figures: dict[str, Any] = {}

    def look(self) -> None:
        """Called every half second."""
        if not self._count or self.figures:
            return
        judged, now = _judged(self._worker), time.monotonic()
        loaded = self._worker.total("qorgan_indicators_loaded")
        if not self._marks:
            self._marks.append((now, judged))
            _made(self._feed.with_suffix(".part"), self._count, self._from)
        elif len(self._marks) == 1 and judged >= self._events / 3:
            self._had = loaded
            self._feed.with_suffix(".part").rename(self._feed)
            self._marks.append((now, judged))
        elif len(self._marks) == 2 and loaded > self._had:
            self._marks.append((now, judged))
        elif len(self._marks) == 3 and (loaded >= self._had + self._count or judged >= self._events):
            self.figures = self._told(now, judged, loaded - self._had)

    def _told(self, now: float, judged: float, came: float) -> dict[str, Any]:
        (began, none), (written, third), (first, _) = self._marks
        before, during = (third - none) / (written - began), (judged - third) / (now - written)
        return {
            "came_into_force": round(came),
            "first_after_s": round(first - written, 1),
            "last_after_s": round(now - written, 1),
            "events_per_s_before": round(before),
            "events_per_s_during": round(during),
            "ratio": round(during / before, 3),
        }


def _made(feed: Path, count: int, start: int = 0) -> list[Path]:
    """A feed of so many indicators of three types, all different, none of which occurs anywhere."""
    if not count:
        return []
    kinds = (
        lambda n: f"domain,c{n:x}.made.invalid",
        lambda n: f"ipv4,{203 + n % 2}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}",
        lambda n: f"sha256,{n:064x}",
    )
    feed.write_text("type,value\n" + "".join(f"{kinds[n % 3](n)}\n" for n in range(start, start + count)))
    return [feed]


def _figures(
    bench: Rig, worker: Worker, count: int, mean: float, started: float, meanwhile: Meanwhile
) -> dict[str, Any]:
    wait_for("the worker to read its first batch", lambda: _judged(worker) > 0, 120, 0.02)
    first, already, cpu = time.monotonic(), _judged(worker), worker.cpu_seconds()
    beside = [(child, cpu_seconds(child.pid)) for child in (bench.broker, bench.store)]
    peak = 0

    def done() -> bool:
        nonlocal peak
        peak = max(peak, worker.rss_bytes())
        meanwhile.look()
        return _judged(worker) >= count

    wait_for("every record to be judged", done, 600, 0.5)
    judged = time.monotonic()
    wait_for("every record to be stored", lambda: _stored(worker) >= count, 300, 0.25)
    stored = time.monotonic()
    used = worker.cpu_seconds() - cpu
    spent = {child.what: cpu_seconds(child.pid) - before for child, before in beside}
    rows = bench.query(
        "SELECT count(), uniqExact(partition, offset) FROM (SELECT partition, offset FROM qorgan.events "
        "UNION ALL SELECT partition, offset FROM qorgan.dead_letters)"
    )[0]
    taken = count - already
    return {
        "events": count,
        "mean_bytes": round(mean),
        "events_per_s": round(taken / (stored - first)),
        "events_per_s_judged": round(taken / (judged - first)),
        "cpu_us_per_event": round(used / taken * 1e6, 1),
        "broker_cpu_us_per_event": round(spent["broker"] / taken * 1e6, 1),
        "store_cpu_us_per_event": round(spent["store"] / taken * 1e6, 1),
        "stage_us_per_event": {
            stage: round(worker.total("qorgan_stage_seconds_total", stage=stage) / count * 1e6, 1) for stage in STAGES
        },
        "detections": int(worker.total("qorgan_detections_total")),
        "rules": int(worker.total("qorgan_rules_loaded")),
        "indicators": int(worker.total("qorgan_indicators_loaded")),
        **({"meanwhile": meanwhile.figures} if meanwhile.figures else {}),
        "rss_peak_mb": round(peak / 1e6),
        "start_seconds": {
            labels["phase"]: round(value, 2)
            for name, labels, value in worker.metrics()
            if name == "qorgan_start_seconds"
        },
        "start_to_first_batch_s": round(first - started, 2),
        "rows": rows[0],
        "rows_distinct": rows[1],
    }


def _judged(worker: Worker) -> float:
    return worker.total("qorgan_records_total")


def _stored(worker: Worker) -> float:
    return worker.total("qorgan_block_rows_sum")
