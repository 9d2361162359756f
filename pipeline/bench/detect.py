"""`qorgan bench detect`: Sigma over recordings on one core, JSON parse included, in a process of its own.

Two readings: `plain` is `orjson.loads` and the engine over flat Windows records, as other engines are measured;
`reader` takes the parsers' full reading, as ingest does. The first pass, in which routes are compiled, is not counted
but told. Slices and the collector of cycles are as in a worker; events live for one slice only, and the sample lies in
one buffer: a heap full of small objects would be what is measured.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Final

import orjson

from detectors.sigma.engine import Engine
from pipeline import memory
from pipeline.agents.raw_to_detections import SLICE_RECORDS
from pipeline.bench.peer import measure
from pipeline.bench.sample import recorded, simulated
from pipeline.parsers import Reader
from pipeline.parsers.windows import NXLOG
from pipeline.rules import load_rules
from pipeline.settings import load
from schemas.errors import QorganError
from schemas.event import Event, RecordBatch, Source

ROUNDS: Final = 3
CHILD_S: Final = 900.0


def run(
    files: Sequence[Path] = (),
    rules: Sequence[Path] = (),
    *,
    events: int = 50_000,
    mean_bytes: int = 2_500,
    peer: Path | None = None,
) -> dict[str, Any]:
    """Measure `rules` (none: those we ship) over a seeded sample of `files` (none: the simulated bank's events).

    Returns rates (events/s, best of three rounds), their µs by part, seconds of loading and of the first pass, MB
    resident. Rates are by the processor's time: what one core does that has nothing else to do. `peer`: a binary of
    rsigma, run over the same. Raises QorganError when the child fails.
    """
    asked = orjson.dumps(
        [[str(f) for f in files], [str(r) for r in rules], events, mean_bytes, str(peer or "")]
    ).decode()
    command = [sys.executable, "-m", "pipeline.bench.detect", asked]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=CHILD_S, check=True)  # noqa: S603 - ourselves
    except subprocess.SubprocessError as error:
        raise QorganError(f"The measuring process failed ({type(error).__name__}); its own words are above.") from None
    figures: dict[str, Any] = orjson.loads(done.stdout)
    return figures


def _measure(files: list[str], rules: list[str], events: int, mean_bytes: int, peer: str) -> dict[str, Any]:
    loaded = load_rules([Path(rule) for rule in rules], load().state_dir / "cache")
    memory.collect_seldom()
    with_rules = _resident_mb()
    lines = recorded([Path(file) for file in files], events, mean_bytes) if files else simulated(events)
    sample = _Sample(lines)
    del lines
    gc.collect()
    before = _resident_mb()
    first = _round(loaded.engine, sample, _Reading().events)
    figures: dict[str, Any] = {
        "rules": len(loaded.rules),
        "events": events,
        "mean_bytes": round(len(sample.buffer) / events),
        "load_s": round(loaded.seconds, 2),
        "from_cache": loaded.from_cache,
        "first_pass_s": round(first["read"] + first["match"], 2),
        "resident_rules_mb": with_rules,
        "resident_routes_mb": max(0, _resident_mb() - before),
        "matches": int(first["matches"]),
    }
    readings = {"reader": _Reading().events} | ({"plain": _plain} if files else {})
    for name, read in readings.items():
        rounds = [_round(loaded.engine, sample, read) for _ in range(ROUNDS)]
        best = min(rounds, key=lambda each: each["read"] + each["match"])
        figures[f"{name}_events_per_s"] = round(events / (best["read"] + best["match"]))
        figures[f"{name}_read_us"] = round(best["read"] / events * 1e6, 2)
        figures[f"{name}_match_us"] = round(best["match"] / events * 1e6, 2)
    return figures | (_beside(Path(peer), rules, loaded.engine, sample, figures) if peer else {})


def _beside(peer: Path, rules: list[str], engine: Engine, sample: _Sample, ours: dict[str, Any]) -> dict[str, Any]:
    """The peer's figures, the ratio, and in how many (event, rule) pairs the two differ, rule by rule."""
    events = [event for values in sample.slices() for event in _plain(values)]
    figures, theirs = measure(peer, [Path(rule) for rule in rules], events)
    mine: Counter[str] = Counter()
    for values in sample.slices():
        mine.update(match.rule.id for match in engine.match(_plain(values)))
    ratio = round(ours["plain_events_per_s"] / figures["peer_events_per_s"], 2)
    return figures | {
        "plain_to_peer": ratio,
        "only_peer": (theirs - mine).total(),
        "only_qorgan": (mine - theirs).total(),
    }


class _Sample:
    """Lines in one buffer."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        self.buffer = b"".join(lines)
        self.ends = list(accumulate(map(len, lines), initial=0))

    def slices(self) -> Iterator[list[bytes]]:
        for start in range(0, len(self.ends) - 1, SLICE_RECORDS):
            yield [self.buffer[a:b] for a, b in pairwise(self.ends[start : start + SLICE_RECORDS + 1])]


def _round(engine: Engine, sample: _Sample, read: Callable[[list[bytes]], list[Event]]) -> dict[str, float]:
    spent = {"read": 0.0, "match": 0.0, "matches": 0.0}
    for values in sample.slices():
        start = time.process_time()
        events = read(values)
        middle = time.process_time()
        spent["matches"] += len(engine.match(events))
        spent["match"] += time.process_time() - middle
        spent["read"] += middle - start
    return spent


class _Record:
    """One line as Kafka would give it, with Kafka's 'no timestamp'."""

    __slots__ = ("offset", "value")
    timestamp = -1
    timestamp_type = 0
    key = None
    headers: tuple[tuple[str, bytes], ...] = ()

    def __init__(self, offset: int, value: bytes) -> None:
        self.offset = offset
        self.value = value


class _Reading:
    """The parsers' reading, as ingest does it."""

    def __init__(self) -> None:
        self._reader = Reader(load())

    def events(self, values: list[bytes]) -> list[Event]:
        records = [_Record(offset, value) for offset, value in enumerate(values)]
        return self._reader.read(RecordBatch("bench", "bench", 0, 0, len(records), records)).events


def _plain(values: list[bytes]) -> list[Event]:
    """Flat Windows records with nothing but their source told."""
    events = []
    for offset, raw in enumerate(values):
        fields = orjson.loads(raw)
        channel, number = fields.get("Channel") or "", fields.get("EventID")
        source = Source("windows", "", channel.lower(), number if type(number) is int else 0)
        events.append(Event(offset, raw, NXLOG, source, fields, 0, 0))
    return events


def _resident_mb() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(_measure(*orjson.loads(sys.argv[1]))))
