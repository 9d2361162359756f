"""A partition of `contributions`: the same log gives the same, cut, saved, killed, or read under rules that change."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.correlation.contribution import About, Contribution
from detectors.correlation.correlation import Correlation
from detectors.correlation.correlator import UnfitError
from detectors.correlation.episodes import Verdict
from detectors.correlation.parcels import Marks, Parcel, UnreadableError, packed, read
from detectors.correlation.partition import PartitionState
from detectors.correlation.placement import Placement
from detectors.correlation.resolve import Correlations
from schemas.event import Source
from tests.correlation import MINUTE, SECOND, T0, at, correlation, episodes, in_force, loaded, plainly
from tests.properties.test_correlation import streams

COUNT = correlation("event_count", ("gte", 3))
LATENESS = 3 * MINUTE
TOPICS = {"raw": ("log", 3)}
ABOUT = About("ws-1", "anna", "10.0.0.1", ("host:ws-1",), Source("windows", "", "security", 4625), "winlogbeat")

contributions = st.builds(
    Contribution,
    st.sampled_from(("one", "two")),
    st.text(max_size=9),
    st.integers(-(1 << 52), 1 << 52),
    st.sampled_from(("log/raw/0", "log/a/b/1")),
    st.integers(0, (1 << 44) - 1),
    st.integers(-(1 << 62), 1 << 62),
    st.booleans(),
    st.text(max_size=3),
    st.integers(0, 3),
    st.sampled_from((ABOUT, About())),
)


@given(st.lists(contributions, max_size=1_200))
def test_a_parcel_carries_what_was_put_in(made: list[Contribution]) -> None:
    revisions = {"one": "r1", "two": "r2"}
    parcels = [read(value) for value in packed(made, revisions)]
    assert [one for parcel in parcels if isinstance(parcel, Parcel) for one in parcel.contributions] == made
    for parcel in parcels:
        assert isinstance(parcel, Parcel)
        assert parcel.revisions.items() <= revisions.items()


def test_marks_come_back_as_they_were() -> None:
    marks = Marks({"log/raw/0": T0}, {"raw": ("log", 2)}, LATENESS)
    assert read(marks.to_bytes()) == marks
    assert list(marks.lanes()) == ["log/raw/0", "log/raw/1"]


def broken(**columns: Any) -> bytes:
    """A parcel of one contribution, whole but for these columns."""
    whole: dict[str, Any] = {"rule": [0], "group": ["g"], "time": [1], "lane": [0], "offset": [1], "value": [1]}
    whole |= {"late": [False], "activity": [""], "provider": [0], "about": [0]} | columns
    said = {"v": 1, "rules": [["a", "r"]], "lanes": ["l"], "abouts": [["", "", "", [], ["", "", "", 0], ""]]}
    return orjson.dumps(said | {"columns": list(whole.values())})


BROKEN: list[dict[str, Any]] = [
    {"rule": [1]},
    {"rule": [-1]},
    {"group": [1]},
    {"group": ["g", "h"]},
    {"time": [1e300]},
    {"time": [1 << 60]},
    {"time": ["1"]},
    {"time": 5},
    {"lane": [7]},
    {"offset": [-1]},
    {"offset": [1 << 44]},
    {"value": [1.5]},
    {"value": [1 << 63]},
    {"activity": [None]},
    {"provider": [-1]},
    {"about": [1]},
    {"about": []},
]


def test_the_parcel_that_the_broken_ones_are_made_of_is_whole() -> None:
    assert len(read(broken()).contributions) == 1  # type: ignore[union-attr] # it is a parcel


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"v":2}',
        b'{"v":1,"read":{"a":"x"},"topics":{},"lateness":1}',
        b'{"v":1,"read":{},"topics":{"a":1},"lateness":1}',
        *(broken(**columns) for columns in BROKEN),
    ],
)
def test_what_is_neither_parcel_nor_marks_is_refused_whatever_it_is(value: bytes | None) -> None:
    with pytest.raises(UnreadableError):
        read(value)


def log_of(rule: Correlation, stream: Sequence[Contribution], chance: random.Random) -> list[bytes]:
    """Records of a topic: parcels out of order within the lateness, and marks that each lane is read so far."""
    moved = sorted(((one.time + chance.randrange(LATENESS), one) for one in stream), key=lambda pair: pair[0])
    records: list[bytes] = []
    while moved:
        cut = chance.randint(1, 6)
        part, moved = moved[:cut], moved[cut:]
        records += packed([one for _, one in part], {rule.id: rule.revision})
        kafka = moved[0][0] if moved else part[-1][0] + 365 * 86_400_000
        lanes = [f"log/raw/{number}" for number in range(3)]
        chance.shuffle(lanes)
        for name in lanes[: chance.randint(1, 3)] if moved else lanes:
            records.append(Marks({name: kafka}, TOPICS, LATENESS).to_bytes())
    return records


def run(rules: Correlations, records: Sequence[bytes], chance: random.Random | None = None) -> list[Verdict]:
    """What a partition says; with `chance`, saved and restored at random, the state itself lost."""
    state, said = PartitionState(rules), []
    for number, record in enumerate(records):
        said += state.take(read(record))
        state.position = number + 1
        if chance is not None and chance.random() < 0.3:
            again = PartitionState(rules)
            again.restore(state.dump())
            assert again.position == number + 1
            state = again
    assert state.counts["behind"] == 0
    return said


@given(st.data(), st.integers(0, 1 << 30))
def test_final_results_are_those_of_the_plain_evaluator_and_the_same_after_every_restart(
    data: st.DataObject, seed: int
) -> None:
    stream, chance = data.draw(streams(COUNT, 30)), random.Random(seed)
    records, rules = log_of(COUNT, stream, chance), in_force(COUNT)
    said = run(rules, records)
    assert episodes(said) == plainly(COUNT, stream)
    assert sorted(run(rules, records, chance)) == sorted(said), "groups of one step may come in another order"


def one_by_one(*contributions: Contribution, revision: str = "r1") -> Parcel:
    """A parcel as a partition reads it."""
    (value,) = packed(contributions, dict.fromkeys({one.correlation for one in contributions}, revision))
    parcel = read(value)
    assert isinstance(parcel, Parcel)
    return parcel


def test_a_lane_of_which_nobody_has_told_holds_the_watermark_back() -> None:
    state = PartitionState(in_force(COUNT))
    state.take(one_by_one(*[at(n * SECOND, n) for n in range(3)]))
    late = T0 + 10 * MINUTE
    assert state.take(Marks({"log/raw/0": late, "log/raw/1": late}, TOPICS, LATENESS)) == []
    assert state.watermark < 0
    said = state.take(Marks({"log/raw/2": late}, TOPICS, LATENESS))
    assert [verdict.state for verdict in said] == ["final", "closed"]
    assert state.watermark == late - LATENESS - 2 * SECOND


def test_a_lane_that_is_no_more_holds_nothing_back() -> None:
    """A topic that was made again has other lanes; one without partitions named is not waited for."""
    state = PartitionState(in_force(COUNT))
    state.take(Marks({"log/raw/0": T0}, {"raw": ("log", 1)}, LATENESS))
    state.take(Marks({"new/raw/0": T0 + MINUTE}, {"raw": ("new", 1)}, LATENESS))
    assert state.watermark == T0 + MINUTE - LATENESS - 2 * SECOND


def test_an_episode_is_told_with_what_is_known_of_its_first_record() -> None:
    state = PartitionState(in_force(COUNT))
    said = state.take(
        one_by_one(*[at(n * SECOND, n, about=ABOUT._replace(user=f"u{n}")) for n in range(3)], revision="r1")
    )
    assert [verdict.about for verdict in said] == [ABOUT._replace(user="u0")]
    again = PartitionState(in_force(COUNT))
    again.restore(state.dump())
    said = again.take(Marks({f"log/raw/{n}": T0 + 60 * MINUTE for n in range(3)}, TOPICS, LATENESS))
    assert [verdict.about for verdict in said] == [ABOUT._replace(user="u0")] * 2


def test_a_changed_set_keeps_what_is_the_same_and_begins_with_what_waited_for_it() -> None:
    other = replace(COUNT, id="other", revision="r1")
    state = PartitionState(in_force(COUNT))
    two = [at(n * SECOND, n) for n in range(2)]
    assert state.take(one_by_one(*two)) == []
    new = [one._replace(correlation="other") for one in two]
    assert state.take(one_by_one(*[*new, new[0]._replace(offset=9, time=T0 + 5)])) == []
    assert state.counts["unknown"] == 3

    state, said = state.under(in_force(COUNT, other))
    assert [(verdict.state, verdict.correlation) for verdict in said] == [("provisional", "other")]
    assert state.counts["unknown"] == 0
    said = state.take(one_by_one(*[at(2 * SECOND, 2)]))
    assert [(verdict.state, verdict.correlation) for verdict in said] == [("provisional", "corr")]


def test_contributions_of_another_revision_are_not_mixed_in() -> None:
    """Another `group-by` makes other groups of the same records."""
    state = PartitionState(in_force(COUNT))
    state.take(one_by_one(*[at(0, 0), at(SECOND, 1)]))
    assert state.take(one_by_one(*[at(2 * SECOND, 2)], revision="r2")) == []
    changed = replace(COUNT, revision="r2")
    state, said = state.under(in_force(changed))
    assert said == []
    assert state.correlator.folds["corr"].entries == 1


def test_a_damaged_checkpoint_does_not_fit() -> None:
    saved = PartitionState(in_force(COUNT)).dump()
    for damaged in (b"", saved[:9], saved[:-1], b"x" * len(saved)):
        with pytest.raises(UnfitError):
            PartitionState(in_force(COUNT)).restore(damaged)


def test_a_checkpoint_gives_what_is_the_same_its_state_and_what_is_new_what_waited_for_it() -> None:
    """A build or rules that changed while no process ran must not cost what was learnt in months."""
    changed, other = replace(COUNT, id="changed"), replace(COUNT, id="other")
    state = PartitionState(in_force(COUNT, changed))
    three = [at(n * SECOND, n) for n in range(3)]
    state.take(one_by_one(*three[:2]))
    state.take(one_by_one(*[one._replace(correlation="changed") for one in three[:2]]))
    assert state.take(one_by_one(*[one._replace(correlation="other") for one in three])) == []

    again = PartitionState(in_force(other, replace(changed, revision="r2"), COUNT))
    said = again.restore(state.dump())
    assert [(verdict.state, verdict.correlation) for verdict in said] == [("provisional", "other")]
    assert again.fresh == {"changed", "other"}
    assert again.correlator.folds["changed"].entries == 0
    said = again.take(one_by_one(three[2]))
    assert [(verdict.state, verdict.correlation) for verdict in said] == [("provisional", "corr")]


RULE = """---
title: {0}
name: {0}
logsource: {{product: windows}}
detection: {{s: {{a: 1}}, condition: s}}
"""
CHAIN = """---
title: {0}
name: {0}
correlation: {{type: {1}, rules: [{2}], group-by: [{3}], timespan: 5m{4}}}
"""


def test_a_chain_lies_in_the_partition_of_the_group_that_it_ends_in() -> None:
    text = RULE.format("a") + RULE.format("b")
    text += CHAIN.format("low", "event_count", "a", "user, host", ", condition: {gte: 2}")
    text += CHAIN.format("high", "temporal", "low, b", "host", "")
    rules, refused = loaded(text)
    assert not refused
    low, high = (next(rule.id for rule in rules.ordered if rule.name == name) for name in ("low", "high"))
    place = Placement(rules, 64)
    for number in range(50):
        assert place.partition(low, f"u{number}\x1fws-{number}") == place.partition(high, f"ws-{number}")
    assert len({place.partition(high, f"ws-{number}") for number in range(200)}) > 40, "groups are spread"


def test_what_two_correlations_name_lies_with_both() -> None:
    text = RULE.format("a")
    text += CHAIN.format("low", "event_count", "a", "user, host", ", condition: {gte: 2}")
    text += CHAIN.format("by_host", "event_count", "low", "host", ", condition: {gte: 2}")
    text += CHAIN.format("by_user", "event_count", "low", "user", ", condition: {gte: 2}")
    text += CHAIN.format("alone", "event_count", "a", "user", ", condition: {gte: 2}")
    rules, refused = loaded(text)
    assert not refused
    ids = {rule.name: rule.id for rule in rules.ordered}
    place = Placement(rules, 64)
    together = {place.partition(ids[name], f"g{n}\x1fh") for name in ("low", "by_host", "by_user") for n in range(20)}
    assert len(together) == 1
    assert len({place.partition(ids["alone"], f"g{number}") for number in range(100)}) > 20
