"""One audit record on its way to the others of its event: what the join needs of it, and where it stands.

The audit system numbers its events: all records of one bear one time and one serial number, `1760202855.003:24287`. A
host starts its numbers anew with each boot, at another time; so host and number name one event of one boot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from detectors.audit.activity import CALLS, arguments
from schemas.identity import Origin, long_hash

#: Types of records that a join is made of. The others tell nothing that a rule of these categories asks for.
KINDS: Final = frozenset({"SYSCALL", "EXECVE", "CWD", "PATH", "SOCKADDR", "PROCTITLE"})
#: Records of one event that are kept; a program with a million arguments is told by its first.
MAX_PIECES: Final = 512


class Key(NamedTuple):
    """One event of one host: `number` is the audit system's, time and serial."""

    host: str
    number: str


class Piece(NamedTuple):
    """One record. `due`: until when others of its event are waited for, milliseconds on the watermark's scale.

    `lane` and `offset` say where it stands, `sha256` what its bytes are, where the event may be told by it.
    """

    host: str
    number: str
    kind: str
    fields: dict[str, str]
    lane: str
    offset: int
    time: int
    due: int
    kafka_ms: int
    late: bool = False
    doubtful: bool = False
    sha256: str = ""

    @property
    def key(self) -> Key:
        """The event that it is of. Records that name no host are joined where they stand: others have such numbers."""
        return Key(self.host or self.lane, self.number)

    @property
    def place(self) -> tuple[str, int]:
        """Where it stands: the order in which doubles are left out."""
        return self.lane, self.offset

    @property
    def slot(self) -> str:
        """What it is of its event: a second record of the same slot is the same record once more."""
        if self.kind == "PATH":
            return f"PATH {self.fields.get('item', '')}"
        if self.kind == "EXECVE":  # of a long one there are several, each with other arguments
            return "EXECVE " + min((name for name in self.fields if name != "argc"), default="")
        return self.kind

    @property
    def size(self) -> int:
        """About what it takes, bytes."""
        return 400 + 110 * len(self.fields) + sum(map(len, self.fields.values()))


class Parent(NamedTuple):
    """The program that started another, as its own start told it."""

    image: str
    line: str


class Joined(NamedTuple):
    """The records of one event, each slot once, in the order of slots. One at least.

    A start is told twice: at once, and `settled`, when all that came before is known, with its parent.
    """

    key: Key
    pieces: tuple[Piece, ...]
    parent: Parent | None = None
    settled: bool = False

    @property
    def head(self) -> Piece:
        """The record that the event is told by: of the call, else of what was run, else the first."""
        by_kind = {piece.kind: piece for piece in reversed(self.pieces)}
        return by_kind.get("SYSCALL") or by_kind.get("EXECVE") or min(self.pieces, key=lambda one: one.place)

    @property
    def origin(self) -> Origin:
        """Where that record stands."""
        log, rest = self.head.lane.split("/", 1) if "/" in self.head.lane else ("", f"{self.head.lane}/0")
        topic, partition = rest.rsplit("/", 1)
        return Origin(log, topic, int(partition), self.head.offset)

    @property
    def records(self) -> dict[str, Any]:
        """Type → fields; PATH in the order of its items."""
        found: dict[str, Any] = {}
        paths = []
        for piece in self.pieces:
            if piece.kind == "PATH":
                paths.append(piece.fields)
            else:
                found[piece.kind] = {**piece.fields, **found.get(piece.kind, {})}
        if paths:
            found["PATH"] = sorted(paths, key=_item)
        if "EXECVE" in found:
            found["EXECVE"]["ARGV"] = arguments(found["EXECVE"])
        if self.parent is not None:
            found["PARENT_INFO"] = {"exe": self.parent.image, "ARGV": [self.parent.line]}
        return found


def joined_id(rule: str, key: Key) -> str:
    """The id of a rule found in a joined event. It names the event's set of records, however much of it was there and
    whichever of two equal ones came first."""
    return long_hash("joined", rule, *key)


def whole(pieces: Mapping[str, Piece]) -> bool:
    """Whether nothing that is told of this event can still come: the records say how many there are.

    Decided by what is there, not by what came last: records may come in any order. `pieces`: by slot.
    """
    call = pieces.get("SYSCALL")
    if call is None or "PROCTITLE" not in pieces:
        return False
    items = call.fields.get("items", "0")
    paths = int(items) if items.isdigit() and len(items) < 6 else 0
    if sum(slot.startswith("PATH") for slot in pieces) < paths or (paths and "CWD" not in pieces):
        return False
    name = call.fields.get("SYSCALL", "")
    if name in CALLS["network_connection"]:
        return "SOCKADDR" in pieces
    return name not in CALLS["process_creation"] or _all_arguments(pieces)


def _all_arguments(pieces: Mapping[str, Piece]) -> bool:
    run = [piece.fields for slot, piece in pieces.items() if slot.startswith("EXECVE")]
    if len(run) != 1 or any(name.endswith("_len") for name in run[0]):  # several: how many is told nowhere
        return False
    return run[0].get("argc") == str(sum(name != "argc" for name in run[0]))


def _item(path: Mapping[str, Any]) -> int:
    said = str(path.get("item", ""))
    return int(said) if said.isdigit() and len(said) < 10 else 0
