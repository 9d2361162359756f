"""Final results of correlations: the plain evaluator's, in whatever order, how often and by how many they came."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from zlib import crc32

from hypothesis import example, given
from hypothesis import strategies as st

from detectors.correlation.contribution import Contribution
from detectors.correlation.correlation import UNIT, Correlation
from detectors.correlation.correlator import Correlator
from detectors.correlation.episodes import Verdict
from detectors.correlation.read import CorrelationError, correlation_of
from tests.correlation import HOUR, MINUTE, SECOND, T0, at, correlation, episodes, in_force, plainly

RULES = [
    correlation("event_count", ("gte", 3)),
    correlation("event_count", ("gt", 1), ("lte", 3)),
    correlation("event_count", ("lt", 2)),
    correlation("value_count", ("gte", 3)),
    correlation("value_count", ("eq", 2)),
    correlation("temporal", ("gte", 3)),
    correlation("temporal", ("gte", 2)),
    correlation("temporal", condition=["and", 0, ["or", 1, 2]]),
    correlation("temporal", condition=["and", 0, ["not", 1]]),
    correlation("temporal_ordered", ("gte", 3)),
    correlation("temporal_ordered", condition=["and", 1, ["or", 0, 2]]),
    correlation("temporal_ordered", condition=["and", 0, 1, ["not", 2]]),
    correlation("value_sum", ("gte", 9)),
    correlation("value_sum", ("gt", 3), ("lt", 9)),
    correlation("value_avg", ("gt", 2)),
    correlation("value_avg", ("neq", 3)),
    correlation("value_percentile", ("gte", 4), percentile=80),
    correlation("value_median", ("gt", 2)),
]
#: How far a contribution may come out of order: the watermark stays so far behind the newest.
BOUND = 3 * MINUTE
BOUNDS = st.sampled_from((BOUND, 2 * HOUR))


@st.composite
def streams(draw: st.DrawFn, rule: Correlation, longest: int) -> list[Contribution]:
    """Contributions of three groups, some at one time, in the order of time."""
    steps = st.sampled_from((0, 0, 1, SECOND, 10 * SECOND, 20 * SECOND, 59_999, MINUTE, 60_001, 5 * MINUTE, HOUR))
    values = st.integers(1, 7) if rule.kind.startswith("temporal") else st.integers(-2, 6)
    time, made = 0, []
    rows = draw(st.lists(st.tuples(steps, st.sampled_from("hij"), values, st.integers(0, 2)), max_size=longest))
    for offset, (step, group, value, lane) in enumerate(rows):
        time += step
        made.append(at(time, offset, value, group=group, lane=f"log/raw/{lane}"))
    return made


def shuffled(stream: Sequence[Contribution], chance: random.Random, bound: int = BOUND) -> list[Contribution]:
    """The same in another order, each moved by less than the bound, and some of them twice."""
    twice = [*stream, *chance.sample(list(stream), len(stream) // 3)]
    return [one for _, one in sorted(((one.time + chance.randrange(bound), one) for one in twice), key=lambda p: p[0])]


def run(
    rule: Correlation, stream: Sequence[Contribution], chance: random.Random, bound: int = BOUND, kills: bool = False
) -> list[Verdict]:
    """What a correlator says of a stream that it gets in batches, the watermark a bound behind the newest time."""
    one, said, newest = Correlator(in_force(rule)), [], 0
    rest = list(stream)
    while rest:
        batch, rest = rest[: (size := chance.randint(1, 9))], rest[size:]
        said += one.feed(batch)
        newest = max([newest, *(each.time for each in batch)])
        said += one.advance(newest - bound)
        if kills and chance.random() < 0.5:
            state = one.dump()
            one = Correlator(in_force(rule))
            one.restore(state)
    assert all(fold.behind == fold.evicted == 0 for fold in one.folds.values())
    return said + one.finish()


@given(st.data(), st.sampled_from(RULES), BOUNDS, st.integers(0, 1 << 30))
def test_shuffled_doubled_and_killed_streams_give_what_the_plain_evaluator_finds(
    data: st.DataObject, rule: Correlation, bound: int, seed: int
) -> None:
    stream, chance = data.draw(streams(rule, 40)), random.Random(seed)
    expected = plainly(rule, stream)
    assert episodes(run(rule, stream, chance)) == expected
    assert episodes(run(rule, shuffled(stream, chance, bound), chance, bound, kills=True)) == expected


@given(st.data(), st.sampled_from(RULES), st.integers(1, 8), st.integers(0, 1 << 30))
def test_partitions_by_group_give_together_what_one_evaluator_finds(
    data: st.DataObject, rule: Correlation, partitions: int, seed: int
) -> None:
    stream, chance = data.draw(streams(rule, 30)), random.Random(seed)
    parts: list[list[Contribution]] = [[] for _ in range(partitions)]
    for one in shuffled(stream, chance):
        parts[crc32(one.group.encode()) % partitions].append(one)
    said = [verdict for part in parts for verdict in run(rule, part, chance, kills=True)]
    assert episodes(said) == plainly(rule, stream)


@given(st.data(), st.sampled_from([rule for rule in RULES if rule.growing]), st.integers(0, 1 << 30))
@example(None, RULES[0], 1)
def test_in_order_what_is_said_at_once_is_what_is_final(
    data: st.DataObject | None, rule: Correlation, seed: int
) -> None:
    """In order, whatever is final was said at once with the same identity; whatever was said at once is final."""
    stream = data.draw(streams(rule, 30)) if data else [at(n * SECOND, n) for n in range(5)]
    stream = [one._replace(value=abs(one.value)) for one in stream]
    batches, instants = [], sorted({one.time for one in stream})
    for instant in instants:
        batches.append([one for one in stream if one.time == instant])
    one, said = Correlator(in_force(rule)), []
    for batch in batches:
        said += one.feed(batch)
        said += one.advance(batch[0].time - BOUND)
    said += one.finish()
    provisional = {(v.group, v.first_time) for v in said if v.state == "provisional"}
    final = {(v.group, v.first_time) for v in said if v.state == "final"}
    assert provisional == final
    assert [v for v in said if v.state == "withdrawn"] == []


@given(st.data(), st.sampled_from([rule for rule in RULES if rule.growing]), st.integers(0, 1 << 30))
def test_every_provisional_is_confirmed_replaced_or_withdrawn(
    data: st.DataObject, rule: Correlation, seed: int
) -> None:
    chance = random.Random(seed)
    said = run(rule, shuffled(data.draw(streams(rule, 30)), chance), chance, kills=True)
    told = [(v.group, v.first) for v in said if v.state == "provisional"]
    answered = {(v.group, v.first) for v in said if v.state in ("final", "withdrawn")}
    answered |= {(v.group, v.replaces) for v in said if v.replaces is not None}
    assert set(told) <= answered


WORDS = st.sampled_from(
    ["a", "b", "not", "(", "and", "5m", "0s", "gte", "temporal", "temporal_ordered", "value_sum", "", "a and (b or c)"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.integers(), inner, max_size=3),
    max_leaves=6,
)
SAID = {
    "type": st.sampled_from(["event_count", "value_percentile", "temporal", "temporal_ordered_extended"]) | VALUES,
    "rules": st.just(["a", "b"]) | VALUES,
    "timespan": st.just("5m") | VALUES,
    "condition": st.just({"gte": 2}) | st.just("a and not b") | VALUES,
}
ALSO = dict.fromkeys(("aliases", "group-by", "generate", "other"), VALUES)


@given(st.fixed_dictionaries(SAID, optional=ALSO), st.dictionaries(st.sampled_from(["name", "tags", "level"]), VALUES))
def test_whatever_a_correlation_says_it_is_read_or_refused_and_nothing_else_is_raised(
    said: dict[str, object], top: dict[str, object]
) -> None:
    document: dict[object, object] = {"title": "t", "correlation": said, **top}
    with suppress(CorrelationError):
        correlation_of(document, id_="x", revision="r", file="f", line=1)


def test_sums_are_exact_in_any_order() -> None:
    rule = correlation("value_sum", ("gte", 3 * UNIT // 10), timespan=HOUR)
    tenths = [at(n, n, UNIT // 10) for n in range(3)]
    for order in (tenths, tenths[::-1]):
        one = Correlator(in_force(rule))
        assert [v.state for v in one.feed(order) + one.finish()] == ["provisional", "final", "closed"]
    assert plainly(rule, tenths)[0].first_time == T0
