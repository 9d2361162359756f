"""What a Sigma rule means here: every line of the page, through the whole engine; and which fields a match names."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from detectors.sigma.engine import Engine
from tests.semantics import CASES, Case
from tests.sigma import event, refusal, rule

ALMATY = ZoneInfo("Asia/Almaty")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section}: {case.sentence}")
def test_a_line_of_the_page_is_so(case: Case) -> None:
    if case.refusal:
        assert case.refusal in refusal(case.detection)
        return
    engine = Engine([rule(case.detection)], ALMATY)
    one = event(case.event)
    assert bool(engine.match([one])) is case.finds
    assert bool(engine.match_plain(one)) is case.finds


def test_the_matched_fields_are_those_that_made_it_true_cut_to_a_kilobyte() -> None:
    detection = {
        "s": {"Image|endswith": "\\cmd.exe", "CommandLine|contains": ["whoami", "ipconfig"]},
        "other": {"User": "nobody"},
        "filter": {"Company": "Ours"},
        "condition": "(s or other) and not filter",
    }
    fields = {"Image": "C:\\cmd.exe", "CommandLine": "whoami " + "ж" * 2000, "User": "x", "Company": "y"}
    (found,) = Engine([rule(detection)]).match([event(fields)])
    assert list(found.matched) == ["Image", "CommandLine"]
    assert found.matched["Image"] == "C:\\cmd.exe"
    assert 1022 <= len(found.matched["CommandLine"].encode()) <= 1024


def test_an_alternative_that_does_not_hold_names_none_of_its_fields() -> None:
    detection = {"s": [{"F": "a", "G": "b"}, {"H": "c"}], "condition": "s"}
    (found,) = Engine([rule(detection)]).match([event({"F": "a", "G": "x", "H": "c"})])
    assert found.matched == {"H": "c"}


def test_no_more_than_twenty_matched_fields_are_kept() -> None:
    fields = {f"F{n}": str(n) for n in range(30)}
    (found,) = Engine([rule({"s": dict(fields), "condition": "s"})]).match([event(fields)])
    assert len(found.matched) == 20


def test_a_keyword_is_named_by_the_field_it_stands_in() -> None:
    (found,) = Engine([rule({"s": ["evil"], "condition": "s"})]).match(
        [event({"a": 1, "b": {"c": ["x", "an Evil one"]}})]
    )
    assert found.matched == {"b": "an Evil one"}
