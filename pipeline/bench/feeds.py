"""What reading a feed costs: seconds and peak memory of a large file of each format, made up, read as a poll reads it.

Each is read in a process of its own, whose peak is its alone. By default a STIX bundle and a CSV of 1,000,000
indicators, and a MISP search of 5,000,000 attributes (2 GB), of which each tenth is to be matched.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson

from detectors.ioc.feeds import read
from schemas.feed import Limits, Reading
from schemas.indicator import Indicator

MIB: Final = 1 << 20


def run(*, made_indicators: int = 1_000_000) -> dict[str, Any]:
    """By format: indicators, megabytes of the file, seconds of CPU, peak megabytes beyond the process at its start."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="qorgan-bench-") as folder:
        for name, pieces in FORMATS.items():
            path = Path(folder) / name
            with path.open("wb") as file:
                file.writelines(pieces(made_indicators))
            with get_context("spawn").Pool(1) as pool:
                figures[name] = pool.apply(measure, (path,))
            path.unlink()
    return figures


def measure(path: Path) -> dict[str, Any]:
    """Read one file. For a process of its own."""
    before, started = _peak(), time.process_time()
    reading = Reading(source="bench", limits=Limits(entries=100_000_000, bytes=1 << 40))
    found = sum(isinstance(entry, Indicator) for entry in read(path, reading))
    return {
        "indicators": found,
        "megabytes": path.stat().st_size // MIB,
        "seconds": round(time.process_time() - started, 1),
        "peak_megabytes": _peak() - before,
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _stix(count: int) -> Iterator[bytes]:
    yield b'{"type":"bundle","id":"bundle--1","objects":['
    for number in range(count):
        yield (b"," if number else b"") + orjson.dumps(
            {
                "type": "indicator",
                "spec_version": "2.1",
                "id": f"indicator--{UUID(int=number)}",
                "created_by_ref": "identity--00000000-0000-0000-0000-000000000001",
                "created": "2026-01-01T20:03:48.000Z",
                "modified": "2026-01-01T20:03:48.000Z",
                "name": f"Control server {number}",
                "description": "A host that a campaign used to control what it had taken over",
                "indicator_types": ["malicious-activity"],
                "pattern": f"[domain-name:value = 'h{number}.example']",
                "pattern_type": "stix",
                "pattern_version": "2.1",
                "valid_from": "2026-01-01T20:03:48Z",
                "confidence": 70,
                "kill_chain_phases": [{"kill_chain_name": "mitre-attack", "phase_name": "command-and-control"}],
                "object_marking_refs": ["marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"],
            }
        )
    yield b"]}"


def _misp(count: int) -> Iterator[bytes]:
    yield b'{"response":['
    for event in range(max(1, count // 400)):
        yield (b"," if event else b"") + b'{"Event":{"uuid":"%s","info":"A campaign","Attribute":[' % _uuid(event)
        for number in range(event * 2_000, event * 2_000 + 2_000):
            yield (b"," if number % 2_000 else b"") + orjson.dumps(_attribute(number))
        yield b'],"Object":[],"Tag":[{"name":"tlp:amber"}]}}'
    yield b"]}"


def _attribute(number: int) -> dict[str, Any]:
    kind = ("domain", "sha256", "ip-dst")[number % 3]
    value = (f"h{number}.example", f"{number + 1:064x}", f"2001:db8::{number & 65_535:x}")[number % 3]
    return {
        "id": str(number),
        "type": kind,
        "category": "Network activity",
        "to_ids": number % 10 == 0,
        "uuid": _uuid((1 << 80) + number).decode(),
        "event_id": str(number // 2_000),
        "distribution": "5",
        "timestamp": "1767225600",
        "comment": "as seen in the report of a campaign",
        "sharing_group_id": "0",
        "deleted": False,
        "disable_correlation": False,
        "object_id": "0",
        "object_relation": None,
        "first_seen": None,
        "last_seen": None,
        "value": value,
        "Galaxy": [],
        "ShadowAttribute": [],
    }


def _uuid(number: int) -> bytes:
    return str(UUID(int=number)).encode()


def _csv(count: int) -> Iterator[bytes]:
    yield b"type,value,title,level,confidence,valid_from,tags\n"
    for number in range(count):
        yield b"domain,h%d.example,Control server,high,70,2026-01-01,c2;ours\n" % number


def _list(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield b"h%d[.]example # seen\n" % number


FORMATS: Final[dict[str, Callable[[int], Iterator[bytes]]]] = {"stix": _stix, "misp": _misp, "csv": _csv, "list": _list}
