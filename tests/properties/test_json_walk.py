"""A walk over JSON finds what a parser of the whole finds, wherever the bytes are cut."""

from __future__ import annotations

import io
import json
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.ioc.feeds import walk
from detectors.ioc.feeds.walk import Walk

VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=12),
        st.sampled_from(
            ['"', "\\", '\\"]}', "\\\\", "{[", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")]
        ),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)),
    max_leaves=15,
)


class Cut(io.BytesIO):
    """Bytes that come in pieces of a few."""

    def __init__(self, data: bytes, random: Random) -> None:
        super().__init__(data)
        self._random = random

    def read(self, _: int | None = -1) -> bytes:
        return super().read(self._random.randint(1, 9))


@settings(max_examples=60)
@given(st.lists(VALUES, max_size=5), st.booleans(), st.sampled_from([None, 1]), st.randoms(use_true_random=False))
def test_a_walk_takes_and_skips_as_a_parser_would(
    values: list[Any], ascii_only: bool, indent: int | None, random: Random
) -> None:
    text = json.dumps({"a": values, "b": 1}, ensure_ascii=ascii_only, indent=indent)
    walked = Walk(Cut(text.encode(), random), 1 << 20)
    found = []
    for key in walked.members():
        if key == "b":
            assert walked.value() == 1
            continue
        for number in walked.elements():
            if random.random() < 0.5:
                walked.skip()
                found.append(values[number])
            else:
                found.append(walked.value())
    assert found == values
    assert walked.next() == ""


@settings(max_examples=40)
@given(st.lists(VALUES, min_size=1, max_size=4), st.integers(0, 200), st.randoms(use_true_random=False))
def test_json_that_ends_early_is_said_to(values: list[Any], at: int, random: Random) -> None:
    text = json.dumps(values).encode()
    cut = text[: min(at, len(text) - 1)]
    walked = Walk(Cut(cut, random), 1 << 20)
    try:
        for _ in walked.elements():
            try:
                walked.value()
            except walk.ValueFault:
                walked.skip()
    except walk.EndError:
        return
    raise AssertionError(cut)
