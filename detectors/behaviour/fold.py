"""The state of one detector of ours, with the interface of `detectors.correlation.fold.Fold`.

Of each group: its memory, which has taken in all that is settled, and the contributions that are not, sorted by time.
A copy of the memory runs ahead over those and says at once what would be final if nothing else came.

Bounded in contributions and bytes: the groups that were settled longest ago go first, and are counted. A group that is
gone is learnt anew, so what does not fit makes a detector quieter, never louder.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import chain, pairwise
from typing import Any, Final, NamedTuple

from detectors.behaviour.detector import Detector
from detectors.behaviour.first_seen import FirstSeen
from detectors.behaviour.memory import Memory, Said
from detectors.behaviour.rate import Rate
from detectors.behaviour.silence import Silence
from detectors.behaviour.travel import Travel
from detectors.correlation.episodes import GROWN, MAX_OFFSET, OFFSET_BITS, OFTEN, Verdict
from detectors.correlation.fold import ENTRY_BYTES, MAX_GROUP, Limits, insert
from detectors.correlation.window import STRIDE, place

#: A memory for each kind: to add one is to add a line.
MEMORIES: Final[Mapping[str, Callable[[Detector], Memory]]] = {
    "first_seen": FirstSeen,
    "rate": Rate,
    "travel": Travel,
    "silence": Silence,
}
#: What is final waits at most so long after the watermark.
STEP_MS: Final = 1_000
#: Measured: a group's entry, its memory, its array with slack, its place in a step; and a number in a memory.
GROUP_BYTES: Final = 700
NUMBER_BYTES: Final = 110


class Told(NamedTuple):
    """What was said at once: the contribution at `until` made it true."""

    first: int
    first_time: int
    until: int


class Group:
    """One group's state."""

    __slots__ = ("ahead", "due", "memory", "pending", "told")

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.ahead: Memory | None = None
        """The memory with all that is pending; None: to be made anew."""
        self.pending: array[int] = array("q")
        self.told: list[Told] = []
        self.due: int | None = None
        """The step in which it is settled next."""


class Behaviour:
    """One detector's state. No clock and no I/O. `lanes`: the names behind identities, shared with its owner."""

    def __init__(self, rule: Detector, lanes: Sequence[str], limits: Limits | None = None) -> None:
        self.rule = rule
        self.evicted = 0
        """Contributions and remembered values that went for want of room."""
        self.behind = 0
        """Contributions that came when their time was settled."""
        self.entries = 0
        """Contributions and remembered values held."""
        self._pending = 0
        self._letters = 0
        self._lanes = lanes
        self._limits = limits or Limits()
        self._memory = MEMORIES[rule.kind]
        self._hasty = rule.kind != "silence"
        """Whether anything can be said at once: what comes next could undo any silence."""
        self._settled = -(1 << 62)
        self._groups: dict[str, Group] = {}
        self._due: dict[int, list[str]] = {}
        self._numbers: list[int] = []
        self._firsts: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        """Groups held."""
        return len(self._groups)

    @property
    def held_bytes(self) -> int:
        """About what the state takes."""
        numbers = self.entries - self._pending
        return self._pending * ENTRY_BYTES + numbers * NUMBER_BYTES + len(self._groups) * GROUP_BYTES + self._letters

    @property
    def settled(self) -> int:
        """The time up to which all is final, milliseconds."""
        return self._settled

    @property
    def firsts(self) -> Iterable[int]:
        """Identities with which episodes begin that more may be said of."""
        return chain.from_iterable(self._firsts.values())

    def add(self, group: str, time: int, identity: int, value: int) -> Verdict | None:
        """Take one contribution in; what is to be said at once."""
        if time <= self._settled:
            self.behind += 1
            return None
        held = self._groups.get(group)
        if held is None:
            held = self._groups[group] = Group(self._memory(self.rule))
            self._letters += len(group)
        pending = held.pending
        if len(pending) >= MAX_GROUP * STRIDE:
            self._cut(held)
        follows = not pending or time > pending[-3]
        if follows:
            append = pending.append  # three of them take half the time of one `extend`
            append(time)
            append(identity)
            append(value)
        else:
            last = pending[-2] if time == pending[-3] else None
            if insert(pending, time, identity, value) < 0:
                return None
            follows = last is not None and self._name(identity) > self._name(last)
        self._pending += 1
        self.entries = entries = self.entries + 1
        self._register(group, held, time)
        if entries > self._limits.contributions or (not entries % 64 and self.held_bytes > self._limits.bytes):
            self._evict(group)
        return self._at_once(group, held, self._run_ahead(held, follows)) if self._hasty else None

    def remove(self, group: str, time: int, identity: int) -> None:
        """Take back a contribution that was added and is not settled; another is as if it had never been."""
        held = self._groups.get(group)
        at = place(held.pending, time - 1) * STRIDE if held is not None else 0
        while held is not None and at < len(held.pending) and held.pending[at] == time:
            if held.pending[at + 1] == identity:
                del held.pending[at : at + STRIDE]
                held.ahead = None
                self._pending -= 1
                self.entries -= 1
                return
            at += STRIDE

    def advance(self, watermark: int) -> list[Verdict]:
        """Settle every step that ends at or before the watermark."""
        said: list[Verdict] = []
        whole = watermark // STEP_MS
        while self._numbers and self._numbers[0] <= whole:
            number = heappop(self._numbers)
            until = number * STEP_MS
            for group in self._due.pop(number):
                held = self._groups.get(group)
                if held is not None and held.due == number:
                    held.due = None
                    said += self._settle(group, held, until)
                    self._keep(group, held, until)
            self._settled = max(self._settled, until)
        self._settled = max(self._settled, whole * STEP_MS)
        return said

    def finish(self) -> list[Verdict]:
        """Settle all that there is: nothing else will come. Time passes no further, so nothing falls silent by it."""
        said: list[Verdict] = []
        for group, held in self._groups.items():
            said += self._settle(group, held, None)
        self._groups.clear()
        self._firsts.clear()
        self._due.clear()
        self._numbers.clear()
        self.entries = self._pending = self._letters = 0
        return said

    # At once.

    def _run_ahead(self, held: Group, follows: bool) -> Iterable[Said]:
        """Take the newest contribution in ahead of time; all of them when it does not follow the others."""
        pending = held.pending
        if follows and held.ahead is not None:
            return held.ahead.take(*pending[-3:])
        held.ahead = None
        size = len(pending) // STRIDE
        if follows and held.memory.quiet(pending[-3], pending[-1], size):
            return ()
        if size > OFTEN and size % (size // GROWN):
            return ()
        ahead = held.ahead = held.memory.ahead()
        return [said for row in self._ordered(pending, size) for said in ahead.take(*row)]

    def _at_once(self, group: str, held: Group, said: Iterable[Said]) -> Verdict | None:
        for one in said:
            if one.state == "final" and all(told.first != one.first for told in held.told):
                held.told.append(Told(one.first, one.first_time, one.until))
                return self._verdict("provisional", group, one)
        return None

    # Finally.

    def _settle(self, group: str, held: Group, until: int | None) -> list[Verdict]:
        """What is final of a group up to `until`; None: of all that there is."""
        memory, pending = held.memory, held.pending
        before = memory.entries
        count = place(pending, until) if until is not None else len(pending) // STRIDE
        said = [one for row in self._ordered(pending, count) for one in memory.take(*row)]
        said += memory.passed(until) if until is not None else memory.finish()
        del pending[: count * STRIDE]
        size = len(pending) // STRIDE
        if size <= OFTEN or (held.ahead is not None and held.ahead.entries > 2 * size + memory.entries):
            held.ahead = None
        self.evicted += memory.evicted
        memory.evicted = 0
        self._pending -= count
        self.entries += memory.entries - before - count
        if not held.told:
            return [self._verdict(one.state, group, one) for one in said]
        return self._answered(group, held, said, until)

    def _answered(self, group: str, held: Group, said: Sequence[Said], until: int | None) -> list[Verdict]:
        """What is final beside what was said at once: the same, in its place, or withdrawn."""
        final = {one.first for one in said if one.state == "final"}
        open_ = [told for told in held.told if told.first not in final]
        verdicts = []
        for one in said:
            replaced = None
            if one.state == "final" and all(told.first != one.first for told in held.told):
                replaced = next((t for t in open_ if t.first_time <= one.until and t.until >= one.first_time), None)
            if replaced is not None:
                open_.remove(replaced)
            verdicts.append(self._verdict(one.state, group, one, replaced))
        held.told = [told for told in open_ if until is not None and told.until > until]
        gone = [told for told in open_ if told not in held.told]
        return [*verdicts, *(self._verdict("withdrawn", group, Said("final", *told, 0)) for told in gone)]

    def _keep(self, group: str, held: Group, until: int) -> None:
        """See to it that it is settled again, or forget it."""
        if not held.pending and held.memory.over(until):
            self._drop(group)
            return
        firsts = (*held.memory.firsts, *(told.first for told in held.told))
        if firsts:
            self._firsts[group] = firsts
        else:
            self._firsts.pop(group, None)
        self._register(group, held, self._next(held, until))
        if 2 * self.entries > self._limits.contributions or 2 * self.held_bytes > self._limits.bytes:
            self._groups[group] = self._groups.pop(group)  # the last to be evicted

    @staticmethod
    def _next(held: Group, settled: int) -> int:
        """The time at which there is something to settle."""
        due = held.memory.due
        if held.pending:
            return min(held.pending[0], due) if due > settled else held.pending[0]
        return max(due, settled + 1)

    def _ordered(self, pending: array[int], count: int) -> Sequence[Sequence[int]]:
        """The first contributions, those of one time by the names of their records."""
        if count < 2:
            return (pending[:STRIDE],) if count else ()
        rows = list(zip(*(pending[n : count * STRIDE : STRIDE] for n in range(STRIDE)), strict=True))
        if any(one[0] == other[0] for one, other in pairwise(rows)):
            rows.sort(key=lambda row: (row[0], self._name(row[1])))
        return rows

    def _verdict(self, state: Any, group: str, said: Said, replaced: Told | None = None) -> Verdict:
        replaces = self._name(replaced.first) if replaced is not None else None
        first = self._name(said.first)
        return Verdict(state, self.rule.id, group, first, said.first_time, said.until, said.records, replaces)

    def _name(self, identity: int) -> tuple[str, int]:
        return self._lanes[identity >> OFFSET_BITS], identity & MAX_OFFSET

    # Room.

    def _register(self, group: str, held: Group, time: int) -> None:
        number = -(time // -STEP_MS)
        if held.due is not None and held.due <= number:
            return
        held.due = number
        due = self._due.get(number)
        if due is None:
            self._due[number] = [group]
            heappush(self._numbers, number)
        else:
            due.append(group)

    def _cut(self, held: Group) -> None:
        """The oldest eighth of what is pending goes."""
        gone = -(-len(held.pending) // STRIDE // 8)
        del held.pending[: gone * STRIDE]
        held.ahead = None
        self.evicted += gone
        self.entries -= gone
        self._pending -= gone

    def _evict(self, newest: str) -> None:
        """Let groups go, those first that were settled longest ago, until there is room."""
        while self.entries > self._limits.contributions or self.held_bytes > self._limits.bytes:
            group = next(iter(self._groups))
            if len(self._groups) == 1:
                self._cut(self._groups[group])
                return
            if group == newest:
                self._groups[group] = self._groups.pop(group)
                continue
            self.evicted += self._weight(self._groups[group])
            self._drop(group)

    def _weight(self, held: Group) -> int:
        return len(held.pending) // STRIDE + held.memory.entries

    def _drop(self, group: str) -> None:
        held = self._groups.pop(group)
        self._firsts.pop(group, None)
        self.entries -= self._weight(held)
        self._pending -= len(held.pending) // STRIDE
        self._letters -= len(group)

    # Checkpoints.

    def dump(self) -> tuple[dict[str, Any], Iterable[bytes]]:
        """The state: what JSON can carry, and the groups' arrays in its order."""
        memories = {group: held.memory.dump() for group, held in self._groups.items()}
        head = {
            "settled": self._settled,
            "evicted": self.evicted,
            "behind": self.behind,
            "groups": [
                [group, len(held.pending), len(memories[group]), [list(told) for told in held.told]]
                for group, held in self._groups.items()
            ],
        }
        return head, (
            part.tobytes() for group, held in self._groups.items() for part in (held.pending, memories[group])
        )

    def restore(self, head: dict[str, Any], data: memoryview) -> int:
        """Take a dumped state over into an empty fold; returns the bytes of `data` that were its own."""
        self._settled, self.evicted, self.behind = head["settled"], head["evicted"], head["behind"]
        at = 0
        for group, pending, numbers, told in head["groups"]:
            held = self._groups[group] = Group(self._memory(self.rule))
            middle, end = at + 8 * pending, at + 8 * (pending + numbers)
            held.pending.frombytes(data[at:middle])
            state = array("q")
            state.frombytes(data[middle:end])
            held.memory.restore(state)
            held.told = [Told(*one) for one in told]
            at = end
            self._pending += pending // STRIDE
            self.entries += self._weight(held)
            self._letters += len(group)
            self._firsts[group] = (*held.memory.firsts, *(told.first for told in held.told))
            self._register(group, held, self._next(held, self._settled))
        return at
