"""Sigma rules and events for tests, in a line each; and the ways in which shippers write one JSON value."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import yaml

from detectors.sigma.engine import Engine
from detectors.sigma.load import load
from detectors.sigma.placeholders import fill
from detectors.sigma.rule import LogSource, Node, Rule
from schemas.event import Event, Format, Source
from schemas.severity import Severity

JSON = Format("test", "json")
TEXT = Format("test-text", "text")
OPAQUE = Format("test-opaque", "opaque")

SYSMON = "microsoft-windows-sysmon/operational"
PROCESS = Source("windows", "", SYSMON, 1)
ANY = Source("windows", "", "application", 0)


def rule_text(detection: Mapping[str, Any], /, **also: Any) -> bytes:
    """A rule file. `also` overrides what stands beside the detection."""
    said: dict[str, Any] = {
        "title": "A test",
        "id": "3f2a0f3e-3c0b-4f7e-9a55-0b6f0a9a1d11",
        "level": "high",
        "logsource": {"product": "windows"},
        "detection": dict(detection),
    }
    return yaml.safe_dump(said | also, allow_unicode=True, sort_keys=False).encode()


def rule(detection: Mapping[str, Any], /, **also: Any) -> Rule:
    """A rule that must load."""
    loaded = load("test.yml", rule_text(detection, **also))
    assert not loaded.refused, loaded.refused
    return loaded.rules[0]


def refusal(detection: Mapping[str, Any], /, **also: Any) -> str:
    """The sentence with which a rule is refused, where no placeholder has values."""
    loaded = load("test.yml", rule_text(detection, **also))
    assert not loaded.rules
    return str([*loaded.refused, *fill(loaded.waiting, {})[1]][0])


def tree_rule(tree: Node, number: int = 0) -> Rule:
    """A rule made of our own tree, as the reader would leave it."""
    return Rule(f"rule-{number}", "", Severity.LOW, (), LogSource("windows"), "", "", "", orjson.dumps(tree))


def event(
    fields: Mapping[str, Any], source: Source = ANY, form: Format = JSON, raw: bytes | None = None, offset: int = 0
) -> Event:
    """An event as a parser would make it; its fields are read back from its bytes, unless these are given."""
    if raw is None:
        raw = orjson.dumps(fields)
        fields = orjson.loads(raw)
    return Event(offset, raw, form, source, dict(fields), 0, 0)


def holds(selection: Any, fields: Mapping[str, Any], source: Source = ANY) -> bool:
    """Whether a rule of one selection matches one event, by the whole engine."""
    found = Engine([rule({"selection": selection, "condition": "selection"})]).match([event(fields, source)])
    return bool(found)


def pairs(engine: Engine, events: Sequence[Event]) -> list[tuple[int, str]]:
    """(place, rule id) of what the engine finds."""
    return [(match.index, match.rule.id) for match in engine.match(events)]


def plain_pairs(engine: Engine, events: Sequence[Event]) -> list[tuple[int, str]]:
    """The same by evaluating every rule on every event."""
    return [(place, match.rule.id) for place, each in enumerate(events) for match in engine.match_plain(each)]


def _write(value: Any, quote: Callable[[str], str]) -> str:
    """JSON with strings, and nothing else, written by `quote`."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{quote(key)}:{_write(item, quote)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_write(item, quote) for item in value) + "]"
    if isinstance(value, float):
        return f"{value:.17E}"  # a number has many spellings, and this one shares no digits in a row with its text
    return orjson.dumps(value).decode()


def _quoting(escaped: str, ensure_ascii: bool = False) -> Callable[[Any], bytes]:
    """A writer that writes these characters as \\uXXXX, or all beyond ASCII too."""
    codes = {ord(char): f"\\u{ord(char):04X}" for char in escaped}

    def quote(text: str) -> str:
        inner = json.dumps(text, ensure_ascii=ensure_ascii)[1:-1]
        # A quote is escaped already; those who write it as \u0022 do so for each.
        inner = "\\\\".join(part.replace('\\"', codes.get(34, '\\"')) for part in inner.split("\\\\"))
        return '"' + inner.translate({code: said for code, said in codes.items() if code != 34}) + '"'

    return lambda value: _write(value, quote).encode()


def _slashes(value: Any) -> bytes:
    return orjson.dumps(value).replace(b"/", b"\\/")


#: One JSON value as five writers write it.
WRITERS: dict[str, Callable[[Any], bytes]] = {
    "plain": orjson.dumps,
    "go": _quoting("<>&\u2028\u2029"),
    "ascii": _quoting("", ensure_ascii=True),
    "slashes": _slashes,
    "dotnet": _quoting("<>&'+`\"", ensure_ascii=True),
}
