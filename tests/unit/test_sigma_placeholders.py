"""Placeholders: a filled one is the rule with the values written into it; one without values keeps it from loading."""

from __future__ import annotations

from typing import Any

import pytest

from detectors.sigma.load import load
from pipeline.tuning import Placeholder, Tuning
from tests.sigma import event, rule_text
from tests.tuning import deciding, tuned


def text_of(selection: Any) -> bytes:
    return rule_text({"s": selection, "condition": "s"})


def site(**values: tuple[str, ...]) -> Tuning:
    return Tuning({name: Placeholder(name, said, "values.yml") for name, said in values.items()})


@pytest.mark.parametrize(
    ("expanded", "written"),
    [
        ({"F|expand": "%x%"}, {"F": ["Alpha", "b*", r"c\*", r"C:\d\\e", "7"]}),
        ({"F|contains|expand": "%x%"}, {"F|contains": ["Alpha", "b*", r"c\*", r"C:\d\\e", "7"]}),
        ({"F|startswith|expand": "%x%"}, {"F|startswith": ["Alpha", "b*", r"c\*", r"C:\d\\e", "7"]}),
        ({"F|endswith|expand": "%x%"}, {"F|endswith": ["Alpha", "b*", r"c\*", r"C:\d\\e", "7"]}),
        ({"F|expand|cased": "%x%"}, {"F|cased": ["Alpha", "b*", r"c\*", r"C:\d\\e", "7"]}),
        ({"F|expand": ["%x%", "other"]}, {"F": ["Alpha", "b*", r"c\*", r"C:\d\\e", "7", "other"]}),
        ({"F|expand": "pre-%x%.post"}, {"F": [f"pre-{v}.post" for v in ("Alpha", "b*", r"c\*", r"C:\d\\e", "7")]}),
        ({"F|expand|all": ["%y%", "1*"]}, {"F|all": ["1*3", "1*"]}),
        ({"F|expand": "%y%-%z%"}, {"F": ["1*3-p", "1*3-q"]}),
        ({"|expand": ["%x%"]}, ["Alpha", "b*", r"c\*", r"C:\d\\e", "7"]),
    ],
)
def test_a_filled_rule_is_the_rule_with_the_values_written_into_it(expanded: Any, written: Any) -> None:
    values = site(x=("Alpha", "b*", r"c\*", r"C:\d\\e", "7"), y=("1*3",), z=("p", "q"))
    filled = tuned(text_of(expanded), tuning=values)
    assert filled.refused == ()
    (plain,) = load("plain.yml", text_of(written)).rules
    assert _unordered(filled.rules[0].tree) == _unordered(plain.tree)


def _unordered(node: Any) -> Any:
    """Alternatives in no order, so that two trees of one meaning are equal."""
    if isinstance(node, list):
        parts = [_unordered(part) for part in node[1:]]
        return [_unordered(node[0]), *(sorted(parts, key=str) if node and node[0] == "or" else parts)]
    return node


@pytest.mark.parametrize(
    ("value", "found"), [("dc1.bank.kz", True), ("dc1xbank.kz", False), ("web7", True), ("web77", False)]
)
def test_within_a_regular_expression_a_value_is_no_pattern(value: str, found: bool) -> None:
    made = tuned(text_of({"F|re|expand": "^%hosts%$"}), tuning=site(hosts=("dc1.bank.kz", "web?")))
    assert bool(deciding(made).detect("log", "topic", 0, [event({"F": value})])) is found


@pytest.mark.parametrize(
    ("sentence", "selection", "values"),
    [
        ("the placeholder %admins% has no values", {"F|expand": "%admins%"}, {}),
        ("the placeholder %admins% has no values", {"F|re|expand": "^%admins%$"}, {}),
        ("the placeholders %a%, %b% have no values", {"F|expand": ["%a%", "%b%"]}, {"c": ("1",)}),
        ("the placeholder %a% has no values", {"F|expand": "%a%"}, {"a": ()}),
        ("a keyword is empty and would match every event", {"|expand": ["%a%"]}, {"a": ("*",)}),
        ("come to 1,000,000 texts", {"F|expand": "%a%%a%"}, {"a": tuple(map(str, range(1000)))}),
        ("come to 1,000,000 texts", {"F|expand": ["%a%"] * 1000}, {"a": tuple(map(str, range(1000)))}),
    ],
)
def test_a_rule_that_cannot_be_filled_is_refused_at_its_line(sentence: str, selection: Any, values: Any) -> None:
    made = tuned(text_of(selection), tuning=site(**values))
    assert made.rules == []
    (refusal,) = made.refused
    assert (refusal.file, refusal.line) == ("0.yml", 6)
    assert sentence in refusal.reason
    assert "QORGAN_PLACEHOLDERS" in refusal.todo


def test_no_engine_is_given_a_rule_that_waits_for_values() -> None:
    loaded = load("a.yml", text_of({"F|expand": "%x%"}))
    assert (loaded.rules, len(loaded.waiting)) == ((), 1)


def test_the_revision_covers_the_values_and_no_others() -> None:
    text = text_of({"F|expand": "%x%"})
    revisions = [
        tuned(text, tuning=site(**values)).rules[0].revision
        for values in ({"x": ("a",)}, {"x": ("a",), "y": ("b",)}, {"x": ("b",)}, {"x": ("a", "b")})
    ]
    assert revisions[0] == revisions[1]
    assert len(set(revisions)) == 3


def test_a_placeholder_is_told_with_the_rules_that_it_changes() -> None:
    (change,) = tuned(text_of({"F|expand": "%x%"}), tuning=site(x=("a",), unused=("b",))).changes
    assert (change.placeholder.name, len(change.rules)) == ("x", 1)
