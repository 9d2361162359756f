"""respond killed again and again (make faults), with the journal in files and with the journal on Apache Kafka."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import embedded
from tests.faults import respond_killed

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


def test_eight_kills_of_the_active_process_give_no_number_twice_and_lose_no_revision(tmp_path: Path) -> None:
    with embedded.broker() as broker:
        respond_killed.kills(tmp_path, broker, rounds=8, session=3, seed=2)


@pytest.mark.kafka
def test_five_kills_on_apache_kafka_with_the_journal_on_its_topic(tmp_path: Path) -> None:
    with embedded.kafka_node() as broker:
        respond_killed.kills(tmp_path, broker, rounds=5, session=6, seed=3)
    assert not (tmp_path / "state" / "journal").exists(), "the truth was to lie on the topic"
