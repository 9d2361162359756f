"""The page on matching says what the code does: types, spellings, look-backs, colours."""

from __future__ import annotations

import re

import pytest

from detectors.ioc.indicators import normal
from detectors.ioc.lookback import DAYS
from detectors.ioc.match import MAX_OF_SOURCE
from pipeline.documents import ROOT
from schemas.indicator import TYPES
from schemas.tlp import may_leave

PAGE = (ROOT / "deploy/docs/matching.md").read_text(encoding="utf-8")
ROWS = [
    (kind, said, meant, days)
    for kinds, said, meant, days in re.findall(r"^\| (`.*?`) \| `(.*?)` \| `(.*?)` \| [^|]* \| (\w+) \|$", PAGE, re.M)
    for kind in re.findall(r"`(\w+)`", kinds)
]


@pytest.mark.parametrize(("kind", "said", "meant", "days"), ROWS, ids=[row[0] for row in ROWS])
def test_a_row_of_the_table_of_types(kind: str, said: str, meant: str, days: str) -> None:
    assert days == (str(DAYS[kind]) if DAYS[kind] else "all")
    if "…" not in said:
        assert normal(kind, said) == (kind, meant)


def test_every_type_has_its_row_in_the_types_order() -> None:
    assert tuple(kind for kind, *_ in ROWS) == TYPES


def test_the_ways_out_and_the_bound() -> None:
    assert f"at most {MAX_OF_SOURCE} indicators of one value" in PAGE
    rows = re.findall(r"^\| ([a-z', ]+) \| (?:up to `(.*?)`|all) \|$", PAGE, re.M)
    words = {"the regulator's card": "card", "a contractor": "contractor"}
    told = {words.get(way, way): colour or "red" for ways, colour in rows for way in ways.split(", ")}
    for way, strictest in told.items():
        colours = ["clear", "green", "amber", "amber+strict", "red"]
        assert [may_leave(colour, way) for colour in colours] == [n <= colours.index(strictest) for n in range(5)]
    assert set(told) == {"console", "notice", "archive", "card", "contractor", "export"}
