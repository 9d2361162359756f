"""The state of one partition of `contributions`: a function of the records read of it, in their order, and no more.

    parcel ── contributions ──┐
                              ├── Correlator ── verdicts
    marks ─── watermark ──────┘

The watermark is the least mark of all lanes there are, less the largest lateness, less the time that two sightings of
one activity may be apart: a lane of which nobody has told yet holds it back.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, Final

import orjson

from detectors.correlation.contribution import Contribution
from detectors.correlation.correlator import Correlator, UnfitError
from detectors.correlation.episodes import Verdict
from detectors.correlation.fold import Limits
from detectors.correlation.parcels import Marks, Parcel
from detectors.correlation.resolve import Correlations
from schemas.activity import SPAN_MS

#: Contributions kept that correlations of another revision have made: rules reach the processes one after the other.
MAX_WAITING: Final = 50_000
#: No time of ours is before it.
NEVER: Final = -(1 << 62)


class PartitionState:
    """All correlations over one partition. `position`: the next record to take."""

    def __init__(self, rules: Correlations, limits: Limits | None = None) -> None:
        self.rules = rules
        self.position = 0
        self.watermark = NEVER
        self.counts: Counter[str] = Counter()
        """What became of contributions: taken, late, behind, unknown; and `withdrawn` results. Since the start."""
        self.fresh: frozenset[str] = frozenset()
        """Ids of the rules of which a restored state knew nothing."""
        self._limits = limits
        self._correlator = Correlator(rules, limits)
        self._revisions = {rule.id: rule.revision for rule in rules.ordered}
        self._marks: dict[str, int] = {}
        self._waiting: deque[tuple[str, Contribution]] = deque(maxlen=MAX_WAITING)

    @property
    def correlator(self) -> Correlator:
        """The folds, for metrics."""
        return self._correlator

    def take(self, said: Parcel | Marks) -> list[Verdict]:
        """Take in one record; what is to be said of it."""
        verdicts = self._advance(said) if isinstance(said, Marks) else self._feed(said)
        self.counts["withdrawn"] += sum(verdict.state == "withdrawn" for verdict in verdicts)
        return verdicts

    def under(self, rules: Correlations) -> tuple[PartitionState, list[Verdict]]:
        """The state under other rules, and what it has to say at once: those that are the same keep what they hold,
        new ones begin with the contributions that waited for them. This one is not used any more."""
        new = PartitionState(rules, self._limits)
        new.position, new.watermark, new._marks = self.position, self.watermark, self._marks
        new.counts = self.counts
        new._correlator.take_over(self._correlator)
        return new, new._awaited(self._waiting)

    def dump(self) -> bytes:
        """The state, for a checkpoint."""
        waiting = [[revision, *one[:9]] for revision, one in self._waiting]
        head = orjson.dumps([self.position, self.watermark, self._marks, waiting])
        return len(head).to_bytes(8, "big") + head + self._correlator.dump()

    def restore(self, data: bytes) -> list[Verdict]:
        """Take a dumped state over; nothing may have been taken yet. Returns what it has to say: of those that are new
        since (`fresh`), by contributions that waited for them. Raises UnfitError for what does not fit."""
        try:
            size = int.from_bytes(data[:8], "big")
            position, watermark, marks, waiting = orjson.loads(data[8 : 8 + size])
            kept = [_waiting(*said) for said in waiting]
        except (ValueError, TypeError) as error:
            raise UnfitError("the state cannot be read") from error
        self.fresh = self._correlator.restore(data[8 + size :])
        self.position, self.watermark, self._marks = position, watermark, marks
        return self._awaited(kept)

    def _awaited(self, waiting: Iterable[tuple[str, Contribution]]) -> list[Verdict]:
        """Take in those whose revision is in force now; the others go on waiting."""
        known = []
        for revision, one in waiting:
            if revision == self._revisions.get(one.correlation):
                known.append(one)
            else:
                self._waiting.append((revision, one))
        self.counts["unknown"] -= len(known)
        return self._correlator.feed(known)

    def _feed(self, parcel: Parcel) -> list[Verdict]:
        revisions, counts = self._revisions, self.counts
        others = {id_: revision for id_, revision in parcel.revisions.items() if revisions.get(id_) != revision}
        contributions: Iterable[Contribution] = parcel.rows()
        taken = len(parcel)
        if others:
            strange = [(others[one.correlation], one) for one in parcel.contributions if one.correlation in others]
            self._waiting.extend(strange)
            counts["unknown"] += len(strange)
            taken -= len(strange)
            contributions = [one for one in parcel.contributions if one.correlation not in others]
        correlator = self._correlator
        late, behind = correlator.late, sum(fold.behind for fold in correlator.folds.values())
        verdicts = correlator.feed(contributions)
        counts["taken"] += taken
        counts["late"] += correlator.late - late
        counts["behind"] += sum(fold.behind for fold in correlator.folds.values()) - behind
        return verdicts

    def _advance(self, said: Marks) -> list[Verdict]:
        lanes = set(said.lanes())
        for name, time in said.read.items():
            if time > self._marks.get(name, NEVER):
                self._marks[name] = time
        self._marks = {name: time for name, time in self._marks.items() if name in lanes}
        least = min([self._marks.get(name, NEVER) for name in lanes], default=NEVER)
        watermark = least - said.lateness - SPAN_MS
        if watermark <= self.watermark:
            return []
        self.watermark = watermark
        return self._correlator.advance(watermark)


def _waiting(revision: str, *said: Any) -> tuple[str, Contribution]:
    return revision, Contribution(*said)
