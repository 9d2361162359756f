"""A rule that raises costs itself alone, is named, and is put off; tries and hits are counted by rule."""

from __future__ import annotations

from typing import Any

import pytest

from detectors.sigma import engine as module
from detectors.sigma.engine import SAMPLED, Engine
from detectors.sigma.fields import View
from detectors.sigma.predicates import Predicate
from detectors.sigma.tally import FAILURES
from tests.sigma import event, pairs, tree_rule

ONE, TWO, THREE = (["has", "F", ["needle"], False], ["exists", "F", True], ["eq", "F", ["a needle"], False])


def _rules() -> list[Any]:
    return [tree_rule(tree, number) for number, tree in enumerate((ONE, TWO, THREE))]


def _raising(number: int, times: int = 1 << 30) -> Any:
    """A wrapper that makes one rule raise so many times."""
    left = [times]

    def wrap(rule: int, test: Predicate) -> Predicate:
        def raises(view: View) -> bool:
            left[0] -= 1
            if left[0] < 0:
                return test(view)
            raise ZeroDivisionError("a secret of the event")

        return raises if rule == number else test

    return wrap


@pytest.mark.parametrize("number", [0, 1, 2])
def test_an_exception_in_one_rule_costs_that_rule_only(number: int) -> None:
    events = [event({"F": "a needle"}), event({"F": "other"})]
    want = [pair for pair in pairs(Engine(_rules()), events) if pair[1] != f"rule-{number}"]
    engine = Engine(_rules(), wrap=_raising(number))
    assert pairs(engine, events) == want
    (failed,) = engine.tally.failed.values()
    assert (failed.rule_id, failed.error, failed.off) == (f"rule-{number}", "ZeroDivisionError", False)


def test_a_rule_that_keeps_raising_is_off_and_raises_no_more() -> None:
    engine = Engine(_rules(), wrap=_raising(1))
    found = pairs(engine, [event({"F": "x"})] * (5 * FAILURES))
    assert found == []
    assert engine.tally.failed[1].off
    assert engine.tally.failures == FAILURES


def test_a_rule_that_raised_seldom_goes_on() -> None:
    engine = Engine(_rules(), wrap=_raising(1, times=2 * (FAILURES - 1)))  # each is asked twice
    assert len(pairs(engine, [event({"F": "x"})] * (FAILURES + 1))) == 2


def test_a_rule_that_cannot_be_compiled_is_off_and_the_others_decide() -> None:
    engine = Engine([*_rules(), tree_rule(["re", "F", "(", ""], 3)])
    assert pairs(engine, [event({"F": "a needle"})]) == [(0, "rule-0"), (0, "rule-1"), (0, "rule-2")]
    assert [(one.rule_id, one.off) for one in engine.tally.failed.values()] == [("rule-3", True)]


def test_what_cannot_be_shown_of_a_match_does_not_undo_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> dict[str, str]:
        raise RuntimeError

    monkeypatch.setattr(module, "matched", fail)
    engine = Engine(_rules()[:1])
    (match,) = engine.match([event({"F": "needle"})])
    assert (match.rule.id, match.matched) == ("rule-0", {})
    assert engine.tally.failures == 1


def test_tries_and_hits_are_counted_by_rule_and_a_rule_without_a_literal_is_always_tried() -> None:
    engine = Engine(_rules())
    for _ in range(2 * SAMPLED):
        engine.match([event({"F": "a needle"}), event({"F": "the needle"}), event({"G": 1})])
    turns = 2 * SAMPLED
    assert engine.tally.events == 3 * turns
    assert dict(engine.tried()) == {0: 2 * turns, 1: 3 * turns, 2: turns}
    assert dict(engine.tally.hits) == {0: 2 * turns, 1: 2 * turns, 2: turns}


def test_preparing_pauses_between_rules() -> None:
    pauses: list[int] = []
    engine = Engine(_rules())
    sent = event({"F": "a needle"})
    engine.prepare([(sent.source, None, ("json",))], lambda: pauses.append(1))
    assert len(pauses) == len(_rules()) + 1
    assert len(pairs(engine, [sent])) == 3
