"""Rule files: what loads, what is refused, by which sentence, and that hostile ones cost little time."""

from __future__ import annotations

import time
from random import Random

import pytest

from detectors.sigma import patterns
from detectors.sigma.engine import Engine
from detectors.sigma.load import MAX_BYTES, load, unique
from detectors.sigma.rule import LogSource
from schemas.severity import Severity
from tests.sigma import event, refusal, rule, rule_text

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


@pytest.mark.parametrize("broken", [b"title: [a\n", b"a: " + b"[" * 60 + b"]" * 60 + b"\n", b"title: a\n\tb: c\n"])
def test_a_document_that_is_no_yaml_takes_no_other_of_its_file_with_it(broken: bytes) -> None:
    other = "4f2a0f3e-3c0b-4f7e-9a55-0b6f0a9a1d12"
    loaded = load("three.yml", b"---\n".join([rule_text(SELECTION), broken, rule_text(SELECTION, id=other)]))
    assert [each.id for each in loaded.rules] == ["3f2a0f3e-3c0b-4f7e-9a55-0b6f0a9a1d11", other]
    (refusal_,) = loaded.refused
    first = rule_text(SELECTION).count(b"\n") + 2
    assert first <= refusal_.line <= first + broken.count(b"\n") + 1


def test_nothing_between_two_marks_is_no_rule_and_no_fault() -> None:
    loaded = load("ends.yml", b"---\n---\n" + rule_text(SELECTION) + b"---\n")
    assert (len(loaded.rules), loaded.refused) == (1, ())
    assert "the file holds no rule" in str(load("none.yml", b"---\n---\n").refused[0])


@pytest.mark.parametrize(
    "also",
    [
        {"id": "site-rule.7"},
        {"id": "929A690E-BEF0-1204-0928-EF5E620D6FCC"},
        {"related": [{"id": "old-7", "type": "obsolete"}]},
        {"falsepositives": "none known"},
        {"taxonomy": "ours", "scope": ["server"], "license": "MIT", "custom": {"a": [1]}},
        {"logsource": {"product": "windows", "definition": "all of it", "vendor": 5}},
    ],
)
def test_what_the_specification_leaves_open_loads(also: dict[str, object]) -> None:
    assert rule(SELECTION, **also).title == "A test"


def test_an_id_that_is_no_uuid_stays_as_written() -> None:
    assert rule(SELECTION, id="Site-Rule.7").id == "Site-Rule.7"


@pytest.mark.parametrize(
    ("sentence", "also"),
    [
        ("it has no logsource", {"logsource": None}),
        ("its logsource names no product, category or service", {"logsource": {"definition": "x"}}),
        ("the logsource's product is not a text", {"logsource": {"product": 5}}),
        ("it has no detection", {"detection": {}}),
        ("it has no condition", {"detection": {"s": {"F": 1}}}),
        ("YAML reads a field's name as False; put it in quotes", {"detection": {"s": {False: 1}, "condition": "s"}}),
        ("the name '../../etc/passwd' is none", {"name": "../../etc/passwd"}),
        ("the name 'C:\\\\rules' is none", {"name": "C:\\rules"}),
        ("the name '..' is none", {"name": ".."}),
        ("the title has control characters", {"title": "a\x1b[2Jb"}),
        ("the title has control characters or more than 256", {"title": "a" * 257}),
        ("it has no condition", {"detection": {"s": {"F": 1}, "condition": []}}),
        ("Detection 'nosuch' not defined", {"detection": {"s": {"F": 1}, "condition": "nosuch"}}),
        ("doesn't match any detection", {"detection": {"s": {"F": 1}, "condition": "1 of nosuch*"}}),
        ("pipe syntax", {"detection": {"s": {"F": 1}, "condition": "s | count() > 5"}}),
        ("'s' is empty", {"detection": {"s": {}, "condition": "s"}}),
        ("the id '../id' is none", {"id": "../id"}),
        ("the id '5' is none", {"id": 5}),
        ("is not a valid Sigma rule level", {"level": "deadly"}),
        ("must have a title", {"title": None}),
        ("a rule and a correlation at once", {"correlation": {"type": "event_count"}}),
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
        ("a value cannot be read", b"a: 2001-99-99"),
        ("a number of 5,000 characters", b"a: " + b"9" * 5000),
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


def _file(selection: str, condition: str = "s") -> bytes:
    """A rule file of one selection in flow style; YAML's own writer takes seconds for 100,000 values."""
    said = f"title: x\nlogsource: {{product: x}}\ndetection:\n  s: {{{selection}}}\n  condition: {condition}\n"
    return said.encode()


def _many(key: str, count: int, text: str) -> str:
    return f"'{key}': [" + ",".join([f"'{text.replace('#', str(number))}'" for number in range(count)]) + "]"


HOSTILE = {
    "aliases that explode": _laughs(),
    "an alias of itself": b"a: &a [*a]",
    "a deep flow": b"[" * 500_000,
    "a deep block": b"- " * 200_000 + b"x",
    "100,000 values": _file(_many("F", 100_000, "#")),
    "60,000 values": _file("F: [" + "1," * 60_000 + "]"),
    "ten megabytes": b"a: b\n" * 2_000_000,
    "many values under a long condition": _file(_many("F", 20_000, "#"), " or ".join(["s"] * 2_000)),
    "not not not": _file("F: 1", "not " * 2000 + "s"),
    "brackets that never close": _file("F: 1", "(" * 9_999),
    "20,000 windash values of three dashes": _file(_many("F|windash", 20_000, "-a# -b -c"), "s or s or s"),
    "100,000 dashes": _file("'F|windash': '" + " -a" * 100_000 + "'"),
    "an expression too large": _file("'F|re': '((a{100}){100}){100}'"),
    "15,000 expressions": _file(_many("F|re", 15_000, "a#(x{90}){9}")),
    "900 large expressions": _file(_many("F|re", 900, "[а-я]{900}#")),
    "20,000 wildcards": _file(_many("F", 20_000, "a?#?b")),
    "100,000 question marks": _file("F: '" + "?" * 100_000 + "'"),
    "a time of 300,000 parts": b"title: x\nx: 1" + b":59" * 300_000,
    "an id of 6,000 digits": b"title: x\nid: 0x"
    + b"f" * 6000
    + b"\nlogsource: {product: x}\ndetection: {s: {F: 1}, condition: s}\n",
    "a key twice among 60,000": b"{" + b"".join(b"k%d: 1, " % n for n in range(60_000)) + b"k59999: 1}",
    "merges that explode": b"x: &a {"
    + b",".join(b"k%d: 1" % n for n in range(300))
    + b"}\ny: {<<: ["
    + b"*a," * 1500
    + b"]}",
    "100,000 documents": b"---\na: 1\n" * 100_000,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_in_bounded_time(data: bytes) -> None:
    start = time.process_time()
    loaded = load("test.yml", data)
    assert not loaded.rules
    assert loaded.refused
    assert time.process_time() - start < 10


def test_aliases_are_counted_as_if_they_were_written_out() -> None:
    assert "with its aliases the document has more than 400,000 nodes" in str(load("x.yml", _laughs()).refused[0])


def test_odd_but_small_rules_load() -> None:
    assert rule({"s": {"F": 1}, "condition": "(" * 3000 + "s" + ")" * 3000})
    assert rule({"s": {"F|re": "(" * 500 + "a" + ")" * 500}, "condition": "s"})


def test_an_expression_that_would_hang_others_is_found_in_linear_time() -> None:
    from tests.sigma import holds

    start = time.process_time()
    assert not holds({"F|re": "(a+)+$"}, {"F": "a" * 100_000 + "b"})
    assert time.process_time() - start < 5


def test_a_text_of_thousands_of_wildcards_is_matched_in_linear_time() -> None:
    made = rule({"s": {"F": "*a?" * 5_000}, "condition": "s"})
    engine, started = Engine([made]), time.monotonic()
    assert engine.match([event({"F": "ab" * 5_000}), event({"F": "a" * 100_000})])
    assert not engine.match([event({"F": "ab" * 4_999})])
    assert time.monotonic() - started < 5


def test_a_text_with_wildcards_means_the_same_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(7)
    signs = ["a", "b", "ab", "ж", patterns.ONE, patterns.MANY, patterns.DASH]
    tried = 0
    for _ in range(500):
        drawn = [patterns.MANY, *random.choices(signs, k=random.randint(1, 6))]
        random.shuffle(drawn)
        shape = tuple(part for at, part in enumerate(drawn) if part != patterns.MANY or part not in drawn[at - 1 : at])
        whole = patterns.like.__wrapped__(shape)
        with monkeypatch.context() as short:
            short.setattr(patterns, "LONG_SHAPE", -1)
            pieces = patterns.like.__wrapped__(shape)
        for text in ("".join(random.choices("ab-ж\n", k=random.randint(0, 8))) for _ in range(20)):
            assert pieces(text) is whole(text), (shape, text)
            tried += whole(text)
    assert tried > 500


def test_a_thousand_expressions_load_and_one_more_does_not() -> None:
    assert rule({"s": {"F|re": ["a"] * 1_000}, "condition": "s"})
    assert "1,001 regular expressions" in refusal({"s": {"F|re": ["a"] * 1_001}, "condition": "s"})


def test_an_expression_of_too_many_steps_is_refused() -> None:
    assert "at most 10,000 are carried out" in refusal({"s": {"F|re": "(a.{0,900}b)|(c.{0,900}d)"}, "condition": "s"})
    many = [f"a.{{0,900}}b{number}" for number in range(1_000)]
    started = time.monotonic()
    assert "too large together" in refusal({"s": {"F|re": many}, "condition": "s"})
    assert time.monotonic() - started < 2


def test_a_title_that_is_a_path_is_only_a_title() -> None:
    assert rule(SELECTION, title="../../etc/passwd").title == "../../etc/passwd"


def test_a_document_with_a_value_that_cannot_be_read_takes_no_other_with_it() -> None:
    loaded = load("two.yml", b"title: x\ndate: 2001-99-99\n---\n" + rule_text(SELECTION))
    assert [each.title for each in loaded.rules] == ["A test"]
    assert [(each.line, each.reason) for each in loaded.refused] == [
        (1, "a value cannot be read (month must be in 1..12)")
    ]
