"""What is known of records is found again while it can be asked for, and not kept longer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detectors.correlation.abouts import SLACK, Abouts
from detectors.correlation.contribution import About
from detectors.correlation.episodes import OFFSET_BITS

ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 50), st.sampled_from("abc")))


@given(ROWS, st.integers(-1, 51), st.sets(st.integers(0, 30)))
def test_a_record_is_known_until_its_time_is_over_and_longer_where_an_episode_begins_with_it(
    rows: list[tuple[int, int, int, str]], edge: int, firsts: set[int]
) -> None:
    abouts, expected = Abouts(1_000), {}
    for lane, offset, time, host in rows:
        identity = lane << OFFSET_BITS | offset
        abouts.keep(identity, time, About(host))
        expected.setdefault(identity, (time, About(host)))
    again = Abouts(1_000)
    again.restore(abouts.dump())
    for one in (abouts, again):
        assert {identity: one.of(identity) for identity in expected} == {i: about for i, (_, about) in expected.items()}
        one.forget(edge, firsts)
        for identity, (time, about) in expected.items():
            if time > edge or identity in firsts:
                assert one.of(identity) == about
    if all(time <= edge for time, _ in expected.values()):
        assert len(abouts) == len(firsts & expected.keys())
    assert again.dump() == abouts.dump()


def test_what_is_kept_is_bounded_in_records_and_in_what_is_known_of_them() -> None:
    abouts = Abouts(100)
    for offset in range(10_000):
        abouts.keep(offset, offset, About(f"h{offset}"))
        if offset % 50 == 0:
            abouts.forget(offset - 20, ())
    assert abouts.of(9_999) == About("h9999")
    assert len(abouts) <= 100
    assert len(abouts.dump()[0]) <= 2 * 100 + SLACK + 50
