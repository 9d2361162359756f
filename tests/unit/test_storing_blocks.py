"""What is held until it is stored stays within its bound."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pipeline.metrics import Metrics
from pipeline.storing_blocks import Budget, Hold, OpenBlock
from pipeline.storing_rules import ROW_BYTES
from tests.builders import batch_of
from tests.storing_world import FakeTabulator


def block(first: int, *values: bytes) -> OpenBlock:
    made = OpenBlock(FakeTabulator(), first, Metrics())
    batch = batch_of(*values, first=first)
    made.add(batch, FakeTabulator().parse(batch), 0.0)
    return made


class TestHold:
    def test_contiguous_batches_are_handed_out_from_the_position_asked_for(self) -> None:
        hold = Hold()
        hold.add(batch_of(b"a", b"b", first=0), 10_000)
        hold.add(batch_of(b"c", b"d", first=2), 10_000)
        taken = hold.take(3)
        assert taken is not None
        assert (taken.first, taken.next) == (3, 4)
        assert hold.first is None
        assert hold.weight == 0

    def test_nothing_is_handed_out_before_its_position(self) -> None:
        hold = Hold()
        hold.add(batch_of(b"a", first=5), 10_000)
        assert hold.take(3) is None
        assert hold.first == 5

    def test_a_hole_in_the_stream_begins_a_new_hold(self) -> None:
        hold = Hold()
        hold.add(batch_of(b"a", first=0), 10_000)
        assert hold.add(batch_of(b"b", first=7), 10_000) == 1
        assert hold.first == 7

    def test_over_the_bound_the_oldest_go_and_a_later_position_is_named(self) -> None:
        hold = Hold()
        bound = 2 * (ROW_BYTES + 1)
        dropped = [hold.add(batch_of(b"x", first=first), bound) for first in range(4)]
        assert dropped == [0, 0, 1, 1]
        assert hold.first == 2
        assert hold.weight <= bound


class TestOpenBlock:
    def test_a_batch_that_does_not_go_on_where_the_block_ends_is_refused(self) -> None:
        made = block(0, b"a")
        with pytest.raises(ValueError, match="was due"):
            made.add(batch_of(b"b", first=5), [], 0.0)


@dataclass(eq=False)
class Partition:
    open_weight: int = 0
    flying: bool = False
    closed: bool = False

    def close_early(self) -> None:
        self.closed = True


class TestBudget:
    def test_the_largest_block_closes_first_when_it_becomes_tight(self) -> None:
        budget, small, large = Budget(1_000), Partition(10), Partition(500)
        budget.holders |= {small, large}
        budget.count(block(0, b"x" * 700))
        assert (small.closed, large.closed) == (False, True)

    def test_none_closes_while_a_block_on_its_way_will_make_room(self) -> None:
        budget, flying, large = Budget(1_000), Partition(0, flying=True), Partition(500)
        budget.holders |= {flying, large}
        budget.count(block(0, b"x" * 700))
        assert not large.closed

    def test_what_a_block_took_is_given_back_once(self) -> None:
        budget, held = Budget(10_000), block(0, b"a", b"b")
        budget.count(held)
        assert budget.held == held.weight
        budget.free(held)
        budget.free(held)
        assert budget.held == 0

    def test_a_batch_larger_than_the_bound_fits_only_an_empty_budget(self) -> None:
        budget = Budget(100)
        assert budget.fits(5_000)
        budget.count(block(0, b"a"))
        assert not budget.fits(5_000)
