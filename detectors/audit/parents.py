"""Which program started which: starts of programs in the order of their time, each with the start of its parent.

The audit system names a parent by its number alone. Whose number it was then is told by the starts before, so a start
gets its parent when the watermark has passed it: not before is it sure that none is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Any, Final, NamedTuple

from detectors.audit.activity import activity
from detectors.audit.piece import Joined, Key, Parent, Piece

#: Programs remembered of all hosts of a partition; beyond it those go whose last start came first.
MAX_PROGRAMS: Final = 100_000
#: Fields of a start's call that are kept while it waits.
_CALL: Final = frozenset({"SYSCALL", "success", "exe", "comm", "pid", "ppid", "ses", "tty", "key"}) | frozenset(
    {"auid", "AUID", "uid", "UID", "euid", "EUID"}
)
#: Characters of a command line that are remembered.
MAX_LINE: Final = 2_000


class _Waiting(NamedTuple):
    """A start; sorted as it stands. `turn` parts two tellings of one."""

    due: int
    time: int
    serial: int
    key: Key
    turn: int
    joined: Joined


class _Program(NamedTuple):
    time: int
    parent: Parent


class Parents:
    """The starts that wait, and the programs that run. One owner."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._turn = 0
        self._programs: dict[tuple[str, str], _Program] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, joined: Joined, due: int) -> Joined | None:
        """Take an event in that was told. If it is a start, it waits: gives what is kept of it."""
        told = activity(joined.records)
        if told is None or told.category != "process_creation":
            return None
        joined = _kept(joined)
        self._turn += 1
        serial = int(joined.key.number.rpartition(":")[2])
        heappush(self._waiting, _Waiting(due, joined.head.time, serial, joined.key, self._turn, joined))
        return joined

    def settled(self, watermark: int, most: int = 1 << 62) -> Iterator[Joined]:
        """The starts due at or before `watermark`, `most` of them, in order, each with its parent."""
        while self._waiting and self._waiting[0].due <= watermark and most > 0:
            _, time, _, key, _, joined = heappop(self._waiting)
            most -= 1
            records = joined.records
            call = records.get("SYSCALL", {})
            parent = self._programs.get((key.host, call.get("ppid", "")))
            yield joined._replace(parent=parent.parent if parent and parent.time <= time else None, settled=True)
            if "pid" in call:
                self._enter((key.host, call["pid"]), time, Parent(call.get("exe", ""), _line(records)))

    def dump(self) -> list[Any]:
        """What JSON can carry."""
        waiting = [[one.due, [list(piece) for piece in one.joined.pieces]] for one in sorted(self._waiting)]
        return [waiting, [[*key, program.time, *program.parent] for key, program in self._programs.items()]]

    def restore(self, dumped: Any) -> list[Joined]:
        """What was dumped, into an empty one; gives the events that wait."""
        waiting, programs = dumped
        for due, said in waiting:
            pieces = tuple(Piece(*piece) for piece in said)
            self.put(Joined(pieces[0].key, pieces), due)
        self._programs = {(host, pid): _Program(time, Parent(image, line)) for host, pid, time, image, line in programs}
        heapify(self._waiting)
        return [one.joined for one in self._waiting]

    def _enter(self, key: tuple[str, str], time: int, program: Parent) -> None:
        known = self._programs.pop(key, None)
        self._programs[key] = known if known is not None and known.time > time else _Program(time, program)
        if len(self._programs) > MAX_PROGRAMS:
            del self._programs[next(iter(self._programs))]


def _kept(joined: Joined) -> Joined:
    """A start without what no rule of its parent asks for: it waits for minutes, and there are many."""
    kinds = {piece.kind for piece in joined.pieces}
    if not {"SYSCALL", "EXECVE"} <= kinds:
        return joined
    pieces = (piece for piece in joined.pieces if piece.kind in ("SYSCALL", "EXECVE", "CWD"))
    return joined._replace(pieces=tuple(map(_slim, pieces)))


def _slim(piece: Piece) -> Piece:
    if piece.kind != "SYSCALL":
        return piece
    return piece._replace(fields={name: value for name, value in piece.fields.items() if name in _CALL})


def _line(records: dict[str, Any]) -> str:
    told = activity(records)
    return str(told.fields.get("CommandLine", ""))[:MAX_LINE] if told is not None else ""
