"""What may be committed, and where reading starts."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.transport_cursor import BrokenRunError, Cursor, Flight, Found, Start, start_of


@dataclass
class Message:
    """What Faust sets as an agent takes and acknowledges."""

    acked: bool = False
    tracked: bool = False


def flight(first: int, end: int, message: Message | None = None, *, size: int = 10, since: float = 0.0) -> Flight:
    return Flight(first, end, size, since, message or Message())


def test_nothing_after_an_unacknowledged_batch_is_committed() -> None:
    cursor = Cursor("log", 0, 0)
    first, second, third = Message(), Message(), Message()
    for at, message in enumerate((first, second, third)):
        cursor.admit(flight(at * 10, at * 10 + 10, message))
    first.acked = third.acked = True
    cursor.advance()
    assert cursor.committable() == 10
    second.acked = True
    cursor.advance()
    assert cursor.committable() == 30


def test_a_batch_that_leaves_a_hole_is_an_error_and_not_a_committed_hole() -> None:
    cursor = Cursor("log", 0, 0)
    cursor.admit(flight(0, 10, Message(acked=True)))
    with pytest.raises(BrokenRunError, match="10 was due"):
        cursor.admit(flight(20, 30, Message(acked=True)))
    cursor.advance()
    assert cursor.committable() == 10


@pytest.mark.parametrize(("first", "end"), [(0, 10), (5, 15), (10, 10), (10, 9)])
def test_a_batch_that_repeats_or_goes_nowhere_is_an_error(first: int, end: int) -> None:
    cursor = Cursor("log", 0, 0)
    cursor.admit(flight(0, 10))
    with pytest.raises(BrokenRunError):
        cursor.admit(flight(first, end))


def test_control_records_and_compaction_leave_holes_in_offsets_but_none_in_positions() -> None:
    """Records 3 and 9, then a marker, then nothing but markers, then record 40: one unbroken run."""
    cursor = Cursor("log", 3, 3)
    for first, end in ((3, 10), (10, 11), (11, 12), (12, 41)):
        cursor.admit(flight(first, end, Message(acked=True)))
    cursor.advance()
    assert cursor.committable() == 41


def test_a_commit_counts_only_when_confirmed() -> None:
    """A failed commit is not confirmed, so the same position is offered again."""
    cursor = Cursor("log", 0, 0)
    cursor.admit(flight(0, 10, Message(acked=True), since=5.0))
    cursor.advance()
    assert cursor.committable() == 10
    assert cursor.committable() == 10
    assert cursor.oldest() == 5.0
    cursor.confirm(10)
    assert cursor.committable() is None
    assert cursor.oldest() is None


def test_a_confirmed_position_behind_the_run_leaves_the_rest_to_commit() -> None:
    cursor = Cursor("log", 0, 0)
    for first, since in ((0, 1.0), (10, 2.0)):
        cursor.admit(flight(first, first + 10, Message(acked=True), since=since))
    cursor.advance()
    cursor.confirm(10)
    assert cursor.committable() == 20
    assert cursor.oldest() == 2.0


def test_a_partition_without_an_offset_commits_its_start_even_at_zero() -> None:
    assert Cursor("log", 0).committable() == 0
    assert Cursor("log", 7).committable() == 7
    assert Cursor("log", 0, 0).committable() is None


def test_bytes_are_held_until_acknowledged_and_batches_wait_until_taken() -> None:
    cursor = Cursor("log", 0, 0)
    messages = [Message(), Message(), Message()]
    for at, message in enumerate(messages):
        cursor.admit(flight(at, at + 1, message, size=100))
    assert (cursor.held_bytes, cursor.waiting) == (300, 3)
    messages[0].tracked = True
    assert (cursor.held_bytes, cursor.waiting) == (300, 2)
    messages[0].acked = True
    cursor.advance()
    assert (cursor.held_bytes, cursor.waiting) == (200, 2)


def test_the_age_is_that_of_the_oldest_batch_not_committed() -> None:
    cursor = Cursor("log", 0, 0)
    assert cursor.oldest() is None
    cursor.admit(flight(0, 1, since=3.0))
    cursor.admit(flight(1, 2, since=4.0))
    assert cursor.oldest() == 3.0


@given(st.lists(st.booleans(), max_size=40), st.lists(st.integers(1, 9), min_size=40, max_size=40))
def test_whatever_is_acknowledged_in_whatever_order_the_commit_is_the_first_hole(
    acks: list[bool], sizes: list[int]
) -> None:
    cursor = Cursor("log", 0, 0)
    position, expected, unbroken = 0, 0, True
    for acked, size in zip(acks, sizes, strict=False):
        cursor.admit(flight(position, position + size, Message(acked=acked)))
        position += size
        unbroken = unbroken and acked
        expected = position if unbroken else expected
    cursor.advance()
    assert (cursor.committable() or 0) == expected


def found(first: int = 0, end: int | None = 100, committed: int | None = None, log: str = "log", **more: bool) -> Found:
    return Found(first, end, committed, log, **more)


@pytest.mark.parametrize(
    ("case", "known", "start"),
    [
        ("no offset: the log's first position", found(first=7), Start(7, None)),
        ("an offset of this log", found(committed=50), Start(50, 50)),
        ("offset 0 counts", found(committed=0), Start(0, 0)),
        ("offset 0 of a log that begins later is a gap", found(first=5, committed=0), Start(5, None, gap=True)),
        ("the very first position", found(first=5, committed=5), Start(5, 5)),
        ("the very end", found(committed=100), Start(100, 100)),
        ("behind the first position: a gap", found(first=60, committed=50), Start(60, None, gap=True)),
        ("beyond the end: from the start", found(committed=101), Start(0, None)),
        ("beyond an end that cannot be believed", found(end=None, committed=101), Start(101, 101)),
        ("an offset of another log", found(committed=50, log="other"), Start(0, None)),
        ("an offset that nobody can tie to this log", found(committed=50, log=""), Start(0, None)),
        ("one behind, but of another log, is no gap", found(first=60, committed=50, log="other"), Start(60, None)),
        ("an offset that nobody was asked to tie", found(committed=50, log="", vouched=True), Start(50, 50)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_reading_starts_at(case: str, known: Found, start: Start) -> None:
    assert start_of("log", known) == start, case
