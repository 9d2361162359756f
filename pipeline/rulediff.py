"""`qorgan rules diff OLD NEW --over FILES`: which rules changed, and what is found no more, or newly.

Only rules that changed are evaluated: of one whose revision is the same, so are the hits. A revision covers the filters
and placeholders that apply, and a hit that is suppressed is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final, NamedTuple

from detectors.sigma.engine import Engine
from detectors.sigma.rule import Rule
from detectors.sigma.suppress import Suppressions
from pipeline import recordings
from pipeline.offline import near_ms, read
from pipeline.parsers import Reader
from pipeline.settings import Settings
from schemas.event import Event

Row = dict[str, Any]
#: What a row may say.
WORDS: Final = ("added", "removed", "changed", "gained", "lost")


class Change(NamedTuple):
    """One rule in two sets; None where a set has none of that id."""

    old: Rule | None
    new: Rule | None

    @property
    def word(self) -> str:
        """added, removed or changed."""
        return "added" if self.old is None else "removed" if self.new is None else "changed"

    @property
    def rule(self) -> Rule:
        """The rule as it is now, or was."""
        found = self.new or self.old
        assert found is not None  # noqa: S101 - for the type checker; a change has a side
        return found


def changes(old: Sequence[Rule], new: Sequence[Rule]) -> list[Change]:
    """Rules that one set alone has, or both in different revisions; in the order of the new set, then of the old."""
    before, after = ({rule.id: rule for rule in rules} for rules in (old, new))
    found = [Change(before.get(rule.id), rule) for rule in new]
    found += [Change(rule, None) for rule in old if rule.id not in after]
    return [
        change for change in found if not (change.old and change.new and change.old.revision == change.new.revision)
    ]


def rows(
    changed: Sequence[Change],
    hiding: tuple[Suppressions, Suppressions],
    settings: Settings,
    files: Sequence[str],
    topic: str,
    zone: tzinfo,
    progress: Callable[[int], None],
) -> Iterator[Row]:
    """A row a changed rule, then one for each hit that is gained or lost, with file and line.

    `hiding`: the suppressions of the old set and of the new.
    """
    for change in changed:
        yield _row(change.word, change.rule, file=change.rule.file)
    old, new = (
        Engine([rule for change in changed if (rule := side(change)) is not None], zone) for side in (_old, _new)
    )
    reader = Reader(settings)
    for file in files:
        near = near_ms(file)
        for lines in recordings.read(file):
            events = read(reader, topic, lines, near).events
            lost, gained = (_hits(*side, events) for side in zip((old, new), hiding, strict=True))
            progress(len(lines.numbers))
            for place in sorted(lost.keys() ^ gained.keys()):
                word, held = ("lost", lost) if place in lost else ("gained", gained)
                yield _row(word, held[place], file=file, line=place[0])


def _hits(engine: Engine, hiding: Suppressions, events: Sequence[Event]) -> dict[tuple[int, str], Rule]:
    """(line, rule id) → the rule."""
    kept, _ = hiding.split(engine.match(events), events)
    return {(events[match.index].offset, match.rule.id): match.rule for match in kept}


def _old(change: Change) -> Rule | None:
    return change.old


def _new(change: Change) -> Rule | None:
    return change.new


def _row(change: str, rule: Rule, *, file: str | Path, line: int | None = None) -> Row:
    return {"change": change, "rule_id": rule.id, "title": rule.title, "file": str(file), "line": line}
