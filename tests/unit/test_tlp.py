"""A colour says by which ways something may leave; what is not known does not leave."""

from __future__ import annotations

import pytest

from detectors.ioc.indicators import tlp
from schemas.indicator import Indicator
from schemas.tlp import OWN, STRICTEST, WORDS, Tlp, may_leave, strictest


@pytest.mark.parametrize(
    ("way", "colours"),
    [
        ("console", ["clear", "green", "amber", "amber+strict", "red"]),
        ("notice", ["clear", "green", "amber", "amber+strict"]),
        ("archive", ["clear", "green", "amber", "amber+strict"]),
        ("card", ["clear", "green", "amber"]),
        ("contractor", ["clear", "green", "amber"]),
        ("export", ["clear", "green"]),
    ],
)
def test_what_may_leave_by_each_way(way: str, colours: list[str]) -> None:
    assert [word for word in WORDS if may_leave(word, way)] == colours
    assert set(STRICTEST) == {"console", "notice", "archive", "card", "contractor", "export"}


@pytest.mark.parametrize(
    ("word", "way"), [("white", "console"), ("", "console"), ("RED", "console"), ("clear", "mail")]
)
def test_what_is_unknown_does_not_leave(word: str, way: str) -> None:
    assert not may_leave(word, way)


def test_colours_are_ordered_and_written_as_feeds_write_them() -> None:
    assert [Tlp.of(word) for word in WORDS] == sorted(Tlp)
    assert WORDS == ("clear", "green", "amber", "amber+strict", "red")
    with pytest.raises(ValueError, match=r"none of clear, green, amber, amber\+strict, red"):
        Tlp.of("white")


def test_the_strictest_counts_and_an_unknown_one_is_as_strict_as_can_be() -> None:
    assert strictest(["green", "amber", "clear"]) == "amber"
    assert strictest(["green", "blue"]) == "red"
    assert strictest([]) == "amber+strict"


def test_our_own_starts_inside_the_bank() -> None:
    assert OWN.word == Indicator("i", "md5", "aa", "t").tlp == tlp("") == "amber+strict"
