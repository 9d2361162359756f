"""A STIX pattern's rows say what the pattern says: over any observables, and printed and read again."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.ioc.feeds.stix_pattern import rows
from schemas.event import Observable
from tests.stix_trees import KNOWN, PATHS, All, Any_, Tree, holds, printed, quoted

TREES = st.recursive(
    st.sampled_from(KNOWN),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        .map(tuple)
        .flatmap(lambda parts: st.sampled_from([Any_(parts), All(parts)]))
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.lists(TREES, min_size=1, max_size=3), st.randoms(use_true_random=False), st.sets(st.sampled_from(KNOWN)))
def test_rows_hold_where_the_pattern_does(trees: list[Tree], random: Random, seen: set[Observable]) -> None:
    pattern = " OR ".join(f"[{printed(tree, random)}]" for tree in trees)
    found = rows(pattern)
    assert any(seen.issuperset(row) for row in found) is any(holds(tree, seen) for tree in trees), pattern


@settings(max_examples=40)
@given(st.lists(st.sets(st.sampled_from(KNOWN), min_size=1, max_size=4).map(frozenset), min_size=1, max_size=5))
def test_rows_printed_as_a_pattern_are_read_as_the_same_rows(given_rows: list[frozenset[Observable]]) -> None:
    pattern = " OR ".join(
        "[" + " AND ".join(f"{PATHS[kind]} = {quoted(value)}" for kind, value in row) + "]" for row in given_rows
    )
    found = rows(pattern)
    assert [frozenset(row) for row in found] == list(dict.fromkeys(given_rows))


@pytest.mark.parametrize("seed", range(5))
def test_and_binds_before_or(seed: int) -> None:
    one, two, three = Random(seed).sample(KNOWN, 3)
    said = [f"{PATHS[kind]} = {quoted(value)}" for kind, value in (one, two, three)]
    found = {frozenset(row) for row in rows("[{} OR {} AND {}]".format(*said))}
    assert found == {frozenset((one,)), frozenset((two, three))}
