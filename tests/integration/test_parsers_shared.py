"""The parsers over recordings of real events: nothing is lost, every event has its source, its host and its time."""

from __future__ import annotations

import json
import lzma
import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.parsers import Reading
from schemas.event import Event
from tests.builders import batch_of
from tests.parsing import READER

pytestmark = pytest.mark.shared


def shared_data() -> Path:
    named = os.environ.get("QORGAN_SHARED_DATA")
    folder = Path(named) if named else Path(__file__).parents[2].parent / "shared" / "data"
    assert folder.is_dir(), f"{folder} is missing; set QORGAN_SHARED_DATA to the folder of recordings and rules"
    return folder


def recordings() -> list[Path]:
    found = sorted((shared_data() / "otrf").glob("*.jsonl.xz"))
    assert found, "the recordings are missing"
    return found


def read(lines: Iterator[bytes]) -> Iterator[Reading]:
    while some := list(islice(lines, 1_000)):
        yield READER.read(batch_of(*some, timestamp=-1))


def lines_of(path: Path) -> Iterator[bytes]:
    with lzma.open(path) as file:
        yield from islice((line.rstrip(b"\n") for line in file), 4_000)


def test_every_line_of_every_recording_is_an_event_with_source_and_time() -> None:
    formats: Counter[str] = Counter()
    for path in recordings():
        for reading in read(lines_of(path)):
            assert not reading.dead, (path.name, reading.dead[0].reason)
            for event in reading.events:
                check(event, path.name)
            formats.update(event.format.name for event in reading.events)
    assert set(formats) == {"nxlog", "cloudtrail"}
    assert formats["cloudtrail"] == 103, "CloudTrail alone is no Windows event here"


def check(event: Event, name: str) -> None:
    where = f"{name}, line {event.offset + 1}"
    assert event.source.product in ("windows", "aws"), where
    assert event.source.service, where
    assert not event.doubtful, where
    assert event.time_ms == event.kafka_ms > 1_500_000_000_000, where
    if event.source.product == "windows":
        assert event.source.event_id == event.fields["EventID"], where
        assert event.host == event.fields["Computer"], where
        assert event.fields["Provider_Name"], where


def test_what_the_recordings_show_is_seen() -> None:
    """Addresses, names and digests that are known to stand in these recordings."""
    seen: Counter[str] = Counter()
    logons = 0
    for path in recordings():
        for reading in read(lines_of(path)):
            for event in reading.events:
                seen.update(one.type for one in event.observables)
                logons += event.source.event_id == 4624 and bool(event.user)
    assert seen["sha256"] > 500
    assert seen["ipv4"] > 500
    assert seen["domain"] > 5
    assert seen["url"] >= 1
    assert logons > 50


def documents() -> Iterator[dict[str, Any]]:
    with tarfile.open(shared_data() / "sigmahq-regression.tar.xz") as archive:
        for member in archive:
            if member.name.endswith(".json"):
                file = archive.extractfile(member)
                assert file is not None
                yield from several(file.read().decode())


def several(text: str) -> Iterator[dict[str, Any]]:
    """A case holds one event, a list of them, or several one after another."""
    at = 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = json.JSONDecoder().raw_decode(text, at)
        yield from value if isinstance(value, list) else [value]


def test_every_regression_case_is_evtx_with_its_event_data_at_the_top() -> None:
    count = 0
    for document in documents():
        reading = READER.read(batch_of(orjson.dumps(document), timestamp=-1))
        event = reading.events[0]
        count += 1
        assert event.format.name == "evtx"
        system = document["Event"]["System"]
        assert event.source.service == system["Channel"].lower()
        assert event.fields["EventID"] == system["EventID"]
        assert event.fields["Provider_Name"] == system["Provider"]["#attributes"]["Name"]
        for name, value in (document["Event"]["EventData"] or {}).items():
            assert event.fields[name] == value, name
        assert not event.doubtful
    assert count >= 115
