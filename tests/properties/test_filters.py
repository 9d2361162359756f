"""A filtered rule finds what `(rule) and (filter)` in one document finds, and what is missing is told as hidden."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sigma import event, rule_text
from tests.tuning import FILTER_ID, deciding, filter_text, tuned

SELECTIONS = st.sampled_from(
    [
        {"F": "a"},
        {"F|startswith": "a"},
        {"G|contains": "b"},
        {"G": None},
        {"F|endswith": "b", "G": "c"},
        [{"F": "c"}, {"G|re": "^b"}],
        {"G|exists": True},
    ]
)
CONDITIONS = st.sampled_from(["not x", "not 1 of them", "not (x and not y)", "not x and not y", "not x or not y"])
VALUES = st.sampled_from(["a", "ab", "b", "c", ""])
EVENTS = st.lists(st.dictionaries(st.sampled_from(["F", "G"]), VALUES), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(SELECTIONS, SELECTIONS, SELECTIONS, CONDITIONS, EVENTS)
def test_filter_and_rule_in_two_documents_are_as_in_one(
    base: object, x: object, y: object, condition: str, fields: list[dict[str, str]]
) -> None:
    events = [event(each, offset=number) for number, each in enumerate(fields)]
    rule = rule_text({"s": base, "condition": "s"})
    filtered = tuned(rule, filter_text({"selection": None, "x": x, "y": y, "condition": condition}))
    assert filtered.refused == ()
    judged = deciding(filtered).judge("log", "topic", 0, events)
    inner = condition.replace("1 of them", "(x or y)")
    in_one = rule_text({"s": base, "x": x, "y": y, "condition": f"(s) and ({inner})"})
    found = [one.offset for one in judged.detections]
    assert found == [one.offset for one in deciding(tuned(in_one)).detect("log", "topic", 0, events)]
    hidden = [one.origin.offset for one in judged.hidden]
    assert sorted(found + hidden) == [one.offset for one in deciding(tuned(rule)).detect("log", "topic", 0, events)]
    assert {one.suppression for one in judged.hidden} <= {FILTER_ID}
