"""Every line of the page on Sigma's meaning is a test, and each says its own sentence."""

from __future__ import annotations

from collections import Counter

from detectors.sigma.modifiers import MODIFIERS
from tests.semantics import CASES, case, lines

DIFFERENT = "What differs from pySigma's SQL backends"


def test_every_line_of_the_page_is_a_case() -> None:
    assert [line for section, line in lines() if case(section, line) is None] == []
    assert len(CASES) > 200


def test_no_sentence_is_said_twice_in_a_section() -> None:
    said = Counter((made.section, made.sentence) for made in CASES)
    assert [pair for pair, times in said.items() if times > 1] == []


def test_what_differs_has_its_reason() -> None:
    assert [made.sentence for made in CASES if bool(made.reason) is not (made.section == DIFFERENT)] == []


def test_every_modifier_has_its_lines() -> None:
    told = "\n".join(str(made.detection) for made in CASES if not made.refusal)
    assert [word for word in (*MODIFIERS, "all", "neq") if f"|{word}" not in told and word != "expand"] == []
