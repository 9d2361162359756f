"""The records of each audit event put together: a fold over pieces and watermarks, without clock and I/O.

    pieces ── sets, by (host, audit number) ──┬── whole: nothing can still come ──┐
                                              ├── due at or before the watermark ──┴── Joined, once ── starts ──┐
                                              └── no room: the set that is due first, as it is                   │
                                                                  Joined, settled: with their parents ── due ───┘

What comes of the same pieces is the same whatever their order, split and doubling, while they come before the watermark
has passed them. What comes later is a set of its own, told by itself: nothing is dropped, and its id is the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

import orjson

from detectors.audit.activity import CALLS, may_tell
from detectors.audit.parents import Parents
from detectors.audit.piece import MAX_PIECES, Joined, Key, Piece, whole
from detectors.correlation.correlator import UnfitError

#: Calls of which something may be told; sets of others, and of those that failed, are let go as soon as that is known.
_CALLS: Final = frozenset().union(*CALLS.values())


#: Entries of what is no more that are let be.
_SLACK: Final = 1_000


class Room(NamedTuple):
    """What one partition's join may hold."""

    pieces: int = 200_000
    bytes: int = 128 << 20
    told: int = 100_000
    """Events remembered as told: what is more is forgotten, the first due first, and a double of it told again."""


@dataclass(slots=True)
class _Set:
    due: int
    size: int = 0
    pieces: dict[str, Piece] = field(default_factory=dict)


class Joins:
    """The open sets of one partition. One owner."""

    def __init__(self, room: Room | None = None, *, parents: bool = False) -> None:
        """`parents`: starts of programs are told a second time, settled (`detectors.audit.parents`)."""
        self.parents = parents
        self.counts: Counter[str] = Counter()
        """Of pieces: `taken`, `doubled`, `behind` the watermark. Of events: `whole`, `due`, and `cut`: told early or in
        part, for want of room."""
        self.held = 0
        self.held_bytes = 0
        self._room = room or Room()
        self._open: dict[Key, _Set] = {}
        self._told: dict[Key, int] = {}
        self._due: list[tuple[int, Key]] = []
        self._starts = Parents()
        self._watermark = -(1 << 62)

    def take(self, pieces: Iterable[Piece]) -> list[Joined]:
        """Take pieces in, in any order; the events that are whole by that."""
        said = []
        for piece in pieces:
            key = piece.key
            if key in self._told:
                self.counts["doubled"] += 1
                continue
            mine = self._put(key, piece)
            if mine is None:
                continue
            call = mine.pieces.get("SYSCALL")
            if call is not None and not may_tell(call.fields, _CALLS):
                self._close(key, mine)
            elif whole(mine.pieces):
                self.counts["whole"] += 1
                said.append(self._close(key, mine))
        said += self._cut()
        return said

    def advance(self, watermark: int) -> list[Joined]:
        """No piece due at or before `watermark` (milliseconds) will come: what is told by that."""
        self._watermark = max(self._watermark, watermark)
        said = []
        while self._due and self._due[0][0] <= self._watermark:
            due, key = heappop(self._due)
            mine = self._open.get(key)
            if mine is not None and mine.due == due:
                self.counts["due"] += 1
                said.append(self._close(key, mine, remember=False))
            elif self._told.get(key) == due:
                del self._told[key]
        return said + [self._let_go(one) for one in self._starts.settled(self._watermark)]

    def finish(self) -> list[Joined]:
        """Nothing else will come: what is open is told as it is."""
        return self.advance(1 << 62)

    def dump(self) -> bytes:
        """The state, for a checkpoint."""
        pieces = [list(piece) for mine in self._open.values() for piece in mine.pieces.values()]
        told = [[*key, due] for key, due in self._told.items()]
        return orjson.dumps([self._watermark, pieces, told, self._starts.dump()])

    def restore(self, data: bytes) -> None:
        """Take a dumped state over, an empty one for none; nothing may have been taken yet. Raises UnfitError."""
        if not data:
            return
        try:
            watermark, pieces, told, starts = orjson.loads(data)
            kept = [Piece(*said) for said in pieces]
            self._told = {Key(host, number): due for host, number, due in told}
            waiting = self._starts.restore(starts)
        except (ValueError, TypeError, IndexError) as error:
            raise UnfitError("the audit records in it cannot be read") from error
        for joined in waiting:
            self._keep(joined)
        for piece in kept:
            self._put(piece.key, piece)
        self._due += [(due, key) for key, due in self._told.items()]
        heapify(self._due)
        self._watermark = watermark
        self.counts.clear()

    def _put(self, key: Key, piece: Piece) -> _Set | None:
        """Put a piece to its set; None where it adds nothing."""
        if piece.due <= self._watermark:
            self.counts["behind"] += 1
            piece = piece._replace(due=self._watermark + 1)
        mine = self._open.get(key)
        if mine is None:
            mine = self._open[key] = _Set(piece.due)
            heappush(self._due, (piece.due, key))
        elif piece.due > mine.due:
            mine.due = piece.due
            heappush(self._due, (piece.due, key))
        known = mine.pieces.get(piece.slot)
        if known is not None:
            self.counts["doubled"] += 1
            if piece.place < known.place:
                mine.pieces[piece.slot] = piece
                self._weigh(mine, piece.size - known.size)
            return None
        if len(mine.pieces) >= MAX_PIECES:
            self.counts["cut"] += 1
            return None
        mine.pieces[piece.slot] = piece
        self.held += 1
        self._weigh(mine, piece.size)
        self.counts["taken"] += 1
        return mine

    def _full(self) -> bool:
        return self.held > self._room.pieces or self.held_bytes > self._room.bytes

    def _weigh(self, mine: _Set, more: int) -> None:
        mine.size += more
        self.held_bytes += more

    def _close(self, key: Key, mine: _Set, *, remember: bool = True) -> Joined:
        del self._open[key]
        self.held -= len(mine.pieces)
        self.held_bytes -= mine.size
        if remember:
            self._told[key] = mine.due
        joined = Joined(key, tuple(mine.pieces[slot] for slot in sorted(mine.pieces)))
        waiting = self._starts.put(joined, mine.due) if self.parents else None
        if waiting is not None:
            self._keep(waiting)
        return joined

    def _keep(self, joined: Joined) -> None:
        self.held += len(joined.pieces)
        self.held_bytes += sum(piece.size for piece in joined.pieces)

    def _let_go(self, settled: Joined) -> Joined:
        self.held -= len(settled.pieces)
        self.held_bytes -= sum(piece.size for piece in settled.pieces)
        return settled

    def _cut(self) -> Iterator[Joined]:
        """Make room: sets that are due first are told as they are, and what was told first is forgotten."""
        while self._full() and (self._starts or self._due):
            if self._starts:
                self.counts["cut"] += 1
                yield from map(self._let_go, self._starts.settled(1 << 62, 1))
                continue
            due, key = heappop(self._due)
            mine = self._open.get(key)
            if mine is not None and mine.due == due:
                self.counts["cut"] += 1
                yield self._close(key, mine, remember=False)
            elif self._told.get(key) == due:
                del self._told[key]
        while len(self._told) > self._room.told:
            del self._told[next(iter(self._told))]
        if len(self._due) > 2 * (len(self._open) + len(self._told)) + _SLACK:  # most are of what is forgotten
            self._due = [*((mine.due, key) for key, mine in self._open.items())]
            self._due += [(due, key) for key, due in self._told.items()]
            heapify(self._due)
