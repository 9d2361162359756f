"""Rule files: what loads, what is refused, by which sentence, and that hostile ones cost little time."""

from __future__ import annotations

import time

import pytest

from detectors.sigma.load import MAX_BYTES, load, unique
from detectors.sigma.rule import LogSource
from schemas.severity import Severity
from tests.sigma import refusal, rule, rule_text

SELECTION = {"s": {"F": "a"}, "condition": "s"}


def test_a_rule_keeps_what_a_detection_needs() -> None:
    made = rule(SELECTION, tags=["attack.t1003.001"], level="critical", status="stable")
    assert made.id == "3f2a0f3e-3c0b-4f7e-9a55-0b6f0a9a1d11"
    assert (made.title, made.level, made.status) == ("A test", Severity.CRITICAL, "stable")
    assert (made.tags, made.logsource) == (("attack.t1003.001",), LogSource("windows"))


def test_a_rule_without_level_is_medium() -> None:
    assert rule(SELECTION, level=None).level is Severity.MEDIUM


def test_the_revision_changes_with_the_text_and_only_with_it() -> None:
    assert rule(SELECTION).revision == rule(SELECTION).revision
    assert rule(SELECTION).revision != rule(SELECTION, description="another").revision


def test_a_rule_without_id_has_one_of_its_text() -> None:
    assert rule(SELECTION, id=None).id == rule(SELECTION, id=None).id
    assert rule(SELECTION, id=None).id != rule(SELECTION, id=None, title="Another").id


def test_of_two_rules_with_one_id_the_second_is_refused_by_name() -> None:
    kept, refused = unique([rule(SELECTION), rule(SELECTION, title="Another")])
    assert [each.title for each in kept] == ["A test"]
    assert "is already that of test.yml" in refused[0].reason


def test_one_bad_document_takes_no_other_with_it() -> None:
    other = "4f2a0f3e-3c0b-4f7e-9a55-0b6f0a9a1d12"
    data = b"---\n".join(
        [rule_text(SELECTION), b"title: no detection\nlogsource: {product: x}\n", rule_text(SELECTION, id=other)]
    )
    loaded = load("three.yml", data)
    assert [each.id for each in loaded.rules] == ["3f2a0f3e-3c0b-4f7e-9a55-0b6f0a9a1d11", other]
    assert [(each.line > 5, each.reason) for each in loaded.refused] == [(True, "it has no detection")]


@pytest.mark.parametrize(
    ("sentence", "also"),
    [
        ("it has no logsource", {"logsource": None}),
        ("its logsource names no product, category or service", {"logsource": {"definition": "x"}}),
        ("the logsource's product is not a text", {"logsource": {"product": 5}}),
        ("it has no detection", {"detection": {}}),
        ("it has no condition", {"detection": {"s": {"F": 1}}}),
        ("it has no condition", {"detection": {"s": {"F": 1}, "condition": []}}),
        ("Detection 'nosuch' not defined", {"detection": {"s": {"F": 1}, "condition": "nosuch"}}),
        ("doesn't match any detection", {"detection": {"s": {"F": 1}, "condition": "1 of nosuch*"}}),
        ("pipe syntax", {"detection": {"s": {"F": 1}, "condition": "s | count() > 5"}}),
        ("'s' is empty", {"detection": {"s": {}, "condition": "s"}}),
        ("the id 'no-uuid' is no UUID", {"id": "no-uuid"}),
        ("is not a valid Sigma rule level", {"level": "deadly"}),
        ("must have a title", {"title": None}),
        ("a rule and a correlation at once", {"correlation": {"type": "event_count"}}),
        ("it is a filter", {"filter": {"rules": ["x"]}}),
        ("`action` is no longer part of Sigma", {"action": "global"}),
    ],
)
def test_a_rule_is_refused_by_a_sentence(sentence: str, also: dict[str, object]) -> None:
    assert sentence in refusal(SELECTION, **also)


def test_a_refusal_names_file_and_line_and_what_to_do() -> None:
    text = b"title: x\nlogsource: {product: x}\n\ndetection:\n  s: {F: []}\n  condition: s\n"
    (found,) = load("a/b.yml", text).refused
    assert str(found).startswith("a/b.yml:4: the list of 'F' is empty and would be taken for null. Mend the rule")


@pytest.mark.parametrize(
    ("sentence", "data"),
    [
        ("the file is not UTF-8", b"title: \xff\xfe"),
        ("not YAML", b"title: [unclosed"),
        ("not YAML", b"title: !!python/object/apply:os.system ['true']"),
        ("not YAML", b"title: a\x00b"),
        ("not YAML", b"a: *nosuch"),
        ("the file holds no rule", b""),
        ("the file holds no rule", b"# only a remark\n"),
        ("a Sigma rule is a mapping", b"- a\n- b\n"),
        ("the key 'title' stands twice", b"title: a\ntitle: b\n"),
        ("the key 'F' stands twice", b"detection:\n  s:\n    F: 1\n    F: 2\n"),
        ("a rule file has at most", b"#" * (MAX_BYTES + 1)),
        ("nested more than", b"a: " + b"[" * 60 + b"]" * 60),
        ("a value cannot be read", b"a: " + b"9" * 5000),
    ],
)
def test_a_file_is_refused_by_a_sentence(sentence: str, data: bytes) -> None:
    loaded = load("test.yml", data)
    assert not loaded.rules
    assert sentence in str(loaded.refused[0])


def _laughs() -> bytes:
    lines = [b"a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [b"a%d: &a%d [%s]" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 12)]
    return b"\n".join(lines)


HOSTILE = {
    "aliases that explode": _laughs(),
    "an alias of itself": b"a: &a [*a]",
    "a deep flow": b"[" * 500_000,
    "a deep block": b"- " * 200_000 + b"x",
    "100,001 values": rule_text({"s": {"F": list(range(100_001))}, "condition": "s"}),
    "many values under a long condition": rule_text(
        {"s": {"F": list(range(20_000))}, "condition": " or ".join(["s"] * 2_000)}
    ),
    "not not not": rule_text({"s": {"F": 1}, "condition": "not " * 2000 + "s"}),
    "a hundred windash values of three dashes": rule_text(
        {"s": {"F|windash": [f"-a{n} -b -c" for n in range(20_000)]}, "condition": "s or s or s"}
    ),
    "an expression too large": rule_text({"s": {"F|re": "((a{100}){100}){100}"}, "condition": "s"}),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_in_bounded_time(data: bytes) -> None:
    start = time.process_time()
    loaded = load("test.yml", data)
    assert not loaded.rules
    assert len(loaded.refused) == 1
    assert time.process_time() - start < 10


def test_odd_but_small_rules_load() -> None:
    assert rule({"s": {"F": 1}, "condition": "(" * 3000 + "s" + ")" * 3000})
    assert rule({"s": {"F|re": "(" * 500 + "a" + ")" * 500}, "condition": "s"})


def test_an_expression_that_would_hang_others_is_found_in_linear_time() -> None:
    from tests.sigma import holds

    start = time.process_time()
    assert not holds({"F|re": "(a+)+$"}, {"F": "a" * 100_000 + "b"})
    assert time.process_time() - start < 5


def test_a_name_that_is_a_path_is_only_a_name() -> None:
    assert rule(SELECTION, title="../../etc/passwd").title == "../../etc/passwd"
