"""What a million indicators cost: to load from CSV, to hold, to match against events, to change while they are matched.

Measured in a process of its own, which holds nothing else. The made-up indicators are of many types, sources and times,
half of them with STIX ids and titles of their own, and no event holds them: what is measured is the asking.
"""

from __future__ import annotations

import gc
import math
import multiprocessing
import random
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

from detectors.ioc.match import IndicatorIndex
from pipeline.bench.parsers import SLICE, BenchRecord
from pipeline.bench.sample import lines_of, simulated
from pipeline.indicators import load_indicators
from pipeline.parsers import Reader
from pipeline.settings import load
from schemas.event import Event, RecordBatch
from schemas.indicator import Indicator

MOST_EVENTS: Final = 60_000
ROUNDS: Final = 7
CHANGED: Final = 5_000
COLUMNS: Final = "type,value,id,title,confidence,valid_from,valid_until,source,tlp,tags"
_HIVE: Final = "HKLM\\Software"

Make = Callable[[random.Random], str]


def run(files: Sequence[Path] = (), *, made_indicators: int = 1_000_000, events: int = MOST_EVENTS) -> dict[str, Any]:
    """Make so many indicators, load them in a fresh process, match `events` of the files (else the simulated bank's).

    `load_s`: seconds of that process; `memory_mb`: by how much its resident memory grew, 10^6 bytes; `event_us`: µs an
    event of all look-ups, `event_us_of_1000` with 1,000 indicators; `put_us`, `remove_us`: µs for each changed.
    """
    with tempfile.TemporaryDirectory(prefix="qorgan-bench-") as folder:
        feed, few = Path(folder) / "made.csv", Path(folder) / "few.csv"
        write(feed, made_indicators)
        write(few, 1_000)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
            return fresh.submit(measure, feed, few, list(files), events).result()


def measure(feed: Path, few: Path, files: Sequence[Path], count: int) -> dict[str, Any]:
    """The figures, in a process that has loaded nothing yet."""
    Reader(load())  # what every worker holds is not the indicators' cost
    gc.collect()
    before, started = resident(), time.process_time()
    loaded = load_indicators([feed])
    seconds = time.process_time() - started
    gc.collect()
    held = resident() - before
    events = _events(files, count)
    small = load_indicators([few]).index
    gc.collect()
    gc.freeze()
    index = loaded.index
    return {
        "indicators": len(index),
        "faults": len(loaded.faults),
        "load_s": round(seconds, 2),
        "memory_mb": round(held / 1e6, 1),
        "bytes_each": round(held / max(1, len(index))),
        "events": len(events),
        "observables": round(sum(len(event.observables) for event in events) / len(events), 2),
        "event_us": _matching(index, events),
        "event_us_of_1000": _matching(small, events),
        **_changing(index),
    }


def resident() -> int:
    """Bytes of this process in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def _events(files: Sequence[Path], count: int) -> list[Event]:
    lines = lines_of(files)[:count] if files else simulated(count)
    reader, events = Reader(load()), []
    for at in range(0, len(lines), SLICE):
        part = [BenchRecord(at + n, -1, line) for n, line in enumerate(lines[at : at + SLICE])]
        events += reader.read(RecordBatch("bench", "bench", 0, at, at + len(part), part)).events
    for event in events:
        event.fields, event.raw = {}, b""  # no look-up needs them
    return events


def _matching(index: IndicatorIndex, events: Sequence[Event]) -> float:
    """µs an event, of each slice the best of some rounds: other work only ever adds."""
    slices = [events[at : at + SLICE] for at in range(0, len(events), SLICE)]
    best = [math.inf] * len(slices)
    for _ in range(ROUNDS):
        for number, part in enumerate(slices):
            started = time.thread_time()
            index.match(part)
            best[number] = min(best[number], time.thread_time() - started)
    return round(sum(best) / len(events) * 1e6, 2)


def _changing(index: IndicatorIndex) -> dict[str, float]:
    """What changes on a running worker cost, and the longest of them, which may make a dictionary larger."""
    rng = random.Random(8)  # noqa: S311 - the same each time
    new = [
        Indicator(uuid.UUID(int=rng.getrandbits(128)).hex, "domain", f"{rng.getrandbits(64):x}.new.invalid", "New")
        for _ in range(CHANGED)
    ]
    slowest, started = 0.0, time.thread_time()
    for one in new:
        at = time.thread_time()
        index.put(one)
        slowest = max(slowest, time.thread_time() - at)
    put, started = time.thread_time() - started, time.thread_time()
    for one in new:
        index.remove(one.source, one.id, [(one.type, one.value)])
    gone, started = time.thread_time() - started, time.thread_time()
    revision = index.revision
    asked = time.thread_time() - started
    return {
        "put_us": round(put / CHANGED * 1e6, 2),
        "put_us_most": round(slowest * 1e6, 1),
        "remove_us": round(gone / CHANGED * 1e6, 2),
        "revision_us": round(asked * 1e6, 1) if revision else 0.0,
    }


def write(path: Path, count: int) -> None:
    """A CSV of so many made-up indicators; the same each time."""
    rng = random.Random(7)  # noqa: S311 - the same each time
    with path.open("w", encoding="utf-8") as file:
        file.write(COLUMNS + "\n")
        file.writelines(_line(rng, kind, make) for kind, make in _kinds(rng, count))


def _line(rng: random.Random, kind: str, make: Make) -> str:
    own = rng.random() < 0.5
    name = f"indicator--{uuid.UUID(int=rng.getrandbits(128), version=4)}" if own else ""
    title = f"Campaign {rng.randrange(100_000)}" if own else ""
    day = rng.randrange(1, 28)
    until = f"2027-{rng.randrange(1, 13):02}-{day:02}" if rng.random() < 0.7 else ""
    since = f"2026-{rng.randrange(1, 10):02}-{day:02}T{rng.randrange(24):02}:00:00Z"
    feed = rng.randrange(8)  # a feed says mostly the same of how sure it is and how far it may be passed on
    colour, sure = ("green", "amber", "amber+strict")[feed % 3], rng.choice((25, 50, 75, 90))
    tags = f"attack.t{rng.randrange(1000, 1200)}"
    return f"{kind},{make(rng)},{name},{title},{sure},{since},{until},feed{feed},{colour},{tags}\n"


def _kinds(rng: random.Random, count: int) -> Iterator[tuple[str, Make]]:
    kinds: list[tuple[int, str, Make]] = [
        (30, "sha256", lambda rng: f"{rng.getrandbits(256):064x}"),
        (12, "md5", lambda rng: f"{rng.getrandbits(128):032x}"),
        (12, "sha1", lambda rng: f"{rng.getrandbits(160):040x}"),
        (16, "domain", lambda rng: f"{rng.getrandbits(48):x}.made{rng.randrange(5_000)}.invalid"),
        (12, "url", lambda rng: f"http://{rng.getrandbits(48):x}.invalid/{rng.getrandbits(64):x}"),
        (10, "ipv4", _address),
        (1, "cidr", lambda rng: f"{_address(rng)}/{rng.randrange(16, 31)}"),
        (2, "email", lambda rng: f"{rng.getrandbits(40):x}@made{rng.randrange(5_000)}.invalid"),
        (2, "file_name", lambda rng: f"made{rng.getrandbits(48):x}.exe"),
        (1, "file_path", lambda rng: f"C:\\made\\{rng.getrandbits(48):x}.exe"),
        (1, "registry_key", lambda rng: f"{_HIVE}\\made{rng.getrandbits(48):x}"),
        (1, "imphash", lambda rng: f"{rng.getrandbits(128):032x}"),
    ]
    weights = [weight for weight, _, _ in kinds]
    for _, kind, make in rng.choices(kinds, weights, k=count):
        yield kind, make


def _address(rng: random.Random) -> str:
    """Of the range that nobody has."""
    return f"{rng.randrange(240, 255)}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
