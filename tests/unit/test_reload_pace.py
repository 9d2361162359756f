"""A stream keeps at least half of its rate while a thousand rules are read and compiled beside it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from detectors.sigma.load import Loaded
from detectors.sigma.rule import LogSource, Rule
from pipeline import loading, memory
from pipeline.metrics import Metrics
from pipeline.reloading import Reloading
from pipeline.settings import load as load_settings
from pipeline.trial import Detects
from pipeline.watched import fingerprint
from schemas.severity import Severity
from tests.sigma import PROCESS, event

RULES, SLICE, LEAST = 1_000, 128, 0.5
#: Neighbours on the machine make any one measurement doubtful; one of so many must show it.
TRIES = 4


def made(name: str, data: bytes) -> Loaded:
    """What pySigma, in a process of its own, would have made of a rule: four leaves, one a regular expression."""
    number = int(Path(name).stem)
    tree = [
        "and",
        ["or", ["ends", "Image", [f"\\tool{number}.exe"], False], ["eq", "OriginalFileName", [f"t{number}"], False]],
        ["re", "CommandLine", rf"(?:-|/)opt{number}\s+[a-z]{{2,9}}", "i"],
        ["not", ["has", "ParentImage", [f"\\agent{number}\\"], False]],
    ]
    source = LogSource("windows", "process_creation")
    rule = Rule(f"r{number}", "", Severity.LOW, (), source, "", data.decode(), name, orjson.dumps(tree))
    return Loaded((rule,), ())


@pytest.fixture
def quick_turns() -> Iterator[None]:
    """The interpreter is shared as in a worker."""
    before = sys.getswitchinterval()
    memory.share_the_interpreter()
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("quick_turns")
def test_the_stream_keeps_half_its_rate_during_a_reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.rules.load", made)
    folder = tmp_path / "rules"
    folder.mkdir()
    for number in range(RULES):
        (folder / f"{number}.yml").write_text(f"{number} 0")
    settings = load_settings(rules=(folder,), state_dir=tmp_path / "state", rules_watch=0, rules_trial=0)
    known, loaded = fingerprint(settings), loading.load(settings)
    sent = [
        event({"Image": f"C:\\a\\tool{n}.exe", "CommandLine": f"-opt{n} now", "Filler": "x" * 700}, PROCESS)
        for n in range(SLICE)
    ]
    judging: list[Detects] = [loaded.decide]

    async def nothing() -> None: ...

    async def rate(reloading: Reloading, seconds: float) -> float:
        """Events a second, for so long, or until a reload that is asked for is over."""
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < seconds or reloading._busy is not None:
            judging[0].judge("log0", "raw", 0, sent)
            count += SLICE
            reloading.tick()
            await asyncio.sleep(0)
        return count / (time.perf_counter() - start)

    async def measure(text: str) -> float:
        metrics = Metrics()
        reloading = Reloading(settings, loaded, known, lambda new: judging.insert(0, new), metrics, before=nothing)
        judging[0].judge("log0", "raw", 0, sent)
        (folder / "0.yml").write_text(f"0 {text}")
        before = await rate(reloading, 0.4)
        reloading.ask()
        during = await rate(reloading, 0.05)
        after = await rate(reloading, 0.4)
        assert metrics["reloads_total"].labels(outcome="swapped")._value.get() == 1
        await reloading.stop()
        return during / ((before + after) / 2)

    shares = []
    for number in range(1, TRIES + 1):
        shares.append(asyncio.run(measure(str(number))))
        if shares[-1] >= LEAST:
            return
    raise AssertionError(f"shares of the rate during a reload: {shares}; at least {LEAST}")
