"""The prefilter never loses a match: for any rules and any records, engine = plain evaluation of every rule."""

from __future__ import annotations

import os
import re
from typing import Any

import hypothesis.strategies as st
import orjson
from hypothesis import HealthCheck, given, settings

from detectors.sigma.engine import Engine
from detectors.sigma.fields import fold, simple_fold
from detectors.sigma.patterns import required, searcher
from detectors.sigma.prefilter import witness
from schemas.event import Format
from tests.sigma import ANY, OPAQUE, TEXT, WRITERS, event, pairs, plain_pairs, tree_rule

#: Pieces in which case, escapes, numbers and alphabets go wrong.
PIECES = (
    "powershell", "Kassa", "task", "STOP", "\\Users\\", "c:/temp/", '"quoted"', "<b>&", "it's+", "Кассы", "ҚАЗАҚ",
    "ұлт", "\u212aelvin", "\u017fecret", "İstanbul", "ıssız", "straße", "ẞ", "Σίσυφος", "ς", "–enc", "a\tb", "x\ny",
    "\x00", "1e3", "4624", "0.5", "-7", "true", " ", "é", "É", "日本", "😀", "\\u0041", "/", "e+16", "\x7f", "ﬁ",
)  # fmt: skip
FIELDS = ("Image", "CommandLine", "User", "a.b", "Count")

texts = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join)
cased = texts.flatmap(lambda text: st.sampled_from([text, text.upper(), text.lower(), text.swapcase()]))
scalars = st.one_of(
    cased, cased, cased, st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.booleans(), st.none()
)
values = st.one_of(
    scalars, scalars, st.lists(scalars, max_size=3), st.dictionaries(st.sampled_from(["b", "c"]), scalars)
)
records = st.dictionaries(st.sampled_from((*FIELDS, "a")), values, max_size=5)


def _part(text: str) -> st.SearchStrategy[str]:
    """Some stretch of a text, in some case."""
    spans = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(sorted)
    return spans.map(lambda span: text[span[0] : span[1]]).flatmap(lambda t: st.sampled_from([t, t.upper(), t.lower()]))


words = cased.flatmap(_part)
fields = st.one_of(st.sampled_from(FIELDS), st.none())


@st.composite
def leaves(draw: st.DrawFn) -> list[Any]:
    """One leaf of a condition, as the reader leaves it: folded unless cased."""
    kind = draw(st.sampled_from(("eq", "starts", "ends", "has", "has", "has", "like", "re", "num", "null", "exists")))
    field = draw(fields if kind in ("has", "like", "re") else st.sampled_from(FIELDS))
    exact = draw(st.booleans())
    if kind in ("eq", "starts", "ends", "has"):
        found = draw(st.lists(words, min_size=1, max_size=3))
        return [kind, field, [text if exact else fold(text) for text in found], exact]
    if kind == "like":
        shape = draw(st.lists(st.one_of(words, st.sampled_from([0, 1])), min_size=1, max_size=5))
        return [kind, field, [[part if isinstance(part, int) or exact else fold(part) for part in shape]], exact]
    if kind == "re":
        flags = draw(st.sampled_from(["", "i", "s", "im"]))
        return [kind, field, draw(patterns), flags]
    if kind == "num":
        return [kind, field, draw(st.lists(st.sampled_from([4624, 1000, -7, 0, 1, 2**63]), min_size=1, max_size=2))]
    return [kind, field] if kind == "null" else [kind, field, draw(st.booleans())]


quoted = words.map(lambda text: re.escape(text).replace("\x00", r"\x00"))
patterns = st.lists(
    st.one_of(quoted, quoted, st.sampled_from([".", ".*", "(a|b)?", "[xs]", "\\d", "|", "k+", "(?:ab)?", "s?", "^"])),
    min_size=1,
    max_size=4,
).map("".join).filter(lambda pattern: _compiles(pattern))  # fmt: skip


def _compiles(pattern: str) -> bool:
    try:
        searcher(pattern, "")
    except ValueError:
        return False
    return True


def _nodes(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(children, min_size=2, max_size=3)
    return st.one_of(
        several.map(lambda nodes: ["and", *nodes]),
        several.map(lambda nodes: ["or", *nodes]),
        children.map(lambda node: ["not", node]),
    )


trees = st.recursive(leaves(), _nodes, max_leaves=5)
rule_sets = st.lists(trees, min_size=6, max_size=9).map(
    lambda found: [tree_rule(tree, number) for number, tree in enumerate(found)]
)
#: For a longer search by hand: QORGAN_EXAMPLES=5000 pytest tests/properties/test_prefilter.py
EXAMPLES = int(os.environ.get("QORGAN_EXAMPLES", "40"))
lenient = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@lenient
@given(rule_sets, st.lists(records, min_size=1, max_size=4))
def test_engine_equals_plain_evaluation_however_the_json_is_written(
    rules: list[Any], docs: list[dict[str, Any]]
) -> None:
    engine = Engine(rules)
    written = [write(doc) for doc in docs for write in WRITERS.values()]
    events = [event(orjson.loads(raw), raw=raw) for raw in written]
    assert pairs(engine, events) == plain_pairs(engine, events)


@lenient
@given(
    rule_sets,
    st.lists(st.lists(cased, min_size=1, max_size=4), min_size=1, max_size=4),
    st.sampled_from([TEXT, OPAQUE]),
)
def test_engine_equals_plain_evaluation_of_text_and_of_what_its_bytes_do_not_show(
    rules: list[Any], lines: list[list[str]], form: Any
) -> None:
    events = []
    for parts in lines:
        raw = b"=".join(part.encode() for part in parts) if form is TEXT else b"0badc0de"
        events.append(event(dict(zip(FIELDS, parts, strict=False)), ANY, form, raw))
    engine = Engine(rules)
    assert pairs(engine, events) == plain_pairs(engine, events)


@lenient
@given(rule_sets, st.lists(records, min_size=1, max_size=4), values)
def test_engine_equals_plain_evaluation_of_what_a_parser_computed(
    rules: list[Any], docs: list[dict[str, Any]], computed: Any
) -> None:
    form = Format("test-derived", "json", frozenset({"User"}))
    events = []
    for doc in docs:
        made = event({name: value for name, value in doc.items() if name != "User"}, form=form)
        made.fields["User"] = computed
        events.append(made)
    engine = Engine(rules)
    assert pairs(engine, events) == plain_pairs(engine, events)


@lenient
@given(patterns, cased)
def test_a_required_literal_stands_in_whatever_the_expression_is_found_in(pattern: str, text: str) -> None:
    literals = required(pattern)
    for flags in ("", "i"):
        if literals is not None and searcher(pattern, flags)(text):
            assert any(literal in fold(text) for literal in literals)


@lenient
@given(trees)
def test_a_witness_is_folded_and_holds_no_control_character(tree: Any) -> None:
    for text in witness(tree) or ():
        assert text == fold(text)
        assert all(char >= " " for char in text)


@given(st.text())
def test_folding_is_one_character_to_one_and_settles(text: str) -> None:
    assert fold(text) == "".join(map(simple_fold, text))
    assert fold(fold(text)) == fold(text)
