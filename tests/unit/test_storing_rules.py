"""The storer's decisions."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storing_rules import (
    TRUSTED_WINDOW,
    Backoff,
    Limits,
    age_limit,
    cut,
    differs,
    full,
    incomplete,
    missing_from_log,
    ours,
    owners_time,
    repair_of,
    weight,
)
from schemas.event import RecordBatch
from sinks.clickhouse.ledger import Chain, Claim, mend
from tests.builders import FakeRecord, batch_of

CHAIN = Chain("log0", "raw.events", 0)


def claim(first: int = 10, last: int = 19, count: int = 10, revision: str = "r1", owner: str = "me") -> Claim:
    return Claim(CHAIN, first, last, count, "content", "previous", 1_760_000_000_000, revision, owner, 3)


class TestCut:
    def test_a_batch_that_lies_inside_stays_the_same_object(self) -> None:
        batch = batch_of(b"a", b"b", first=5)
        assert cut(batch, 3) is batch

    def test_rows_at_or_below_the_tail_are_cut_off(self) -> None:
        part = cut(batch_of(b"a", b"b", b"c", first=5), 6)
        assert (part.first, part.next, [r.offset for r in part.records]) == (6, 8, [6, 7])

    def test_the_end_is_exactly_the_named_position(self) -> None:
        part = cut(batch_of(b"a", b"b", b"c", first=5), 5, 7)
        assert (part.first, part.next, [r.offset for r in part.records]) == (5, 7, [5, 6])

    def test_an_end_below_the_start_gives_nothing_and_never_goes_back(self) -> None:
        part = cut(batch_of(b"a", b"b", first=5), 6, 2)
        assert (part.first, part.next, list(part.records)) == (6, 6, [])

    @given(
        st.lists(st.integers(0, 60), unique=True).map(sorted),
        st.lists(st.integers(0, 60), max_size=4).map(sorted),
    )
    def test_cutting_anywhere_and_joining_gives_the_batch(self, offsets: list[int], cuts: list[int]) -> None:
        whole = RecordBatch("l", "t", 0, 0, 61, [FakeRecord(offset, b"") for offset in offsets])
        edges = [0, *cuts, 61]
        parts = [cut(whole, first, until) for first, until in pairwise(edges)]
        assert [r.offset for part in parts for r in part.records] == offsets
        assert all(a.next == b.first for a, b in pairwise(parts))
        assert (parts[0].first, parts[-1].next) == (0, 61)


class TestBlocks:
    @pytest.mark.parametrize(
        ("rows", "size", "age", "closes"),
        [(1, 1, 0.1, False), (10, 1, 0.1, True), (1, 100, 0.1, True), (1, 1, 2.0, True), (0, 0, 99.0, False)],
    )
    def test_a_block_closes_on_rows_bytes_or_age_and_never_empty(
        self, rows: int, size: int, age: float, closes: bool
    ) -> None:
        assert full(rows, size, age, Limits(10, 100, 2.0)) is closes

    def test_many_partitions_close_later(self) -> None:
        assert age_limit(2.0, 4) == 2.0
        assert age_limit(2.0, 64) == 16.0

    def test_a_row_weighs_more_than_its_bytes(self) -> None:
        assert weight(batch_of(b"12345")) > 5


class TestTail:
    def test_records_that_left_the_log_unstored_are_a_gap_with_both_ends_named(self) -> None:
        gap = missing_from_log(claim(last=19), 30)
        assert gap is not None
        assert "20 to 29" in str(gap)

    def test_the_position_after_the_tail_may_be_the_logs_first(self) -> None:
        assert missing_from_log(claim(last=19), 20) is None

    def test_the_same_revision_inside_the_window_is_rebuilt(self) -> None:
        assert repair_of(claim(), claim(), "r1", 0, 5, 0.0, 30.0) == "rebuild"

    @pytest.mark.parametrize(("revision", "first", "since"), [("r2", 0, 5), ("r1", 11, 5), ("r1", 0, TRUSTED_WINDOW)])
    def test_what_the_claims_tokens_do_not_cover_is_taken_first_and_filled_when_the_others_must_be_done(
        self, revision: str, first: int, since: int
    ) -> None:
        done = owners_time(30.0) + 1
        assert repair_of(claim(), claim(), revision, first, since, done, 30.0) == "take"
        turn = mend(claim(), revision, 0, "me")
        assert repair_of(claim(), turn, revision, first, since, 1.0, 30.0) == "wait"
        assert repair_of(claim(), turn, revision, first, since, done, 30.0) == "fill"

    def test_another_builds_turn_is_respected_until_it_had_time_enough(self) -> None:
        turn = mend(claim(), "r3", 0, "other")
        assert repair_of(claim(), turn, "r1", 0, 5, owners_time(30.0) + 1, 30.0) == "wait"
        assert repair_of(claim(), turn, "r1", 0, 5, 2 * owners_time(30.0) + 1, 30.0) == "take"

    def test_an_owner_may_take_longer_than_one_request(self) -> None:
        assert owners_time(30.0) > 2 * 30.0

    def test_other_records_than_those_claimed_halt(self) -> None:
        assert differs(claim(), 10, "content") is None
        assert "other records" in str(differs(claim(), 10, "else"))

    def test_a_block_that_stays_short_halts(self) -> None:
        assert incomplete(claim(), 10) is None
        assert "3 of 10" in str(incomplete(claim(), 7))


class TestClaims:
    def test_a_claim_read_back_is_ours_only_by_owner_and_content(self) -> None:
        assert ours(claim(), claim())
        assert not ours(claim(), claim(owner="other"))
        assert not ours(claim(), claim(count=9))
        assert not ours(claim(), None)

    def test_tokens_differ_by_table_block_and_repairer(self) -> None:
        one = claim()
        tokens = {
            one.token("events"),
            one.token("dead_letters"),
            one.token("events", mend(one, "r2", 0, "me")),
            claim(20, 29).token("events"),
        }
        assert len(tokens) == 4


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_back_off_is_bounded_and_never_zero(attempt: int, chance: float) -> None:
    assert 0.1 < Backoff().delay(attempt, chance) <= 8.0
