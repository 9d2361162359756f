"""What a worker says of correlations while it does not judge them."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pipeline import loading
from pipeline.metrics import Metrics
from pipeline.reloading import Reloading
from pipeline.settings import load as load_settings
from tests.sigma import rule_text

CORRELATION = b"""---
title: Many
correlation: {type: event_count, rules: [one], group-by: [User], timespan: 5m, condition: {gte: 3}}
"""


@pytest.mark.parametrize(("more", "said"), [(CORRELATION, [1]), (b"", [])])
def test_a_worker_says_that_rules_of_correlations_are_told_one_by_one(
    tmp_path: Path, more: bytes, said: list[int]
) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "a.yml").write_bytes(rule_text({"s": {"a": 1}, "condition": "s"}, name="one") + more)
    settings = load_settings(rules=(folder,), state_dir=tmp_path / "state")
    with capture_logs() as logs:
        Reloading(settings, loading.load(settings), "", lambda _: None, Metrics())
    assert [line["correlations"] for line in logs if "correlations are judged" in line["event"]] == said
