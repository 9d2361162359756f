"""An activity that several providers tell counts once in correlations, in whatever order their contributions came."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from detectors.correlation.contribution import Contribution
from detectors.correlation.correlation import Correlation
from detectors.correlation.correlator import Correlator
from schemas.activity import SPAN_MS, Sighting, doubles
from tests.correlation import MINUTE, at, correlation, episodes, in_force, plainly
from tests.properties.test_correlation import BOUND, shuffled

RULES = [
    correlation("event_count", ("gte", 2)),
    correlation("event_count", ("gte", 2), ("lt", 4)),
    correlation("value_sum", ("gte", 5)),
    correlation("value_avg", ("lt", 3)),
]


@st.composite
def streams(draw: st.DrawFn) -> list[Contribution]:
    """Contributions of few activities by three providers, close to one another's time and far from it."""
    steps = st.sampled_from((0, 1, 999, SPAN_MS - 1, SPAN_MS, SPAN_MS + 1, 30_000, 2 * MINUTE))
    row = st.tuples(steps, st.sampled_from(("", "one", "two")), st.integers(0, 2), st.sampled_from("hi"))
    time, made = 0, []
    for offset, (step, activity, provider, group) in enumerate(draw(st.lists(row, max_size=25))):
        time += step
        made.append(at(time, offset, 1 + offset % 3, group=group, activity=activity, provider=provider))
    return made


def told_once(stream: Sequence[Contribution]) -> list[Contribution]:
    """The contributions that count, each asked by itself among all."""
    seen = [(one.activity, Sighting(one.time, one.provider)) for one in stream]
    return [
        one
        for one, (activity, sighting) in zip(stream, seen, strict=True)
        if not activity or not doubles(sighting, (other for name, other in seen if name == activity))
    ]


@given(streams(), st.sampled_from(RULES), st.integers(0, 1 << 30))
def test_final_results_are_those_of_the_fullest_providers_alone(
    stream: list[Contribution], rule: Correlation, seed: int
) -> None:
    chance, expected = random.Random(seed), plainly(rule, told_once(stream))
    one, said, newest = Correlator(in_force(rule)), [], 0
    for contribution in shuffled(stream, chance):
        said += one.feed([contribution])
        newest = max(newest, contribution.time)
        said += one.advance(newest - BOUND - SPAN_MS)
        if chance.random() < 0.2:
            state = one.dump()
            one = Correlator(one.rules)
            one.restore(state)
    assert episodes(said + one.finish()) == expected
    assert all(fold.behind == 0 for fold in one.folds.values())


def test_what_is_remembered_of_activities_goes_with_the_watermark_and_is_bounded() -> None:
    one = Correlator(in_force(RULES[0]))
    for n in range(1_000):
        one.feed([at(n * MINUTE, n, activity=f"a{n % 10}", provider=n % 2)])
        one.advance(at(n * MINUTE, n).time - MINUTE)
    (held,) = one._doubles.values()
    assert len(held) < 5
