"""Clocks that are wrong, and our detectors: other hosts' results stay, and the host's own are found or left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import orjson
import pytest

from detectors.behaviour.detector import Detector
from detectors.behaviour.heartbeats import heartbeats
from detectors.correlation.contribution import Contribution
from detectors.correlation.correlator import Correlator
from detectors.correlation.episodes import Verdict
from enrichers.identity import host_entity
from pipeline.correlating import Gathering
from pipeline.detecting import DetectionSet
from pipeline.loading import load as load_set
from pipeline.offline import Judge
from pipeline.parsers import Reader
from pipeline.recordings import Lines
from pipeline.settings import Settings, load
from schemas.event import Event, RecordBatch
from tests.behaviour import detector
from tests.builders import FakeRecord
from tests.correlation import DAY, HOUR, MINUTE, SECOND, T0, in_force
from tests.unit.test_correlation_time import LATENESS, Sent

NEW = """
title: A log-on
id: 11111111-1111-4111-8111-111111111111
name: logon
level: informational
logsource: {product: windows, service: security}
detection: {s: {EventID: 4624}, condition: s}
---
title: New
id: 22222222-2222-4222-8222-222222222222
detector: {type: first_seen, rules: [logon], group-by: [entity.host], field: Value, learning: 2h, memory: 4d}
---
title: Many
id: 33333333-3333-4333-8333-333333333333
detector: {type: rate, rules: [logon], group-by: [entity.host], bucket: 10m, baseline: 1d, learning: 1h, least: 4}
---
title: Silent
id: 44444444-4444-4444-8444-444444444444
detector: {type: silence, group-by: host, after: 30m, learning: 1h, memory: 4d}
"""
Log = Sequence[tuple[Sent, str]]
Rows = list[tuple[str, str, int, int, int]]


@pytest.fixture(scope="module")
def decide(tmp_path_factory: pytest.TempPathFactory) -> DetectionSet:
    folder = tmp_path_factory.mktemp("detectors")
    (folder / "a.yml").write_text(NEW)
    return load_set(load(rules=(folder,), state_dir=folder / "state")).decide


def event_of(reader: Reader, offset: int, sent: Sent, value: str) -> Event:
    at = datetime.fromtimestamp((T0 + sent.clock) / 1000, UTC).isoformat(timespec="milliseconds")
    said = {"EventTime": at, "Channel": "Security", "EventID": 4624, "Hostname": sent.host, "Value": value}
    batch = [FakeRecord(offset, orjson.dumps(said), T0 + sent.kafka)]
    (event,) = reader.read(RecordBatch("log", "raw.events", 0, offset, offset + 1, batch)).events
    return event


def told(decide: DetectionSet, log: Log) -> tuple[list[Verdict], list[Contribution]]:
    """What is said of records in Kafka's order, the watermark as far behind Kafka's time as lateness allows."""
    reader, one = Reader(Settings()), Correlator(decide.correlations)
    said: list[Verdict] = []
    made: list[Contribution] = []
    for offset, (sent, value) in enumerate(sorted(log)):
        events = [event_of(reader, offset, sent, value)]
        new = list(decide.judge("log", "raw.events", 0, events).contributions)
        made += new
        said += one.feed(new) + one.advance(T0 + sent.kafka - LATENESS)
    assert sum(fold.behind for fold in one.folds.values()) == 0, "what is not late must not come behind"
    return said + one.finish(), made


def of(verdicts: Iterable[Verdict], host: str) -> Rows:
    """A host's verdicts, without the identities that other hosts' records shift."""
    found = [v for v in verdicts if v.group == host]
    return sorted((v.correlation[0], v.state, v.first_time - T0, v.until - T0, v.records) for v in found)


def usual(host: str, since: int = 0, until: int = 6 * HOUR, *, behind: int = 0) -> Log:
    """A log-on every five minutes, always with the same value."""
    return [(Sent(at, at - behind, host), "usual") for at in range(since, until, 5 * MINUTE)]


def attack(host: str, start: int, *, behind: int = 0) -> Log:
    """Ten log-ons in twenty seconds, with a value that was never there."""
    return [(Sent(start + n * 2 * SECOND, start + n * 2 * SECOND - behind, host), "strange") for n in range(10)]


WS_1 = [*usual("ws-1"), *attack("ws-1", 4 * HOUR), *usual("ws-1", 8 * HOUR, 9 * HOUR)]


@pytest.fixture(scope="module")
def alone(decide: DetectionSet) -> Rows:
    return of(told(decide, WS_1)[0], "ws-1")


def test_a_host_by_itself_is_told_of_what_is_new_too_much_and_missing(
    alone: Rows,
) -> None:
    assert {kind for kind, *_ in alone} == {"2", "3", "4"}
    assert [(state, first) for kind, state, first, *_ in alone if kind == "2"] == [
        ("closed", 4 * HOUR),
        ("final", 4 * HOUR),
        ("provisional", 4 * HOUR),
    ]
    (silence,) = [first for kind, state, first, *_ in alone if kind == "4" and state == "final"]
    assert silence == 6 * HOUR - 4 * MINUTE - 1, "the end of the minute of its last record"


def test_one_event_from_2106_moves_no_other_hosts_result(decide: DetectionSet, alone: Rows) -> None:
    far = int(datetime(2106, 2, 7, tzinfo=UTC).timestamp() * 1000) - T0
    said, made = told(decide, [*WS_1, (Sent(90 * SECOND, far, "ws-2"), "usual")])
    assert of(said, "ws-1") == alone
    assert max(one.time for one in made) < T0 + DAY


def test_a_host_a_day_behind_moves_nobody_is_not_learnt_from_and_is_not_silent(
    decide: DetectionSet, alone: Rows
) -> None:
    behind = [*usual("ws-2", behind=DAY, until=9 * HOUR), *attack("ws-2", 4 * HOUR, behind=DAY)]
    said, made = told(decide, [*WS_1, *behind])
    assert of(said, "ws-1") == alone
    assert of(said, "ws-2") == [], "what it does is late; that it does it shows that it lives"
    late = [one for one in made if one.group == "ws-2" and one.correlation[0] != "4"]
    assert late
    assert all(one.late for one in late)


def test_a_host_that_flaps_by_an_hour_is_told_of_what_is_not_late_and_is_not_silent(
    decide: DetectionSet, alone: Rows
) -> None:
    flapping = [
        (sent._replace(clock=sent.clock + (n % 3 - 1) * HOUR), value)
        for n, (sent, value) in enumerate(sorted([*usual("ws-2", until=9 * HOUR), *attack("ws-2", 4 * HOUR)]))
    ]
    said, _ = told(decide, [*WS_1, *flapping])
    assert of(said, "ws-1") == alone
    assert [state for kind, state, *_ in of(said, "ws-2") if kind == "2"] == ["closed", "final", "provisional"]
    assert [one for one in of(said, "ws-2") if one[0] == "4"] == []


def test_a_laptop_that_comes_back_on_monday_is_known_and_was_silent_once(decide: DetectionSet, alone: Rows) -> None:
    """What it kept of the weekend is late. On Monday its memory goes on: what was usual is, what is new is told."""
    friday, monday = usual("laptop", until=4 * HOUR), usual("laptop", 3 * DAY, 3 * DAY + 2 * HOUR)
    kept = [(Sent(3 * DAY + n, 10 * HOUR + n * MINUTE, "laptop"), "kept") for n in range(5)]
    said, made = told(decide, [*WS_1, *friday, *kept, *monday, *attack("laptop", 3 * DAY + HOUR)])
    assert set(alone) <= set(of(said, "ws-1")) | {one for one in alone if one[1] == "closed"}
    assert all(one.late for one in made if one.group == "laptop" and T0 + 5 * HOUR < one.time < T0 + 2 * DAY)
    laptop = of(said, "laptop")
    assert [first for kind, state, first, *_ in laptop if (kind, state) == ("2", "final")] == [3 * DAY + HOUR]
    ((first, until),) = [(one[2], one[3]) for one in laptop if one[:2] == ("4", "closed")]
    assert (first, until) == (4 * HOUR - 4 * MINUTE - 1, 3 * DAY + MINUTE - 1)


# Signs of life.

BY_HOST = detector("silence", id="h", group_by=("host",), source=(("product", "windows"),))
BY_SOURCE = detector("silence", id="s", group_by=("topic", "service"))


def beats(rules: Sequence[Detector], events: Sequence[Event]) -> set[tuple[str, str, int, int]]:
    found = heartbeats(rules, "raw.events", "log/raw.events/0", events, host_entity)
    return {(one.correlation, one.group, one.time - T0, one.offset) for one in found}


def events(*sent: tuple[int, int, str]) -> list[Event]:
    reader = Reader(Settings())
    return [event_of(reader, offset, Sent(*each), "v") for offset, each in enumerate(sent)]


def test_of_a_sources_events_in_one_minute_the_first_is_a_sign_of_life() -> None:
    made = events((0, 0, "a"), (1, 1, "b"), (2, 2, "A.bank.kz"), (MINUTE, MINUTE, "a"))
    assert beats([BY_HOST], made) == {
        ("h", "a", MINUTE - 1, 0),
        ("h", "b", MINUTE - 1, 1),
        ("h", "a", 2 * MINUTE - 1, 3),
    }
    assert beats([BY_SOURCE], made) == {
        ("s", "raw.events\x1fsecurity", MINUTE - 1, 0),
        ("s", "raw.events\x1fsecurity", 2 * MINUTE - 1, 3),
    }
    assert beats([], made) == set()


def test_sources_that_a_rule_is_not_for_and_hosts_that_are_none_give_no_sign() -> None:
    assert beats([detector("silence", source=(("product", "linux"),))], events((0, 0, "a"))) == set()
    assert beats([BY_HOST], events((0, 0, "-"))) == set()


def test_a_late_record_is_a_sign_of_life_at_kafkas_time() -> None:
    assert beats([BY_HOST], events((DAY, 0, "a"))) == {("h", "a", DAY + MINUTE - 1, 0)}


def test_however_records_are_cut_into_batches_the_least_sign_of_each_minute_is_the_same() -> None:
    made = events(*((at * 7 * SECOND, at * 7 * SECOND, "abc"[at % 3]) for at in range(60)))
    whole = beats([BY_HOST, BY_SOURCE], made)
    for size in (1, 2, 7, 25):
        parts = [beats([BY_HOST, BY_SOURCE], made[at : at + size]) for at in range(0, 60, size)]
        least: dict[tuple[str, str, int], int] = {}
        for rule, group, time, offset in sorted(set.union(*parts)):
            least.setdefault((rule, group, time), offset)
        assert {(*key, offset) for key, offset in least.items()} == whole


def test_over_recordings_every_line_is_a_sign_of_life_whatever_rules_find(decide: DetectionSet) -> None:
    """And that the recording ends is no silence."""
    lines = []
    for minute in [*range(0, 90, 5), 150, 155]:
        at = datetime.fromtimestamp(T0 / 1000 + minute * 60, UTC).isoformat()
        lines.append(orjson.dumps({"EventTime": at, "Channel": "Security", "EventID": 1, "Hostname": "ws-1"}))
    judged = Judge(Settings(), decide, "file")("a.jsonl", Lines(range(1, 1 + len(lines)), lines), T0)
    gathering = Gathering(decide.correlations, decide.attribution, "file")
    assert judged.shares is not None
    gathering.take(judged.shares)
    (row,) = gathering.rows()
    assert (row["title"], row["line"], row["host"], row["matched"]) == ("Silent", 18, "ws-1", {"host": "ws-1"})


def test_without_detectors_of_silence_nothing_is_made() -> None:
    assert in_force().silences == ()
