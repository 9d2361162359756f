"""What is said of one correlation's groups: at once, finally, and how the two are matched.

episode     windows (t - timespan, t] that hold and overlap, cut at `Correlation.longest`
provisional said when a window first holds, for conditions that can only become truer
final       said when the watermark has passed the first window; closed, when no further window can join
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Final, Literal, NamedTuple

from detectors.correlation.contribution import About
from detectors.correlation.correlation import Correlation
from detectors.correlation.window import STRIDE, Held, holding, place, possible

#: An identity is one number: the lane's, and the offset in it.
OFFSET_BITS: Final = 44
MAX_OFFSET: Final = (1 << OFFSET_BITS) - 1
#: A group of more contributions than this is judged at once only when it has grown by one in so many, and once in a
#: step when it has been told: each look costs what is in the window. What is final does not depend on it.
OFTEN: Final = 64
GROWN: Final = 32

State = Literal["provisional", "final", "closed", "withdrawn"]


class Verdict(NamedTuple):
    """What is said of one episode. `first`: lane and offset of its first contribution, its identity; times in ms.

    A final that differs from what was said provisionally names the provisional in `replaces`; one that nothing
    final came of is withdrawn. `closed` tells the whole extent: `until` the last time at which it held, `records` its
    contributions up to then. `about`: what is known of the first one's record.
    """

    state: State
    correlation: str
    group: str
    first: tuple[str, int]
    first_time: int
    until: int
    records: int
    replaces: tuple[str, int] | None = None
    about: About | None = None


@dataclass(slots=True)
class Episode:
    """A final episode that further windows may join."""

    first: int
    first_time: int
    until: int
    count: int


@dataclass(slots=True)
class Told:
    """A provisional episode; `settled` when a final one has answered it."""

    first: int
    first_time: int
    until: int
    settled: bool = False


class Episodes:
    """The episodes of one correlation. `step` in milliseconds; `lanes`: the names behind identities."""

    def __init__(self, rule: Correlation, lanes: Sequence[str], step: int) -> None:
        self.open: dict[str, Episode] = {}
        self.told: dict[str, list[Told]] = {}
        self.possible = possible(rule)
        """False for contributions of which no window can hold."""
        self._rule, self._lanes, self._step = rule, lanes, step
        self._counts = rule.kind == "event_count"

    @property
    def firsts(self) -> Iterator[int]:
        """Identities with which episodes begin that more may be said of."""
        yield from (episode.first for episode in self.open.values())
        yield from (known.first for told in self.told.values() for known in told)

    def drop(self, group: str) -> None:
        """The group is gone."""
        self.open.pop(group, None)
        self.told.pop(group, None)

    def dump(self) -> dict[str, Any]:
        """What JSON can carry."""
        return {
            "open": {group: astuple(episode) for group, episode in self.open.items()},
            "told": {group: [astuple(one) for one in told] for group, told in self.told.items()},
        }

    def restore(self, said: dict[str, Any]) -> None:
        """What was dumped."""
        self.open = {group: Episode(*values) for group, values in said["open"].items()}
        self.told = {group: [Told(*values) for values in told] for group, told in said["told"].items()}

    # At once.

    def judge(self, group: str, held: array[int], time: int) -> Verdict | None:
        """What is said at once of the contribution at `time`: that a window holds which belongs to no episode known."""
        size = len(held) // STRIDE
        if size > OFTEN:
            if any(known.first_time <= time < known.until + self._step for known in self.told.get(group, ())):
                return None
            if size % (size // GROWN) and not self._counts:
                return None
        if self._rule.kind == "value_sum" and min(held[2::STRIDE]) < 0:
            return None
        windows = list(holding(self._rule, held, time - 1, time + self._rule.timespan - 1))
        if not windows:
            return None
        return self._say(group, held, windows[0], windows[-1].time)

    def _say(self, group: str, held: array[int], window: Held, until: int) -> Verdict | None:
        rule = self._rule
        first_time = held[window.start * STRIDE]
        episode = self.open.get(group)
        for known in self.told.get(group, ()):
            since = window.time - known.first_time
            if 0 <= since < rule.longest and window.time - rule.timespan < known.until:
                known.until = max(known.until, until)
                return None
        if episode and not self._ended(episode, window.time):
            return None
        first = self._first(held, window)
        self.told.setdefault(group, []).append(Told(first, first_time, until))
        count = window.stop - window.start
        return Verdict("provisional", rule.id, group, self._name(first), first_time, until, count)

    # Finally.

    def settle(self, group: str, held: array[int], until: int) -> list[Verdict]:
        """What is final of the step that ends at `until`."""
        said: list[Verdict] = []
        for window in holding(self._rule, held, until - self._step, until) if self.possible(held) else ():
            episode = self.open.get(group)
            if episode and self._ended(episode, window.time):
                said.append(self._close(group))
                episode = None
            if episode is None:
                said += self._begin(group, held, window)
            else:
                episode.count += window.stop - place(held, episode.until)
                episode.until = window.time
        episode = self.open.get(group)
        if episode and until + 1 - self._rule.timespan >= episode.until:
            said.append(self._close(group))
        if group in self.told:
            said += self._answer(group, until)
        return said

    def _ended(self, episode: Episode, time: int) -> bool:
        apart = time - self._rule.timespan >= episode.until
        return apart or time - episode.first_time >= self._rule.longest

    def _begin(self, group: str, held: array[int], window: Held) -> list[Verdict]:
        first, first_time = self._first(held, window), held[window.start * STRIDE]
        count = window.stop - window.start
        self.open[group] = Episode(first, first_time, window.time, count)
        answered = [
            known
            for known in self.told.get(group, ())
            if not known.settled and known.first_time <= window.time and known.until >= first_time
        ]
        for known in answered:
            known.settled = True
        same = any(known.first == first for known in answered)
        replaced = [known for known in answered if known.first != first]
        replaces = self._name(replaced.pop(0).first) if replaced and not same else None
        final = Verdict("final", self._rule.id, group, self._name(first), first_time, window.time, count, replaces)
        return [final, *(self._withdrawn(group, known) for known in replaced)]

    def _close(self, group: str) -> Verdict:
        episode = self.open.pop(group)
        name = self._name(episode.first)
        return Verdict("closed", self._rule.id, group, name, episode.first_time, episode.until, episode.count)

    def _answer(self, group: str, until: int) -> list[Verdict]:
        """Withdraw what was said of a time that is settled now and came to nothing; forget what is over."""
        withdrawn, kept = [], []
        for known in self.told[group]:
            if known.until <= until and not known.settled:
                withdrawn.append(self._withdrawn(group, known))
            elif known.until + self._rule.timespan > until:
                kept.append(known)
        if kept:
            self.told[group] = kept
        else:
            del self.told[group]
        return withdrawn

    def _withdrawn(self, group: str, known: Told) -> Verdict:
        name = self._name(known.first)
        return Verdict("withdrawn", self._rule.id, group, name, known.first_time, known.until, 0)

    def _first(self, held: array[int], window: Held) -> int:
        """The identity of the window's first contribution: of several at one time, the least by name."""
        at, time = window.start, held[window.start * STRIDE]
        found = held[at * STRIDE + 1]
        while (at := at + 1) < window.stop and held[at * STRIDE] == time:
            found = min(found, held[at * STRIDE + 1], key=self._name)
        return found

    def _name(self, identity: int) -> tuple[str, int]:
        return self._lanes[identity >> OFFSET_BITS], identity & MAX_OFFSET
