"""Indicators match by value, domains also below; validity is judged by the event's time; nothing matches twice."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.ioc.indicators import sealed
from detectors.ioc.match import IndicatorIndex, holds
from schemas.event import Event, Format, Observable, Source
from schemas.indicator import Indicator

FORM = Format("json", "json")


def event(*observables: tuple[str, str], time_ms: int = 1_000) -> Event:
    known = tuple(Observable(*one) for one in observables)
    return Event(0, b"", FORM, Source(), {}, time_ms, time_ms, observables=known)


def indicator(kind: str, value: str, **more: object) -> Indicator:
    return Indicator(**{"id": f"{kind}:{value}", "type": kind, "value": value, "title": "t", **more})  # type: ignore[arg-type] # keywords of one kind


def ids(index: IndicatorIndex, *events: Event) -> list[tuple[int, str]]:
    return [(found.index, found.indicator.id) for found in index.match(events)]


def test_a_value_matches_its_own_type_alone() -> None:
    index = IndicatorIndex([indicator("ipv4", "10.0.0.1"), indicator("md5", "aa")])
    events = event(("ipv4", "10.0.0.1")), event(("domain", "10.0.0.1")), event(), event(("md5", "aa"))
    assert ids(index, *events) == [(0, "ipv4:10.0.0.1"), (3, "md5:aa")]


def test_a_domain_matches_every_name_below_it_and_no_other() -> None:
    index = IndicatorIndex([indicator("domain", "evil.example")])
    names = ["evil.example", "a.b.evil.example", "notevil.example", "example", "evil.example.org"]
    assert [found for found, _ in ids(index, *(event(("domain", name)) for name in names))] == [0, 1]


def test_an_indicator_is_found_once_an_event() -> None:
    wide = Indicator("one", "domain", "evil.example", "t")
    index = IndicatorIndex([wide, wide._replace(type="ipv4", value="10.0.0.1"), wide._replace(value="b.evil.example")])
    many = event(("domain", "a.evil.example"), ("domain", "b.evil.example"), ("ipv4", "10.0.0.1"))
    assert ids(index, many, many) == [(0, "one"), (1, "one")]


def test_two_indicators_of_one_value_are_both_found() -> None:
    index = IndicatorIndex([indicator("ipv4", "10.0.0.1", id="a"), indicator("ipv4", "10.0.0.1", id="b")])
    assert ids(index, event(("ipv4", "10.0.0.1"))) == [(0, "a"), (0, "b")]
    assert len(index) == 2


def test_the_same_indicator_given_twice_counts_once_and_the_last_stands() -> None:
    old, new = indicator("ipv4", "10.0.0.1", title="old"), indicator("ipv4", "10.0.0.1", title="new")
    index = IndicatorIndex([old, new])
    assert [found.title for found in index] == ["new"]


def test_validity_is_judged_by_the_events_time() -> None:
    index = IndicatorIndex([indicator("ipv4", "10.0.0.1", valid_from=100, valid_until=200)])
    events = [event(("ipv4", "10.0.0.1"), time_ms=at) for at in (99, 100, 199, 200)]
    assert [found for found, _ in ids(index, *events)] == [1, 2]
    assert [found.index for found in index.match_any_time(events)] == [0, 1, 2], "a hunt knows no valid_from"


@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 5))
def test_open_ends_are_open(since: int, until: int, at: int) -> None:
    held = holds(indicator("md5", "a", valid_from=since, valid_until=until), at)
    assert held == ((since == 0 or at >= since) and (until == 0 or at < until))


NAMES = st.lists(st.sampled_from("abc"), min_size=2, max_size=4).map(".".join)


@settings(max_examples=50)
@given(st.lists(NAMES, max_size=8), st.lists(NAMES, max_size=8))
def test_the_index_finds_what_a_plain_comparison_finds(wanted: list[str], seen: list[str]) -> None:
    index = IndicatorIndex(indicator("domain", name) for name in wanted)
    found = {(match.index, match.indicator.value) for match in index.match([event(("domain", name)) for name in seen])}
    assert found == {(n, w) for n, s in enumerate(seen) for w in wanted if s == w or s.endswith("." + w)}


def test_the_revision_knows_content_and_not_order() -> None:
    one, two = sealed(indicator("md5", "a")), sealed(indicator("md5", "b"))
    assert IndicatorIndex([one, two]).revision == IndicatorIndex([two, one]).revision
    others = [[one], [one, sealed(two._replace(level="low"))], [one, two, sealed(indicator("md5", "c"))], []]
    assert len({IndicatorIndex(some).revision for some in [[one, two], *others]}) == 5


def test_an_indicator_takes_at_most_660_bytes() -> None:
    """100,000 of them 60 MB. Traced on a few, since tracing is slow."""
    tracemalloc.start()
    index = IndicatorIndex(many(4_000))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / len(index) < 660


def test_a_hundred_thousand_indicators_cost_three_microseconds_an_event() -> None:
    index = IndicatorIndex(many(100_000))
    rng = random.Random(1)
    names = [event(("domain", f"{rng.random()}.cdn.bank.example"), ("ipv4", "10.0.0.9")) for _ in range(5_000)]
    best = min(timed(index, names) for _ in range(5))
    assert best / len(names) < 12e-6, "four times what it takes on an idle machine"


def many(count: int) -> Iterable[Indicator]:
    for n in range(count):
        kind, value = (("domain", f"host{n}.evil.example"), ("sha256", f"{n:064x}"))[n % 2]
        yield sealed(Indicator(f"indicator--{n:036}", kind, value, f"{kind} {value}", source="feed"))


def timed(index: IndicatorIndex, events: list[Event]) -> float:
    started = time.process_time()
    index.match(events)
    return time.process_time() - started
