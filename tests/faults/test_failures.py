"""The full set of failures (make faults), on the embedded pair and on Apache Kafka."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults import correlations_killed, scenes

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


def test_with_the_store_away_for_two_minutes_detection_goes_on_and_everything_is_stored_once(tmp_path: Path) -> None:
    scenes.store_away(tmp_path, seconds=120)


def test_ten_kills_of_two_workers_under_load_lose_and_double_nothing(tmp_path: Path) -> None:
    scenes.kills(tmp_path, rounds=10, seed=2)


@pytest.mark.kafka
def test_five_kills_of_two_workers_on_apache_kafka_lose_and_double_nothing(tmp_path: Path) -> None:
    scenes.kills(tmp_path, rounds=5, seed=3, kafka_home=Path(os.environ["QORGAN_KAFKA_HOME"]))


@pytest.mark.kafka
def test_correlations_stay_what_they_are_on_apache_kafka_while_their_processes_are_killed(tmp_path: Path) -> None:
    correlations_killed.kills(tmp_path, rounds=5, seed=6, kafka_home=Path(os.environ["QORGAN_KAFKA_HOME"]))
