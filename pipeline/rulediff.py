"""`qorgan rules diff OLD NEW --over FILES`: which rules changed, and what is found no more, or newly.

Only what changed is evaluated: of a rule whose revision is the same, so are the hits. A revision covers the filters and
placeholders that apply. A hit that is suppressed is none, nor is one of a rule that only stands for correlations; of
a correlation each episode is one hit, with the line of its first record. It changed too when a rule that it names did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final, NamedTuple

from detectors.sigma.engine import Engine
from pipeline import recordings
from pipeline.correlated import Gathered, below
from pipeline.offline import near_ms, read
from pipeline.parsers import Reader
from pipeline.rulecases import Judged, judged
from pipeline.rules import LoadedRules
from pipeline.settings import Settings
from schemas.event import Event

Row = dict[str, Any]
Hits = dict[tuple[str, int, str, str], Judged]
"""(file, line, rule id, a correlation's group) → the rule."""
#: What a row may say.
WORDS: Final = ("added", "removed", "changed", "gained", "lost")


class Change(NamedTuple):
    """One rule or correlation in two sets; None where a set has none of that id."""

    old: Judged | None
    new: Judged | None

    @property
    def word(self) -> str:
        """added, removed or changed."""
        return "added" if self.old is None else "removed" if self.new is None else "changed"

    @property
    def rule(self) -> Judged:
        """The rule as it is now, or was."""
        found = self.new or self.old
        assert found is not None  # noqa: S101 - for the type checker; a change has a side
        return found


def changes(old: LoadedRules, new: LoadedRules) -> list[Change]:
    """Rules that one set alone has, or both in different revisions; in the order of the new set, then of the old."""
    before, after = ({rule.id: rule for rule in judged(rules)} for rules in (old, new))
    found = [Change(before.get(id_), rule) for id_, rule in after.items()]
    found += [Change(rule, None) for id_, rule in before.items() if id_ not in after]
    return [
        change for change in found if not (change.old and change.new and change.old.revision == change.new.revision)
    ]


def rows(
    old: LoadedRules,
    new: LoadedRules,
    settings: Settings,
    files: Sequence[str],
    topic: str,
    zone: tzinfo,
    progress: Callable[[int], None],
) -> Iterator[Row]:
    """A row a changed rule, then one for each hit that is gained or lost, with file and line; those of correlations
    come last, when all files are read."""
    changed = changes(old, new)
    for change in changed:
        yield _row(change.word, change.rule, file=change.rule.file)
    # A rule that a correlation names now, and did not before, is told no more: its hits are lost though it is the same.
    touched = {change.rule.id for change in changed} | (old.correlations.silent ^ new.correlations.silent)
    before, after = (_Side(rules, touched, zone) for rules in (old, new))
    reader = Reader(settings)
    for file in files:
        near = near_ms(file)
        for lines in recordings.read(file):
            events = read(reader, topic, lines, near).events
            lost, gained = (side.hits(file, events) for side in (before, after))
            progress(len(lines.numbers))
            yield from _differing(lost, gained)
    yield from _differing(before.episodes(), after.episodes())


class _Side:
    """What is evaluated of one set."""

    def __init__(self, rules: LoadedRules, touched: set[str], zone: tzinfo) -> None:
        correlations = rules.correlations
        self._told = touched - correlations.silent
        for each in correlations.ordered:  # each after those it names
            if not touched.isdisjoint(each.rules):
                touched = touched | {each.id}
        affected = {each.id for each in correlations.ordered if each.id in touched} - correlations.silent
        needed = below(correlations, affected)
        wanted = [rule for rule in rules.rules if rule.id in self._told or rule.id in needed.members]
        self._engine, self._hiding = Engine(wanted, zone), rules.suppressions
        self._gathered = Gathered(needed)

    def hits(self, file: str, events: Sequence[Event]) -> Hits:
        """In these lines, of the rules that are told for themselves."""
        kept, _ = self._hiding.split(self._engine.match(events), events)
        self._gathered.take(file, events, kept)
        found = ((file, events[match.index].offset, match.rule) for match in kept if match.rule.id in self._told)
        return {(file, line, rule.id, ""): rule for file, line, rule in found}

    def episodes(self) -> Hits:
        """Of correlations, in all that was read."""
        found = self._gathered.told()
        return {(one.file, one.line, one.correlation.id, str(one.group)): one.correlation for one in found}


def _differing(lost: Hits, gained: Hits) -> Iterator[Row]:
    for place in sorted(lost.keys() ^ gained.keys()):
        word, held = ("lost", lost) if place in lost else ("gained", gained)
        file, line, *_ = place
        yield _row(word, held[place], file=file, line=line)


def _row(change: str, rule: Judged, *, file: str | Path, line: int | None = None) -> Row:
    return {"change": change, "rule_id": rule.id, "title": rule.title, "file": str(file), "line": line}
