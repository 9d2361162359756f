"""New rules in a running worker: when they are read, when they stay out, when they go again."""

from __future__ import annotations

import asyncio
import gc
import os
import time
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from detectors.sigma.engine import Engine
from pipeline import loading
from pipeline.metrics import Metrics
from pipeline.reloading import Reloading
from pipeline.settings import load as load_settings
from pipeline.trial import LEAST_EVENTS, Bounds, Counted, Detects, verdict
from pipeline.watched import fingerprint
from schemas.errors import RefusedError
from schemas.event import Event
from schemas.indicator import Indicator
from tests.sigma import event, rule_text

QUIET = {"s": {"F": "rare"}, "condition": "s"}
NOISY = {"s": {"F|exists": True}, "condition": "s"}
IDS = [f"00000000-0000-4000-8000-{number:012}" for number in range(4)]


def usual(count: int, rare: int = 0) -> list[Event]:
    return [event({"F": "rare" if number < rare else "common"}, offset=number) for number in range(count)]


@dataclass
class Scene:
    """A worker's rules in a folder, a clock to turn, and what judges."""

    folder: Path
    metrics: Metrics = field(default_factory=Metrics)
    now: float = 0.0
    used: Detects | None = None
    before: Callable[[], Awaitable[None]] | None = None
    also: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "rules").mkdir()
        self.write(0, QUIET)

    def write(self, number: int, detection: dict[str, Any], **also: Any) -> None:
        (self.folder / "rules" / f"{number}.yml").write_bytes(rule_text(detection, id=IDS[number], **also))

    async def start(self) -> Reloading:
        settings = load_settings(rules=(self.folder / "rules",), state_dir=self.folder / "state", **self.also)
        known, loaded = fingerprint(settings), loading.load(settings)
        self.used = loaded.decide

        async def nothing() -> None: ...

        def use(rules: Detects) -> None:
            self.used = rules

        return Reloading(
            settings, loaded, known, use, self.metrics, before=self.before or nothing, clock=lambda: self.now
        )

    def judge(self, events: list[Event]) -> int:
        assert self.used is not None
        return len(self.used.judge("log0", "raw", 0, events).detections)

    def outcomes(self) -> dict[str, int]:
        told = self.metrics.registry.collect()
        samples = (sample for metric in told if metric.name == "qorgan_reloads" for sample in metric.samples)
        return {s.labels["outcome"]: int(s.value) for s in samples if s.name.endswith("_total") and s.value}

    async def settle(self, reloading: Reloading, **wanted: int) -> None:
        """Tick until these are the outcomes so far."""
        deadline = time.monotonic() + 20
        while self.outcomes() != wanted:
            assert time.monotonic() < deadline, (self.outcomes(), wanted)
            reloading.tick()
            await asyncio.sleep(0.002)


async def rest(reloading: Reloading) -> None:
    """Until what is under way is done."""
    if reloading._busy is not None:
        await asyncio.wait([reloading._busy])


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_change_of_the_files_is_noticed_once_they_are_still_and_swapped_whole(scene: Scene) -> None:
    async def run() -> None:
        reloading = await scene.start()
        scene.write(1, NOISY)
        looks = 0
        while not scene.outcomes():
            scene.now += 5.0
            looks += 1
            reloading.tick()
            await rest(reloading)
            reloading.tick()
        assert looks == 2, "the first look sees the change, the second that it is over"
        assert scene.outcomes() == {"swapped": 1}
        assert scene.judge(usual(1)) == 1
        assert scene.metrics["rules_loaded"]._value.get() == 2
        await reloading.stop()

    asyncio.run(run())


def test_a_new_set_judges_by_the_same_live_indicators(scene: Scene) -> None:
    async def run() -> None:
        reloading = await scene.start()
        live = reloading.proven.decide.indicators
        scene.write(1, NOISY)
        reloading.ask()
        await scene.settle(reloading, swapped=1)
        assert reloading.in_force is not reloading.proven, "the new set is on trial"
        assert reloading.in_force.decide.indicators is live
        live.put(Indicator("1", "domain", "evil.example", "", source="soc"))
        assert len(reloading.in_force.decide.indicators) == len(reloading.proven.decide.indicators) == 1

    asyncio.run(run())


def test_files_that_did_not_change_are_not_read_again(scene: Scene) -> None:
    async def run() -> None:
        reloading = await scene.start()
        for _ in range(5):
            scene.now += 5.0
            reloading.tick()
            await rest(reloading)
        assert scene.outcomes() == {}
        reloading.ask()
        await scene.settle(reloading, unchanged=1)
        await reloading.stop()

    asyncio.run(run())


def test_a_new_set_that_is_refused_leaves_the_running_one_and_is_not_read_again_until_it_changes(scene: Scene) -> None:
    async def run() -> None:
        reloading = await scene.start()
        for number in range(3):
            (scene.folder / "rules" / f"broken{number}.yml").write_text("title: [")
        reloading.ask()
        await scene.settle(reloading, refused=1)
        assert scene.judge(usual(1, rare=1)) == 1
        for _ in range(4):
            scene.now += 5.0
            reloading.tick()
            await rest(reloading)
        assert scene.outcomes() == {"refused": 1}
        await reloading.stop()

    asyncio.run(run())


def test_what_the_process_of_its_own_refuses_is_refused(scene: Scene) -> None:
    async def refuse() -> None:
        raise RefusedError("It hangs.")

    scene.before = refuse

    async def run() -> None:
        reloading = await scene.start()
        scene.write(1, NOISY)
        reloading.ask()
        await scene.settle(reloading, refused=1)
        assert scene.judge(usual(1)) == 0
        await reloading.stop()

    asyncio.run(run())


def test_a_fault_of_ours_while_building_leaves_the_running_set(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise TypeError

    async def run() -> None:
        reloading = await scene.start()
        scene.write(1, NOISY)
        monkeypatch.setattr(loading, "load", fail)
        reloading.ask()
        await scene.settle(reloading, refused=1)
        assert scene.judge(usual(1, rare=1)) == 1
        await reloading.stop()

    asyncio.run(run())


def test_stopping_gives_up_what_is_being_built(scene: Scene) -> None:
    async def endless() -> None:
        await asyncio.Event().wait()

    scene.before = endless

    async def run() -> None:
        reloading = await scene.start()
        reloading.ask()
        reloading.tick()
        await asyncio.sleep(0)
        await asyncio.wait_for(reloading.stop(), 5)
        assert scene.outcomes() == {}

    asyncio.run(run())


def test_a_set_that_floods_is_rolled_back_and_not_tried_again_until_the_files_change(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run() -> None:
        reloading = await scene.start()
        scene.judge(usual(2 * LEAST_EVENTS, rare=2))
        scene.write(1, NOISY)
        reloading.ask()
        await scene.settle(reloading, swapped=1)
        scene.judge(usual(LEAST_EVENTS))
        await scene.settle(reloading, swapped=1, rolled_back=1)
        assert scene.judge(usual(1)) == 0, "the old set judges again"
        reloading.ask()
        await scene.settle(reloading, swapped=1, rolled_back=1, refused=1)
        assert scene.judge(usual(1)) == 0
        (scene.folder / "rules" / "1.yml").write_bytes(rule_text(QUIET, id=IDS[1], title="Mended"))
        reloading.ask()
        await scene.settle(reloading, swapped=2, rolled_back=1, refused=1)
        assert scene.judge(usual(1, rare=1)) == 2
        await reloading.stop()

    asyncio.run(run())
    assert "rolled back: it finds 1 per event" in capsys.readouterr().out


def test_a_set_whose_rules_raise_is_rolled_back_and_one_rule_that_raises_is_not_enough(scene: Scene) -> None:
    def spoil(engine: Engine, number: int) -> None:
        for route in engine._routes.values():
            for one in route.routed:
                if one.entry.rule == number:
                    one.test = lambda view: 1 / 0 > 0

    async def run() -> None:
        reloading = await scene.start()
        scene.judge(usual(10))
        for number in (1, 2):
            scene.write(number, NOISY)
        reloading.ask()
        await scene.settle(reloading, swapped=1)
        engine = reloading.in_force.decide.engine
        spoil(engine, 1)
        assert scene.judge(usual(50)) == 50, "the other noisy rule still finds them"
        reloading.tick()
        assert scene.outcomes() == {"swapped": 1}
        scene.now += 11.0
        reloading.tick()
        assert scene.metrics["rules_off"]._value.get() == 1
        assert scene.metrics["rule_failures_total"]._value.get() == 10
        spoil(engine, 2)
        assert scene.judge(usual(50)) == 0
        await scene.settle(reloading, swapped=1, rolled_back=1)
        await reloading.stop()

    asyncio.run(run())


def test_a_set_that_cannot_judge_at_all_costs_no_event(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        reloading = await scene.start()
        scene.write(1, NOISY)
        reloading.ask()
        await scene.settle(reloading, swapped=1)

        def fail(_events: Any) -> Any:
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr(reloading.in_force.decide.engine, "match", fail)
        assert scene.judge(usual(3, rare=2)) == 2, "the proven set judged the very batch on which the new one broke"
        await scene.settle(reloading, swapped=1, rolled_back=1)
        await reloading.stop()

    asyncio.run(run())


def test_after_its_trial_a_set_is_proven_and_the_old_one_is_let_go(scene: Scene) -> None:
    async def run() -> None:
        reloading = await scene.start()
        scene.judge(usual(2 * LEAST_EVENTS))
        old = weakref.ref(reloading.proven.decide.engine)
        scene.write(1, NOISY)
        reloading.ask()
        await scene.settle(reloading, swapped=1)
        assert old() is not None
        gc.disable()
        try:
            scene.now += 301.0
            reloading.tick()
            assert old() is None, "nothing but references keeps it: what gc.freeze has frozen is not collected"
        finally:
            gc.enable()
        scene.judge(usual(LEAST_EVENTS))
        reloading.tick()
        assert scene.outcomes() == {"swapped": 1}
        await reloading.stop()

    asyncio.run(run())


def test_a_set_that_comes_during_a_trial_is_compared_with_the_proven_one(scene: Scene) -> None:
    async def run() -> None:
        reloading = await scene.start()
        scene.judge(usual(2 * LEAST_EVENTS))
        proven = reloading.proven
        for number in (1, 2):
            scene.write(number, NOISY)
            reloading.ask()
            await scene.settle(reloading, swapped=number)
        scene.judge(usual(LEAST_EVENTS))
        await scene.settle(reloading, swapped=2, rolled_back=1)
        assert reloading.in_force is proven
        await reloading.stop()

    asyncio.run(run())


BOUNDS = Bounds(factor=10.0, failures=20)


@pytest.mark.parametrize(
    ("before", "now", "gone"),
    [
        (Counted(100_000, 1_000, 0), Counted(10_000, 900, 0), False),
        (Counted(100_000, 1_000, 0), Counted(10_000, 1_100, 0), True),
        (Counted(100_000, 0, 0), Counted(100_000, 900, 0), False),
        (Counted(100_000, 0, 0), Counted(100_000, 1_100, 0), True),
        (Counted(100, 0, 0), Counted(10_000, 10_000, 0), False),
        (Counted(100_000, 0, 0), Counted(500, 500, 0), False),
        (Counted(100_000, 0, 0), Counted(10, 0, 19), False),
        (Counted(100_000, 0, 0), Counted(10, 0, 20), True),
        (Counted(0, 0, 0), Counted(10, 0, 20), True),
        (Counted(1_000, 0, 20), Counted(1_000, 0, 150), False),
        (Counted(1_000, 0, 20), Counted(1_000, 0, 250), True),
    ],
)
def test_a_set_goes_for_ten_times_the_rate_or_for_new_failures(before: Counted, now: Counted, gone: bool) -> None:
    assert (verdict(before, now, BOUNDS) is not None) is gone


def test_the_fingerprint_tells_of_every_file_that_decides(tmp_path: Path) -> None:
    (tmp_path / "rules" / "deep").mkdir(parents=True)
    settings = load_settings(
        rules=(tmp_path / "rules",),
        stages=tmp_path / "stages.yml",
        event_list=tmp_path / "list.yml",
        identities=tmp_path / "identities",
    )
    (tmp_path / "identities").mkdir()
    seen = [fingerprint(settings)]
    for name in ("rules/a.yml", "rules/deep/b.yml", "stages.yml", "list.yml", "identities/a.json"):
        (tmp_path / name).write_text("1")
        seen.append(fingerprint(settings))
    os.utime(tmp_path / "list.yml", ns=(1, 1))
    seen.append(fingerprint(settings))
    (tmp_path / "rules" / "a.yml").unlink()
    seen.append(fingerprint(settings))
    assert len(set(seen)) == len(seen)
    assert fingerprint(settings) == seen[-1]
