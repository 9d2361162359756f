"""`qorgan up` watches what the embedded broker holds: warns at half, stores everything at the limit, then stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from pipeline.settings import Settings
from pipeline.up import CHECK_S, STORE_PATIENCE_S, BrokerLimit, run_up
from schemas.errors import RefusedError

MIB = 1 << 20


@dataclass
class FakeBroker:
    held: int = 0

    def held_bytes(self) -> int:
        return self.held


class Scene:
    """A broker whose size we set, what is left to store, and what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.left: float | None = 5
        self.broker = FakeBroker()
        broker: Any = self.broker
        self.limit = BrokerLimit(broker, Settings(broker_limit=100 * MIB), self.said.append, lambda: self.left)


def test_below_half_of_the_limit_nothing_is_said() -> None:
    scene = Scene()
    scene.broker.held = 49 * MIB
    assert scene.limit.tick(CHECK_S) is None
    assert scene.said == []


def test_at_half_of_the_limit_it_warns_once() -> None:
    scene = Scene()
    scene.broker.held = 50 * MIB
    assert scene.limit.tick(CHECK_S) is None
    assert scene.limit.tick(3 * CHECK_S) is None
    assert len(scene.said) == 1
    assert "QORGAN_BROKER_LIMIT" in scene.said[0]


def test_at_the_limit_it_stops_only_when_everything_is_stored_and_says_what_to_do() -> None:
    scene = Scene()
    scene.broker.held = 100 * MIB
    assert scene.limit.tick(CHECK_S) is None
    scene.left = None
    assert scene.limit.tick(CHECK_S + 1) is None
    scene.left = 0
    sentence = scene.limit.tick(CHECK_S + 2)
    assert sentence is not None
    assert "all of it stored" in sentence
    assert "--kafka-home" in sentence


def test_when_storing_does_not_end_it_stops_and_says_how_many_records_are_gone() -> None:
    scene = Scene()
    scene.broker.held = 100 * MIB
    scene.limit.tick(CHECK_S)
    sentence = scene.limit.tick(CHECK_S + STORE_PATIENCE_S + 1)
    assert sentence is not None
    assert "5 records" in sentence


def test_up_refuses_a_cluster_that_is_not_its_own(tmp_path: Any) -> None:
    with pytest.raises(RefusedError, match="qorgan worker"):
        run_up(Settings(kafka="kafka-1.bank:9092", state_dir=tmp_path), print)
