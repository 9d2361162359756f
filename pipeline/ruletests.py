"""Rules and their cases: records that a rule must find, and records that it must leave alone.

Cases lie beside their rule: those of `NAME.yml` in `NAME.cases.yml`.

    source: {product: linux, service: sshd}     # what the topic's settings would say of such records; may be left out
    cases:
      - name: root logs in with a key           # match: true where nothing is said
        records: ["May  3 10:00:00 pay-gw-01 sshd[1]: Accepted publickey for root from 10.20.0.27 port 1 ssh2"]
      - name: somebody else does
        match: false
        records: [{Channel: Security, EventID: 4624}]     # a mapping is a JSON record
      - name: a recording
        file: recording.jsonl                   # beside the cases
        at_least: 3

SigmaHQ's layout is read as well: folders `regression_data` with an `info.yml` and the events as JSON beside it. Its
`match_count` is the least, not the exact number.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from detectors.sigma.engine import Engine
from detectors.sigma.rule import Rule
from pipeline import recordings
from pipeline.offline import read
from pipeline.parsers import Reader
from pipeline.rules import CASES_FOLDER, LoadedRules
from pipeline.settings import Settings, TopicSettings
from schemas.errors import RefusedError

SUFFIX: Final = ".cases.yml"
TOPIC: Final = "case"
#: 2026-01-01 UTC: when records without a whole time of their own happened.
NEAR_MS: Final = 1_767_225_600_000
MAX_BYTES: Final = 64 << 20


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class SourceSettings(_Frozen):
    """What a topic's settings would say of the records."""

    format: str = "detect"
    product: str = ""
    category: str = ""
    service: str = ""


#: Records that say themselves what they are.
AS_IT_SAYS: Final = SourceSettings()


class Case(_Frozen):
    """Records, and whether the rule finds them. A text is a record as it is, a mapping is one in JSON."""

    name: str = Field(min_length=1)
    rule: str = Field(default="", description="id or title; needed where the rule's file holds several")
    match: bool = True
    origin: str = Field(default="", description="the recording or document that the records come from")
    at_least: Annotated[int, Field(ge=1)] = 1
    records: tuple[str | dict[str, Any], ...] = ()
    file: Path | None = Field(default=None, description="a recording beside the cases")

    @model_validator(mode="after")
    def _has_records(self) -> Case:
        if bool(self.records) is (self.file is not None):
            raise ValueError("name either records or a file")
        return self


class CaseFile(_Frozen):
    """The cases beside one rule file."""

    source: SourceSettings = AS_IT_SAYS
    cases: Annotated[tuple[Case, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Asked:
    """One case as it is carried out. `least` 0: none of the records may be found."""

    rule: str
    name: str
    where: Path
    least: int
    records: tuple[bytes, ...] = ()
    source: SourceSettings = AS_IT_SAYS
    fault: str = ""
    """Why it cannot be carried out."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case; `fault` is empty when it passed."""

    rule: Rule
    case: Asked
    fault: str
    seconds: float


def beside(rules: Iterable[Rule]) -> list[Asked]:
    """The cases that lie beside these rules' files. Raises RefusedError for a file of cases that cannot be read."""
    by_file: dict[str, list[Rule]] = {}
    for rule in rules:
        by_file.setdefault(rule.file, []).append(rule)
    found: list[Asked] = []
    for file, held in by_file.items():
        path = Path(file).with_suffix(SUFFIX)
        if path.is_file():
            said = _case_file(path)
            found += [_asked(case, said.source, held, path) for case in said.cases]
    return found


def regression(folders: Iterable[Path]) -> list[Asked]:
    """The cases in SigmaHQ's layout below these folders."""
    return [case for folder in folders for info in sorted(folder.rglob("info.yml")) for case in _of_info(info)]


def regression_folders(paths: Iterable[Path]) -> list[Path]:
    """SigmaHQ's folders of cases that belong to these rules: `regression_data` in a folder or in one above it."""
    found = []
    for path in paths:
        places = (place / CASES_FOLDER for place in (path.absolute(), *path.absolute().parents))
        folder = next((place for place in places if place.is_dir()), None)
        if folder is not None and folder not in found:
            found.append(folder)
    return found


def run(settings: Settings, loaded: LoadedRules, cases: Sequence[Asked], zone: tzinfo) -> Iterator[Result]:
    """Carry out the cases of the rules that there are, whatever their stage; each rule is judged alone."""
    rules = {rule.id: rule for rule in loaded.rules}
    readers: dict[SourceSettings, Reader] = {}
    engines: dict[str, Engine] = {}
    for case in cases:
        rule = rules.get(case.rule)
        if rule is None:
            continue
        started = time.monotonic()
        reader = readers.get(case.source)
        if reader is None:
            topic = TopicSettings(topic=TOPIC, **case.source.model_dump())
            reader = readers[case.source] = Reader(settings.model_copy(update={"topics": (topic,)}))
        engine = engines.setdefault(rule.id, Engine([rule], zone))
        fault = case.fault or _judge(case, reader, engine)
        yield Result(rule, case, fault, time.monotonic() - started)


def without(rules: Iterable[Rule], results: Iterable[Result]) -> list[tuple[Rule, str]]:
    """The rules that lack a positive or a negative case, with the kind that they lack."""
    had = {(result.rule.id, bool(result.case.least)) for result in results}
    kinds = ((True, "positive"), (False, "negative"))
    return [(rule, kind) for rule in rules for positive, kind in kinds if (rule.id, positive) not in had]


def _judge(case: Asked, reader: Reader, engine: Engine) -> str:
    """What is wrong, or nothing. A record that is no event proves nothing, so it fails a case of either kind."""
    numbers = range(1, len(case.records) + 1)
    reading = read(reader, TOPIC, recordings.Lines(numbers, case.records), NEAR_MS)
    if reading.dead:
        return f"record {reading.dead[0].offset} is no event ({reading.dead[0].reason})"
    found = [reading.events[match.index].offset for match in engine.match(reading.events)]
    if engine.tally.failed:
        return f"the rule raises {next(iter(engine.tally.failed.values())).error}"
    if case.least and len(set(found)) < case.least:
        return f"found in {len(set(found))} of {len(case.records)} records, expected in {case.least} at least"
    if not case.least and found:
        return f"found in record {found[0]}, expected in none"
    return ""


def _case_file(path: Path) -> CaseFile:
    try:
        said = yaml.safe_load(_bytes(path))
        return CaseFile.model_validate(said)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise RefusedError(f"{path}{f':{mark.line + 1}' if mark else ''}: the cases are not readable YAML.") from None
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"])) or "file"
        raise RefusedError(f"{path}: the cases are refused: {place}: {fault['msg']}.") from None


def _asked(case: Case, source: SourceSettings, held: list[Rule], path: Path) -> Asked:
    wanted = case.rule.strip().lower()
    named = [rule for rule in held if wanted in (rule.id, rule.title.lower())] if wanted else held
    if len(named) != 1:
        known = ", ".join(rule.id for rule in held)
        raise RefusedError(f"{path}: the case {case.name!r} must name its rule, one of {known}.")
    least = case.at_least if case.match else 0
    if case.file is None:
        records = tuple(r.encode() if isinstance(r, str) else _json(r) for r in case.records)
    else:
        records = tuple(line for lines in recordings.read(str(path.parent / case.file)) for line in lines.values)
    return Asked(named[0].id, case.name, path, least, records, source)


def _of_info(path: Path) -> Iterator[Asked]:
    try:
        said = yaml.safe_load(_bytes(path))
        ids = [str(about["id"]).lower() for about in said["rule_metadata"]]
        tests = [(str(test["name"]), str(test["path"]), int(test.get("match_count", 1))) for test in _tests(said)]
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        raise RefusedError(f"{path} is no description of regression cases as SigmaHQ writes them.") from None
    for name, events, least in tests:
        # Events are recorded as EVTX and kept as JSON beside it.
        file = path.parent / Path(events).with_suffix(".json").name
        for rule in [file.stem.lower()] if file.stem.lower() in ids else ids:
            try:
                yield Asked(rule, name, path, least, tuple(_values(file)))
            except (RefusedError, ValueError):
                fault = f"{file.name} is missing beside it, or holds no JSON: convert the recording"
                yield Asked(rule, name, path, least, fault=fault)


def _tests(said: Any) -> list[Any]:
    return said["regression_tests_info"] or []


def _values(file: Path) -> Iterator[bytes]:
    """The JSON values of a file, one behind the other or in a list, however they are laid out."""
    text, at, decoder = _bytes(file).decode("utf-8-sig"), 0, json.JSONDecoder()
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        yield from map(_json, value if isinstance(value, list) else [value])


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=str).encode()


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RefusedError(f"{path} cannot be read ({error.strerror}).") from None
    if len(data) > MAX_BYTES:
        raise RefusedError(f"{path} has more than {MAX_BYTES >> 20} MB. Keep recordings in files that the cases name.")
    return data
