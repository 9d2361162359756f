"""Lines of files: most are read for the rules alone, and what is told of them is as if each were read wholly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from detectors.ioc.match import IndicatorIndex
from detectors.sigma.engine import Engine
from detectors.sigma.rule import LogSource
from detectors.triage.attribution import Attribution
from pipeline import offline
from pipeline.bench.sample import simulated
from pipeline.detecting import DetectionSet
from pipeline.event_list import load_event_list
from pipeline.parsers import reader
from pipeline.recordings import Lines
from pipeline.settings import load
from schemas.indicator import Indicator
from tests.sigma import tree_rule

ATTRIBUTION = Attribution(load_event_list(None))
RULES = (
    tree_rule(["has", None, ["powershell"], False], 0),
    tree_rule(["num", "EventID", [4625, 11]], 1),
    replace(tree_rule(["has", None, ["failed password"], False], 2), logsource=LogSource("linux")),
    replace(tree_rule(["not", ["has", "http.url", ["a"], False]], 3), logsource=LogSource("suricata", "", "http")),
)
NO_EVENTS = [b"{", b"no log at all", b"[1]", b'{"a": 1e', b"\xff\xfe"]


def judge_of(rules: Sequence[Any] = RULES, indicators: Sequence[Indicator] = ()) -> offline.Judge:
    return offline.Judge(load(), DetectionSet(Engine(rules), IndicatorIndex(indicators), ATTRIBUTION), "file")


def lines(values: Sequence[bytes]) -> Lines:
    return Lines(range(1, len(values) + 1), values)


def needle(number: int, text: str = "") -> bytes:
    said = {"EventTime": "2020-09-20T13:19:31Z", "Channel": "Application", "Hostname": f"ws-{number}", "EventID": 1}
    return orjson.dumps(said | {"F": text, "User": "aigerim", "SourceIp": "203.0.113.9"})


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The events that were read wholly, as they are read."""
    read: list[Any] = []
    real = reader.extract
    monkeypatch.setattr(reader, "extract", lambda event, table: (read.append(event), real(event, table))[1])
    return read


def test_it_tells_the_same_as_if_every_line_were_read_wholly() -> None:
    values = [*simulated(1_500), *NO_EVENTS, *simulated(200)]
    sieving, reading = judge_of(), judge_of()
    reading._sieves = reading._few = False
    told = sieving("a", lines(values), 1_600_000_000_000)
    assert told == reading("a", lines(values), 1_600_000_000_000)
    assert {row["rule_id"] for row in told.detections} == {rule.id for rule in RULES}
    assert [number for number, _ in told.unparsed] == list(range(1_501, 1_506))


def test_a_line_in_which_no_rule_is_found_is_not_read_wholly(whole: list[Any]) -> None:
    judge = judge_of([tree_rule(["has", "F", ["needle"], False])])
    for _ in range(3):
        told = judge("a", lines([needle(n, "a needle" if n == 7 else "hay") for n in range(40)]), 0)
        assert [(row["line"], row["host"], row["user"]) for row in told.detections] == [(8, "ws-7", "aigerim")]
    assert len(whole) == 3


def test_where_most_lines_are_found_they_are_read_once(whole: list[Any]) -> None:
    judge = judge_of([tree_rule(["has", "F", ["needle"], False])])
    rarely = lines([needle(n) for n in range(9)])
    often = lines([needle(n, "a needle") for n in range(9)])
    sieved: list[Any] = []
    judge._sieved = lambda given: (sieved.append(given), (given, [], 0))[1]  # type: ignore[method-assign]  # to count
    for part in (often, often, rarely, often):
        judge("a", part, 0)
    assert sieved == [often, often]
    assert len(whole) == 4 * 9


@pytest.mark.parametrize("few", [True, False])
def test_lines_that_tell_no_log_source_are_judged_and_counted_however_they_are_read(few: bool) -> None:
    judge = judge_of([tree_rule(["has", "F", ["needle"], False])])
    judge._few = few
    told = judge("a", lines([b'{"F": "a needle"}', b'{"F": "hay"}', needle(0, "a needle")]), 0)
    assert ([row["line"] for row in told.detections], told.everywhere) == ([1, 3], 2)


def test_indicators_are_looked_for_in_every_line() -> None:
    known = Indicator("ioc-1", "ipv4", "203.0.113.9", "A bad address")
    told = judge_of(indicators=[known])("a", lines([needle(n) for n in range(20)]), 0)
    assert [row["indicator_id"] for row in told.detections] == ["ioc-1"] * 20


@pytest.mark.parametrize(("name", "size", "want"), [("a.jsonl", 65, 2), ("a.jsonl", 63, 1), ("a.jsonl.xz", 4, 2)])
def test_files_are_worth_the_processes_that_their_records_are(
    name: str, size: int, want: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(8))
    with (tmp_path / name).open("wb") as file:
        file.truncate(size << 20)
    assert offline.processes([str(tmp_path / name)]) == want


def test_an_indicators_line_tells_whose_it_is_and_why_it_counts() -> None:
    known = Indicator(
        "i-1", "cidr", "203.0.113.0/24", "Exit nodes", "medium", 70, source="feed", phases=("c:delivery",)
    )
    (row,) = judge_of((), [known])("a.jsonl", lines([needle(7)]), 0).detections
    assert {name: row[name] for name in ("indicator_id", "title", "level", "file", "line", "time")} == {
        "indicator_id": "i-1",
        "title": "Exit nodes",
        "level": "medium",
        "file": "a.jsonl",
        "line": 1,
        "time": "2020-09-20T13:19:31.000Z",
    }
    assert row["matched"] == {"ipv4": "203.0.113.9"}
    assert row["indicator"] == {
        "type": "cidr",
        "value": "203.0.113.0/24",
        "sources": ("feed",),
        "confidence": 70,
        "tlp": "amber+strict",
        "authority": "",
        "phases": ("c:delivery",),
        "rule": "valid",
    }
