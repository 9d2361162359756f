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
from detectors.sigma.patterns import compiled, required, searcher
from detectors.sigma.prefilter import witness
from detectors.sigma.rule import Node, Rule
from schemas.event import Format
from tests.sigma import ANY, OPAQUE, TEXT, WRITERS, event, pairs, plain_pairs, tree_rule

#: Pieces in which case, escapes, numbers and alphabets go wrong.
PIECES = (
    "powershell", "Kassa", "task", "STOP", "\\Users\\", "c:/temp/", '"quoted"', "<b>&", "it's+", "Кассы", "ҚАЗАҚ",
    "ұлт", "\u212aelvin", "\u017fecret", "İstanbul", "ıssız", "straße", "ẞ", "Σίσυφος", "ς", "–enc", "a\tb", "x\ny",
    "\x00", "1e3", "1000.0", "4624", "0.5", "-7", "true", " ", "é", "É", "日本", "😀", "\\u0041", "/", "e+16", "\x7f",
    "ﬁ",
)  # fmt: skip
FIELDS = ("Image", "CommandLine", "User", "a.b", "Count")
#: Rules that keep the scanner at work, whatever the others are.
FILLERS = [tree_rule(["has", "Image", [f"no such text {number}"], False], 90 + number) for number in range(4)]

Strategy = st.SearchStrategy[Any]


def _cases(text: str) -> Strategy:
    return st.sampled_from([text, text.upper(), text.lower(), text.swapcase()])


def _part(text: str) -> Strategy:
    """A stretch of a text: most often nearly all of it."""
    ends = st.tuples(st.sampled_from([0, 0, 1, 2]), st.sampled_from([0, 0, 1, 2]))
    return ends.map(lambda cut: text[cut[0] : len(text) - cut[1]])


def _compiles(pattern: str) -> bool:
    try:
        searcher(pattern, "")
    except ValueError:
        return False
    return True


class World:
    """Rules and records made of the same few pieces, so that they meet."""

    def __init__(self, pieces: list[str]) -> None:
        texts = st.lists(st.sampled_from(pieces), min_size=1, max_size=3).map("".join)
        self.texts = texts.flatmap(_cases)
        self.words = st.one_of(st.sampled_from(pieces), texts).flatmap(_part).flatmap(_cases)
        numbers = st.one_of(
            st.integers(-(2**63), 2**64 - 1),
            st.floats(allow_nan=False, allow_infinity=False),
            st.sampled_from([1000.0, 0.5]),
        )
        scalars = st.one_of(self.texts, self.texts, self.texts, numbers, st.booleans(), st.none())
        self.values = st.one_of(
            scalars, scalars, st.lists(scalars, max_size=3), st.dictionaries(st.sampled_from(["b", "c"]), scalars)
        )
        self.records = st.dictionaries(st.sampled_from((*FIELDS, "a")), self.values, min_size=1, max_size=4)
        quoted = self.words.map(lambda text: re.escape(text).replace("\x00", r"\x00"))
        marks = st.sampled_from([".", ".*", "(a|b)?", "[xs]", "\\d", "|", "k+", "(?:ab)?", "s?", "^"])
        parts = st.lists(st.one_of(quoted, quoted, marks), min_size=1, max_size=3)
        self.patterns = parts.map("".join).filter(_compiles)

    def leaf(self, draw: st.DrawFn) -> Node:
        """One leaf of a condition, as the reader leaves it: folded unless cased."""
        kind = draw(st.sampled_from(("has", "has", "has", "eq", "starts", "ends", "like", "re", "num", "null", "any")))
        field = draw(st.sampled_from(FIELDS))
        if kind in ("has", "like", "re") and draw(st.integers(0, 3)) == 0:
            field = None
        exact = draw(st.integers(0, 3)) == 0
        if kind in ("has", "eq", "starts", "ends"):
            words = self.texts if kind == "eq" else self.words
            found = draw(st.lists(words, min_size=1, max_size=2))
            return [kind, field, [text if exact else fold(text) for text in found], exact]
        if kind == "like":
            shape = draw(st.lists(st.one_of(self.words, st.sampled_from([0, 0, 1, 2])), min_size=1, max_size=4))
            return [kind, field, [[part if isinstance(part, int) or exact else fold(part) for part in shape]], exact]
        if kind == "re":
            return [kind, field, draw(self.patterns), draw(st.sampled_from(["", "i", "s", "im"]))]
        return [kind, field, [1000, -7]] if kind == "num" else [kind, field]

    def tree(self, draw: st.DrawFn, depth: int = 2) -> Node:
        """A condition; alternatives and demands more often than negations."""
        kind = draw(st.sampled_from(("leaf", "leaf", "or", "and", "and not"))) if depth else "leaf"
        if kind == "leaf":
            return self.leaf(draw)
        one, other = self.tree(draw, depth - 1), self.tree(draw, depth - 1)
        return ["and", one, ["not", other]] if kind == "and not" else [kind, one, other]


worlds = st.lists(st.sampled_from(PIECES), min_size=1, max_size=3, unique=True).map(World)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[World, list[Rule], list[dict[str, Any]]]:
    """Rules, and records that they may match."""
    world = draw(worlds)
    rules = [tree_rule(world.tree(draw), number) for number in range(6)]
    return world, rules + FILLERS, draw(st.lists(world.records, min_size=1, max_size=4))


#: For a longer search by hand: QORGAN_EXAMPLES=5000 pytest tests/properties/test_prefilter.py
EXAMPLES = int(os.environ.get("QORGAN_EXAMPLES", "40"))
lenient = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@lenient
@given(scenes())
def test_engine_equals_plain_evaluation_however_the_json_is_written(scene: tuple[World, list[Rule], list[Any]]) -> None:
    _, rules, docs = scene
    engine = Engine(rules)
    written = [write(doc) for doc in docs for write in WRITERS.values()]
    events = [event(orjson.loads(raw), raw=raw) for raw in written]
    assert pairs(engine, events) == plain_pairs(engine, events)


@lenient
@given(scenes(), st.data(), st.sampled_from([TEXT, OPAQUE]))
def test_engine_equals_plain_evaluation_of_text_and_of_what_its_bytes_do_not_show(
    scene: tuple[World, list[Rule], list[Any]], data: st.DataObject, form: Format
) -> None:
    world, rules, _ = scene
    events = []
    for parts in data.draw(st.lists(st.lists(world.texts, min_size=1, max_size=4), min_size=1, max_size=4)):
        raw = b"=".join(part.encode() for part in parts) if form is TEXT else b"0badc0de"
        events.append(event(dict(zip(FIELDS, parts, strict=False)), ANY, form, raw))
    engine = Engine(rules)
    assert pairs(engine, events) == plain_pairs(engine, events)


@lenient
@given(scenes(), st.data())
def test_engine_equals_plain_evaluation_of_what_a_parser_computed(
    scene: tuple[World, list[Rule], list[Any]], data: st.DataObject
) -> None:
    world, rules, docs = scene
    form = Format("test-derived", "json", frozenset({"User"}))
    events = []
    for doc in docs:
        made = event({name: value for name, value in doc.items() if name != "User"}, form=form)
        made.fields["User"] = data.draw(world.values)
        events.append(made)
    engine = Engine(rules)
    assert pairs(engine, events) == plain_pairs(engine, events)


@lenient
@given(worlds, st.data())
def test_a_required_literal_stands_in_whatever_the_expression_is_found_in(world: World, data: st.DataObject) -> None:
    pattern, text = data.draw(world.patterns), data.draw(world.texts)
    literals = required(pattern)
    for flags in ("", "i"):
        found = compiled(f"(?{flags}){pattern}" if flags else pattern).search(text.encode()) is not None
        assert searcher(pattern, flags)(text) is found
        if literals is not None and searcher(pattern, flags)(text):
            assert any(literal in fold(text) for literal in literals)


@lenient
@given(scenes())
def test_a_witness_is_folded_and_holds_no_control_character(scene: tuple[World, list[Rule], list[Any]]) -> None:
    for rule in scene[1]:
        for text in witness(rule.tree) or ():
            assert text == fold(text)
            assert all(char >= " " for char in text)


@given(st.text())
def test_folding_is_one_character_to_one_and_settles(text: str) -> None:
    assert fold(text) == "".join(map(simple_fold, text))
    assert fold(fold(text)) == fold(text)


def test_folding_is_that_of_regular_expressions_for_every_letter_there_is() -> None:
    letters = "".join(char for char in map(chr, range(0x80, 0x1F000)) if len({char, *_ways(char)}) > 1)
    alike: dict[str, set[str]] = {}
    for char in letters:
        alike.setdefault(simple_fold(char), set()).add(char)
    for char in letters:
        found = b"".join(compiled(f"(?i){char}").findall(letters.encode())).decode()
        assert set(found) == alike[simple_fold(char)]
    assert len(letters) > 2_500


def _ways(char: str) -> tuple[str, ...]:
    return () if "\ud800" <= char <= "\udfff" else (char.lower(), char.upper(), simple_fold(char))
