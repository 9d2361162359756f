"""What the rules can find with the providers there are, and what of it was seen: `qorgan rules coverage`.

The state of a rule follows from the tables of providers alone. Recordings, or a sample of what the store holds of each
source, add what really comes: events, fields that never stood in one, sources that are silent.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from detectors.sigma.coverage import GENERAL, covered, fields_of, lacks
from detectors.sigma.mapping import names_of
from detectors.sigma.pipelines import ours
from detectors.sigma.providers import Place
from detectors.sigma.routing import Entry, Index, places
from detectors.sigma.rule import Rule
from pipeline import offline, recordings
from pipeline.parsers import Reader
from pipeline.parsers import ecs as ecs_parser
from pipeline.querying import ask
from pipeline.settings import Settings
from schemas.event import Event, RecordBatch, Source
from schemas.field_mapping import FieldMapping

#: Events of each source that are read of the store.
SAMPLE: Final = 50
#: Containers within containers that are looked into for names.
DEPTH: Final = 8
#: The literal place of a rule: its log source as a topic's settings, a parser or ECS name it.
LITERAL: Final = "as named"
ECS_CATEGORIES: Final = frozenset({*ecs_parser.CATEGORIES.values(), "registry_event", "dns_query"})


@dataclass(slots=True)
class Seen:
    """What came of one source in one format: how many events, and the names of their fields, dotted."""

    events: int = 0
    fields: set[str] = field(default_factory=set)

    def add(self, events: int, fields: Iterable[str]) -> None:
        """Take in more of it."""
        self.events += events
        self.fields.update(fields)


Observed = dict[tuple[Source, FieldMapping | None], Seen]


def observe(events: Iterable[Event], observed: Observed) -> None:
    """Take in events."""
    for event in events:
        known = observed.setdefault((event.source, event.format.mapping), Seen())
        known.add(1, _names(event.fields))


def of_files(settings: Settings, files: Sequence[str], topic: str) -> Observed:
    """What the lines of recordings hold. Raises RefusedError for a file that cannot be read."""
    reader, observed = Reader(settings), Observed()
    for name in files:
        for lines in recordings.read(name):
            observe(offline.read(reader, topic, lines, offline.near_ms(name)).events, observed)
    return observed


def of_store(settings: Settings, days: int) -> Observed:
    """What the store received in the last days: of each source a sample is read again. Raises as `ask` does."""
    since = f"received >= now() - INTERVAL {int(days)} DAY"
    source = "topic, product, category, service, event_id"
    # Both questions are made of our own words and a number.
    counted = ask(settings, f"SELECT {source}, count() AS events FROM events WHERE {since} GROUP BY {source}")  # noqa: S608 - as said
    total: Counter[Source] = Counter()
    for row in counted.rows:
        total[Source(row["product"], row["category"], row["service"], row["event_id"])] += row["events"]
    # Which records are read is decided on columns that cost little; of the others no granule is opened.
    place = "topic, partition, log, offset"
    sampled = ask(
        settings,
        f"SELECT topic, base64Encode(raw) AS record FROM events WHERE {since} AND ({place}) IN "  # noqa: S608 - as said
        f"(SELECT {place} FROM events WHERE {since} LIMIT {SAMPLE} BY {source})",
    )
    reader, observed = Reader(settings), Observed()
    by_topic: dict[str, list[bytes]] = {}
    for row in sampled.rows:
        by_topic.setdefault(row["topic"], []).append(base64.b64decode(row["record"]))
    for topic, values in by_topic.items():
        records = [offline.Line(at, value) for at, value in enumerate(values)]
        observe(reader.read(RecordBatch("store", topic, 0, 0, len(records), records)).events, observed)
    for (known, _), seen in observed.items():
        seen.events = max(seen.events, total[known])
    return observed


def rows(rules: Sequence[Rule], observed: Observed | None = None) -> Iterator[dict[str, Any]]:
    """One row for each rule and provider; with `observed`, also what was seen of that provider."""
    seen = _seen(rules, observed) if observed is not None else {}
    for number, rule in enumerate(rules):
        for at, place in _asked(rule, {key[1] for key in seen if key[0] == number}):
            state = covered(rule.tree, lacks(place))
            row: dict[str, Any] = {
                "kind": "rule",
                "rule_id": rule.id,
                "title": rule.title,
                "level": rule.level.word,
                "logsource": str(rule.logsource),
                "provider": place.title or LITERAL,
                "state": state.state,
                "filters_without": state.filters,
                "selections_without": state.alternatives,
            }
            if observed is not None:
                known = seen.get((number, at))
                row["events"] = known.events if known else 0
                row["fields_never_seen"] = sorted(_asked_fields(rule, at, place) - known.fields) if known else []
            yield row


def silent(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Log sources none of whose providers sent anything, with how many rules wait for them."""
    events: Counter[str] = Counter()
    waiting: dict[str, set[str]] = {}
    for row in found:
        events[row["logsource"]] += row["events"]
        waiting.setdefault(row["logsource"], set()).add(row["rule_id"])
    quiet = [(source, len(ids)) for source, ids in waiting.items() if not events[source]]
    return [
        {"kind": "silent", "logsource": source, "rules": count}
        for source, count in sorted(quiet, key=lambda pair: (-pair[1], pair[0]))
    ]


def never_seen(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fields that rules ask of a provider whose events came, and none of them had, with how many rules ask."""
    asked: Counter[tuple[str, str, str]] = Counter()
    for row in found:
        asked.update((row["logsource"], row["provider"], name) for name in row["fields_never_seen"])
    return [
        {"kind": "field", "logsource": source, "provider": provider, "field": name, "rules": count}
        for (source, provider, name), count in sorted(asked.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _asked(rule: Rule, seen: set[int]) -> Iterator[tuple[int, Place]]:
    """The providers of a rule: those of the tables, ECS where it tells the source, the literal place where it came."""
    literal, *known = places(rule.logsource)
    ecs = names_of(ours("ecs"), rule.logsource)
    if rule.logsource.product in ecs_parser.PRODUCTS and rule.logsource.category in ECS_CATEGORIES:
        yield 0, literal._replace(fields=frozenset(ecs), title="ECS, or as named")
    elif not known or 0 in seen:
        yield 0, literal
    yield from enumerate(known, 1)


def _seen(rules: Sequence[Rule], observed: Observed) -> dict[tuple[int, int], Seen]:
    """(rule, place) → what came of its sources, with fields in Sigma's words where a mapping renames them."""
    index = Index(rules)
    found: dict[tuple[int, int], Seen] = {}
    for (source, mapping), seen in observed.items():
        for entry in index.entries(source):
            fields = seen.fields if mapping is None else seen.fields | _translated(entry, rules, mapping, seen.fields)
            found.setdefault((entry.rule, entry.number), Seen()).add(seen.events, fields)
    return found


def _translated(entry: Entry, rules: Sequence[Rule], mapping: FieldMapping, fields: set[str]) -> set[str]:
    names = names_of(mapping, rules[entry.rule].logsource)
    return {name for name, told in names.items() if told.name in fields or not fields.isdisjoint(told.also)}


def _asked_fields(rule: Rule, number: int, place: Place) -> set[str]:
    """The fields of a rule in the provider's words, beside those that every event has."""
    tree = Entry(0, number, place).tree(rule)
    return set(fields_of(tree)) - GENERAL


def _names(fields: dict[str, Any], depth: int = 0) -> Iterator[str]:
    for name, value in fields.items():
        if value is None:
            continue
        yield name
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, dict) and depth < DEPTH:
                yield from (f"{name}.{inner}" for inner in _names(item, depth + 1))
