"""The short set of failures, part of every test run: a store that is away, workers that are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import scenes

pytestmark = [pytest.mark.flow, pytest.mark.timeout(240)]


def test_with_the_store_away_for_15_seconds_detection_goes_on_and_everything_is_stored_once(tmp_path: Path) -> None:
    scenes.store_away(tmp_path, seconds=15)


def test_two_kills_of_two_workers_under_load_lose_and_double_nothing(tmp_path: Path) -> None:
    scenes.kills(tmp_path, rounds=2, seed=1)
