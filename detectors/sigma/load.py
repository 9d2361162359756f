"""Texts of rule files become rules and refusals. One bad rule takes no other with it, and none is refused silently.

Whoever writes a rule file may be an enemy or a tired colleague: size, nesting, aliases and lists are bounded before
pySigma sees a document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from detectors.correlation.correlation import Correlation
from detectors.sigma.documents import MAX_BYTES, FaultyError, Lines, documents
from detectors.sigma.filters import Filter, FilterError, as_rule, of_rule
from detectors.sigma.placeholders import Waiting, awaited
from detectors.sigma.rule import LogSource, Refusal, Rule
from schemas.identity import long_hash, short_hash
from schemas.severity import Severity

MAX_TITLE: Final = 256
#: Regular expressions of one rule as it is written; SigmaHQ's largest has 19.
MAX_EXPRESSIONS: Final = 1_000
MAX_CONDITION: Final = 10_000
#: Words of the conditions times values of the selections: what a condition can blow up to.
MAX_PRODUCT: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one file holds."""

    rules: tuple[Rule, ...]
    refused: tuple[Refusal, ...]
    waiting: tuple[Waiting, ...] = ()
    filters: tuple[Filter, ...] = ()
    refused_filters: tuple[Refusal, ...] = ()
    correlation_names: tuple[str, ...] = ()
    """Ids and names of what is a correlation: a filter that names one is told so."""
    correlations: tuple[Correlation, ...] = ()
    """As written: what they refer to may stand in other files (`detectors.correlation.resolve`)."""


def load(name: str, data: bytes) -> Loaded:
    """Read one rule file. Never raises for what stands in it."""
    rules: list[Rule] = []
    waiting: list[Waiting] = []
    refused: list[Refusal] = []
    filters: list[Filter] = []
    refused_filters: list[Refusal] = []
    correlations: list[Correlation] = []
    names: list[str] = []
    try:
        for number, (document, lines) in enumerate(documents(data)):
            names += _correlation_names(document)
            is_filter = isinstance(document, dict) and "filter" in document
            try:
                if is_filter:
                    filters.append(_filter(name, data, number, document, lines))
                    continue
                if isinstance(document, dict) and ("correlation" in document or "detector" in document):
                    correlations.append(_correlation(name, data, number, document, lines))
                    continue
                rule = _rule(name, data, number, document, lines)
                if awaited(rule.tree):
                    waiting.append(Waiting(rule, lines["detection"]))
                else:
                    rules.append(rule)
            except FaultyError as refusal:
                (refused_filters if is_filter else refused).append(
                    Refusal(name, refusal.line, refusal.reason, refusal.todo)
                )
    except FaultyError as refusal:
        refused.append(Refusal(name, refusal.line, refusal.reason, refusal.todo))
    return Loaded(
        tuple(rules),
        tuple(refused),
        waiting=tuple(waiting),
        filters=tuple(filters),
        refused_filters=tuple(refused_filters),
        correlation_names=tuple(names),
        correlations=tuple(correlations),
    )


def unique(rules: Iterable[Rule]) -> tuple[list[Rule], list[Refusal]]:
    """Rules whose id is their own. Of two with one id the first stands: their detections could not be told apart."""
    kept: dict[str, Rule] = {}
    refused = []
    for rule in rules:
        first = kept.setdefault(rule.id, rule)
        if first is not rule:
            reason = f"the id {rule.id} is already that of {first.file}"
            refused.append(Refusal(rule.file, 0, reason, "Give each rule an id of its own, a UUID"))
    return list(kept.values()), refused


def _rule(name: str, data: bytes, number: int, document: Any, lines: Lines) -> Rule:
    start = lines[""]
    if isinstance(document, FaultyError):
        raise document
    if not isinstance(document, dict):
        raise FaultyError(start, "a Sigma rule is a mapping, this is not")
    _refuse_other_kinds(document, lines)
    source = _source(document.get("logsource"), lines.get("logsource", start))
    line = lines.get("detection", start)
    detection = document.get("detection")
    if not isinstance(detection, dict) or not detection:
        raise FaultyError(line, "it has no detection")
    _refuse_names(document, lines)
    detection = _keyed(detection, line)
    _bound(detection, line)
    document = {**document, "detection": detection, "id": _identity(document, lines)}
    # Here and not above: a worker whose rules come from the cache never pays for pySigma.
    from detectors.sigma.translate import Translated, UntranslatableError

    try:
        said = Translated(document)
    except UntranslatableError as error:
        raise FaultyError(line if "ondition" in str(error) else _place(str(error), lines), str(error)[:500]) from None
    content = data.decode("utf-8-sig")
    return Rule(
        id=document["id"] or long_hash("rule", content, number),
        title=said.title,
        level=Severity.of(said.level),
        tags=tuple(said.tags),
        logsource=source,
        status=said.status,
        revision=short_hash("rule", content, number),
        file=name,
        condition=orjson.dumps(said.tree),
        name=said.name,
    )


def _filter(name: str, data: bytes, number: int, document: dict[Any, Any], lines: Lines) -> Filter:
    """A filter's selections are read as a rule's. Raises FaultyError."""
    line = lines["filter"]
    try:
        rule = _rule(name, data, number, as_rule(document), {**lines, "detection": line})
        return of_rule(rule, document, line)
    except FilterError as error:
        raise FaultyError(lines.get(error.key, line), str(error), error.todo) from None


def _correlation_names(document: Any) -> list[str]:
    if not isinstance(document, dict) or not ("correlation" in document or "detector" in document):
        return []
    return [said.strip() for key in ("id", "name") if isinstance(said := document.get(key), str)]


def _correlation(name: str, data: bytes, number: int, document: dict[Any, Any], lines: Lines) -> Correlation:
    """Read by `detectors.correlation`, or `.behaviour`; ids and revisions are made as a rule's. Raises FaultyError."""
    from detectors.behaviour.read import detector_of
    from detectors.correlation.read import CorrelationError, correlation_of

    read, key = (correlation_of, "correlation") if "correlation" in document else (detector_of, "detector")
    content, line = data.decode("utf-8-sig"), lines[key]
    id_ = _identity(document, lines)
    document = {**document, "id": id_}
    other = next((name for name in ("detection", "detector") if name in document and name != key), None)
    if other is not None:
        raise FaultyError(
            line,
            f"it is a {'rule' if other == 'detection' else other} and a {key} at once",
            "Make two documents of it, with `---` between",
        )
    if key == "detector":
        _refuse_names(document, lines)
    try:
        return read(
            document,
            id_=id_ or long_hash("rule", content, number),
            revision=short_hash("rule", content, number),
            file=name,
            line=line,
        )
    except CorrelationError as error:
        raise FaultyError(line, str(error)) from None


def _place(reason: str, lines: Lines) -> int:
    """The line of the key that pySigma's reason speaks of; the detection's where it names none."""
    for word in ("title", "level", "status", "tag", "date", "modified", "related", "references", "author"):
        key = {"tag": "tags"}.get(word, word)
        if f"rule {word}" in reason and key in lines:
            return lines[key]
    return lines.get("detection", lines[""])


def _refuse_other_kinds(document: dict[Any, Any], lines: Lines) -> None:
    if "action" in document:
        todo = "Write each rule out in full"
        raise FaultyError(lines.get("action", lines[""]), "`action` is no longer part of Sigma", todo)


def _source(said: Any, line: int) -> LogSource:
    if not isinstance(said, dict):
        raise FaultyError(line, "it has no logsource")
    named = {}
    for key in ("product", "category", "service"):
        value = said.get(key)
        if value is not None and not isinstance(value, str):
            raise FaultyError(line, f"the logsource's {key} is not a text")
        named[key] = (value or "").strip().lower()
    if not any(named.values()):
        raise FaultyError(line, "its logsource names no product, category or service")
    return LogSource(**named)


#: The specification recommends a UUID, and does not demand one.
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _identity(document: dict[Any, Any], lines: Lines) -> str | None:
    said = document.get("id")
    if said is None:
        return None
    text = said.strip() if isinstance(said, str) else ""
    if not _ID.fullmatch(text):
        reason = f"the id {str(said)[:80]!r} is none: an id is a UUID, or a text of letters, digits, `.`, `_` and `-`"
        raise FaultyError(lines.get("id", lines[""]), reason)
    return text.lower() if _UUID.fullmatch(text) else text


def _refuse_names(document: dict[Any, Any], lines: Lines) -> None:
    """A title is for people and may hold anything but control characters; a name is what others refer to."""
    title, name = document.get("title"), document.get("name")
    if isinstance(title, str) and (len(title) > MAX_TITLE or _CONTROL.search(title)):
        reason = f"the title has control characters or more than {MAX_TITLE}"
        raise FaultyError(lines.get("title", lines[""]), reason)
    if name is not None and (not isinstance(name, str) or not _NAME.fullmatch(name)):
        reason = f"the name {str(name)[:80]!r} is none: a name has up to {MAX_TITLE} characters and is no path"
        raise FaultyError(lines.get("name", lines[""]), reason)


_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_NAME: Final = re.compile(rf"(?!\.{{1,2}}$)[^/\\\x00-\x1f\x7f-\x9f]{{1,{MAX_TITLE}}}")


def _keyed(part: Any, line: int) -> Any:
    """The same with texts for keys; YAML takes `no`, `on` and the like for booleans. Raises FaultyError."""
    if isinstance(part, list):
        return [_keyed(value, line) for value in part]
    if not isinstance(part, dict):
        return part
    for key in part:
        if not isinstance(key, str | int | float) or isinstance(key, bool):
            raise FaultyError(line, f"YAML reads a field's name as {key!r:.80}; put it in quotes")
    return {str(key): _keyed(value, line) for key, value in part.items()}


def _bound(detection: dict[str, Any], line: int) -> None:
    """Refuse what would blow up, or mean something else than it says. Raises FaultyError."""
    condition = detection.get("condition")
    said = condition if isinstance(condition, list) else [condition]
    written = [text for text in said if isinstance(text, str) and text.strip()]
    if len(written) < len(said) or not written:
        raise FaultyError(line, "it has no condition")
    length = sum(map(len, written))
    if length > MAX_CONDITION:
        raise FaultyError(line, f"its conditions have {length:,} characters; at most {MAX_CONDITION:,} are read")
    if isinstance(detection.get("timeframe"), str):
        raise FaultyError(line, "`timeframe` is the old way to count events", "Write a correlation beside the rule")
    words = sum(len(text.split()) for text in written)
    values = sum(_values(part, key, line) for key, part in detection.items() if key != "condition")
    expressions = sum(_expressions(part, "") for part in detection.values())
    if expressions > MAX_EXPRESSIONS:
        reason = f"{expressions:,} regular expressions; at most {MAX_EXPRESSIONS:,} are carried out"
        raise FaultyError(line, reason)
    if words * values > MAX_PRODUCT:
        raise FaultyError(line, f"{values:,} values under a condition of {words:,} words are too many")


def _values(part: Any, key: str, line: int) -> int:
    """How many values a selection may come to, expansions of modifiers included."""
    if isinstance(part, dict):
        if not part:
            raise FaultyError(line, f"{key[:80]!r} is empty")
        return sum(_values(value, name, line) for name, value in part.items())
    if isinstance(part, list):
        if not part:
            raise FaultyError(line, f"the list of {key[:80]!r} is empty and would be taken for null")
        return sum(_values(value, key, line) for value in part)
    # A dash may be any of five, in up to three places; more are one pattern.
    return 125 if "|windash" in key else 3 if "|base64offset" in key else 1


def _expressions(part: Any, key: str) -> int:
    """How many regular expressions a selection holds; RE2 takes up to a millisecond for each."""
    if isinstance(part, dict):
        return sum(_expressions(value, name) for name, value in part.items())
    if isinstance(part, list):
        return sum(_expressions(value, key) for value in part)
    return "re" in key.split("|")[1:]


__all__ = ["MAX_BYTES", "Loaded", "load", "unique"]
