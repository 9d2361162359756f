"""The state of one correlation and how it is judged: at once as contributions arrive, finally when time has passed.

A group holds its contributions as one array of numbers: time, identity, value; sorted by time. What is final is a
function of the set of contributions: each of their times falls into a *step*, steps are settled in order as the
watermark passes their ends, and nothing that bears a time in a settled step is taken any more.

Bounded in contributions and bytes: the groups that were settled longest ago go first, and are counted.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

from detectors.correlation.correlation import Correlation
from detectors.correlation.episodes import OFTEN, Episodes, Verdict
from detectors.correlation.window import STRIDE, place

#: A final result waits at most for a step's end after the watermark; large groups are judged at once once a step.
STEPS: Final = 16
MIN_STEP_MS: Final = 1_000
MAX_STEP_MS: Final = 60_000
#: Measured: a group's entry, its array with slack, its place in a step; and its text beside that.
GROUP_BYTES: Final = 260
ENTRY_BYTES: Final = 8 * STRIDE + 8
#: Contributions of one group; beyond them its oldest go.
MAX_GROUP: Final = 65_536
_ONE: Final = array("q", (0, 0, 0))


class Limits(NamedTuple):
    """What the state of one correlation may hold."""

    contributions: int = 2_000_000
    bytes: int = 256 << 20


class Fold:
    """One correlation's state. No clock and no I/O. `lanes`: the names behind identities, shared with its owner."""

    def __init__(self, rule: Correlation, lanes: Sequence[str], limits: Limits | None = None) -> None:
        self.rule = rule
        self.evicted = 0
        """Contributions that went for want of room."""
        self.behind = 0
        """Contributions that came when their time was settled."""
        self.entries = 0
        """Contributions held."""
        self._letters = 0
        self._limits = limits or Limits()
        self._most = self._limits.contributions
        self._step = min(max(rule.timespan // STEPS, MIN_STEP_MS), MAX_STEP_MS)
        self._settled = -(1 << 62)
        self._groups: dict[str, array[int]] = {}
        self._due: dict[int, list[str]] = {}
        self._numbers: list[int] = []
        self._likely: set[str] = set()
        self._episodes = Episodes(rule, lanes, self._step)
        self._least = rule.least * STRIDE
        self._at_once = rule.growing
        self._possible = self._episodes.possible
        self._count_from = rule.least * STRIDE if rule.kind == "event_count" else 0

    def __len__(self) -> int:
        """Groups held."""
        return len(self._groups)

    @property
    def held_bytes(self) -> int:
        """About what the state takes."""
        return self.entries * ENTRY_BYTES + len(self._groups) * GROUP_BYTES + self._letters

    @property
    def settled(self) -> int:
        """The time up to which all is final, milliseconds."""
        return self._settled

    @property
    def firsts(self) -> Iterable[int]:
        """Identities with which episodes begin that more may be said of."""
        return self._episodes.firsts

    def add(self, group: str, time: int, identity: int, value: int) -> Verdict | None:
        """Take one contribution in; what is to be said at once."""
        if time <= self._settled:
            self.behind += 1
            return None
        held = self._groups.get(group)
        if held is None:
            held = self._groups[group] = _ONE[:]
            held[0], held[1], held[2] = time, identity, value
            self._letters += len(group)
            self._register(time, group)
        else:
            if len(held) >= MAX_GROUP * STRIDE:
                self._cut_group(held)
            last = held[-3]
            if time > last:
                if last <= self._settled:
                    self._register(time, group)
                append = held.append  # three of them take half the time of one `extend`
                append(time)
                append(identity)
                append(value)
            else:
                at = insert(held, time, identity, value)
                if at < 0:
                    return None
                if at == 0 or held[(at - 1) * STRIDE] <= self._settled:
                    self._register(time, group)
        self.entries = entries = self.entries + 1
        if entries > self._most or (not entries % 64 and self.held_bytes > self._limits.bytes):
            self._evict(group)
        if self._at_once and len(held) >= self._least:
            return self._consider(group, held, time)
        return None

    def remove(self, group: str, time: int, identity: int) -> None:
        """Take back a contribution that turned out to count for nothing. What is settled stays as it was."""
        held = self._groups.get(group)
        if held is None or time <= self._settled:
            return
        at = place(held, time - 1)
        while at * STRIDE < len(held) and held[at * STRIDE] == time:
            if held[at * STRIDE + 1] == identity:
                del held[at * STRIDE : (at + 1) * STRIDE]
                self.entries -= 1
                if held:
                    last = held[-STRIDE]
                    self._register(last if last > self._settled else last + self.rule.timespan, group)
                else:
                    self._drop(group)
                return
            at += 1

    def advance(self, watermark: int) -> list[Verdict]:
        """Settle every step that ends at or before the watermark."""
        said: list[Verdict] = []
        whole = watermark // self._step
        while self._numbers and self._numbers[0] <= whole:
            said += self._settle_next()
        self._settled = max(self._settled, whole * self._step)
        return said

    def finish(self) -> list[Verdict]:
        """Settle everything: nothing else will come."""
        said: list[Verdict] = []
        while self._numbers:
            said += self._settle_next()
        return said

    def _consider(self, group: str, held: array[int], time: int) -> Verdict | None:
        """Judge at once, unless a quick look rules it out."""
        if len(held) <= OFTEN * STRIDE and not self._possible(held):
            return None
        if group not in self._likely:
            self._likely.add(group)
            self._register(held[place(held, self._settled) * STRIDE], group)
        if self._count_from and time == held[-3] and held[-self._count_from] <= time - self.rule.timespan:
            return None
        return self._episodes.judge(group, held, time)

    # Keeping contributions.

    def _register(self, time: int, group: str) -> None:
        """See to it that the group is settled in the step of `time`.

        Of a likely group, one of which a window may hold, that is the step of its first contribution not settled yet;
        of another the step of its last one is soon enough. When all are settled, it is that in which the last goes out
        of all windows.
        """
        number = -(time // -self._step)
        due = self._due.get(number)
        if due is None:
            self._due[number] = [group]
            heappush(self._numbers, number)
        else:
            due.append(group)

    def _cut_group(self, held: array[int]) -> None:
        gone = len(held) // STRIDE // 8
        del held[: gone * STRIDE]
        self.evicted += gone
        self.entries -= gone

    def _evict(self, newest: str) -> None:
        """Let groups go, those first that were settled longest ago, until there is room."""
        limits = self._limits
        while self.entries > limits.contributions or self.held_bytes > limits.bytes:
            group = next(iter(self._groups))
            if group == newest:
                if len(self._groups) == 1:
                    self._cut_group(self._groups[group])
                    return
                self._groups[group] = self._groups.pop(group)
                continue
            self.evicted += len(self._groups[group]) // STRIDE
            self._drop(group)

    def _drop(self, group: str) -> None:
        self.entries -= len(self._groups.pop(group)) // STRIDE
        self._letters -= len(group)
        self._likely.discard(group)
        self._episodes.drop(group)

    # Finally.

    def _settle_next(self) -> list[Verdict]:
        number = heappop(self._numbers)
        timespan, until = self.rule.timespan, number * self._step
        since, edge = until - self._step, until - timespan
        groups, episodes, least = self._groups, self._episodes, self._least
        opened, told, possible, likely = episodes.open, episodes.told, episodes.possible, self._likely
        crowded = 2 * self.entries > self._most or 2 * self.held_bytes > self._limits.bytes
        said: list[Verdict] = []
        for group in dict.fromkeys(self._due.pop(number)):
            held = groups.get(group)
            if held is None:
                continue
            # What was never likely when it grew has not become so by growing less.
            hopeful = not self._at_once or (group in likely and len(held) >= least and possible(held))
            if hopeful or group in opened or group in told:
                said += episodes.settle(group, held, until)
            # Only what windows to come can hold stays.
            last = held[-3]
            if last <= edge:
                self._drop(group)
                continue
            if held[0] <= edge:
                gone = place(held, edge)
                del held[: gone * STRIDE]
                self.entries -= gone
            if last > until:
                if hopeful:
                    self._register(held[place(held, until) * STRIDE], group)
                else:
                    self._likely.discard(group)
                    self._register(last, group)
            elif last > since:
                self._register(last + timespan, group)
            if crowded:
                groups[group] = groups.pop(group)  # the last to be evicted
        self._settled = max(self._settled, until)
        return said

    # Checkpoints.

    def dump(self) -> tuple[dict[str, Any], Iterable[bytes]]:
        """The state: what JSON can carry, and the groups' arrays in its order."""
        head = {
            "settled": self._settled,
            "evicted": self.evicted,
            "behind": self.behind,
            "groups": [[group, len(held)] for group, held in self._groups.items()],
            **self._episodes.dump(),
        }
        return head, (held.tobytes() for held in self._groups.values())

    def restore(self, head: dict[str, Any], data: memoryview) -> int:
        """Take a dumped state over into an empty fold; returns the bytes of `data` that were its own."""
        self._settled, self.evicted, self.behind = head["settled"], head["evicted"], head["behind"]
        self._episodes.restore(head)
        at = 0
        for group, length in head["groups"]:
            held = array("q")
            held.frombytes(data[at : at + 8 * length])
            at += 8 * length
            self._groups[group] = held
            self.entries += length // STRIDE
            self._letters += len(group)
            self._likely.add(group)  # until its next step tells
            pending = place(held, self._settled) * STRIDE
            self._register(held[pending] if pending < length else held[-3] + self.rule.timespan, group)
        return at


def insert(held: array[int], time: int, identity: int, value: int) -> int:
    """Put a contribution in its place among others; the place, or -1 for one that is there already."""
    after = place(held, time)
    at = after - 1
    while at >= 0 and held[at * STRIDE] == time:
        if held[at * STRIDE + 1] == identity:
            return -1
        at -= 1
    held[after * STRIDE : after * STRIDE] = array("q", (time, identity, value))
    return after
