"""What is thrown at rules, conditions and events, and what must hold of each throw; one function a target.

A target takes a random source, makes one input and checks it. It raises AssertionError, or whatever the code under
test raises: either is a find. `test_fuzz` runs them for a time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from random import Random
from typing import Any, Final

import yaml

from detectors.sigma.engine import Engine
from detectors.sigma.load import load
from detectors.sigma.rule import LogSource, Rule
from pipeline.parsers import Reader
from pipeline.settings import load as load_settings
from tests.builders import batch_of
from tests.fuzz import feeds
from tests.fuzz.bending import mutated
from tests.fuzz.conditions import NAMES, holds
from tests.semantics import CASES
from tests.sigma import ANY, event, pairs, plain_pairs, rule_text, tree_rule

#: No input, however odd, may take longer than this, in seconds of the processor.
LONGEST: Final = 10.0
_ODD: Final = [
    None, True, False, 0, -1, 2**63, 2**64, 2**70, 1e308, 0.1, "", "*", "?", "\\", "%x%", "а", "\u212a", "\ud7ff",
    "a" * 5_000, [], {}, [None], [[1]], {"": 1}, "10.0.0.0/8", "::/0", "(a+)+$", "(?=", "a|b", "-a -b -c -d", "\0",
]  # fmt: skip
_WORDS: Final = (
    "all", "contains", "startswith", "endswith", "exists", "cased", "neq", "windash", "re", "i", "m", "s", "base64",
    "base64offset", "utf16", "utf16le", "utf16be", "wide", "lt", "lte", "gt", "gte", "minute", "hour", "week", "cidr",
    "expand", "fieldref", "nosuch", "",
)  # fmt: skip
_PIECES: Final = (
    b"\n", b": ", b"- ", b"&a ", b"*a", b"<<: ", b"!!binary ", b"!!set ", b"? ", b"|", b">", b"'", b'"', b"{", b"}",
    b"[", b"]", b"---\n", b"%YAML 1.1\n", b"0x", b"1:2", b".inf", b"2001-01-01", b"\xff", b"\xef\xbb\xbf", b"\t", b"#",
)  # fmt: skip
_EVENTS: Final = [event(fields) for fields in ({}, {"F": "abc"}, {"F": [1, None, "x"], "G": {"H": "ж"}}, {"F": True})]


def rules(random: Random) -> None:
    """Any bytes as a rule file: read or refused by name, in bounded time; what is read finds what it finds plainly."""
    data = mutated(random, _rule_text(random), _PIECES) if random.random() < 0.7 else _rule_text(random)
    start = time.process_time()
    loaded = load("fuzz.yml", data)
    engine = Engine(loaded.rules)
    assert pairs(engine, _EVENTS) == plain_pairs(engine, _EVENTS), data
    assert time.process_time() - start < LONGEST, data
    refused = [*loaded.refused, *loaded.refused_filters]
    assert loaded.rules or refused or loaded.waiting or loaded.filters, data
    assert all(refusal.reason and refusal.todo and len(str(refusal)) < 2_000 for refusal in refused), data


def conditions(random: Random) -> None:
    """Any words as a condition: carried out as a reader of its own would, or refused where that would."""
    words = [random.choice(_CONDITION_WORDS) for _ in range(random.randint(1, 12))]
    said = " ".join(words)
    loaded = load("fuzz.yml", rule_text({name: {name: 1} for name in NAMES} | {"condition": said}))
    has = {name for name in NAMES if random.random() < 0.5}
    expected = holds(said, has)
    assert bool(loaded.rules) is (expected is not None), said
    if loaded.rules:
        found = Engine(loaded.rules).match([event(dict.fromkeys(has, 1))])
        assert bool(found) is expected, (said, has)


def events(random: Random) -> None:
    """Any bytes as records: each is an event or a dead letter, and rules find in events what they find plainly."""
    records = [_record(random) for _ in range(8)]
    reading = _READER.read(batch_of(*records))
    assert len(reading.events) + len(reading.dead) == len(records), records
    found = [each for each in reading.events if each.fields is not None]
    made = [event(each.fields, ANY, each.format, each.raw, each.offset) for each in found]
    start = time.process_time()
    assert pairs(_ENGINE, made) == plain_pairs(_ENGINE, made), records
    assert time.process_time() - start < LONGEST, records


TARGETS: Final[dict[str, Callable[[Random], None]]] = {
    "rules": rules,
    "conditions": conditions,
    "events": events,
    **feeds.TARGETS,
}

_CONDITION_WORDS: Final = (
    *NAMES, "and", "or", "not", "(", ")", "1 of them", "all of them", "any of s*", "all of *1", "1 of nosuch*", "of",
    "AND", "NOT", "them", "1", "no", "* ", "|",
)  # fmt: skip
_READER: Final = Reader(load_settings())


def _rules_of_the_page() -> list[Rule]:
    made = []
    for number, case in enumerate(CASES):
        if not case.refusal:
            (one,) = load("page.yml", rule_text(case.detection)).rules
            made.append(tree_rule(one.tree, number))
    return [Rule(r.id, "", r.level, (), LogSource("windows"), "", "", "", r.condition) for r in made]


_ENGINE: Final = Engine(_rules_of_the_page())


def _rule_text(random: Random) -> bytes:
    detection: dict[str, Any] = dict(random.choice(CASES).detection)
    for _ in range(random.randint(0, 3)):
        key = "|".join(["F", *(random.choice(_WORDS) for _ in range(random.randint(0, 3)))])
        value = random.choice(_ODD)
        detection["extra"] = {key: [value, random.choice(_ODD)] if random.random() < 0.3 else value}
    if random.random() < 0.5 and "extra" in detection:
        detection["condition"] = "extra"
    also = {random.choice(("id", "title", "level", "tags", "name", "logsource", "date")): random.choice(_ODD)}
    try:
        return rule_text(detection, **(also if random.random() < 0.3 else {}))
    except (yaml.YAMLError, ValueError):  # what YAML cannot write is no rule file
        return rule_text(detection)


def _record(random: Random) -> bytes:
    case = random.choice(CASES)
    fields: Any = dict(case.event) if random.random() < 0.7 else {"F": random.choice(_ODD), "G": random.choice(_ODD)}
    raw = json.dumps(fields, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    if random.random() < 0.1:
        before, after = random.choice(((b'{"F":', b"}"), (b"[", b"]"), (b'{"F":[', b"]}")))
        depth = random.randint(1, 1_100)
        raw = b'{"F":' + before * depth + raw + after * depth + b"}"
    return mutated(random, raw, _PIECES) if random.random() < 0.4 else raw
