"""A STIX pattern's rows say what the pattern says: over any observables, and printed and read again."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.ioc.feeds.stix_pattern import rows
from schemas.event import Observable

#: How a type's values are written in a pattern.
PATHS = {
    "ipv4": "ipv4-addr:value",
    "ipv6": "ipv6-addr:value",
    "domain": "domain-name:value",
    "url": "url:value",
    "email": "email-message:sender_ref.value",
    "md5": "file:hashes.MD5",
    "sha256": "file:hashes.'SHA-256'",
    "file_name": "file:name",
    "mutex": "mutex:name",
    "account": "user-account:account_login",
    "user_agent": "network-traffic:extensions.'http-request-ext'.request_header.'User-Agent'",
}
KNOWN = [
    *(Observable("ipv4", f"203.0.113.{number}") for number in range(3)),
    *(Observable("domain", f"{name}.example") for name in "ab"),
    Observable("ipv6", "2001:db8::1"),
    Observable("url", "http://a.example/it's\\"),
    Observable("email", "a@b.example"),
    Observable("md5", "a1" * 16),
    Observable("sha256", "b2" * 32),
    Observable("file_name", "a b.exe"),
    Observable("mutex", "[x] OR ']"),
    Observable("account", "mallory"),
    Observable("user_agent", "Agent (x) AND 'y'"),
]


@dataclass(frozen=True)
class Any_:  # noqa: N801 - `Any` is typing's
    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class All:
    parts: tuple[Tree, ...]


Tree = Observable | Any_ | All
TREES = st.recursive(
    st.sampled_from(KNOWN),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        .map(tuple)
        .flatmap(lambda parts: st.sampled_from([Any_(parts), All(parts)]))
    ),
    max_leaves=8,
)


def holds(tree: Tree, seen: set[Observable]) -> bool:
    """What a pattern means, by its definition."""
    if isinstance(tree, Observable):
        return tree in seen
    return (any if isinstance(tree, Any_) else all)(holds(part, seen) for part in tree.parts)


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def printed(tree: Tree, random: Random) -> str:
    """A tree as a comparison expression, with more parentheses and blanks than it needs, or an IN."""
    if isinstance(tree, Observable):
        path, said = PATHS[tree.type], quoted(tree.value)
        return random.choice((f"{path} = {said}", f"{path}={said}", f"{path} IN ({said})", f"( {path}=={said} )"))
    mark = " OR " if isinstance(tree, Any_) else " AND "
    said = mark.join(f"({printed(part, random)})" for part in tree.parts)
    return f"({said})" if random.random() < 0.5 else said


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
