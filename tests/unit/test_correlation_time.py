"""Clocks that are wrong: other hosts' results stay as they are, and the host's own attack is found or flagged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

import orjson

from detectors.correlation.contribution import Contribution, Found, contribute, lookup
from detectors.correlation.correlator import Correlator
from detectors.correlation.episodes import Verdict
from enrichers.identity import entities
from pipeline.parsers import Reader
from pipeline.settings import Settings
from schemas.event import RecordBatch
from tests.builders import FakeRecord
from tests.correlation import DAY, HOUR, MINUTE, SECOND, T0, correlation, in_force

RULE = correlation("event_count", ("gte", 3), timespan=5 * MINUTE, group_by=("entity.host",))
RULES = in_force(RULE)
LATENESS = 10 * MINUTE


class Sent(NamedTuple):
    """A record: when Kafka got it, what the host's clock said, and which host; milliseconds after T0."""

    kafka: int
    clock: int
    host: str


def told(sent: Iterable[Sent]) -> tuple[list[Verdict], list[Contribution]]:
    """What is said of records in Kafka's order, the watermark as far behind Kafka's time as lateness allows."""
    reader, one = Reader(Settings()), Correlator(RULES)
    said: list[Verdict] = []
    made: list[Contribution] = []
    for offset, record in enumerate(sorted(sent)):
        at = datetime.fromtimestamp((T0 + record.clock) / 1000, UTC).isoformat(timespec="milliseconds")
        value = orjson.dumps({"EventTime": at, "Channel": "Security", "EventID": 4625, "Hostname": record.host})
        batch = [FakeRecord(offset, value, T0 + record.kafka)]
        (event,) = reader.read(RecordBatch("log", "raw.events", 0, offset, offset + 1, batch)).events
        values = lookup(event.fields, entities(event.host, event.user, event.src_ip))
        members = RULES.members["a"]
        found = [Found(members, values)]
        new = list(contribute(found, event.time_ms, "log/raw.events/0", offset, event.late, Counter()))
        made += new
        said += one.feed(new)
        said += one.advance(T0 + record.kafka - LATENESS)
    assert sum(fold.behind for fold in one.folds.values()) == 0, "what is not late must not come behind"
    return said + one.finish(), made


def of(verdicts: Iterable[Verdict], host: str) -> list[tuple[str, int, int, int]]:
    """A host's verdicts by episode, without the identities that other hosts' records shift."""
    verdicts = sorted(verdicts, key=lambda v: v.first_time)
    return [(v.state, v.first_time - T0, v.until - T0, v.records) for v in verdicts if v.group == host]


def attack(host: str, start: int, *, behind: int = 0) -> list[Sent]:
    """Four failed log-ins, one every thirty seconds, from a host whose clock is `behind`."""
    return [Sent(start + n * 30 * SECOND, start + n * 30 * SECOND - behind, host) for n in range(4)]


QUIET = attack("ws-1", MINUTE) + attack("ws-1", 3 * HOUR)
ALONE = of(told(QUIET)[0], "ws-1")


def test_a_host_by_itself_is_told_at_once_and_finally() -> None:
    assert [state for state, *_ in ALONE] == ["provisional", "final", "closed"] * 2


def test_one_event_from_2106_moves_no_other_hosts_result_and_counts_by_kafkas_time() -> None:
    far = int(datetime(2106, 2, 7, tzinfo=UTC).timestamp() * 1000) - T0
    said, made = told([*QUIET, Sent(90 * SECOND, far, "ws-2"), *attack("ws-2", 2 * MINUTE)])
    assert of(said, "ws-1") == ALONE
    assert [state for state, *_ in of(said, "ws-2")] == ["provisional", "final", "closed"]
    assert max(one.time for one in made) < T0 + DAY


def test_a_host_a_day_behind_is_flagged_late_and_moves_nobody() -> None:
    said, made = told([*QUIET, *attack("ws-2", 2 * MINUTE, behind=DAY)])
    assert of(said, "ws-1") == ALONE
    assert of(said, "ws-2") == []
    assert [one.late for one in made if one.group == "ws-2"] == [True] * 4


def test_a_host_that_is_behind_by_less_than_the_lateness_is_found_as_if_it_were_not() -> None:
    said, _ = told([*QUIET, *attack("ws-2", 2 * MINUTE, behind=9 * MINUTE)])
    assert of(said, "ws-1") == ALONE
    assert of(said, "ws-2")[-1] == ("closed", -7 * MINUTE, -7 * MINUTE + 90 * SECOND, 4)


def test_a_host_that_flaps_by_an_hour_either_way_is_still_found_at_once() -> None:
    """An hour ahead is implausible, so Kafka's time counts; an hour behind is late; in between it is right."""
    flapping = [
        record._replace(clock=record.clock + (n % 3 - 1) * HOUR)
        for n, record in enumerate(sorted(attack("ws-2", 2 * MINUTE) + attack("ws-2", 2 * MINUTE + 7 * SECOND)))
    ]
    said, made = told([*QUIET, *flapping])
    assert of(said, "ws-1") == ALONE
    assert [state for state, *_ in of(said, "ws-2")] == ["provisional", "final", "closed"]
    late = [one.late for one in made if one.group == "ws-2"]
    assert late == [True, False, False] * 2 + [True, False]


def test_a_laptop_that_comes_back_on_monday_is_flagged_for_what_it_missed_and_found_for_what_it_does() -> None:
    weekend = [Sent(3 * DAY + n * SECOND, n * 30 * SECOND, "laptop") for n in range(4)]
    said, made = told([*QUIET, *weekend, *attack("laptop", 3 * DAY + HOUR), *attack("ws-1", 3 * DAY + HOUR)])
    assert of(said, "ws-1")[: len(ALONE)] == ALONE
    assert [one.late for one in made if one.group == "laptop"] == [True] * 4 + [False] * 4
    assert [first for state, first, *_ in of(said, "laptop") if state == "final"] == [3 * DAY + HOUR]
