"""Audit records joined come to the same however they are shuffled, doubled, split over parcels, and interrupted."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from detectors.audit.join import Joins
from detectors.audit.parcels import packed, read
from detectors.audit.piece import Joined, Key, Piece
from tests.audit import connected, killed, parts, started, written
from tests.parsing import NOW_MS

NEVER = -(1 << 62)


@st.composite
def event(draw: st.DrawFn, serial: int) -> list[bytes]:
    """The records of one audit event; some of them are lost now and then."""
    ms = NOW_MS + draw(st.integers(0, 3)) * 1_000
    host = draw(st.sampled_from(("srv01", "srv02")))
    parent = draw(st.integers(0, 6))
    which = draw(st.integers(0, 3))
    argv = draw(st.lists(st.sampled_from(("a", "b c", "")), min_size=1, max_size=3))
    records = [
        lambda: started(serial, ["/bin/x", *argv], host=host, ms=ms, ppid=20_000 + parent),
        lambda: written(serial, "x", host=host, ms=ms),
        lambda: connected(serial, "0200115CCB0071090000000000000000", host=host, ms=ms),
        lambda: killed(serial, host=host, ms=ms),
    ][which]()
    lost = draw(st.sets(st.integers(0, len(records) - 1), max_size=2))
    return [record for at, record in enumerate(records) if at not in lost]


def events() -> st.SearchStrategy[list[list[bytes]]]:
    """Some of them, each with a number of its own."""
    return st.integers(0, 6).flatmap(lambda count: st.tuples(*(event(serial) for serial in range(count)))).map(list)


def plainly(pieces: Sequence[Piece]) -> dict[Key, Any]:
    """Each event's records, of all pieces at once."""
    by_key: defaultdict[Key, dict[str, Piece]] = defaultdict(dict)
    for piece in sorted(pieces, key=lambda one: one.place):
        by_key[piece.key].setdefault(piece.slot, piece)
    joined = {key: Joined(key, tuple(of[slot] for slot in sorted(of))) for key, of in by_key.items()}
    return {key: one.records for key, one in joined.items() if of_interest(one)}


def of_interest(joined: Joined) -> bool:
    return joined.records.get("SYSCALL", {}).get("SYSCALL") != "kill"


def parents_of(records: dict[Key, Any]) -> list[tuple[Key, str | None]]:
    """Every start in the order of time, and what its parent's last start before it was."""
    running: dict[tuple[str, str], str] = {}
    found = []
    for key, said in sorted(records.items(), key=lambda one: (one[0].number.split(":")[0], int(one[0].number[15:]))):
        call = said.get("SYSCALL", {})
        if not call and "EXECVE" in said:
            found.append((key, None))
        if call.get("SYSCALL") == "execve":
            found.append((key, running.get((key.host, call["ppid"]))))
            running[key.host, call["pid"]] = " ".join(said["EXECVE"]["ARGV"]) if "EXECVE" in said else (
                said.get("PROCTITLE", {}).get("proctitle", "")
            )  # fmt: skip
    return found


def run(order: list[Piece], chance: random.Random) -> list[Joined]:
    """What a join says of them in this order, saved and restored now and then, the state itself lost."""
    joins, said = Joins(parents=True), []
    while order:
        cut = chance.randint(1, len(order))
        mine, order = order[:cut], order[cut:]
        for parcel in packed(mine):
            said += joins.take(read(parcel))
        if chance.random() < 0.4:
            said += joins.advance(min((piece.due for piece in order), default=NEVER) - 1)
        if chance.random() < 0.4:
            again = Joins(parents=True)
            again.restore(joins.dump())
            assert (again.held, again.held_bytes) == (joins.held, joins.held_bytes)
            joins = again
    said += joins.finish()
    assert (joins.held, joins.held_bytes) == (0, 0)
    return said


@given(events(), st.integers(0, 1 << 30))
def test_the_same_events_whatever_order_split_doubling_and_restart(made: list[list[bytes]], seed: int) -> None:
    chance = random.Random(seed)
    numbered: list[Piece] = []
    for number, record in enumerate(record for event in made for record in event):
        copies = chance.choice((1, 1, 2))
        for copy in range(copies):
            numbered += parts(record, lane=f"log0/raw.audit/{chance.randint(0, 1)}", first=number * 2 + copy)
    wanted = plainly(numbered)
    chance.shuffle(numbered)
    told = run(numbered, chance)
    said = [one for one in told if not one.settled]
    assert len({one.key for one in said}) == len(said), "no event is told twice"
    assert {one.key: one.records for one in said if of_interest(one)} == wanted
    settled = [(one.key, one.parent.line if one.parent else None) for one in told if one.settled]
    assert settled == parents_of(wanted)
