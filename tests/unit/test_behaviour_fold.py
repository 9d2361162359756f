"""Our detectors as state: what each finds and leaves alone, at once and finally; bounds, and what a record gives."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from detectors.behaviour import first_seen
from detectors.behaviour.detector import Detector
from detectors.correlation.contribution import About, Found, contribute, lookup
from detectors.correlation.correlation import UNIT, Bound
from detectors.correlation.correlator import Correlator
from detectors.correlation.episodes import Verdict
from detectors.correlation.fold import MAX_GROUP, Limits
from schemas.place import Place, apart
from tests.behaviour import ALMATY, ASTANA, LAGOS, LONDON, detector
from tests.correlation import DAY, HOUR, MINUTE, SECOND, T0, at, correlation, episodes, in_force

NEW = detector("first_seen")
MANY = detector("rate")
FAR = detector("travel")
SILENT = detector("silence")


def correlator(*rules: Any, **limits: int) -> Correlator:
    return Correlator(in_force(*rules), Limits(**limits) if limits else None)


def final(rule: Detector, *contributions: Any, now: int = 0) -> list[tuple[int, int, int]]:
    """Episodes as (first's time, until, records), times after T0. `now`: how far the watermark comes, after T0."""
    one = correlator(rule)
    said = one.feed(contributions) + (one.advance(T0 + now) if now else []) + one.finish()
    return [(each.first_time - T0, each.until - T0, each.records) for each in episodes(said)]


def states(verdicts: list[Verdict]) -> list[tuple[str, int]]:
    return [(one.state, one.first[1]) for one in verdicts]


# First-seen value.


def test_nothing_is_new_while_a_group_is_learnt_and_afterwards_what_was_never_there_is() -> None:
    known = [at(0, 0, 1), at(30 * MINUTE, 1, 2)]
    assert final(NEW, *known, at(HOUR - 1, 2, 3)) == []
    assert final(NEW, *known, at(HOUR, 2, 3)) == [(HOUR, HOUR, 1)]
    assert final(NEW, *known, at(HOUR, 2, 2)) == []


def test_a_value_is_new_once_and_again_when_it_was_forgotten() -> None:
    stays = [at(n * 3 * HOUR, n, 1) for n in range(6)]
    assert final(NEW, *stays, at(2 * HOUR, 10, 7), at(5 * HOUR, 11, 7)) == [(2 * HOUR, 2 * HOUR, 1)]
    again = [at(2 * HOUR, 10, 7), at(6 * HOUR, 11, 7)]
    assert [first for first, _, _ in final(NEW, *stays, *again)] == [2 * HOUR, 6 * HOUR]


def test_a_group_that_was_away_for_its_memory_is_learnt_anew() -> None:
    assert final(NEW, at(0, 0, 1), at(HOUR, 1, 1), at(5 * HOUR, 2, 9), at(5 * HOUR + SECOND, 3, 8)) == []


def test_groups_have_memories_of_their_own() -> None:
    assert final(NEW, at(0, 0, 1), at(0, 1, 2, group="i"), at(HOUR, 2, 2)) == [(HOUR, HOUR, 1)]


def test_a_new_value_is_said_at_once_and_withdrawn_when_an_earlier_sighting_comes_after_it() -> None:
    one = correlator(NEW)
    said = one.feed([at(0, 0, 1), at(2 * HOUR, 5, 7)])
    assert states(said) == [("provisional", 5)]
    assert one.feed([at(MINUTE, 3, 7)]) == [], "learnt, so it says nothing"
    assert states(one.advance(T0 + 3 * HOUR)) == [("withdrawn", 5)]


def test_an_earlier_sighting_that_is_new_itself_takes_the_place_of_what_was_said() -> None:
    one = correlator(NEW)
    one.feed([at(0, 0, 1), at(2 * HOUR, 5, 7)])
    assert states(one.feed([at(HOUR, 3, 7)])) == [("provisional", 3)]
    said = one.advance(T0 + 3 * HOUR)
    assert states(said) == [("final", 3), ("closed", 3), ("withdrawn", 5)]


def test_a_sighting_that_comes_late_counts_at_once_in_a_large_group_too() -> None:
    """Between two looks nothing that is out of date may be told."""
    one = correlator(NEW)
    one.feed([at(0, 0, 1), *(at(2 * HOUR + n, 1 + n, 2) for n in range(69))])
    assert one.feed([at(2 * HOUR - 1, 500, 7)]) == []
    assert states(one.feed([at(2 * HOUR + 100, 501, 7)])) == [("provisional", 500)]


def test_a_group_with_too_many_values_falls_silent_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgetting makes it learn anew: it must not take what it has forgotten for new."""
    monkeypatch.setattr(first_seen, "MAX_VALUES", 1_000)
    one = correlator(detector("first_seen", learning=10 * SECOND, memory=DAY))
    one.feed([at(n, n, n) for n in range(1_001)])
    one.advance(T0 + 2 * SECOND)
    (fold,) = one.folds.values()
    assert (fold.evicted, fold.entries) == (501, 500)
    assert one.feed([at(2_100, 2_000, 0)]) == []
    assert one.feed([at(2_101, 2_001, 99_999)]) == []
    assert states(one.feed([at(12_000, 2_002, 99_998)])) == [("provisional", 2_002)]


# Rate against a baseline.


def buckets(*counts: int) -> list[Any]:
    """So many contributions in each ten minutes."""
    return [
        at(number * 10 * MINUTE + n * SECOND, number * 1_000 + n)
        for number, count in enumerate(counts)
        for n in range(count)
    ]


def test_a_bucket_with_so_many_times_its_baselines_mean_is_told_from_its_first_contribution() -> None:
    start = T0 // (10 * MINUTE) * 10 * MINUTE - T0
    assert start == 0, "T0 begins a bucket"
    usual = [4, 4, 4, 4, 4, 4, 4]
    assert final(MANY, *buckets(*usual, 7)) == []
    assert final(MANY, *buckets(*usual, 8)) == [(70 * MINUTE, 70 * MINUTE + 7 * SECOND, 8)]


def test_it_is_said_at_once_with_the_contribution_that_makes_it_too_many() -> None:
    one = correlator(MANY)
    said = [len(one.feed([each])) for each in buckets(4, 4, 4, 4, 4, 4, 4, 10)]
    assert said == [0] * 28 + [0] * 7 + [1, 0, 0]


def test_empty_buckets_count_in_the_mean_and_few_are_never_many() -> None:
    assert final(MANY, *buckets(12, 0, 0, 0, 0, 0, 4)) == [(HOUR, HOUR + 3 * SECOND, 4)]
    assert final(MANY, *buckets(1, 0, 0, 0, 0, 0, 2)) == []


def test_nothing_is_too_many_before_the_group_is_learnt() -> None:
    assert final(MANY, *buckets(1, 1, 1, 1, 1, 50)) == []
    assert final(MANY, *buckets(1, 1, 1, 1, 1, 1, 50)) != []


def test_buckets_that_hold_one_after_the_other_are_one_episode_and_a_calm_one_ends_it() -> None:
    calm = [4] * 7
    assert [count for _, _, count in final(MANY, *buckets(*calm, 20, 20))] == [40]
    assert [count for _, _, count in final(MANY, *buckets(*calm, 20, 1, 40))] == [20, 40]


def test_a_season_compares_a_bucket_with_the_same_time_of_other_days() -> None:
    """Every evening a backup: usual for the evening, and too many in the morning."""
    daily = detector(
        "rate", bucket=6 * HOUR, baseline=3 * DAY, season=DAY, learning=DAY, memory=3 * DAY, timespan=6 * HOUR
    )
    start = -((T0 // HOUR) % 24) * HOUR

    def day(number: int, *counts: int) -> list[Any]:
        return [
            at(start + number * DAY + part * 6 * HOUR + n, number * 10_000 + part * 1_000 + n)
            for part, count in enumerate(counts)
            for n in range(count)
        ]

    usual = [one for number in range(3) for one in day(number, 2, 2, 2, 100)]
    assert final(daily, *usual, *day(3, 2, 2, 2, 100)) == []
    assert [count for _, _, count in final(daily, *usual, *day(3, 2, 100, 2, 100))] == [100]


def test_a_life_ends_when_a_whole_baseline_is_empty() -> None:
    assert [count for _, _, count in final(MANY, *buckets(50, *[0] * 11, 9))] == [9]
    assert final(MANY, *buckets(50, *[0] * 12, 9)) == []


# Impossible travel.


def test_two_places_are_too_far_apart_for_the_time_between() -> None:
    assert apart(ALMATY, ASTANA) == 929, "969 km, less what either may err"
    assert final(FAR, at(0, 0, ALMATY), at(HOUR, 1, ASTANA)) == [(HOUR, HOUR, 2)]
    assert final(FAR, at(0, 0, ALMATY), at(2 * HOUR, 1, ASTANA)) == [], "that is a flight"
    assert final(FAR, at(0, 0, ALMATY), at(MINUTE, 1, ALMATY)) == []


def test_what_the_speed_just_allows_is_possible() -> None:
    exact = detector("travel", speed=929)
    assert final(exact, at(0, 0, ALMATY), at(HOUR, 1, ASTANA)) == []
    assert len(final(exact, at(0, 0, ALMATY), at(HOUR - 1, 1, ASTANA))) == 1


def test_what_is_near_is_no_travel_and_doubt_about_places_is_for_the_traveller() -> None:
    near = Place(43.24, 81.0, 20).number
    assert 250 < apart(ALMATY, near) < 350
    assert final(FAR, at(0, 0, ALMATY), at(SECOND, 1, near)) == []
    somewhere = Place(51.13, 71.43, 1_000).number
    assert final(FAR, at(0, 0, ALMATY), at(SECOND, 1, somewhere)) == []


def test_the_arrival_is_told_at_once_and_going_on_is_one_episode() -> None:
    one = correlator(FAR)
    said = one.feed([at(0, 0, ALMATY), at(HOUR, 1, LONDON), at(2 * HOUR, 2, LAGOS), at(20 * HOUR, 3, LAGOS)])
    assert states(said) == [("provisional", 1)]
    assert states(one.advance(T0 + 90 * MINUTE)) == [("final", 1)]
    (closed,) = one.advance(T0 + 20 * HOUR)
    assert (closed.first, closed.until - T0, closed.records) == (("log/raw/0", 1), 2 * HOUR, 3)


def test_a_stop_in_between_that_comes_late_makes_the_journey_possible() -> None:
    one = correlator(FAR)
    assert states(one.feed([at(0, 0, ALMATY), at(3 * HOUR, 1, LONDON)])) == [("provisional", 1)]
    one.feed([at(1, 2, LONDON)])
    assert states(one.advance(T0 + 4 * HOUR)) == [("final", 2), ("closed", 2), ("withdrawn", 1)]


def test_a_place_keeps_a_hundredth_of_a_degree_and_its_doubt() -> None:
    for place in (Place(90, 180, 4_095), Place(-90, -180, 0), Place(43.24, 76.89, 20), Place(0, -0.01, 7)):
        again = Place.of(place.number)
        assert place.number < 1 << 63
        assert [round(each, 2) for each in again] == [round(each, 2) for each in place]


# Silence of a source.


def beats(*minutes: int) -> list[Any]:
    return [at(minute * MINUTE, minute) for minute in minutes]


STEADY = range(0, 70, 2)


def test_a_steady_source_that_sends_no_more_is_told_when_the_watermark_has_passed() -> None:
    one = correlator(SILENT)
    assert one.feed(beats(*STEADY)) == []
    assert one.advance(T0 + 72 * MINUTE) == []
    (said,) = one.advance(T0 + 74 * MINUTE)
    assert (said.state, said.first, said.first_time - T0) == ("final", ("log/raw/0", 68), 68 * MINUTE)
    one.feed(beats(90))
    (over,) = one.advance(T0 + 91 * MINUTE)
    assert (over.state, over.until - T0) == ("closed", 90 * MINUTE)


def test_silence_is_told_finally_only() -> None:
    one = correlator(SILENT)
    assert one.feed(beats(*STEADY, 200)) == []
    assert [each.state for each in one.finish()] == ["final", "closed"]


def test_pauses_of_its_life_are_no_silence() -> None:
    """One of twenty minutes while it was learnt: forty are needed now."""
    assert final(SILENT, *beats(0, 20, *range(22, 90, 2)), now=88 * MINUTE + 39 * MINUTE) == []
    assert len(final(SILENT, *beats(0, 20, *range(22, 90, 2)), now=88 * MINUTE + 41 * MINUTE)) == 1


def test_of_a_source_that_would_be_forgotten_first_nothing_is_said() -> None:
    """Its pause was two hours, so four are needed; and after four it is forgotten."""
    assert final(SILENT, *beats(0, 120, *range(122, 200, 2)), now=DAY) == []


def test_of_the_signs_at_one_time_the_first_by_name_is_told() -> None:
    signs = [*beats(*STEADY), at(68 * MINUTE, 7), at(68 * MINUTE, 900)]
    for order in (signs, signs[::-1]):
        one = correlator(SILENT)
        assert [each.first[1] for each in one.feed(order) + one.advance(T0 + 80 * MINUTE)] == [7]


def test_a_source_that_is_hardly_known_is_not_missed() -> None:
    assert final(SILENT, *beats(0, 2, 4), now=3 * HOUR) == []


def test_the_end_of_the_input_is_no_silence() -> None:
    assert final(SILENT, *beats(*STEADY)) == []
    assert len(final(SILENT, *beats(*STEADY, 90))) == 1, "it came back, so it was silent"


def test_a_source_that_never_comes_back_is_forgotten_and_its_silence_over() -> None:
    ((first, until, _),) = final(SILENT, *beats(*STEADY), now=10 * DAY)
    assert (first, until) == (68 * MINUTE, 68 * MINUTE + 4 * HOUR)


# State, bounds, chains.


def test_the_states_bounds_hold_and_what_goes_is_counted() -> None:
    for limits in ({"contributions": 500}, {"bytes": 500 * 800}):
        one = correlator(NEW, **limits)
        one.feed([at(n, n, n, group=f"host-{n}") for n in range(3_000)])
        (fold,) = one.folds.values()
        assert fold.entries <= 600
        assert fold.evicted == 3_000 - fold.entries
        assert len(fold) == fold.entries


def test_a_group_that_is_gone_is_learnt_anew() -> None:
    one = correlator(NEW, contributions=10)
    one.feed([at(0, 0, 1), at(1, 1, 2)])
    one.advance(T0 + SECOND)
    one.feed([at(2 * SECOND + n, 10 + n, 1, group=f"g{n}") for n in range(10)])
    assert one.folds["corr"].evicted > 0
    assert one.feed([at(2 * HOUR, 50, 1)]) == [], "it was seen before, and what is gone must not be told as new"


def test_one_group_cannot_hold_more_than_its_share_of_what_is_not_settled() -> None:
    one = correlator(MANY)
    one.feed([at(n, n) for n in range(MAX_GROUP + 10)])
    (fold,) = one.folds.values()
    assert fold.entries <= MAX_GROUP
    assert fold.evicted == MAX_GROUP + 10 - fold.entries


def test_what_comes_behind_changes_nothing_and_is_counted() -> None:
    one = correlator(NEW)
    one.feed([at(0, 0, 1), at(2 * HOUR, 1, 1)])
    one.advance(T0 + 2 * HOUR)
    assert one.feed([at(HOUR, 2, 9)]) + one.finish() == []
    assert one.folds["corr"].behind == 1


def test_groups_are_forgotten_when_nothing_is_left_to_remember() -> None:
    for rule in (NEW, MANY, FAR, SILENT):
        one = correlator(rule)
        one.feed([at(n * MINUTE, n, ALMATY) for n in range(100)])
        one.advance(T0 + 10 * DAY)
        (fold,) = one.folds.values()
        assert (len(fold), fold.entries, fold.held_bytes) == (0, 0, 0), rule.kind


def test_an_episode_is_told_with_what_is_known_of_its_first_record_however_long_ago() -> None:
    one = correlator(SILENT)
    one.feed([each._replace(about=About(host=f"at-{each.offset}")) for each in beats(*STEADY)])
    assert one.advance(T0 + 70 * MINUTE) == []
    state = one.dump()
    one = correlator(SILENT)
    one.restore(state)
    said = one.advance(T0 + 3 * HOUR) + one.feed(beats(240)) + one.advance(T0 + 241 * MINUTE)
    assert [(each.state, each.about and each.about.host) for each in said] == [("final", "at-68"), ("closed", "at-68")]


def test_new_values_are_contributions_to_a_correlation_that_names_the_detector() -> None:
    new = detector("first_seen", id="new", name="new")
    spread = correlation("event_count", id="spread", rules=("new",), bounds=(Bound("gte", 3),), timespan=HOUR)
    one = correlator(spread, new)
    stream = [at(0, 0, 1, correlation="new"), *(at(2 * HOUR + n, 1 + n, 2 + n, correlation="new") for n in range(3))]
    said = one.feed(stream) + one.finish()
    assert {each.correlation for each in said} == {"spread"}
    assert [(each.first_time - T0, each.records) for each in episodes(said)] == [(2 * HOUR, 3)]


def test_a_chain_that_rests_on_a_rate_settles_step_by_step_as_at_the_end() -> None:
    many = detector("rate", id="many", factor=UNIT, fewest=3)
    often = correlation("event_count", id="often", rules=("many",), bounds=(Bound("gte", 2),), timespan=2 * HOUR)
    stream = [one._replace(correlation="many") for one in buckets(1, 1, 1, 1, 1, 1, 9, 0, 0, 9, 0, 0)]
    whole, stepwise = correlator(often, many), correlator(often, many)
    expected = episodes(whole.feed(stream) + whole.finish())
    said = []
    for each in stream:
        said += stepwise.feed([each])
        said += stepwise.advance(each.time - MINUTE)
    assert episodes(said + stepwise.finish()) == expected
    assert len(expected) == 1
    assert sum(fold.behind for fold in stepwise.folds.values()) == 0


# What a record gives.


def made(rule: Detector, fields: dict[str, Any], whereabouts: Any = None) -> Any:
    dropped: Counter[Any] = Counter()
    rules = in_force(rule)
    values = lookup(fields, (), whereabouts=whereabouts) if whereabouts else lookup(fields, ())
    found = contribute([Found(rules.members["a"], values)], T0, "lane", 7, False, dropped)
    return [(one.group, one.value) for one in found] or dict(dropped)


def test_a_match_gives_the_value_that_may_be_new_or_nothing() -> None:
    ((group, value),) = made(NEW, {"host": "H", "v": "Mimikatz"})
    assert (group, made(NEW, {"host": "h", "v": "mimikatz"})) == ("h", [("h", value)])
    assert made(NEW, {"host": "h"}) == {("corr", "value"): 1}


def test_a_match_gives_the_place_of_its_address_or_is_counted_as_having_none() -> None:
    def whereabouts(address: str) -> int | None:
        return ALMATY if address == "203.0.113.1" else None

    assert made(FAR, {"host": "h", "ip": "203.0.113.1"}, whereabouts) == [("h", ALMATY)]
    for fields in ({"host": "h", "ip": "10.0.0.1"}, {"host": "h"}):
        assert made(FAR, fields, whereabouts) == {("corr", "place"): 1}
    assert made(FAR, {"host": "h", "ip": "203.0.113.1"}) == {("corr", "place"): 1}, "there is no snapshot"


def test_a_match_counts_in_a_rate_whatever_its_fields() -> None:
    assert made(MANY, {"host": "h"}) == [("h", 0)]
