"""Indicators from files: read, checked, indexed; and added to the folder that the workers read.

A folder is read for `.csv`, `.json` and `.stix`; a file that is named is read whatever it is called, by its content.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from detectors.ioc.feeds import Fault, Feed, csv, stix
from detectors.ioc.match import IndicatorIndex
from pipeline.settings import Settings
from schemas.errors import RefusedError
from schemas.indicator import Indicator

MAX_ENTRIES: Final = 2_000_000
MAX_FILE_BYTES: Final = 512 << 20
SUFFIXES: Final = (".csv", ".json", ".stix")


@dataclass(frozen=True, slots=True)
class LoadedIndicators:
    """Indicators in force. `faults` name file and place of what was refused, and never hold its value."""

    index: IndicatorIndex
    count: int
    faults: tuple[Fault, ...]
    revision: str


@dataclass(frozen=True, slots=True)
class Added:
    """What adding a file came to: where it lies now, what it holds."""

    path: Path
    count: int
    faults: tuple[Fault, ...]


def load_indicators(paths: Sequence[Path]) -> LoadedIndicators:
    """Read files and folders into one index.

    Raises RefusedError for a path that is missing or cannot be read, a file over 512 MB, more than 2,000,000 entries,
    or when more entries are faulty than are not.
    """
    indicators: list[Indicator] = []
    faults: list[Fault] = []
    for path in _files(paths):
        feed = read(path)
        indicators += feed.indicators
        faults += [Fault(f"{path.name}: {fault.where}", fault.why) for fault in feed.faults]
        if len(indicators) > MAX_ENTRIES:
            raise RefusedError(f"indicators: more than {MAX_ENTRIES:,} entries up to {path}. Leave some out.")
    if len(faults) > len(indicators):
        raise RefusedError(
            f"indicators: {len(faults)} of {len(faults) + len(indicators)} entries are faulty, the first in "
            f"{faults[0].where}: {faults[0].why}. Mend the files, or take them out of QORGAN_INDICATORS."
        )
    index = IndicatorIndex(indicators)
    return LoadedIndicators(index, len(index), tuple(faults), index.revision)


def read(path: Path) -> Feed:
    """One file's indicators and faults. Raises RefusedError when it cannot be read."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise RefusedError(f"indicators: {path} is larger than {MAX_FILE_BYTES >> 20} MB. Split it.")
        with path.open("rb") as file:
            head = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
        if head[:1] in (b"{", b"["):
            return stix.parse(path.read_bytes().removeprefix(b"\xef\xbb\xbf"), path.stem)
        with path.open(encoding="utf-8", errors="replace", newline="") as lines:
            return csv.parse(lines, path.stem)
    except OSError as error:
        raise RefusedError(f"indicators: {path} cannot be read ({error.strerror}).") from None


def add(file: Path, settings: Settings, folder: Path | None = None) -> Added:
    """Check a file and put it into the workers' folder of indicators, whole or not at all; the same name is replaced.

    The folder is the first one that the settings name, unless given. Workers read it at start and on SIGHUP.
    Raises RefusedError as `load_indicators` does, and where there is no such folder.
    """
    loaded = load_indicators([file])
    target = folder or next((path for path in settings.indicators if path.is_dir()), None)
    if target is None or not target.is_dir():
        raise RefusedError(
            "indicators: no folder to add to. Make one and name it in QORGAN_INDICATORS, or give it with --to."
        )
    name = re.sub(r"[^\w.-]", "_", file.name).lstrip(".") or "indicators"
    if Path(name).suffix.lower() not in SUFFIXES:
        with file.open("rb") as start:
            name += ".json" if start.read(64).lstrip()[:1] in (b"{", b"[") else ".csv"
    place = target / name
    try:
        _replace(place, file.read_bytes())
    except OSError as error:
        raise RefusedError(f"indicators: {place} cannot be written ({error.strerror}).") from None
    return Added(place, loaded.count, loaded.faults)


def _replace(place: Path, data: bytes) -> None:
    """Write beside, then move over: a reader sees the old file or the new one, whole."""
    handle, beside = tempfile.mkstemp(prefix=".", suffix=".part", dir=place.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).chmod(0o640)
        Path(beside).replace(place)
    finally:
        Path(beside).unlink(missing_ok=True)


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = (file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
            found += sorted(file for file in inside if not file.name.startswith("."))
        elif path.exists():
            found.append(path)
        else:
            raise RefusedError(f"indicators: {path} does not exist. Check QORGAN_INDICATORS.")
    return found
