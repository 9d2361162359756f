"""Indicators from files: read, checked, indexed.

A folder is read for the suffixes of SUFFIXES; a file that is named is read whatever it is called, by its content.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from detectors.ioc.feeds import Fault, read
from detectors.ioc.match import IndicatorIndex
from schemas.errors import RefusedError
from schemas.feed import Limits, Reading
from schemas.indicator import Indicator

MAX_ENTRIES: Final = 2_000_000
MAX_FILE_BYTES: Final = 4 << 30
#: So many faults are kept to be named; all are counted.
MAX_FAULTS: Final = 1_000
#: What a folder of a MISP feed holds beside its events.
ABOUT: Final = ("manifest.json", "hashes.csv")
SUFFIXES: Final = (".csv", ".json", ".stix", ".txt", ".gz", ".zip")


@dataclass(frozen=True, slots=True)
class LoadedIndicators:
    """Indicators in force. `faults` name file and place of what was refused, and never hold its value."""

    index: IndicatorIndex
    count: int
    faults: tuple[Fault, ...]
    revision: str


def load_indicators(paths: Sequence[Path]) -> LoadedIndicators:
    """Read files and folders into one index.

    Raises RefusedError for a path that is missing or cannot be read, a file that breaks off, more than 2,000,000
    entries, or when more entries are faulty than are not.
    """
    gathered = _Gathered()
    index = IndicatorIndex(gathered.indicators(_files(paths)))
    faults = gathered.faults
    if gathered.bad > gathered.count:
        raise RefusedError(
            f"indicators: {gathered.bad} of {gathered.bad + gathered.count} entries are faulty, the first in "
            f"{faults[0].where}: {faults[0].why}. Mend the files, or take them out of QORGAN_INDICATORS."
        )
    return LoadedIndicators(index, len(index), tuple(faults), index.revision)


class _Gathered:
    """Entries of several files on their way into an index."""

    def __init__(self) -> None:
        self.count = 0
        self.bad = 0
        self.faults: list[Fault] = []

    def indicators(self, files: Iterable[Path]) -> Iterator[Indicator]:
        """The indicators, counted; withdrawals of a file speak of what it does not hold."""
        for path in files:
            try:
                for entry in read(path, _reading(path)):
                    if isinstance(entry, Indicator):
                        self.count += 1
                        if self.count > MAX_ENTRIES:
                            raise RefusedError(
                                f"indicators: more than {MAX_ENTRIES:,} entries up to {path}. Leave some out."
                            )
                        yield entry
                    elif isinstance(entry, Fault):
                        self._take(path, entry)
            except OSError as error:
                raise RefusedError(f"indicators: {path} cannot be read ({error.strerror}).") from None

    def _take(self, path: Path, fault: Fault) -> None:
        if fault.kind == "end" and "limits." in fault.why:
            raise RefusedError(f"indicators: {path}: {fault.why}. Split it.")
        self.bad += fault.kind != "foreign"
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(f"{path.name}: {fault.where}", fault.why, fault.kind))


def _reading(path: Path) -> Reading:
    """A file of our own: it may say whose its entries are; else they are the file's."""
    limits = Limits(bytes=MAX_FILE_BYTES, entries=MAX_ENTRIES)
    changed = int(path.stat().st_mtime * 1_000)
    return Reading(source=path.stem[:80] or "file", own=True, first=True, at_ms=changed, limits=limits)


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = (file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
            found += sorted(file for file in inside if not file.name.startswith(".") and file.name not in ABOUT)
        elif path.exists():
            found.append(path)
        else:
            raise RefusedError(f"indicators: {path} does not exist. Check QORGAN_INDICATORS.")
    return found
