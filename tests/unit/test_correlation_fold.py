"""Correlations as state: what is said when, chains, bounds, what is dropped, and checkpoints that do not fit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from detectors.correlation.contribution import MAX_VALUE, Found, contribute, lookup
from detectors.correlation.correlation import UNIT, Alias, Bound, Correlation
from detectors.correlation.correlator import Correlator, UnfitError, record_of
from detectors.correlation.fold import MAX_GROUP, Limits
from detectors.correlation.resolve import Correlations
from tests.correlation import DAY, HOUR, MINUTE, SECOND, T0, at, correlation, episodes, in_force

COUNT = correlation("event_count", ("gte", 3))


def correlator(*rules: Correlation, **limits: int) -> Correlator:
    return Correlator(in_force(*rules), Limits(**limits) if limits else None)


def test_a_window_is_open_at_its_beginning_and_closed_at_its_end() -> None:
    one = correlator(COUNT)
    assert episodes(one.feed([at(0, 0), at(1, 1), at(MINUTE, 2)]) + one.finish()) == []
    one = correlator(COUNT)
    assert len(episodes(one.feed([at(0, 0), at(1, 1), at(MINUTE - 1, 2)]) + one.finish())) == 1


def test_an_order_has_to_be_run_through_within_the_window() -> None:
    rule = correlation("temporal_ordered", ("gte", 3))
    for last, runs in ((MINUTE, 0), (MINUTE - 1, 1)):
        one = correlator(rule)
        assert len(episodes(one.feed([at(0, 0, 1), at(1, 1, 2), at(last, 2, 4)]) + one.finish())) == runs


@pytest.mark.parametrize(
    ("percentile", "values", "measured"),
    [(25, (0, 10), 2.5), (50, (0, 10, 11), 10), (95, tuple(range(21)), 19), (0, (3, 4), 3), (100, (3, 4), 4)],
)
def test_a_percentile_is_linear_between_the_nearest_ranks(
    percentile: int, values: tuple[int, ...], measured: float
) -> None:
    for operator, holds in (("eq", 1), ("gt", 0), ("lt", 0)):
        bound, count = (operator, int(measured * UNIT)), ("gte", 0)
        one = correlator(correlation("value_percentile", bound, count, percentile=percentile))
        fed = one.feed([at(0, n, value * UNIT) for n, value in enumerate(values)])
        assert len(episodes(fed + one.finish())) == holds, operator


def test_a_provisional_is_said_with_the_contribution_that_makes_it_true_and_once() -> None:
    one = correlator(COUNT)
    assert [len(one.feed([at(n * SECOND, n)])) for n in range(6)] == [0, 0, 1, 0, 0, 0]


def test_a_final_is_said_when_the_watermark_has_passed_its_window_and_closed_when_nothing_can_join() -> None:
    one = correlator(COUNT)
    one.feed([at(n * SECOND, n) for n in range(3)])
    assert one.advance(T0 + SECOND) == []
    assert [v.state for v in one.advance(T0 + 10 * SECOND)] == ["final"]
    assert one.advance(T0 + 50 * SECOND) == []
    (closed,) = one.advance(T0 + 70 * SECOND)
    assert (closed.state, closed.first, closed.until, closed.records) == (
        "closed",
        ("log/raw/0", 0),
        T0 + 2 * SECOND,
        3,
    )
    assert len(one.folds["corr"]) == 0, "a group that is over is forgotten"


def test_an_earlier_first_contribution_that_comes_later_replaces_what_was_said() -> None:
    one = correlator(COUNT)
    (said,) = one.feed([at(n * SECOND, n) for n in (1, 2, 3)])
    assert one.feed([at(0, 0)]) == []
    (final, _) = one.finish()
    assert (final.first, final.replaces) == (("log/raw/0", 0), said.first)


def test_what_was_said_of_a_sum_and_is_falsified_is_withdrawn() -> None:
    one = correlator(correlation("value_sum", ("gte", 3 * UNIT)))
    (said,) = one.feed([at(0, 0, 2 * UNIT), at(SECOND, 1, UNIT)])
    one.feed([at(SECOND, 2, -UNIT)])
    (withdrawn,) = one.finish()
    assert (said.state, withdrawn.state, withdrawn.first) == ("provisional", "withdrawn", said.first)


def test_a_condition_with_not_is_decided_only_finally() -> None:
    rule = correlation("temporal", condition=["and", 0, ["not", 1]])
    one = correlator(rule)
    assert one.feed([at(0, 0, 1)]) == []
    assert [v.state for v in one.finish()] == ["final", "closed"]
    one = correlator(rule)
    one.feed([at(0, 0, 1), at(0, 1, 2)])
    assert one.finish() == []


def test_an_episode_is_cut_after_a_day_and_the_next_has_another_identity() -> None:
    one = correlator(COUNT)
    said = one.feed([at(n * 20 * SECOND, n) for n in range(6_000)]) + one.finish()
    found = episodes(said)
    assert len(found) == 2
    assert found[0].until < found[0].first_time + DAY <= found[1].until
    assert len({episode.first for episode in found}) == 2


@pytest.mark.parametrize("order", [(1, 2, 4), (4, 2, 1), (2, 4, 1)])
def test_what_bears_one_time_satisfies_any_order(order: tuple[int, ...]) -> None:
    one = correlator(correlation("temporal_ordered", ("gte", 3)))
    said = one.feed([at(0, offset, value) for offset, value in enumerate(order)])
    assert [v.state for v in said + one.finish()] == ["provisional", "final", "closed"]
    later = [at(offset, offset, value) for offset, value in enumerate(order)]
    assert bool(correlator(correlation("temporal_ordered", ("gte", 3))).feed(later)) == (order == (1, 2, 4))


def test_a_group_that_becomes_likely_is_judged_for_all_that_is_not_settled() -> None:
    """It was put off to its last contribution, and then three came before that."""
    one = correlator(correlation("event_count", ("gte", 4)))
    one.feed([at(0, 0), at(10 * MINUTE, 1), at(20 * MINUTE, 2)])
    one.advance(T0 + SECOND)
    said = one.feed([at(10 * MINUTE + n * SECOND, 2 + n) for n in (1, 2, 3)])
    assert [v.state for v in said + one.finish()] == ["provisional", "final", "closed"]


def test_a_step_is_settled_once_though_its_group_is_due_twice() -> None:
    """Settled again, it would be judged without what went out of all windows meanwhile."""
    one = correlator(correlation("event_count", ("lt", 2)))
    one.feed([at(0, 0)])
    said = one.advance(T0)
    one.feed([at(MINUTE - 100, 1), at(MINUTE - 200, 2)])
    assert [episode.first for episode in episodes(said + one.finish())] == [("log/raw/0", 0)]


def test_a_late_contribution_counts_neither_at_once_nor_finally_and_is_counted() -> None:
    one = correlator(COUNT)
    assert one.feed([at(0, 0), at(1, 1), at(2, 2, late=True)]) + one.finish() == []
    assert one.late == 1


def test_a_contribution_behind_the_watermark_changes_nothing_and_is_counted() -> None:
    one = correlator(COUNT)
    one.feed([at(0, 0), at(1, 1), at(HOUR, 9)])
    one.advance(T0 + HOUR)
    assert one.feed([at(2, 2)]) + one.finish() == []
    assert one.folds["corr"].behind == 1


def test_chains_rest_on_final_results_at_the_time_of_their_first_contribution() -> None:
    bursts = replace(COUNT, id="bursts", name="bursts", group_by=("host", "user"))
    spread = replace(
        COUNT, id="spread", rules=("bursts",), timespan=HOUR, bounds=(Bound("gte", 2),), group_by=("host",)
    )
    one = correlator(spread, bursts)
    stream = [
        at(base + n * SECOND, base + n, correlation="bursts", group=f"h\x1f{user}")
        for base, user in ((0, "u"), (10 * MINUTE, "v"), (20 * MINUTE, "u"))
        for n in range(3)
    ]
    said = one.feed(stream) + one.advance(T0 + 10 * MINUTE + 30 * SECOND)
    assert {v.correlation for v in said} == {"spread"}, "what is named is not told by itself"
    assert [v.state for v in said] == ["provisional"]
    said += one.finish()
    (episode,) = episodes(said)
    assert (episode.first, episode.first_time, episode.records) == (("log/raw/0#bursts", 0), T0, 3)
    assert record_of(episode.first, one.folds) == ("log/raw/0", 0)
    assert sum(fold.behind for fold in one.folds.values()) == 0


def test_a_chain_settles_step_by_step_as_it_does_at_the_end() -> None:
    bursts = replace(COUNT, id="bursts", name="bursts", generate=True)
    often = replace(COUNT, id="often", rules=("bursts",), timespan=HOUR, bounds=(Bound("gte", 3),))
    stream = [
        at(base * 5 * MINUTE + n * SECOND, base * 10 + n, correlation="bursts") for base in range(9) for n in (0, 1, 2)
    ]
    whole, stepwise = correlator(bursts, often), correlator(bursts, often)
    expected = episodes(whole.feed(stream) + whole.finish())
    said = []
    for contribution in stream:
        said += stepwise.feed([contribution])
        said += stepwise.advance(contribution.time - MINUTE)
    assert episodes(said + stepwise.finish()) == expected
    assert len(expected) == 1
    assert sum(fold.behind for fold in stepwise.folds.values()) == 0


def test_state_is_bounded_by_contributions_and_by_bytes_and_what_goes_is_counted() -> None:
    for limits in ({"contributions": 500}, {"bytes": 500 * 300}):
        one = correlator(COUNT, **limits)
        one.feed([at(n, n, group=f"host-{n}") for n in range(3_000)])
        (fold,) = one.folds.values()
        assert fold.entries <= 600
        assert fold.evicted == 3_000 - fold.entries
        assert fold.held_bytes <= 600 * 350


def test_when_room_is_short_the_groups_that_are_active_stay() -> None:
    one = correlator(COUNT, contributions=100)
    one.feed([at(n, n, group=f"old-{n}") for n in range(60)])
    one.feed([at(5 * SECOND, 1_000, group="busy"), at(30 * SECOND, 1_001, group="busy")])
    one.advance(T0 + 10 * SECOND)
    one.feed([at(31 * SECOND + n, 2_000 + n, group=f"new-{n}") for n in range(60)])
    assert [v.group for v in one.feed([at(40 * SECOND, 3_000, group="busy")])] == ["busy"]
    assert one.folds["corr"].evicted > 0


def test_one_group_cannot_take_everything() -> None:
    one = correlator(replace(COUNT, timespan=DAY))
    one.feed([at(n, n) for n in range(MAX_GROUP + 10)])
    (fold,) = one.folds.values()
    assert fold.entries <= MAX_GROUP
    assert fold.evicted == MAX_GROUP + 10 - fold.entries


def test_of_a_dumped_state_what_is_the_same_is_taken_and_nothing_of_a_damaged_one() -> None:
    one = correlator(COUNT)
    one.feed([at(0, 0)])
    state = one.dump()
    for data in (state[:-1], b"", state[:20], state[:-3] + b"abc"):
        with pytest.raises(UnfitError):
            correlator(COUNT).restore(data)
    assert correlator(replace(COUNT, revision="r2")).restore(state) == {"corr"}
    again = correlator(COUNT)
    assert again.restore(state) == frozenset()
    assert again.dump() == state


# What a record contributes.


def made(rule: Correlation, fields: dict[str, Any], entities: tuple[str, ...] = (), *places: int) -> Any:
    dropped: Counter[Any] = Counter()
    members = [member for member in _members(rule) if not places or member.place in places]
    found = list(contribute([Found(members, lookup(fields, entities))], T0, "lane", 7, False, dropped))
    return [(one.group, one.value) for one in found] or dict(dropped)


def _members(rule: Correlation) -> Any:
    rules: Correlations = in_force(rule)
    return [member for ref in rule.rules for member in rules.members[ref]]


def test_a_record_that_lacks_a_field_to_group_by_is_dropped_and_counted() -> None:
    assert made(COUNT, {"host": "WS-1"}) == [("ws-1", 0)]
    assert made(COUNT, {"host": None}) == made(COUNT, {}) == {("corr", "group"): 1}
    assert made(COUNT, {"host": ""}) == [("", 0)], "an empty value is a value"


def test_groups_are_by_folded_values_of_fields_or_by_entities() -> None:
    rule = replace(COUNT, group_by=("user.name", "entity.host"))
    fields = {"user": {"name": ["B", "a"]}, "Hostname": "x"}
    assert made(rule, fields, ("host:ws-1", "user:u")) == [("a,b\x1fws-1", 0)]
    assert made(rule, fields, ("user:u",)) == {("corr", "group"): 1}
    assert rule.group_values("a,b\x1fws-1") == {"user.name": "a,b", "entity.host": "ws-1"}


def test_no_value_can_look_like_two_or_be_without_bound() -> None:
    rule = replace(COUNT, group_by=("a", "b"))
    assert made(rule, {"a": "x\x1fy", "b": "z"}) != made(rule, {"a": "x", "b": "y\x1fz"})
    ((group, _),) = made(COUNT, {"host": "x" * 100_000})
    ((other, _),) = made(COUNT, {"host": "x" * 100_001})
    assert len(group) < 2 * MAX_VALUE
    assert group != other


def test_aliases_take_each_rules_own_field_and_one_record_is_one_contribution() -> None:
    rule = correlation(
        "temporal", ("gte", 2), rules=("a", "b"), group_by=("ip",), aliases=(Alias("ip", ((0, "src"), (1, "dst"))),)
    )
    assert made(rule, {"src": "1", "dst": "1"}) == [("1", 3)]
    assert made(rule, {"src": "1", "dst": "2"}) == [("1", 1), ("2", 2)]
    both = replace(COUNT, rules=("a", "b"))
    assert made(both, {"host": "h"}) == [("h", 0)], "an event that two rules found is one event"


@pytest.mark.parametrize(
    ("value", "measured"), [("0.1", 100_000), (7, 7_000_000), ("-2", -2_000_000), ("1e3", 1_000_000_000)]
)
def test_numbers_are_measured_in_millionths(value: Any, measured: int) -> None:
    assert made(correlation("value_sum", ("gte", 1), fields=("n",)), {"host": "h", "n": value}) == [("h", measured)]


@pytest.mark.parametrize("value", ["many", "nan", "inf", "1e300", None, ""])
def test_what_is_no_number_is_dropped_and_counted(value: Any) -> None:
    assert made(correlation("value_sum", ("gte", 1), fields=("n",)), {"host": "h", "n": value}) == {
        ("corr", "value"): 1
    }


def test_values_are_counted_folded_and_together() -> None:
    rule = correlation("value_count", ("gte", 2), fields=("a", "b"))
    first, same, other = (made(rule, {"host": "h", "a": a, "b": b}) for a, b in (("X", "y"), ("x", "Y"), ("xy", "")))
    assert first == same != other
