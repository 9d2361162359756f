"""The join of audit records: what ends a set, what it may hold, and what is no parcel."""

from __future__ import annotations

import json

import pytest

from detectors.audit.join import Joins, Room
from detectors.audit.parcels import is_pieces, packed, read
from detectors.audit.piece import joined_id
from detectors.correlation.correlator import UnfitError
from detectors.correlation.parcels import UnreadableError
from pipeline.joining import late, told
from tests.audit import connected, killed, parts, started, written
from tests.parsing import NOW_MS

START = started(7, ["/bin/x", "a"])


def test_an_event_is_told_as_soon_as_nothing_of_it_can_come() -> None:
    joins = Joins()
    *most, last = parts(*START)
    assert joins.take(most) == []
    (said,) = joins.take([last])
    assert (said.key.host, len(said.pieces), said.head.kind) == ("srv01", 6, "SYSCALL")
    assert (joins.held, joins.held_bytes) == (0, 0)
    assert joins.take(parts(*START)) == [], "a shipper that sends again tells nothing new"
    assert joins.counts["doubled"] == 6


@pytest.mark.parametrize("lost", range(6))
def test_what_lacks_a_record_is_told_at_the_watermark(lost: int) -> None:
    joins = Joins()
    assert joins.take(piece for at, piece in enumerate(parts(*START)) if at != lost) == []
    assert joins.advance(NOW_MS - 1) == []
    (said,) = joins.advance(NOW_MS)
    assert len(said.pieces) == 5
    assert joins.counts["due"] == 1


def test_what_comes_behind_the_watermark_is_told_all_the_same() -> None:
    joins = Joins()
    joins.advance(NOW_MS + 1)
    assert joins.take(parts(START[1])) == []
    assert joins.counts["behind"] == 1
    assert len(joins.advance(NOW_MS + 2)) == 1


def test_late_records_wait_for_each_other_from_when_they_came() -> None:
    mark = NOW_MS + 60_000
    held = late((piece._replace(late=True) for piece in parts(START[0], START[1])), mark)
    joins = Joins()
    joins.take(held)
    assert joins.advance(mark - 1) == []
    assert len(joins.advance(mark)) == 1


def test_records_that_name_no_host_are_joined_where_they_stand() -> None:
    nameless = started(7, ["/bin/x", "a"], host="")
    joins = Joins()
    joins.take(parts(*nameless[:3], lane="log0/raw/0"))
    joins.take(parts(*nameless[3:], lane="log0/raw/1"))
    assert sorted(len(one.pieces) for one in joins.finish()) == [3, 3]


def test_a_call_of_no_category_is_let_go_at_once_with_what_came_before_and_after_it() -> None:
    joins = Joins()
    call, *rest = parts(*killed(9))
    joins.take(rest)
    assert joins.take([call]) == []
    assert joins.held == 0
    joins.take(rest)
    assert joins.finish() == []


def test_ingest_sends_nothing_of_a_call_that_no_rule_asks_for() -> None:
    """Records whose call stands in another batch are sent: nothing tells what they are for."""
    made = parts(*killed(9), *connected(10, "0200115CCB0071090000000000000000"), *started(11, ["/bin/x"])[1:])
    failed = parts(*(record.replace(b"success=yes", b"success=no") for record in started(12, ["/bin/x"])))
    assert {piece.number.split(":")[1] for piece in told(made + failed, frozenset({"connect"}))} == {"10", "11"}
    assert told(failed, frozenset({"execve"})) == []
    assert {piece.kind for piece in made} <= {"SYSCALL", "EXECVE", "CWD", "PATH", "SOCKADDR", "PROCTITLE"}


def test_what_does_not_fit_is_told_as_it_is_and_counted() -> None:
    joins = Joins(Room(pieces=10))
    said = joins.take(parts(*[record for serial in range(5) for record in written(serial, "x")[:3]]))
    assert joins.held <= 10
    assert len(said) == joins.counts["cut"] == 2
    assert len(said) + len(joins.finish()) == 5

    starts = Joins(Room(pieces=6), parents=True)
    said = starts.take(parts(*[record for serial in range(5) for record in started(serial, ["/bin/x"])]))
    assert [one.settled for one in said].count(True) == starts.counts["cut"] == 3
    assert starts.held == 6

    many = Joins(Room(told=2))
    for serial in range(5):
        many.take(parts(*started(serial, ["/bin/x"])))
    assert len(json.loads(many.dump())[2]) == 2
    for serial in range(5_000):
        many.take(parts(*killed(serial)))
    assert len(many._due) < 1_010, "nor is what is forgotten kept in order"


def test_the_id_is_of_rule_host_and_number() -> None:
    (one,), (again,) = (Joins().take(parts(*START, first=first)) for first in (0, 50))
    assert joined_id("r", one.key) == joined_id("r", again.key)
    assert len({joined_id("r", one.key), joined_id("s", one.key), joined_id("r", one.key._replace(host="b"))}) == 3


def test_a_damaged_state_does_not_fit() -> None:
    for damaged in (
        b"x",
        b"[]",
        b"[1,[],[]]",
        b"[1,[[1]],[],[[],[]]]",
        b"[1,[],[[1]],[[],[]]]",
        b"[1,[],[],[[[1,[]]],[]]]",
    ):
        with pytest.raises(UnfitError):
            Joins().restore(damaged)
    Joins().restore(b"")  # of a build that did not join


@pytest.mark.parametrize("name", ["kind", "number", "fields", "text", "offset", "time", "names", "short", "version"])
def test_a_record_that_is_no_parcel_is_unreadable(name: str) -> None:
    (value,) = packed(parts(START[0]))
    assert is_pieces(value)
    assert len(read(value)) == 1
    said = json.loads(value)
    row = said["rows"][0]
    if name == "names":
        said["names"] = []
    elif name == "short":
        row.pop()
    elif name == "version":
        said["audit"] = 2
    else:
        at, bad = {
            "number": (1, 5), "kind": (2, "USER"), "fields": (3, []), "text": (3, {"a": 1}), "offset": (5, -1),
            "time": (6, 1 << 63),
        }[name]  # fmt: skip
        row[at] = bad
    with pytest.raises(UnreadableError):
        read(json.dumps(said, separators=(",", ":")).encode())
    with pytest.raises(UnreadableError):
        read(value[:-5])
