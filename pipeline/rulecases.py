"""Cases of rules as they are written: records that a rule must find, and records that it must leave alone.

Cases lie beside their rule: those of `NAME.yml` in `NAME.cases.yml`.

    places: {203.0.113.0/24: [43.24, 76.89]}    # for impossible travel: latitude and longitude of networks
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
      - name: of a correlation
        parts:                                  # records of several sources; they are counted through
          - records: [...]
          - {source: {product: bank}, records: [...]}
        episodes: [{first: 2, events: 10, group: {account: dauren}}]      # these, and no others

SigmaHQ's layout is read as well: folders `regression_data` with an `info.yml` and the events as JSON beside it. Its
`match_count` is the least, not the exact number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from detectors.correlation.correlation import Correlation
from detectors.sigma.rule import Rule
from enrichers.geo import NO_PLACES, Networks, Places, RowError, place_of
from pipeline import recordings
from pipeline.rules import CASES_FOLDER, LoadedRules, on_disk
from schemas.errors import RefusedError

SUFFIX: Final = ".cases.yml"
MAX_BYTES: Final = 64 << 20
Judged = Rule | Correlation


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


class Part(_Frozen):
    """Records of one source. A text is a record as it is, a mapping is one in JSON."""

    source: SourceSettings | None = Field(default=None, description="of these records; else the file's")
    records: tuple[str | dict[str, Any], ...] = ()
    file: Path | None = Field(default=None, description="a recording beside the cases")

    @model_validator(mode="after")
    def _has_records(self) -> Part:
        if bool(self.records) is (self.file is not None):
            raise ValueError("name either records or a file")
        return self


class Episode(_Frozen):
    """What a correlation must come to; what is left out may be anything."""

    first: Annotated[int, Field(ge=1)] | None = Field(default=None, description="number of its first record")
    events: Annotated[int, Field(ge=1)] | None = Field(default=None, description="how many contribute")
    group: dict[str, str] = Field(default={}, description="values of `group-by`")


class Case(_Frozen):
    """Records, and whether the rule finds them."""

    name: str = Field(min_length=1)
    rule: str = Field(default="", description="id or title; needed where the rule's file holds several")
    match: bool = True
    origin: str = Field(default="", description="the recording or document that the records come from")
    at_least: Annotated[int, Field(ge=1)] = 1
    records: tuple[str | dict[str, Any], ...] = ()
    file: Path | None = Field(default=None, description="a recording beside the cases")
    parts: tuple[Part, ...] = Field(default=(), description="instead: records of several sources")
    episodes: tuple[Episode, ...] = Field(default=(), description="of a correlation: these, in the order of time")

    @model_validator(mode="after")
    def _has_records(self) -> Case:
        if bool(self.records) + (self.file is not None) + bool(self.parts) != 1:
            raise ValueError("name either records or a file, or parts")
        if self.episodes and not self.match:
            raise ValueError("a case that must not match has no episodes")
        return self

    def split(self) -> tuple[Part, ...]:
        """The parts, one where none are named."""
        return self.parts or (Part(records=self.records, file=self.file),)


class CaseFile(_Frozen):
    """The cases beside one rule file."""

    source: SourceSettings = AS_IT_SAYS
    places: dict[str, tuple[float, float]] = Field(default={}, description="network → latitude, longitude")
    cases: Annotated[tuple[Case, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Asked:
    """One case as it is carried out. `least` 0: none of the records may be found."""

    rule: str
    name: str
    where: Path
    least: int
    parts: tuple[tuple[SourceSettings, tuple[bytes, ...]], ...] = ()
    episodes: tuple[Episode, ...] = ()
    fault: str = ""
    """Why it cannot be carried out."""
    places: Places = NO_PLACES


def judged(loaded: LoadedRules) -> list[Judged]:
    """All rules and correlations."""
    return [*loaded.rules, *loaded.correlations.ordered]


def told(loaded: LoadedRules) -> list[Judged]:
    """What is told for itself: all but the rules that only stand for correlations."""
    return [rule for rule in judged(loaded) if rule.id not in loaded.correlations.silent]


def beside(loaded: LoadedRules) -> list[Asked]:
    """The cases that lie beside these rules' files. Raises RefusedError for a file of cases that cannot be read."""
    by_file: dict[str, list[Judged]] = {}
    for rule in judged(loaded):
        by_file.setdefault(rule.file, []).append(rule)
    found: list[Asked] = []
    for file, held in by_file.items():
        path = on_disk(file).with_suffix(SUFFIX)
        if path.is_file():
            said = _case_file(path)
            own = [rule for rule in held if rule.id not in loaded.correlations.silent]
            places = _places(said.places, path)
            asked = (_asked(case, said.source, held, own or held, path) for case in said.cases)
            found += [replace(each, places=places) for each in asked]
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


def _asked(case: Case, source: SourceSettings, held: list[Judged], own: list[Judged], path: Path) -> Asked:
    """`held`: what the rule file holds, `own`: what of it is told for itself, so that there may be a case of it."""
    wanted = case.rule.strip().lower()
    named = [rule for rule in held if wanted in (rule.id, rule.title.lower())] if wanted else own
    if len(named) != 1:
        known = ", ".join(rule.id for rule in own)
        raise RefusedError(f"{path}: the case {case.name!r} must name its rule, one of {known}.")
    if case.episodes and not isinstance(named[0], Correlation):
        raise RefusedError(f"{path}: the case {case.name!r} has episodes, and its rule is no correlation.")
    least = case.at_least if case.match else 0
    parts = tuple((part.source or source, _records(part, path)) for part in case.split())
    return Asked(named[0].id, case.name, path, least, parts, case.episodes)


def _places(said: dict[str, tuple[float, float]], path: Path) -> Places:
    located = Networks()
    try:
        for network, (latitude, longitude) in said.items():
            located.add(network, place_of(str(latitude), str(longitude)))
    except RowError as error:
        raise RefusedError(f"{path}: the cases are refused: places: {error}.") from None
    return Places(located, Networks())


def _records(part: Part, path: Path) -> tuple[bytes, ...]:
    if part.file is None:
        return tuple(r.encode() if isinstance(r, str) else _json(r) for r in part.records)
    return tuple(line for lines in recordings.read(str(path.parent / part.file)) for line in lines.values)


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
                yield Asked(rule, name, path, least, ((AS_IT_SAYS, tuple(_values(file))),))
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
