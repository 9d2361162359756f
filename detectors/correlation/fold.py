"""The state of one correlation and how it is judged: at once as contributions arrive, finally when time has passed.

A group holds its contributions as one array of numbers: time, identity, value; sorted by time. What is final is a
function of the set of contributions: each of their times falls into a *step*, steps are settled in order as the
watermark passes their ends, and nothing that bears a time in a settled step is taken any more.

    episode     windows (t - timespan, t] that hold and overlap, cut at `Correlation.longest`
    provisional said when a window first holds, for conditions that can only become truer
    final       said when the watermark has passed the first window; closed, when no further window can join

Bounded in contributions and bytes: the groups that were settled longest ago go first, and are counted.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, Final, Literal, NamedTuple

from detectors.correlation.correlation import Correlation
from detectors.correlation.measure import STRIDE, Held, holding, place, possible

State = Literal["provisional", "final", "closed", "withdrawn"]

#: An identity is one number: the lane's, and the offset in it.
OFFSET_BITS: Final = 44
MAX_OFFSET: Final = (1 << OFFSET_BITS) - 1
#: A final result waits at most for a step's end after the watermark; large groups are judged at once once a step.
STEPS: Final = 16
MIN_STEP_MS: Final = 1_000
MAX_STEP_MS: Final = 60_000
#: Measured: a group's entry, its array with slack, its place in a step; and its text beside that.
GROUP_BYTES: Final = 260
ENTRY_BYTES: Final = 8 * STRIDE + 8
#: Contributions of one group; beyond them its oldest go.
MAX_GROUP: Final = 65_536
#: A group of more contributions than this is judged at once only when it has grown by one in so many, and once in a
#: step when it has been told: each look costs what is in the window. What is final does not depend on it.
OFTEN: Final = 64
GROWN: Final = 32


_ONE: Final = array("q", (0, 0, 0))


class Limits(NamedTuple):
    """What the state of one correlation may hold."""

    contributions: int = 2_000_000
    bytes: int = 256 << 20


class Verdict(NamedTuple):
    """What is said of one episode. `first`: lane and offset of its first contribution, its identity; times in ms.

    A final that differs from what was said provisionally names the provisional in `replaces`; one that nothing
    final came of is withdrawn. `closed` tells the whole extent: `until` the last time at which it held, `records` its
    contributions up to then.
    """

    state: State
    correlation: str
    group: str
    first: tuple[str, int]
    first_time: int
    until: int
    records: int
    replaces: tuple[str, int] | None = None


@dataclass(slots=True)
class _Episode:
    first: int
    first_time: int
    until: int
    count: int


@dataclass(slots=True)
class _Said:
    """A provisional episode; `settled` when a final one has answered it."""

    first: int
    first_time: int
    until: int
    settled: bool = False


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
        self._lanes = lanes
        self._limits = limits or Limits()
        self._most = self._limits.contributions
        self._step = min(max(rule.timespan // STEPS, MIN_STEP_MS), MAX_STEP_MS)
        self._settled = -(1 << 62)
        self._groups: dict[str, array[int]] = {}
        self._due: dict[int, list[str]] = {}
        self._numbers: list[int] = []
        self._open: dict[str, _Episode] = {}
        self._said: dict[str, list[_Said]] = {}
        self._least = rule.least * STRIDE
        self._at_once = rule.growing
        self._possible = possible(rule)
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
                at = _insert(held, time, identity, value)
                if at < 0:
                    return None
                if at == 0 or held[(at - 1) * STRIDE] <= self._settled:
                    self._register(time, group)
        self.entries = entries = self.entries + 1
        if entries > self._most or (not entries % 64 and self.held_bytes > self._limits.bytes):
            self._evict(group)
        if not self._at_once or len(held) < self._least:
            return None
        if self._count_from and time == held[-3] and held[-self._count_from] <= time - self.rule.timespan:
            return None
        if len(held) <= OFTEN * STRIDE and not self._possible(held):
            return None
        return self._judge(group, held, time)

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

    # Keeping contributions.

    def _register(self, time: int, group: str) -> None:
        """See to it that the group is settled in the step of `time`: that of its first contribution not settled yet,
        or, when all are, that in which the last goes out of all windows."""
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
        self._open.pop(group, None)
        self._said.pop(group, None)

    # At once.

    def _judge(self, group: str, held: array[int], time: int) -> Verdict | None:
        """Whether the contribution at `time` makes a window hold that belongs to no episode known."""
        size = len(held) // STRIDE
        if size > OFTEN:
            if any(known.first_time <= time < known.until + self._step for known in self._said.get(group, ())):
                return None
            if size % (size // GROWN) and not self._count_from:
                return None
        if self.rule.kind == "value_sum" and min(held[2::STRIDE]) < 0:
            return None
        windows = list(holding(self.rule, held, time - 1, time + self.rule.timespan - 1))
        if not windows:
            return None
        return self._say(group, held, windows[0], windows[-1].time)

    def _say(self, group: str, held: array[int], window: Held, until: int) -> Verdict | None:
        rule = self.rule
        first_time = held[window.start * STRIDE]
        episode = self._open.get(group)
        for known in self._said.get(group, ()):
            since = window.time - known.first_time
            if 0 <= since < rule.longest and window.time - rule.timespan < known.until:
                known.until = max(known.until, until)
                return None
        if episode and not self._ended(episode, window.time):
            return None
        first = self._first(held, window)
        self._said.setdefault(group, []).append(_Said(first, first_time, until))
        count = window.stop - window.start
        return Verdict("provisional", rule.id, group, self._name(first), first_time, until, count)

    # Finally.

    def _settle_next(self) -> list[Verdict]:
        number = heappop(self._numbers)
        timespan, until = self.rule.timespan, number * self._step
        since, edge = until - self._step, until - timespan
        groups, opened, told, possible = self._groups, self._open, self._said, self._possible
        crowded = 2 * self.entries > self._most or 2 * self.held_bytes > self._limits.bytes
        said: list[Verdict] = []
        for group in dict.fromkeys(self._due.pop(number)):
            held = groups.get(group)
            if held is None:
                continue
            if group in opened or group in told or possible(held):
                self._settle(group, held, until, said)
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
                self._register(held[place(held, until) * STRIDE], group)
            elif last > since:
                self._register(last + timespan, group)
            if crowded:
                groups[group] = groups.pop(group)  # the last to be evicted
        self._settled = max(self._settled, until)
        return said

    def _settle(self, group: str, held: array[int], until: int, said: list[Verdict]) -> None:
        """Judge the windows of one step."""
        timespan = self.rule.timespan
        windows = holding(self.rule, held, until - self._step, until) if self._possible(held) else ()
        for window in windows:
            episode = self._open.get(group)
            if episode and self._ended(episode, window.time):
                said.append(self._close(group))
                episode = None
            if episode is None:
                said += self._begin(group, held, window)
            else:
                episode.count += window.stop - place(held, episode.until)
                episode.until = window.time
        episode = self._open.get(group)
        if episode and until + 1 - timespan >= episode.until:
            said.append(self._close(group))
        if group in self._said:
            said += self._answer(group, until)

    def _ended(self, episode: _Episode, time: int) -> bool:
        apart = time - self.rule.timespan >= episode.until
        return apart or time - episode.first_time >= self.rule.longest

    def _begin(self, group: str, held: array[int], window: Held) -> list[Verdict]:
        first, first_time = self._first(held, window), held[window.start * STRIDE]
        count = window.stop - window.start
        self._open[group] = _Episode(first, first_time, window.time, count)
        answered = [
            known
            for known in self._said.get(group, ())
            if not known.settled and known.first_time <= window.time and known.until >= first_time
        ]
        for known in answered:
            known.settled = True
        same = any(known.first == first for known in answered)
        replaced = [known for known in answered if known.first != first]
        replaces = self._name(replaced.pop(0).first) if replaced and not same else None
        final = Verdict("final", self.rule.id, group, self._name(first), first_time, window.time, count, replaces)
        return [final, *(self._withdrawn(group, known) for known in replaced)]

    def _close(self, group: str) -> Verdict:
        episode = self._open.pop(group)
        name = self._name(episode.first)
        return Verdict("closed", self.rule.id, group, name, episode.first_time, episode.until, episode.count)

    def _answer(self, group: str, until: int) -> list[Verdict]:
        """Withdraw what was said of a time that is settled now and came to nothing; forget what is over."""
        withdrawn, kept = [], []
        for known in self._said[group]:
            if known.until <= until and not known.settled:
                withdrawn.append(self._withdrawn(group, known))
            elif known.until + self.rule.timespan > until:
                kept.append(known)
        if kept:
            self._said[group] = kept
        else:
            del self._said[group]
        return withdrawn

    def _withdrawn(self, group: str, known: _Said) -> Verdict:
        name = self._name(known.first)
        return Verdict("withdrawn", self.rule.id, group, name, known.first_time, known.until, 0)

    def _first(self, held: array[int], window: Held) -> int:
        """The identity of the window's first contribution: of several at one time, the least by name."""
        at, time = window.start, held[window.start * STRIDE]
        found = held[at * STRIDE + 1]
        while (at := at + 1) < window.stop and held[at * STRIDE] == time:
            found = min(found, held[at * STRIDE + 1], key=self._name)
        return found

    def _name(self, identity: int) -> tuple[str, int]:
        return self._lanes[identity >> OFFSET_BITS], identity & MAX_OFFSET

    # Checkpoints.

    def dump(self) -> tuple[dict[str, Any], Iterable[bytes]]:
        """The state: what JSON can carry, and the groups' arrays in its order."""
        head = {
            "settled": self._settled,
            "evicted": self.evicted,
            "behind": self.behind,
            "groups": [[group, len(held)] for group, held in self._groups.items()],
            "open": {g: [e.first, e.first_time, e.until, e.count] for g, e in self._open.items()},
            "said": {g: [[s.first, s.first_time, s.until, s.settled] for s in all_] for g, all_ in self._said.items()},
        }
        return head, (held.tobytes() for held in self._groups.values())

    def restore(self, head: dict[str, Any], data: memoryview) -> int:
        """Take a dumped state over into an empty fold; returns the bytes of `data` that were its own."""
        self._settled, self.evicted, self.behind = head["settled"], head["evicted"], head["behind"]
        self._open = {group: _Episode(*said) for group, said in head["open"].items()}
        self._said = {group: [_Said(*each) for each in all_] for group, all_ in head["said"].items()}
        at = 0
        for group, length in head["groups"]:
            held = array("q")
            held.frombytes(data[at : at + 8 * length])
            at += 8 * length
            self._groups[group] = held
            self.entries += length // STRIDE
            self._letters += len(group)
            pending = place(held, self._settled) * STRIDE
            self._register(held[pending] if pending < length else held[-3] + self.rule.timespan, group)
        return at


def _insert(held: array[int], time: int, identity: int, value: int) -> int:
    """Put a contribution in its place among others; the place, or -1 for one that is there already."""
    after = place(held, time)
    at = after - 1
    while at >= 0 and held[at * STRIDE] == time:
        if held[at * STRIDE + 1] == identity:
            return -1
        at -= 1
    held[after * STRIDE : after * STRIDE] = array("q", (time, identity, value))
    return after
