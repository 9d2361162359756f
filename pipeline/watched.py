"""What the files that decide look like from outside: one value that changes when any of them does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from pipeline.settings import Settings
from schemas.identity import short_hash

#: Settings that name files and folders which a reload reads.
WATCHED: Final = ("rules", "stages", "suppressions", "placeholders", "assets", "event_list", "geo")
#: And those that are swapped alone, without building anything else anew.
APART: Final = ("identities",)
#: Files looked at; below that many a look takes some 20 ms on a thread.
MOST_FILES: Final = 60_000
_BETWEEN: Final = "-"


def fingerprint(settings: Settings) -> str:
    """A hash over name, size, time and inode of every file that a reload would read. Contents are not read."""
    return f"{fingerprint_of(_named(settings, WATCHED))}{_BETWEEN}{fingerprint_of(_named(settings, APART))}"


def only_apart(before: str, now: str) -> bool:
    """Whether of two fingerprints nothing differs but what is swapped alone."""
    return before != now and before.partition(_BETWEEN)[0] == now.partition(_BETWEEN)[0]


def _named(settings: Settings, names: tuple[str, ...]) -> list[Path]:
    named: list[Path] = []
    for name in names:
        value: Any = getattr(settings, name)
        named += value if isinstance(value, tuple) else (value,) if value is not None else ()
    return named


def fingerprint_of(paths: Iterable[Path]) -> str:
    """The same over these files and folders."""
    seen = []
    for path in paths:
        for file in _files(path):
            seen.append(_look(file))
            if len(seen) > MOST_FILES:
                return short_hash(*seen)
    return short_hash(*seen)


def _files(path: Path) -> Iterator[str]:
    if not path.is_dir():
        yield str(path)
        return
    for root, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(root, name) for name in sorted(names))  # noqa: PTH118 - as os.walk gives it, and quick


def _look(file: str) -> str:
    try:
        about = os.stat(file)  # noqa: PTH116 - thousands of them, every few seconds
    except OSError:
        return f"{file} -"
    return f"{file} {about.st_size} {about.st_mtime_ns} {about.st_ino}"
