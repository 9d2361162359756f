"""The index says what plain comparison says, live and in a hunt, however it came to hold what it holds."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.ioc.indicators import sealed
from detectors.ioc.lookback import DAY_MS, DAYS, LookBack, valid
from detectors.ioc.match import IndicatorIndex
from schemas.event import Event, Format, Observable, Source
from schemas.indicator import AUTHORITIES, Indicator

FORM = Format("json", "json")
NAMES = st.lists(st.sampled_from("ab"), min_size=2, max_size=3).map(".".join)
ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.1.1", "10.1.0.1"])
PATHS = st.sampled_from(["c:\\x\\a.exe", "/x/a.exe", "c:\\x\\b.exe"])
SEEN = st.one_of(
    NAMES.map(lambda value: Observable("domain", value)),
    ADDRESSES.map(lambda value: Observable("ipv4", value)),
    st.just(Observable("ipv6", "2001:db8::1")),
    PATHS.map(lambda value: Observable("file_path", value)),
    st.just(Observable("file_name", "a.exe")),
    st.sampled_from("ab").map(lambda value: Observable("md5", value)),
)
WANTED = st.one_of(
    SEEN,
    st.sampled_from(["10.0.0.0/8", "10.0.0.0/16", "10.0.0.0/24", "2001:db8::/32", "::/0"]).map(
        lambda value: Observable("cidr", value)
    ),
)
DAY = st.integers(0, 400).map(lambda day: day * DAY_MS)


@st.composite
def indicators(draw: Any) -> Indicator:
    kind, value = draw(WANTED)
    return sealed(
        Indicator(
            draw(st.sampled_from(["1", "2"])),
            kind,
            value,
            "t",
            confidence=draw(st.sampled_from([10, 51, 90])),
            valid_from=draw(DAY),
            valid_until=draw(DAY),
            source=draw(st.sampled_from(["x", "y", "z"])),
            tlp=draw(st.sampled_from(["green", "red"])),
            also=tuple(draw(st.lists(WANTED, max_size=1))),
            authority=draw(st.sampled_from(AUTHORITIES)),
            first_seen=draw(DAY),
        )
    )


@st.composite
def events(draw: Any) -> Event:
    when = draw(DAY)
    return Event(0, b"", FORM, Source(), {}, when, when, observables=tuple(sorted(draw(st.sets(SEEN, max_size=4)))))


def covers(wanted: Observable, seen: Observable) -> bool:
    if wanted.type == "cidr":
        return seen.type in ("ipv4", "ipv6") and ip_address(seen.value) in ip_network(wanted.value)
    if wanted.type == "domain" and seen.type == "domain":
        return f".{seen.value}".endswith(f".{wanted.value}")
    if wanted.type == "file_name" and seen.type == "file_path":
        return seen.value.replace("/", "\\").split("\\")[-1] == wanted.value
    return wanted == seen


def rule_of(one: Indicator, time_ms: int, hunting: bool) -> str:
    if one.valid_until and time_ms >= one.valid_until:
        return ""
    if time_ms >= one.valid_from:
        return "valid"
    if not hunting:
        return ""
    first = min(one.first_seen or one.valid_from, one.valid_from)
    days = DAYS[one.type]
    if time_ms >= first:
        return "seen"
    if not days:
        return "look-back:all"
    return f"{'beyond' if time_ms + days * DAY_MS < first else 'look-back'}:{days}d"


def plainly(held: list[Indicator], event: Event, hunting: bool) -> set[tuple[Any, ...]]:
    """(type, value, strongest's source and id, confidence, end, colour, rule, sources) of every value found."""
    found: dict[Observable, list[tuple[Indicator, str, int]]] = {}
    for one in held:
        rule = rule_of(one, event.time_ms, hunting)
        whole = all(any(covers(other, seen) for seen in event.observables) for other in one.also)
        if rule and whole and any(covers(Observable(one.type, one.value), seen) for seen in event.observables):
            sure = one.confidence // 2 if rule.startswith("beyond") and not one.authority else one.confidence
            found.setdefault(Observable(one.type, one.value), []).append((one, rule, sure))
    told = set()
    for value, some in found.items():
        some = [entry for entry in some if entry[1] == "valid"] or some
        some.sort(key=lambda entry: (
            {"regulator": 0, "sectoral": 1, "": 2}[entry[0].authority], -entry[2], -(entry[0].valid_until or 1e18),
            entry[0].source, entry[0].id, entry[0].revision, entry[0].also,
        ))  # fmt: skip
        ends = [one.valid_until for one, _, _ in some]
        tlp = "red" if any(one.tlp == "red" for one, _, _ in some) else "green"
        best, rule, _ = some[0]
        until = 0 if 0 in ends else max(ends)
        sources = tuple(sorted({one.source for one, _, _ in some}))
        told.add((*value, best.source, best.id, max(sure for *_, sure in some), until, tlp, rule, sources))
    return told


@settings(max_examples=400, deadline=None)
@given(st.lists(indicators(), max_size=12), st.lists(events(), max_size=4), st.booleans())
def test_the_index_equals_a_plain_evaluator(some: list[Indicator], seen: list[Event], hunting: bool) -> None:
    held = list({(one.source, one.id, one.type, one.value, one.also): one for one in some}.values())
    matches = IndicatorIndex(some).match(seen, LookBack() if hunting else valid)
    for index, event in enumerate(seen):
        expected = plainly(held, event, hunting)
        found = [
            (
                one.type,
                one.value,
                one.source,
                one.id,
                one.confidence,
                one.valid_until,
                one.tlp,
                match.rule,
                match.sources,
            )
            for match in matches
            if match.index == index
            for one in [match.indicator]
        ]
        assert set(found) <= expected
        assert {one[2:4] for one in found} == {one[2:4] for one in expected}, "each (source, id) is told once"
        assert len(found) == len({one[2:4] for one in found})


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), indicators()), max_size=30),
    st.lists(events(), max_size=3),
    st.randoms(use_true_random=False),
)
def test_puts_and_removals_in_any_order_equal_a_fresh_build(
    steps: list[tuple[bool, Indicator]], seen: list[Event], rng: Any
) -> None:
    index = IndicatorIndex()
    held: dict[tuple[Any, ...], Indicator] = {}
    for put, one in steps:
        if put:
            assert index.put(one)
            held[one.source, one.id, one.type, one.value, one.also] = one
        else:
            gone = [key for key in held if key[:4] == (one.source, one.id, one.type, one.value)]
            assert index.remove(one.source, one.id, [(one.type, one.value)]) == len(gone)
            for key in gone:
                del held[key]
    left = list(held.values())
    rng.shuffle(left)
    fresh = IndicatorIndex(left)
    assert (len(index), index.revision) == (len(fresh), fresh.revision) == (len(left), fresh.revision)
    assert sorted(index) == sorted(left)
    assert index.match(seen) == fresh.match(seen)
    assert index.match(seen, LookBack()) == fresh.match(seen, LookBack())


@settings(deadline=None)
@given(st.lists(indicators(), max_size=8), st.lists(events(), max_size=4))
def test_what_the_stream_finds_a_hunt_finds_as_the_same(some: list[Indicator], seen: list[Event]) -> None:
    index = IndicatorIndex(some)
    hunted = index.match(seen, LookBack())
    assert [match for match in hunted if match.rule == "valid"] == index.match(seen)
