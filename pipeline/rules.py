"""Rule files become an engine. Reads folders, remembers what pySigma made of each text, refuses what is mostly broken.

The cache holds our own form of rules by the hash of their text, as JSON: nothing in it can run, and what does not fit
is written anew. Where it holds every text, pySigma is never imported, and 3,141 rules are ready in well under a second.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, tzinfo
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Final

import orjson

from detectors.correlation.resolve import Correlations, resolve
from detectors.correlation.stored import packed, unpacked
from detectors.sigma.engine import Engine
from detectors.sigma.load import MAX_BYTES, Loaded, load, unique
from detectors.sigma.routing import carried
from detectors.sigma.rule import NODES_VERSION, LogSource, Refusal, Rule
from schemas.errors import RefusedError
from schemas.severity import Severity

MAX_FILES: Final = 50_000
MAX_TOTAL: Final = 256 << 20
#: Texts that the cache holds, those of other sets included.
MAX_REMEMBERED: Final = 20_000
SUFFIXES: Final = (".yml", ".yaml")

_READABLE: Final = "Give this user the right to read it, or take it out"
_CACHE_FILE: Final = "sigma-rules.json"


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """A set of rules, ready, and what became of every file."""

    engine: Engine
    rules: tuple[Rule, ...]
    refused: tuple[Refusal, ...]
    correlations: Correlations
    not_carried: tuple[Rule, ...]
    """Rules in force whose log source no parser tells by itself: they wait for a topic whose settings name it."""
    revision: str
    files: int
    seconds: float
    from_cache: bool
    """Every text was known to the cache."""


def load_rules(paths: Sequence[Path], cache_dir: Path | None = None, zone: tzinfo = UTC) -> LoadedRules:
    """Load files and folders of rules; none: those we ship. `zone`: the bank's, for parts of times.

    Raises RefusedError when a path is missing, there are too many files, or most of the rules are refused: a worker
    that runs keeps its set then.
    """
    loaded = check_rules(paths, cache_dir, zone)
    where = ", ".join(map(str, paths)) or "the rules we ship"
    good, bad = len(loaded.rules) + len(loaded.correlations.ordered), len(loaded.refused)
    if not good and not bad:
        raise RefusedError(f"{where}: there is no rule file (*.yml, *.yaml) in it. Name a folder of Sigma rules.")
    if bad > good:
        raise RefusedError(
            f"{where}: {bad:,} of {good + bad:,} rules are refused, the first: {loaded.refused[0]}. "
            "`qorgan rules check` names them all."
        )
    return loaded


def check_rules(paths: Sequence[Path], cache_dir: Path | None = None, zone: tzinfo = UTC) -> LoadedRules:
    """The same, however many rules are refused: for looking at them."""
    start = time.monotonic()
    cache = _Cache(cache_dir)
    loaded = [cache.loaded(name, data) for name, data in _texts(paths)]
    cache.save()
    rules, doubles = unique(rule for file in loaded for rule in file.rules)
    refused = [refusal for file in loaded for refusal in file.refused] + doubles
    correlations, unresolved = resolve(rules, [each for file in loaded for each in file.correlations])
    engine = Engine(rules, zone)
    return LoadedRules(
        engine=engine,
        rules=engine.rules,
        refused=(*refused, *unresolved),
        correlations=correlations,
        not_carried=tuple(rule for rule in rules if not carried(rule.logsource)),
        revision=engine.revision,
        files=len(loaded),
        seconds=time.monotonic() - start,
        from_cache=not cache.changed,
    )


def _texts(paths: Sequence[Path]) -> Iterator[tuple[str, bytes | Refusal]]:
    """Every rule file's name, in a stable order and once, with its bytes or why there are none. Raises RefusedError."""
    if not paths:
        for entry in sorted(resources.files("detectors.sigma").joinpath("rules").iterdir(), key=lambda e: e.name):
            if entry.name.endswith(SUFFIXES):
                yield f"shipped/{entry.name}", entry.read_bytes()
        return
    seen: set[tuple[int, int]] = set()
    total = 0
    for file in (file for path in paths for file in _files(path)):
        try:
            data = _read(file, seen)
        except OSError as error:
            yield str(file), Refusal(str(file), 0, f"the file cannot be read ({error.strerror})", _READABLE)
            continue
        if data is None:
            continue
        total += len(data)
        if len(seen) > MAX_FILES or total > MAX_TOTAL:
            raise RefusedError(
                f"There are more than {MAX_FILES:,} rule files or {MAX_TOTAL >> 20} MB of them below "
                f"{', '.join(map(str, paths))}. Name the folders that hold rules."
            )
        yield str(file), data


def _read(file: Path, seen: set[tuple[int, int]]) -> bytes | None:
    """A file's bytes, None for one read before. A pipe or device would block or never end, so it is not waited for."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as opened:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(0, "not a regular file")
        if (about.st_dev, about.st_ino) in seen:
            return None
        seen.add((about.st_dev, about.st_ino))
        return opened.read(MAX_BYTES + 1)


def _files(path: Path) -> Iterable[Path]:
    """A file itself, or the rule files below a folder. Links to folders are not followed, so there is no loop."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise RefusedError(f"The rules {path} do not exist. Name a file or folder of Sigma rules (QORGAN_RULES).")
    return _below(path)


def _below(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise RefusedError(f"The rules folder {error.filename} cannot be read: {error.strerror}.")

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        yield from (Path(root, name) for name in sorted(names) if name.endswith(SUFFIXES))


class _Cache:
    """Text's hash → what it holds. A file that is damaged, of another version or of another user is as none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._version = "/".join([str(NODES_VERSION), *map(metadata.version, ("pysigma", "google-re2", "pyyaml"))])
        self._known: dict[str, Any] = self._read() if folder is not None else {}
        self._used: dict[str, Any] = {}
        self.changed = False

    def loaded(self, name: str, data: bytes | Refusal) -> Loaded:
        """What a file holds, from the cache or read now."""
        if isinstance(data, Refusal):
            return Loaded((), (data,))
        key = hashlib.blake2b(data, digest_size=16).hexdigest()
        entry = self._known.get(key)
        if entry is not None:
            found = _unpacked(entry, name)
            if found is not None:
                self._used[key] = entry
                return found
        self.changed = True
        found = load(name, data)
        self._used[key] = _packed(found)
        return found

    def save(self) -> None:
        """Write the cache if it holds anything new. A disk that is full costs the next start time, nothing else."""
        if self._folder is None or not self.changed:
            return
        # What another set of rules left stays, within bounds: a worker and `qorgan detect` may share the folder.
        keep = self._known if len(self._known) + len(self._used) <= MAX_REMEMBERED else {}
        body = orjson.dumps(keep | self._used)
        head = orjson.dumps([self._version, hashlib.blake2b(body, digest_size=16).hexdigest()])
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=_CACHE_FILE, delete=False) as file:
                file.write(head + b"\n" + body)
            Path(file.name).replace(self._folder / _CACHE_FILE)

    def _read(self) -> dict[str, Any]:
        assert self._folder is not None  # noqa: S101 - for the type checker; the caller has looked
        try:
            with (self._folder / _CACHE_FILE).open("rb") as file:
                about = os.fstat(file.fileno())
                if about.st_uid != os.geteuid() or about.st_mode & 0o022:
                    return {}
                head, _, body = file.read().partition(b"\n")
            if orjson.loads(head) != [self._version, hashlib.blake2b(body, digest_size=16).hexdigest()]:
                return {}
            known = orjson.loads(body)
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}


def _packed(loaded: Loaded) -> list[Any]:
    rules = [
        [r.id, r.title, int(r.level), r.tags, list(r.logsource), r.status, r.revision, r.condition.decode(), r.name]
        for r in loaded.rules
    ]
    return [rules, [list(refusal[1:]) for refusal in loaded.refused], [packed(each) for each in loaded.correlations]]


def _unpacked(entry: Any, name: str) -> Loaded | None:
    try:
        rules = tuple(
            Rule(
                id_,
                title,
                Severity(level),
                tuple(tags),
                LogSource(*source),
                status,
                revision,
                name,
                tree.encode(),
                called,
            )
            for id_, title, level, tags, source, status, revision, tree, called in entry[0]
        )
        refused = tuple(Refusal(name, *refusal) for refusal in entry[1])
        return Loaded(rules, refused, tuple(unpacked(each, name) for each in entry[2]))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None


__all__ = ["LoadedRules", "check_rules", "load_rules"]
