"""`qorgan rules explain`: one rule and one record, through the worker's own parsers and engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from detectors.correlation.correlation import Correlation
from detectors.sigma.compile import Compiler
from detectors.sigma.engine import Engine
from detectors.sigma.explain import Explainer, Part, selection_nodes
from detectors.sigma.fields import View
from detectors.sigma.load import load
from detectors.sigma.routing import Index
from detectors.sigma.rule import Rule
from pipeline import correlationexplain, recordings
from pipeline.offline import CACHE, near_ms, read
from pipeline.parsers import Reader
from pipeline.rules import LoadedRules, check_rules, on_disk
from pipeline.settings import Settings
from pipeline.tuning import read_tuning
from schemas.errors import RefusedError
from schemas.event import Event


def explain(settings: Settings, wanted: str, record: str, topic: str) -> dict[str, Any]:
    """What a rule (id, title or file) makes of the first record of a file, or of standard input for `-`; what a
    correlation makes of all of them (`correlationexplain`).

    Returns, of a rule, rule_id, title, file, matches, looks (the rule looks at the event's log source), rule_source,
    event_source, and condition: a tree of `Part`s as dictionaries. Raises RefusedError.
    """
    zone = ZoneInfo(settings.timezone)
    rule, loaded = find(settings, wanted)
    if isinstance(rule, Correlation):
        return correlationexplain.explain(settings, rule, loaded, record, topic)
    event = _event(settings, record, topic)
    entries = Index([rule]).entries(event.source)
    entry = entries[0] if entries else None
    names = entry.names(rule, event.format.mapping) if entry is not None else {}
    explainer = Explainer(View(event.fields), Compiler(zone).condition, names, _selections(rule))
    return {
        "rule_id": rule.id,
        "title": rule.title,
        "file": rule.file,
        "matches": bool(Engine([rule], zone).match([event])),
        "looks": bool(entries),
        "rule_source": str(rule.logsource),
        "event_source": ", ".join(
            f"{name}: {value}" for name, value in event.source._asdict().items() if value not in ("", 0)
        ),
        "condition": asdict(explainer.explain_entry(rule, entry)),
    }


def find(settings: Settings, wanted: str) -> tuple[Rule | Correlation, LoadedRules]:
    """The rule of that id, title or file, and the set it stands in; of a file with correlations, the one that is told.

    Raises RefusedError when there is none, several, or it is refused.
    """
    file = Path(wanted)
    paths, zone = (file,) if file.is_file() else settings.rules, ZoneInfo(settings.timezone)
    checked = check_rules(paths, CACHE / "cache", zone, read_tuning(settings))
    found: list[Rule | Correlation] = [*checked.rules, *checked.correlations.ordered]
    if file.is_file():
        if not found:
            raise RefusedError(str(checked.refused[0]))
        found = [rule for rule in found if rule.id not in checked.correlations.silent] or found
    else:
        found = [rule for rule in found if wanted.strip().lower() in (rule.id, rule.title.lower())]
    if not found:
        raise RefusedError(f"There is no rule {wanted}. Give its id, its title or its file; QORGAN_RULES says where.")
    if len(found) > 1:
        raise RefusedError(f"{wanted} is several rules: name one by its id, {', '.join(r.id for r in found[:5])}.")
    return found[0], checked


def text(explained: dict[str, Any]) -> Iterator[str]:
    """The same for people, line by line: + holds, - does not."""
    if "named" in explained:
        yield from correlationexplain.text(explained)
        return
    verdict = "matches" if explained["matches"] else "does not match"
    yield f"{explained['title']} ({explained['rule_id']}): {verdict}"
    yield f"the record is of {explained['event_source'] or 'no known log source'}"
    if not explained["looks"]:
        yield f"the rule looks at {explained['rule_source']}, so a worker never asks it about this record; if it did:"
    yield from _lines(explained["condition"], 0)


def _lines(part: dict[str, Any], depth: int) -> Iterator[str]:
    said = f"{'  ' * depth}{'+' if part['holds'] else '-'} "
    said += f"[{part['selection']}] " if part["selection"] else ""
    said += part["says"]
    if part["field"] is not None:
        said += f"   ← {'absent' if part['value'] is None else part['value']}"
    yield said + (f"   (raised {part['error']})" if part["error"] else "")
    for below in part["parts"]:
        yield from _lines(below, depth + 1)


def _event(settings: Settings, record: str, topic: str) -> Event:
    """The first record of a file. A file that holds one JSON value over several lines is one record."""
    lines = [lines for lines in recordings.read(record) if lines.values]
    if not lines:
        raise RefusedError(f"{record} holds no record.")
    reader, near = Reader(settings), near_ms(record)
    whole = b"\n".join(value for part in lines for value in part.values)
    for value in (lines[0].values[0], whole):
        reading = read(reader, topic, recordings.Lines([1], [value]), near)
        if reading.events:
            return reading.events[0]
    raise RefusedError(f"{record}: the first record is no event ({reading.dead[0].reason}).")


def _selections(rule: Rule) -> dict[bytes, str]:
    """Which node of the condition is which selection, where the rule's file still says so."""
    found: dict[bytes, str] = {}
    try:
        documents = list(yaml.safe_load_all(on_disk(rule.file).read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return found  # changed since it was loaded: its parts go unnamed
    for document in documents:
        if len(documents) > 1 and str(document.get("id", "")).lower() != rule.id:
            continue
        for name, selection in document["detection"].items():
            alone = {**document, "detection": {name: selection, "condition": name}}
            if name not in ("condition", "timeframe"):
                for made in load("", yaml.safe_dump(alone, allow_unicode=True).encode()).rules:
                    found |= selection_nodes(name, made.tree)
    return found


__all__ = ["Part", "explain", "find", "text"]
