"""Tries and hits by rule are told under a bounded number of names, across sets, and failures by name in the log."""

from __future__ import annotations

from typing import Any

import pytest

from detectors.sigma.engine import SAMPLED, Engine
from pipeline import rulecounts
from pipeline.metrics import Metrics
from pipeline.rulecounts import RuleCounts
from tests.sigma import event, tree_rule


def told(metrics: Metrics, name: str) -> dict[str, float]:
    samples = (s for metric in metrics.registry.collect() for s in metric.samples if s.name == f"qorgan_{name}")
    return {sample.labels["rule"]: sample.value for sample in samples}


def engine(count: int, first: int = 0) -> Engine:
    return Engine([tree_rule(["eq", "F", [f"value{number}"], False], number) for number in range(first, first + count)])


def test_what_is_told_is_what_was_done_since_the_last_time() -> None:
    metrics, one = Metrics(), engine(2)
    counts = RuleCounts(metrics)
    for _ in range(2 * SAMPLED):
        one.match([event({"F": "value0"}), event({"F": "none"})])
        counts.tell(one)
    assert told(metrics, "rule_hits_total") == {"rule-0": 2 * SAMPLED}
    assert told(metrics, "rule_tries_total") == {"rule-0": 2 * SAMPLED}
    counts.tell(one)
    assert told(metrics, "rule_hits_total") == {"rule-0": 2 * SAMPLED}


def test_another_set_goes_on_where_the_last_one_ended() -> None:
    metrics = Metrics()
    counts = RuleCounts(metrics)
    for _ in range(2):
        one = engine(1)
        one.match([event({"F": "value0"})])
        counts.tell(one)
    assert told(metrics, "rule_hits_total") == {"rule-0": 2}


def test_only_so_many_rules_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rulecounts, "NAMED", 3)
    metrics, one = Metrics(), engine(8)
    one.match([event({"F": f"value{number}"}) for number in range(8)])
    RuleCounts(metrics).tell(one)
    hits = told(metrics, "rule_hits_total")
    assert (len(hits), sum(hits.values()), hits["other"]) == (4, 8, 5)


def test_a_rule_that_raises_is_named_in_the_log_without_the_text_of_its_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def wrap(_number: int, _test: Any) -> Any:
        def raises(_view: Any) -> bool:
            raise ValueError("pgustavo's password")

        return raises

    one = Engine([tree_rule(["exists", "F", True])], wrap=wrap)
    metrics = Metrics()
    counts = RuleCounts(metrics)
    one.match([event({"F": "x"})])
    counts.tell(one)
    one.match([event({"F": "x"})] * 20)
    counts.tell(one)
    said = capsys.readouterr().out
    assert said.count("rule-0") == 2
    assert "off until the next set" in said
    assert "password" not in said
    assert metrics["rule_failures_total"]._value.get() == 10
