"""What is thrown at feeds: patterns, STIX, MISP, CSV and lists, true, bent and broken; and what must hold of each.

Nothing raises; every entry is sound: an indicator is normalised, bounded and can be written, a fault says where and why
and never holds a value; and how the bytes are cut changes nothing.
"""

from __future__ import annotations

import gzip
import io
import json
import time
from collections.abc import Callable
from random import Random
from typing import Any, Final

import orjson

from detectors.ioc.feeds import Entry, Fault, read
from detectors.ioc.feeds.stix_pattern import MAX_TOGETHER, Row, rows
from detectors.ioc.indicators import LEVELS, MAX_TAGS, TLPS, normal
from schemas.feed import Defaults, Limits, Reading
from schemas.indicator import TYPES, Indicator
from tests.feeding import attribute, event, indicator
from tests.fuzz.bending import mutated
from tests.stix_trees import KNOWN, PATHS, All, Any_, Tree, holds, printed, quoted

#: Seconds of the processor that no input, however odd, may take.
LONGEST: Final = 5.0
#: Stands in every value that is no indicator: no fault may show it.
CANARY: Final = "canary7f3a"
_ODD: Final = [
    None, True, -1, 2**70, 1e308, "", "x" * 9_000, CANARY, "\ud800", "а́", "\0", "=1+1", [], {}, [[]], [None], {"": {}},
    "2026-13-01", "9999-12-31T23:59:59.9999999+25:00", "tlp:purple", f"{CANARY}.", "10.0.0.0/33", "1" * 5_000,
]  # fmt: skip
_WORDS: Final = (
    "[", "]", "(", ")", "=", "==", "!=", "IN", "AND", "OR", "NOT", "LIKE", "ISSUBSET", "FOLLOWEDBY", "WITHIN", "5",
    "SECONDS", "REPEATS", ",", "'", "\\", f"'{CANARY}'", "'10.0.0.1'", "t'2026-01-01'", "EXISTS", *PATHS.values(),
    "process:command_line", "file:parent_directory_ref.path", "windows-registry-key:values[*].name", "a:b.'c'[0]",
)  # fmt: skip
_PIECES: Final = (
    b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\r", b"\n", b'"', b"'", b"\\", b"\\u", b"\\ud800", b"{", b"}",
    b"[", b"]", b",", b";", b"\t", b"|", b"#", b"||", b"\x1f\x8b", b"PK\x03\x04", b"1e999", b"NaN", b"-", b"tru",
    b"=cmd", b"[.]",
)  # fmt: skip


def patterns(random: Random) -> None:
    """Any words as a pattern: rows, or a refusal without a value; a pattern that is one means what it says."""
    said = " ".join(random.choice(_WORDS) for _ in range(random.randint(1, 25)))
    said = f"[{random.choice(list(PATHS.values()))} = '{said}' AND {said}]" if random.random() < 0.2 else said
    start = time.process_time()
    found, refused = _rows(said)
    assert CANARY not in refused, said
    assert bool(found) is not bool(refused), said
    assert all(0 < len(row) <= MAX_TOGETHER and row[0].type in TYPES for row in found), said
    assert time.process_time() - start < LONGEST, said
    tree = _tree(random, 4)
    seen = set(random.sample(KNOWN, random.randint(0, len(KNOWN))))
    text = f"[{printed(tree, random)}]"
    found, refused = _rows(text)
    assert not refused or "more than" in refused, text
    assert refused or any(seen.issuperset(row) for row in found) is holds(tree, seen), text


def stix(random: Random) -> None:
    """Any STIX, true or not."""
    objects: list[Any] = [_stix_object(random, number) for number in range(random.randint(0, 6))]
    document: Any = {"type": "bundle", "id": "bundle--1", "objects": objects}
    _judged(
        random, random.choice((document, objects, {"more": False, "next": random.choice(_ODD), "objects": objects}))
    )


def misp(random: Random) -> None:
    """Any MISP, true or not."""
    some = [attribute(number, *random.choice(_ATTRIBUTES)) | _bent(random) for number in range(random.randint(0, 5))]
    about = _bent(random) | {"Tag": random.choice(([{"name": random.choice(_TAGS)}], *_ODD[-8:-4]))}
    one = event(*some, **about)
    _judged(
        random, random.choice((one, [one, one], {"response": [one]}, {"response": {"Attribute": some}}, one["Event"]))
    )


def lists(random: Random) -> None:
    """Any lines, as CSV or as a list, in any writing."""
    cells = [
        "type",
        "value",
        "ip",
        "203.0.113.9",
        "evil[.]example",
        "url",
        "hxxp://a.example/",
        CANARY,
        "",
        "#",
        '"',
        "2026",
    ]
    lines = [";".join(random.choice(cells) for _ in range(random.randint(1, 4))) for _ in range(random.randint(0, 6))]
    text = "\n".join([random.choice(("type;value", "type,value,level", "", "a|b")), *lines])
    columns = random.choice(({}, {"value": 2}, {"value": "a", "type": "b"}))
    _read(random, text.encode(random.choice(("utf-8", "utf-16", "utf-16-le", "cp1251")), "replace"), columns=columns)


TARGETS: Final[dict[str, Callable[[Random], None]]] = {
    "stix patterns": patterns,
    "stix": stix,
    "misp": misp,
    "lists": lists,
}

_ATTRIBUTES: Final = (
    ("ip-dst", "203.0.113.9"), ("domain|ip", "evil.example|203.0.113.9"), ("filename|md5", "a|" + "b1" * 16),
    ("ip-dst|port", "203.0.113.9|443"), ("regkey|value", f"HKLM\\x|{CANARY}"), ("yara", CANARY), ("url", CANARY),
)  # fmt: skip
_TAGS: Final = (
    "tlp:red",
    "tlp:",
    "kill-chain:",
    'misp:confidence-level="x"',
    "misp-galaxy:mitre-attack-pattern=",
    "\0",
)


def _rows(pattern: str) -> tuple[list[Row], str]:
    try:
        return rows(pattern), ""
    except ValueError as error:
        return [], str(error)


def _tree(random: Random, depth: int) -> Tree:
    if not depth or random.random() < 0.4:
        return random.choice(KNOWN)
    parts = tuple(_tree(random, depth - 1) for _ in range(random.randint(1, 3)))
    return Any_(parts) if random.random() < 0.6 else All(parts)


def _stix_object(random: Random, number: int) -> Any:
    one = random.choice(KNOWN)
    made = indicator(random.choice((number, 1)), f"[{PATHS[one.type]} = {quoted(one.value)}]")
    kinds = ("indicator", "identity", "marking-definition", "relationship", "sighting", "malware", random.choice(_ODD))
    keys = (
        "id", "type", "pattern", "pattern_type", "name", "labels", "valid_from", "valid_until", "modified", "revoked",
        "confidence", "kill_chain_phases", "object_marking_refs", "granular_markings", "definition", "created_by_ref",
    )  # fmt: skip
    if random.random() < 0.3:
        made["type"] = random.choice(kinds)
    for _ in range(random.randint(0, 2)):
        made[random.choice(keys)] = random.choice(_ODD)
    return made if random.random() < 0.95 else random.choice(_ODD)


def _bent(random: Random) -> dict[str, Any]:
    keys = ("uuid", "type", "value", "to_ids", "deleted", "timestamp", "Tag", "first_seen", "Galaxy", "Orgc", "info")
    return {random.choice(keys): random.choice(_ODD) for _ in range(random.choice((0, 0, 1, 2)))}


def _judged(random: Random, document: Any) -> None:
    _read(random, json.dumps(document, ensure_ascii=True, indent=random.choice((None, 1))).encode())


def _read(random: Random, data: bytes, **more: Any) -> None:
    data = mutated(random, data, _PIECES) if random.random() < 0.6 else data
    data = gzip.compress(data, mtime=0) if random.random() < 0.1 else data
    data = data[: random.randrange(len(data) + 1)] if random.random() < 0.1 else data
    reading = Reading(
        source="fuzz",
        own=random.random() < 0.3,
        defaults=Defaults(valid_days=random.choice((0, 30))),
        limits=Limits(entry_bytes=random.choice((256, 5_000, 1 << 20))),
        **more,
    )
    start = time.process_time()
    found = list(read(io.BytesIO(data), reading))
    assert time.process_time() - start < LONGEST, data
    for entry in found:
        _sound(entry, data)
    assert list(read(_Cut(data, random), reading)) == found, data


def _sound(entry: Entry, data: bytes) -> None:
    if isinstance(entry, Fault):
        assert entry.where, data
        assert entry.why, data
        assert len(entry.why) < 500, data
        assert CANARY not in entry.why or entry.why.startswith("unknown columns"), data
    elif isinstance(entry, Indicator):
        assert entry.type in TYPES, data
        assert entry.level in LEVELS, data
        assert entry.tlp in TLPS, data
        assert entry.id, data
        assert len(entry.id) <= 128, data
        assert len(entry.tags) <= MAX_TAGS, data
        assert 0 <= entry.confidence <= 100, data
        assert not entry.valid_until or entry.valid_until > entry.valid_from, data
        assert normal(entry.type, entry.value) == (entry.type, entry.value), data
        assert orjson.dumps(entry._asdict()), data


class _Cut(io.BytesIO):
    """The same bytes in other pieces."""

    def __init__(self, data: bytes, random: Random) -> None:
        super().__init__(data)
        self._random = random

    def read(self, size: int | None = -1) -> bytes:
        return super().read(
            self._random.randint(1, 50) if size is None or size < 0 else min(size, self._random.randint(1, 50))
        )
