"""`qorgan bench correlate`: the state of correlations alone, on one core, in a process of its own.

Contributions of 100,000 live groups come within a minute of their order, the watermark ten minutes behind the newest;
each kind first fills its state, then three rounds are measured. Bytes are what the process grew by, per live group;
contributions are made slice by slice outside the time measured. `event_count_told` keeps beside them what an episode is
told with, of another host and user for every group.
"""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson

from detectors.correlation.contribution import About, Contribution
from detectors.correlation.correlation import BETWEEN, UNIT, Bound, Correlation, Kind
from detectors.correlation.correlator import Correlator
from detectors.correlation.parcels import packed, read
from detectors.correlation.partition import PartitionState
from detectors.correlation.resolve import Correlations
from pipeline import memory
from schemas.errors import QorganError
from schemas.severity import Severity

#: Of so many groups, about 100,000 have a contribution that is held.
POOL: Final = 109_000
#: What is held: a window of ten minutes, ten minutes of lateness, and the step that is not settled yet.
TIMESPAN_MS: Final = 600_000
LATENESS_MS: Final = 600_000
SHUFFLED_MS: Final = 60_000
#: Event time between two contributions: a quarter of a million are held, two or three a group.
APART_MS: Final = 5
SLICE: Final = 5_000
ROUNDS: Final = 3
CHILD_S: Final = 600.0
BOUNDS: Final[dict[Kind, int]] = {
    "event_count": 10,
    "value_count": 5,
    "temporal": 3,
    "temporal_ordered": 3,
    "value_sum": 1_000 * UNIT,
}


def run(*, events: int = 250_000) -> dict[str, Any]:
    """Measure each kind over `events` contributions a round.

    Returns by kind: contributions/s (best of three rounds, the processor's time), live groups, contributions held,
    bytes a live group. Raises QorganError when the child fails.
    """
    figures: dict[str, Any] = {}
    runs: list[tuple[str, Kind, str]] = [(kind, kind, "bare") for kind in BOUNDS]
    for name, kind, told in (*runs, ("event_count_told", "event_count", "told")):
        figures[name] = _child(kind, events, told)
    figures["recovered"] = _child("event_count", events, "recover")
    return figures


def _child(kind: Kind, events: int, what: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "pipeline.bench.correlate", kind, str(events), what]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=CHILD_S, check=True)  # noqa: S603 - ourselves
    except subprocess.SubprocessError as error:
        raise QorganError(f"The measuring process failed ({type(error).__name__}); its own words are above.") from None
    figures: dict[str, Any] = orjson.loads(done.stdout)
    return figures


def _measure(kind: Kind, events: int, *, told: bool) -> dict[str, Any]:
    rules = Correlations((_rule(kind),))
    correlator, source = Correlator(rules), _contributions(kind, told=told)
    (fold,) = correlator.folds.values()
    [next(source) for _ in range(SLICE)]  # a slice's own memory is not the state's
    gc.collect()
    gc.freeze()
    before = _resident()
    _spend(correlator, source, (TIMESPAN_MS + LATENESS_MS + SHUFFLED_MS) // APART_MS)
    gc.collect()
    grown, live, held = _resident() - before, len(fold), fold.entries
    seconds = min(_spend(correlator, source, events) for _ in range(ROUNDS))
    return {
        "contributions_per_s": round(events / seconds),
        "live_groups": live,
        "contributions_held": held,
        "bytes_per_group": round(grown / live),
    }


def _recover(kind: Kind, events: int) -> dict[str, Any]:
    """What a killed process costs: the state of so many contributions, from a checkpoint and from its topic."""
    memory.collect_seldom()  # as a worker does
    rules = Correlations((_rule(kind),))
    records = list(packed(list(islice(_contributions(kind, told=True), events)), {"bench": ""}))
    state = PartitionState(rules)
    began = time.process_time()
    for record in records:
        state.take(read(record))
    reread = time.process_time() - began
    saved = state.dump()
    began = time.process_time()
    PartitionState(rules).restore(saved)
    return {
        "reread_contributions_per_s": round(events / reread),
        "checkpoint_mb": round(len(saved) / 1e6, 1),
        "checkpoint_restored_s": round(time.process_time() - began, 2),
    }


def _spend(correlator: Correlator, source: Iterator[Contribution], events: int) -> float:
    """Seconds that so many contributions take."""
    spent = 0.0
    for start in range(0, events, SLICE):
        part = [next(source) for _ in range(min(SLICE, events - start))]
        began = time.process_time()
        correlator.feed(part)
        correlator.advance(part[-1].time - SHUFFLED_MS - LATENESS_MS)
        spent += time.process_time() - began
    return spent


def _contributions(kind: Kind, *, told: bool) -> Iterator[Contribution]:
    """`told`: each with what an episode is told with, another one for every group."""
    chance = random.Random(7)  # noqa: S311 - a sample
    values = [1, 2] if kind.startswith("temporal") else [UNIT, 2 * UNIT, 3 * UNIT]
    now, offset = 1_773_118_800_000, 0
    while True:
        group = chance.randrange(POOL)
        yield Contribution(
            "bench",
            f"ws-{group % 9_973:05}{BETWEEN}user-{group:06}",
            now - chance.randrange(SHUFFLED_MS),
            "log/raw.events/0",
            offset,
            chance.choice(values),
            about=About(f"ws-{group % 9_973:05}", f"user-{group:06}") if told else None,
        )
        now, offset = now + APART_MS, offset + 1


def _rule(kind: Kind) -> Correlation:
    return Correlation(
        id="bench",
        name="",
        title="A correlation",
        level=Severity.HIGH,
        tags=(),
        status="",
        revision="",
        file="",
        line=0,
        kind=kind,
        rules=("a", "b", "c") if kind.startswith("temporal") else ("a",),
        group_by=("host", "user"),
        aliases=(),
        timespan=TIMESPAN_MS,
        bounds=(Bound("gte", BOUNDS[kind]),),
        fields=("n",) if kind.startswith("value") else (),
    )


def _resident() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmRSS"))


if __name__ == "__main__":
    kind_, events_, what_ = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    measured = _recover(kind_, events_) if what_ == "recover" else _measure(kind_, events_, told=what_ == "told")  # type: ignore[arg-type] # from `run`
    sys.stdout.buffer.write(orjson.dumps(measured))
