"""Attribution (clauses 4.3 and 7.2): to which finding of the mandated list a detection belongs, if to any.

A function of the event list and the detection alone: the stream, a replay and a hunt months later decide alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from schemas.detection import FindingRef, finding_id
from schemas.event import Source
from schemas.event_list import Claim, EventList, Item, SourceClaim, tag
from schemas.severity import Severity

#: Distinct (rule, level, source) triples remembered; a rule set of 4,000 over a few sources each stays well below. And
#: findings: many detections belong to one.
REMEMBERED = 1 << 15


class Attribution:
    """The event list in force, applied to detections. Pure; the cache only saves time."""

    def __init__(self, event_list: EventList) -> None:
        self.event_list = event_list
        self.revision = event_list.revision
        self._item = lru_cache(maxsize=REMEMBERED)(self._first_that_claims)
        self._ref = lru_cache(maxsize=REMEMBERED)(self._finding)

    def attribute(
        self,
        *,
        kind: str,
        subject: str,
        tags: Sequence[str],
        level: str,
        source: Source,
        entities: Sequence[str],
        topic: str,
        time_ms: int,
        retrospective: bool = False,
        indicator_type: str = "",
    ) -> FindingRef | None:
        """The finding of a detection, or None when no item claims it (it is then stored and counted, no incident).

        `kind` is "rule" or "indicator", `subject` its id, `tags` Sigma's, `level` Sigma's word, `entities` resolved
        ones as type:value, `time_ms` the correlation time in milliseconds UTC, `indicator_type` one of
        `schemas.indicator.TYPES` or empty where it is not known.
        """
        item = self._item(kind, subject, tuple(tags), level, source._replace(event_id=0), retrospective, indicator_type)
        if item is None:
            return None
        window = item.window_seconds * 1000
        return self._ref(item.id, entity_of(item, entities, source, topic), time_ms // window * window)

    def _finding(self, item: str, entity: str, start: int) -> FindingRef:
        found = finding_id(item, entity, start)
        return FindingRef(id=found, item=item, entity=entity, window_start=start, event_list=self.revision)

    def _first_that_claims(
        self,
        kind: str,
        subject: str,
        tags: tuple[str, ...],
        level: str,
        source: Source,
        retrospective: bool,
        indicator_type: str,
    ) -> Item | None:
        words = expanded(tags)
        for item in self.event_list.items:
            for claim in item.claims:
                if (
                    Severity.of(level) >= Severity.of(claim.level)
                    and claim.retrospective in (None, retrospective)
                    and _names(claim, kind, subject, words, indicator_type)
                    and _stems_from(claim.sources, source)
                ):
                    return item
        return None


def expanded(tags: Sequence[str]) -> frozenset[str]:
    """Tags as claims see them: attack.t1003.001 also counts as attack.t1003."""
    words = {tag(word) for word in tags}
    return frozenset(words | {word.rpartition(".")[0] for word in words if word.count(".") > 1})


def entity_of(item: Item, entities: Sequence[str], source: Source, topic: str) -> str:
    """The first entity that resolves in the item's order, else log source and topic."""
    for wanted in item.entities:
        for entity in entities:
            if entity.startswith(f"{wanted}:"):
                return entity
    words = "/".join(word for word in (source.product, source.category, source.service) if word)
    return f"logsource:{words or 'unknown'}@{topic}"


def _names(claim: Claim, kind: str, subject: str, words: frozenset[str], indicator_type: str) -> bool:
    if not words.isdisjoint(claim.not_tags):
        return False
    if claim.tags and words.isdisjoint(claim.tags):
        return False
    if kind == "indicator":
        wanted = "any" in claim.indicators or indicator_type in claim.indicators
        return wanted or bool(not claim.indicators and claim.tags and not claim.rules)
    return not claim.indicators and (not claim.rules or subject in claim.rules)


def _stems_from(claims: tuple[SourceClaim, ...], source: Source) -> bool:
    return not claims or any(
        claim.product in ("", source.product)
        and claim.category in ("", source.category)
        and claim.service in ("", source.service)
        for claim in claims
    )
