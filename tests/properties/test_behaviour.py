"""Final results of our detectors: the plain evaluator's, in whatever order, how often and by how many they came."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from detectors.behaviour.detector import Detector
from detectors.behaviour.read import detector_of
from detectors.correlation.contribution import Contribution
from detectors.correlation.correlation import UNIT
from detectors.correlation.correlator import Correlator
from detectors.correlation.episodes import Verdict
from detectors.correlation.read import CorrelationError
from tests.behaviour import PLACES, detector, plainly
from tests.correlation import DAY, HOUR, MINUTE, SECOND, T0, at, episodes, in_force
from tests.properties.test_correlation import shuffled
from tests.properties.test_correlation_partition import log_of
from tests.properties.test_correlation_partition import run as through_a_partition

RULES = [
    detector("first_seen"),
    detector("first_seen", learning=SECOND, memory=20 * MINUTE),
    detector("rate", factor=3 * UNIT // 2, fewest=2, learning=20 * MINUTE),
    detector("rate", factor=UNIT, fewest=1, learning=10 * MINUTE),
    detector("rate", season=20 * MINUTE, factor=3 * UNIT // 2, fewest=2, learning=30 * MINUTE),
    detector("travel"),
    detector("silence"),
    detector("silence", factor=UNIT, learning=MINUTE, memory=30 * MINUTE),
]
BOUND = 12 * MINUTE
STEPS = (
    0,
    0,
    1,
    SECOND,
    20 * SECOND,
    MINUTE,
    5 * MINUTE,
    300_001,
    9 * MINUTE,
    10 * MINUTE,
    21 * MINUTE,
    HOUR,
    5 * HOUR,
)

#: For buckets to fill.
SHORT = (
    0,
    1,
    SECOND,
    SECOND,
    20 * SECOND,
    MINUTE,
    MINUTE,
    3 * MINUTE,
    5 * MINUTE,
    9 * MINUTE,
    21 * MINUTE,
    HOUR,
    3 * HOUR,
)


@st.composite
def streams(draw: st.DrawFn, rule: Detector, longest: int) -> list[Contribution]:
    """Contributions of two groups, some at one time, in the order of time."""
    values = st.sampled_from(PLACES) if rule.kind == "travel" else st.integers(1, 3)
    time, made = 0, []
    steps = st.sampled_from(SHORT if rule.kind == "rate" else STEPS)
    groups = st.sampled_from("hhhi" if rule.kind == "rate" else "hij")
    rows = draw(st.lists(st.tuples(steps, groups, values, st.integers(0, 2)), max_size=longest))
    for offset, (step, group, value, lane) in enumerate(rows):
        time += step
        made.append(at(time, offset, value, group=group, lane=f"log/raw/{lane}"))
    return made


def run(rule: Detector, stream: Sequence[Contribution], chance: random.Random, now: int, bound: int) -> list[Verdict]:
    """What a correlator says of a stream in batches, killed now and then; the watermark lies behind by the bound."""
    one, said, newest = Correlator(in_force(rule)), [], 0
    rest = list(stream)
    while rest:
        batch, rest = rest[: (size := chance.randint(1, 9))], rest[size:]
        said += one.feed(batch)
        newest = max([newest, *(each.time for each in batch)])
        if chance.random() < 0.7:
            said += one.advance(newest - bound)
        if chance.random() < 0.3:
            state = one.dump()
            one = Correlator(in_force(rule))
            one.restore(state)
            assert one.dump() == state
    said += one.advance(now)
    assert all(fold.behind == fold.evicted == 0 for fold in one.folds.values())
    said += one.finish()
    assert all(fold.entries == fold.held_bytes == len(fold) == 0 for fold in one.folds.values())
    return said


@given(st.data(), st.sampled_from(RULES), st.sampled_from((0, HOUR, DAY)), st.integers(0, 1 << 30))
def test_shuffled_doubled_and_killed_streams_give_what_the_plain_evaluator_finds(
    data: st.DataObject, rule: Detector, after: int, seed: int
) -> None:
    stream, chance = data.draw(streams(rule, 40)), random.Random(seed)
    now = (stream[-1].time if stream else T0) // 1000 * 1000 + 1000 + after
    expected = plainly(rule, stream, now)
    assert episodes(run(rule, stream, chance, now, 1)) == expected
    assert episodes(run(rule, shuffled(stream, chance, BOUND), chance, now, BOUND)) == expected


@given(st.data(), st.sampled_from(RULES), st.integers(1, 8), st.integers(0, 1 << 30))
def test_partitions_by_group_give_together_what_one_evaluator_finds(
    data: st.DataObject, rule: Detector, partitions: int, seed: int
) -> None:
    stream, chance = data.draw(streams(rule, 30)), random.Random(seed)
    now = (stream[-1].time if stream else T0) // 1000 * 1000 + 1000
    parts: list[list[Contribution]] = [[] for _ in range(partitions)]
    for one in shuffled(stream, chance, BOUND):
        parts[crc32(one.group.encode()) % partitions].append(one)
    said = [verdict for part in parts for verdict in run(rule, part, chance, now, BOUND)]
    assert episodes(said) == plainly(rule, stream, now)


@given(st.data(), st.sampled_from(RULES), st.integers(0, 1 << 30))
def test_a_partition_of_the_topic_comes_to_the_same_saved_and_killed(
    data: st.DataObject, rule: Detector, seed: int
) -> None:
    stream, chance = data.draw(streams(rule, 25)), random.Random(seed)
    said = through_a_partition(in_force(rule), log_of(rule, stream, chance), chance)
    assert episodes(said) == plainly(rule, stream, T0 + 400 * DAY)


AT_ONCE = [rule for rule in RULES if rule.kind != "silence"]


@given(st.data(), st.sampled_from(AT_ONCE))
def test_in_order_what_is_said_at_once_is_what_is_final(data: st.DataObject, rule: Detector) -> None:
    stream = data.draw(streams(rule, 40))
    one, said = Correlator(in_force(rule)), []
    for each in stream:
        said += one.feed([each])
        said += one.advance(each.time - BOUND)
    said += one.finish()
    provisional = sorted((v.group, v.first_time) for v in said if v.state == "provisional")
    assert sorted({(v.group, v.first_time) for v in said if v.state == "final"}) == sorted(set(provisional))
    if len({each.time for each in stream}) == len(stream):
        assert [v for v in said if v.state == "withdrawn" or v.replaces] == []


@given(st.data(), st.sampled_from(RULES), st.integers(0, 1 << 30))
def test_every_provisional_is_confirmed_replaced_or_withdrawn_once(
    data: st.DataObject, rule: Detector, seed: int
) -> None:
    chance = random.Random(seed)
    stream = data.draw(streams(rule, 30))
    said = run(rule, shuffled(stream, chance, BOUND), chance, T0 + 1000 * HOUR, BOUND)
    told = [(v.group, v.first) for v in said if v.state == "provisional"]
    final = [(v.group, v.first) for v in said if v.state == "final"]
    answered = [*final, *((v.group, v.first) for v in said if v.state == "withdrawn")]
    answered += [(v.group, v.replaces) for v in said if v.replaces is not None]
    assert set(told) <= set(answered)
    assert len(told) == len(set(told))
    assert len(answered) == len(set(answered))


@given(st.data(), st.sampled_from(RULES), st.integers(0, 1 << 30))
def test_what_is_taken_back_before_it_is_settled_was_never_there(
    data: st.DataObject, rule: Detector, seed: int
) -> None:
    stream, chance = data.draw(streams(rule, 30)), random.Random(seed)
    gone = {one.offset for one in stream if chance.random() < 0.3}
    correlator, said = Correlator(in_force(rule)), []
    (fold,) = correlator.folds.values()
    now = (stream[-1].time if stream else T0) // 1000 * 1000 + 1000
    pending = []
    for one in stream:
        said += correlator.feed([one])
        said += [back for back in pending if back]
        pending = []
        if one.offset in gone:
            lane = correlator._lane[one.lane]
            fold.remove(one.group, one.time, lane << 44 | one.offset)
        said += correlator.advance(one.time - MINUTE)
    said += correlator.advance(now) + correlator.finish()
    kept = [one for one in stream if one.offset not in gone]
    assert episodes(said) == plainly(rule, kept, now)


WORDS = st.sampled_from(["a", "5m", "0s", "7d", "1d", "rate", "travel", "silence", "first_seen", "", "host", "topic"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.integers(), inner, max_size=3),
    max_leaves=6,
)
KEYS = ("rules", "field", "aliases", "group-by", "generate", "bucket", "baseline", "season", "factor", "least")
MORE = ("learning", "memory", "speed", "distance", "after", "source", "other")


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["first_seen", "rate", "travel", "silence"]) | VALUES},
        optional=dict.fromkeys((*KEYS, *MORE), VALUES),
    ),
    st.dictionaries(st.sampled_from(["name", "tags", "level", "status"]), VALUES),
)
def test_whatever_a_detector_says_it_is_read_or_refused_and_nothing_else_is_raised(
    said: dict[str, object], top: dict[str, object]
) -> None:
    document: dict[object, object] = {"title": "t", "detector": said, **top}
    with suppress(CorrelationError):
        detector_of(document, id_="x", revision="r", file="f", line=1)
