"""Two respond processes on the embedded broker, the active one killed: the short form of the fault test."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.settings import load
from sinks.journal.files import verify
from tests import embedded
from tests.faults import respond_killed

pytestmark = [pytest.mark.flow, pytest.mark.timeout(240)]


def test_two_kills_of_the_active_process_give_no_number_twice_and_lose_no_revision(tmp_path: Path) -> None:
    with embedded.broker() as broker:
        respond_killed.kills(tmp_path, broker, rounds=2, session=2, seed=1)
    assert verify(load(state_dir=tmp_path / "state").state_dir / "journal").broken is None
