"""Indicators match by value and by the rules of their types; several sources speak once; the index stays small."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Iterable

import pytest

from detectors.ioc import networks
from detectors.ioc.indicators import sealed
from detectors.ioc.lookback import LookBack
from detectors.ioc.match import KEPT_MS, MAX_OF_SOURCE, IndicatorIndex, IndicatorMatch
from schemas.event import Event, Format, Observable, Source
from schemas.indicator import Indicator

FORM = Format("json", "json")


def event(*observables: tuple[str, str], time_ms: int = 1_000) -> Event:
    known = tuple(sorted(Observable(*one) for one in observables))
    return Event(0, b"", FORM, Source(), {}, time_ms, time_ms, observables=known)


def indicator(kind: str, value: str, **more: object) -> Indicator:
    return Indicator(**{"id": f"{kind}:{value}", "type": kind, "value": value, "title": "t", **more})  # type: ignore[arg-type] # keywords of one kind


def also(*values: tuple[str, str]) -> tuple[Observable, ...]:
    return tuple(Observable(*one) for one in values)


def ids(index: IndicatorIndex, *events: Event) -> list[tuple[int, str]]:
    return [(found.index, found.indicator.id) for found in index.match(events)]


def one_of(index: IndicatorIndex, seen: Event) -> IndicatorMatch:
    (match,) = index.match([seen])
    return match


# --- by type


def test_a_value_matches_its_own_type_alone() -> None:
    index = IndicatorIndex([indicator("ipv4", "10.0.0.1"), indicator("md5", "aa")])
    events = event(("ipv4", "10.0.0.1")), event(("domain", "10.0.0.1")), event(), event(("md5", "aa"))
    assert ids(index, *events) == [(0, "ipv4:10.0.0.1"), (3, "md5:aa")]


def test_a_domain_matches_every_name_below_it_and_no_other() -> None:
    index = IndicatorIndex([indicator("domain", "evil.example")])
    names = ["evil.example", "a.b.evil.example", "notevil.example", "example", "evil.example.org"]
    assert [found for found, _ in ids(index, *(event(("domain", name)) for name in names))] == [0, 1]


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("203.0.113.0/24", ["203.0.113.0", "203.0.113.255"], ["203.0.112.255", "203.0.114.0", "2001:db8::1"]),
        ("203.0.113.7/32", ["203.0.113.7"], ["203.0.113.6"]),
        ("0.0.0.0/0", ["203.0.113.7", "0.0.0.1"], ["2001:db8::1"]),
        ("2001:db8::/33", ["2001:db8:7fff::1"], ["2001:db8:8000::1", "32.1.13.184"]),
        ("::/0", ["2001:db8::1"], ["203.0.113.7"]),
    ],
)
def test_a_network_matches_the_addresses_inside_it(network: str, inside: list[str], outside: list[str]) -> None:
    index = IndicatorIndex([indicator("cidr", network)])
    seen = [event(("ipv6" if ":" in address else "ipv4", address)) for address in (*inside, *outside)]
    assert [match.index for match in index.match(seen)] == list(range(len(inside)))
    assert [match.index for match in index.match(seen)] == list(range(len(inside))), "an answer that is remembered"
    assert index.remove("", f"cidr:{network}", [("cidr", network)]) == 1
    assert not index.match(seen)


def test_of_several_networks_each_is_found_the_narrowest_first() -> None:
    index = IndicatorIndex([indicator("cidr", "10.0.0.0/8")])
    assert ids(index, event(("ipv4", "10.1.2.3"))) == [(0, "cidr:10.0.0.0/8")]
    index.put(indicator("cidr", "10.1.0.0/16"))
    assert ids(index, event(("ipv4", "10.1.2.3"))) == [(0, "cidr:10.1.0.0/16"), (0, "cidr:10.0.0.0/8")]


def test_answers_are_remembered_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "REMEMBERED", 8)
    held = networks.Networks()
    held.add("10.0.0.0/8")
    for n in range(100):
        assert held.of(f"10.0.0.{n}") == ("10.0.0.0/8",)
        assert len(held._known) <= 8
    held.add("10.0.0.7/32")
    assert held.of("10.0.0.7") == ("10.0.0.7/32", "10.0.0.0/8")


@pytest.mark.parametrize("path", ["c:\\x\\evil.exe", "/tmp/evil.exe", "c:\\x/evil.exe"])
def test_a_files_name_matches_the_last_part_of_a_path(path: str) -> None:
    index = IndicatorIndex([indicator("file_name", "evil.exe")])
    assert one_of(index, event(("file_path", path))).observable == ("file_path", path)
    assert ids(index, event(("file_name", "evil.exe"))) == [(0, "file_name:evil.exe")]
    assert not index.match([event(("file_path", path + "x")), event(("file_path", path.replace("evil", "notevil")))])


def test_an_indicator_is_found_once_an_event() -> None:
    wide = Indicator("one", "domain", "evil.example", "t")
    index = IndicatorIndex([wide, wide._replace(type="ipv4", value="10.0.0.1"), wide._replace(value="b.evil.example")])
    many = event(("domain", "a.evil.example"), ("domain", "b.evil.example"), ("ipv4", "10.0.0.1"))
    assert ids(index, many, many) == [(0, "one"), (1, "one")]


def test_the_same_id_of_two_sources_is_two_indicators() -> None:
    one = indicator("ipv4", "10.0.0.1", id="1", source="a")
    index = IndicatorIndex([one, one._replace(value="10.0.0.2", source="b")])
    assert len(index.match([event(("ipv4", "10.0.0.1"), ("ipv4", "10.0.0.2"))])) == 2


def test_different_values_are_different_matches() -> None:
    index = IndicatorIndex([indicator("domain", "evil.example"), indicator("domain", "a.evil.example")])
    assert [name for _, name in ids(index, event(("domain", "a.evil.example")))] == [
        "domain:a.evil.example",
        "domain:evil.example",
    ]


# --- what the event must hold besides


@pytest.mark.parametrize(
    ("wanted", "held"),
    [
        (("ipv4", "203.0.113.7"), True),
        (("ipv4", "203.0.113.8"), False),
        (("cidr", "203.0.113.0/24"), True),
        (("cidr", "203.0.112.0/24"), False),
        (("cidr", "2001:db8::/32"), False),
        (("domain", "evil.example"), True),
        (("domain", "vil.example"), False),
        (("domain", "b.evil.example"), False),
        (("file_name", "a.exe"), True),
        (("file_name", "b.exe"), False),
        (("file_path", "c:\\x\\a.exe"), True),
    ],
)
def test_an_indicator_counts_only_where_the_event_holds_the_rest(wanted: tuple[str, str], held: bool) -> None:
    index = IndicatorIndex([indicator("md5", "aa", also=also(wanted, ("md5", "aa")))])
    seen = event(
        ("md5", "aa"), ("ipv4", "203.0.113.7"), ("domain", "a.evil.example"), ("file_path", "c:\\x\\a.exe")
    )  # fmt: skip
    assert bool(index.match([seen])) == held


# --- several sources


def test_two_sources_of_one_value_are_one_match_with_the_best_of_both() -> None:
    weak = indicator("ipv4", "10.0.0.1", id="a", source="x", confidence=40, valid_until=9_000, tlp="red")
    sure = indicator("ipv4", "10.0.0.1", id="b", source="y", confidence=90, valid_until=5_000, tlp="green")
    index = IndicatorIndex([weak, sure])
    match = one_of(index, event(("ipv4", "10.0.0.1")))
    assert match.sources == ("x", "y")
    assert match.indicator[:1] + match.indicator[5:8] == ("b", 90, 0, 9_000)
    assert match.indicator.tlp == "red", "what is made of both is as strict as the stricter"
    later = one_of(index, event(("ipv4", "10.0.0.1"), time_ms=6_000))
    assert (later.sources, later.indicator.id, later.indicator.confidence) == (("x",), "a", 40)
    assert len(index) == 2


@pytest.mark.parametrize(
    ("strong", "weak"),
    [
        ({"authority": "regulator", "confidence": 1}, {"authority": "sectoral", "confidence": 100}),
        ({"authority": "sectoral", "confidence": 1}, {"confidence": 100}),
        ({"confidence": 51}, {"confidence": 50, "valid_until": 0}),
        ({"valid_until": 0}, {"valid_until": 9_000}),
        ({"valid_until": 9_001}, {"valid_until": 9_000}),
        ({"source": "a", "id": "2"}, {"source": "b", "id": "1"}),
        ({"source": "a", "id": "1"}, {"source": "a", "id": "2"}),
    ],
)
def test_the_strongest_speaks(strong: dict[str, object], weak: dict[str, object]) -> None:
    one = indicator("md5", "aa", **{"id": "2", "source": "x", "valid_until": 9_000, "title": "strong", **strong})
    other = indicator("md5", "aa", **{"id": "1", "source": "x", "valid_until": 9_000, "title": "weak", **weak})
    for order in ([one, other], [other, one]):
        assert one_of(IndicatorIndex(order), event(("md5", "aa"))).indicator.title == "strong"


def test_the_same_indicator_given_twice_counts_once_and_the_last_stands() -> None:
    old, new = indicator("ipv4", "10.0.0.1", title="old"), indicator("ipv4", "10.0.0.1", title="new")
    index = IndicatorIndex([old, new])
    assert [found.title for found in index] == ["new"]
    assert len(index) == 1


def test_one_source_has_a_bounded_number_of_rows_of_one_value_and_others_are_not_concerned() -> None:
    """Every event that holds the value pays for each of them."""
    flood = [indicator("ipv4", "10.0.0.1", id=f"{n}", source="feed") for n in range(MAX_OF_SOURCE + 5)]
    index = IndicatorIndex(flood)
    assert len(index) == MAX_OF_SOURCE
    revision = index.revision
    assert not index.put(flood[-1])
    assert (len(index), index.revision) == (MAX_OF_SOURCE, revision)
    assert index.put(flood[0]._replace(title="a new title")), "what is held may change"
    assert index.put(flood[0]._replace(source="another"))
    assert one_of(index, event(("ipv4", "10.0.0.1"))).sources == ("another", "feed")


# --- time


def test_validity_is_judged_by_the_events_time() -> None:
    index = IndicatorIndex([indicator("ipv4", "10.0.0.1", valid_from=100, valid_until=200)])
    events = [event(("ipv4", "10.0.0.1"), time_ms=at) for at in (99, 100, 199, 200)]
    assert [found for found, _ in ids(index, *events)] == [1, 2]
    hunted = index.match(events, LookBack())
    assert [(found.index, found.rule) for found in hunted] == [(0, "look-back:30d"), (1, "valid"), (2, "valid")]


def test_a_hunt_says_of_an_event_what_the_stream_said() -> None:
    """Else the same record would be told twice: once for each of two sources."""
    known = indicator("ipv4", "10.0.0.1", id="known", confidence=10)
    new = indicator("ipv4", "10.0.0.1", id="new", confidence=99, valid_from=5_000)
    index = IndicatorIndex([known, new])
    (hunted,) = index.match([event(("ipv4", "10.0.0.1"))], LookBack())
    assert hunted == one_of(index, event(("ipv4", "10.0.0.1")))
    assert hunted.indicator.id == "known"


def test_a_hunt_prefers_what_the_stream_said_of_an_indicator_with_several_values() -> None:
    """Both would be one detection by its id; the first one told stands."""
    one = indicator("domain", "evil.example", id="1", valid_from=5_000)
    index = IndicatorIndex([one, one._replace(type="md5", value="aa", valid_from=0)])
    seen = event(("domain", "evil.example"), ("md5", "aa"))
    assert index.match([seen], LookBack()) == index.match([seen])
    assert one_of(index, seen).indicator.type == "md5"


def test_what_ended_long_ago_is_left_out_where_a_clock_is_given() -> None:
    now = 100 * KEPT_MS
    ends = {"long ago": now - KEPT_MS - 1, "lately": now - KEPT_MS, "open": 0}
    some = [indicator("md5", name, valid_until=end) for name, end in ends.items()]
    assert {one.value for one in IndicatorIndex(some, now_ms=now)} == {"lately", "open"}
    assert len(IndicatorIndex(some)) == 3


# --- what it holds


@pytest.mark.parametrize(
    "name",
    ["indicator--0123abcd-0123abcd", "indicator--01234567-89ab-4def-8123-456789abcdef", "0a" * 16, "0A" * 16,
     "-" * 32, "indicator--", "", "қазақша", "1", "indicator--01234567-89AB-4def-8123-456789abcdef", "x" * 256],
)  # fmt: skip
def test_what_goes_in_comes_out(name: str) -> None:
    whole = sealed(
        Indicator(
            name, "md5", "aa", "Тақырып", "critical", 77, 1, 2, "", "a source", "red", ("t1", "t2"),
            also(("ipv4", "10.0.0.1")), ("chain:phase",), "regulator", 3,
        )
    )  # fmt: skip
    for one in (whole, sealed(whole._replace(title="md5 aa")), sealed(whole._replace(title=""))):
        assert list(IndicatorIndex([one])) == [one]


def test_an_indicator_without_a_revision_gets_one() -> None:
    one = indicator("md5", "aa")
    assert [held.revision for held in IndicatorIndex([one])] == [sealed(one).revision]


def test_the_revision_knows_content_and_not_order() -> None:
    one, two = sealed(indicator("md5", "a")), sealed(indicator("md5", "b"))
    assert IndicatorIndex([one, two]).revision == IndicatorIndex([two, one]).revision
    others = [[one], [one, sealed(two._replace(level="low"))], [one, two, sealed(indicator("md5", "c"))], []]
    assert len({IndicatorIndex(some).revision for some in [[one, two], *others]}) == 5


def test_an_indicator_takes_at_most_300_bytes() -> None:
    """A million of them 300 MB, of the 350 that a worker may hold for them. Traced on a few, since tracing is slow."""
    tracemalloc.start()
    index = IndicatorIndex(many(4_000))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / len(index) < 300


def test_what_goes_is_forgotten() -> None:
    """Feeds change their words every day; a worker runs for months."""
    index = IndicatorIndex()
    held = []
    tracemalloc.start()
    for _ in range(3):
        for n in range(2_000):
            index.put(indicator("md5", str(n), source=f"s{n}", tags=(f"t{n}",), also=also(("md5", str(n)))))
        for n in range(2_000):
            assert index.remove(f"s{n}", f"md5:{n}", [("md5", str(n)), ("ipv4", "10.0.0.1")]) == 1
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert len(index) == 0
    assert index.revision == IndicatorIndex().revision
    assert held[2] < held[0] * 1.1


def test_a_row_that_is_refused_leaves_nothing_behind() -> None:
    index = IndicatorIndex(indicator("md5", "aa", id=f"{n}", source="s") for n in range(MAX_OF_SOURCE))
    held = len(index._rows._facts._numbers)
    for n in range(50):
        assert not index.put(indicator("md5", "aa", id=f"new {n}", source="s", tags=(f"t{n}",)))
    assert len(index._rows._facts._numbers) == held


def test_a_hundred_thousand_indicators_cost_three_microseconds_an_event() -> None:
    index = IndicatorIndex(many(100_000))
    rng = random.Random(1)
    names = [event(("domain", f"{rng.random()}.cdn.bank.example"), ("ipv4", "10.0.0.9")) for _ in range(5_000)]
    best = min(timed(index, names) for _ in range(5))
    assert best / len(names) < 12e-6, "four times what it takes on an idle machine"


def test_putting_costs_the_same_whatever_is_held() -> None:
    index = IndicatorIndex(many(50_000))
    new = [sealed(indicator("domain", f"n{n}.example")) for n in range(3_000)]
    started = time.process_time()
    for one in new:
        index.put(one)
    assert (time.process_time() - started) / len(new) < 40e-6, "four times what it may take on an idle machine"


def many(count: int) -> Iterable[Indicator]:
    for n in range(count):
        kind, value = (("domain", f"host{n}.evil.example"), ("sha256", f"{n:064x}"))[n % 2]
        yield sealed(Indicator(f"{n:032x}", kind, value, f"{kind} {value}", source="feed"))


def timed(index: IndicatorIndex, events: list[Event]) -> float:
    started = time.process_time()
    index.match(events)
    return time.process_time() - started
