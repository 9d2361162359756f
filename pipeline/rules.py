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
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from detectors.sigma.filters import Account, Filter
from detectors.sigma.load import MAX_BYTES, Loaded, load
from detectors.sigma.placeholders import Waiting
from detectors.sigma.routing import carried
from detectors.sigma.rule import NODES_VERSION, LogSource, Refusal, Rule
from detectors.sigma.suppress import NO_SUPPRESSIONS, Suppressions
from pipeline.shelf import shelf
from pipeline.tuning import NO_TUNING, Change, Tuning, tune
from schemas.errors import RefusedError
from schemas.severity import Severity

MAX_FILES: Final = 50_000
MAX_TOTAL: Final = 256 << 20
#: Texts that the cache holds, those of other sets included.
MAX_REMEMBERED: Final = 20_000
SUFFIXES: Final = (".yml", ".yaml")
#: The folder's name in a rule's `file`, for those in the package.
SHIPPED: Final = "shipped"
#: Files beside rules that are none: their cases (`pipeline.ruletests`), and SigmaHQ's folder of cases.
CASES: Final = (".cases.yml", ".cases.yaml")
CASES_FOLDER: Final = "regression_data"

_READABLE: Final = "Give this user the right to read it, or take it out"
#: Raise it when other documents are read than before.
_READ: Final = 2
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
    suppressions: Suppressions = NO_SUPPRESSIONS
    changes: tuple[Change, ...] = ()
    """The placeholders that rules in force are filled with."""


def load_rules(
    paths: Sequence[Path],
    cache_dir: Path | None = None,
    zone: tzinfo = UTC,
    tuning: Tuning = NO_TUNING,
    pause: Callable[[], None] = lambda: None,
    offline: bool = False,
) -> LoadedRules:
    """Load files and folders of rules; none: those we ship. `zone`: the bank's, for parts of times.

    `tuning`: what the site adds to them, placeholders' values and suppressions. `pause` is called after each file.

    Raises RefusedError when a path is missing, there are too many files, or most of the rules are refused: a worker
    that runs keeps its set then. `offline`: there is no other set, so whatever can be used is.
    """
    loaded = check_rules(paths, cache_dir, zone, tuning, pause)
    where = ", ".join(map(str, paths)) or "the rules we ship"
    # A filter that does not apply is no reason to go without the rules.
    good = len(loaded.rules) + len(loaded.correlations.ordered)
    bad = len(loaded.refused) - len(loaded.suppressions.refused)
    if not good and not bad:
        raise RefusedError(f"{where}: there is no rule file (*.yml, *.yaml) in it. Name a folder of Sigma rules.")
    if bad > good and not (offline and good):
        raise RefusedError(
            f"{where}: {bad:,} of {good + bad:,} rules are refused, the first: {loaded.refused[0]}. "
            "`qorgan rules check` names them all."
        )
    return loaded


def check_rules(
    paths: Sequence[Path],
    cache_dir: Path | None = None,
    zone: tzinfo = UTC,
    tuning: Tuning = NO_TUNING,
    pause: Callable[[], None] = lambda: None,
) -> LoadedRules:
    """The same, however many rules are refused: for looking at them."""
    start = time.monotonic()
    cache = _Cache(cache_dir)
    loaded = []
    for name, data in _texts(paths):
        loaded.append(cache.loaded(name, data))
        pause()
    cache.save()
    tuned = tune(loaded, tuning, zone)
    rules = tuned.rules
    correlations, unresolved = resolve(rules, [each for file in loaded for each in file.correlations])
    engine = Engine(rules, zone, shelf=shelf(cache_dir))
    return LoadedRules(
        engine=engine,
        rules=engine.rules,
        refused=(*tuned.refused, *unresolved),
        correlations=correlations,
        not_carried=tuple(rule for rule in rules if not carried(rule.logsource)),
        revision=engine.revision,
        files=len(loaded),
        seconds=time.monotonic() - start,
        from_cache=not cache.changed,
        suppressions=tuned.suppressions,
        changes=tuned.changes,
    )


def on_disk(file: str) -> Path:
    """Where a rule's `file` lies, for those that we ship too."""
    folder, _, name = file.rpartition("/")
    return Path(str(resources.files("detectors.sigma") / "rules" / name)) if folder == SHIPPED else Path(file)


def _texts(paths: Sequence[Path]) -> Iterator[tuple[str, bytes | Refusal]]:
    """Every rule file's name, in a stable order and once, with its bytes or why there are none. Raises RefusedError."""
    if not paths:
        for entry in sorted(resources.files("detectors.sigma").joinpath("rules").iterdir(), key=lambda e: e.name):
            if _is_rule(entry.name):
                yield f"{SHIPPED}/{entry.name}", entry.read_bytes()
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
        folders[:] = sorted(name for name in folders if name != CASES_FOLDER)
        yield from (Path(root, name) for name in sorted(names) if _is_rule(name))


def _is_rule(name: str) -> bool:
    return name.endswith(SUFFIXES) and not name.endswith(CASES)


class _Cache:
    """Text's hash → what it holds. A file that is damaged, of another version or of another user is as none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._version = "/".join(
            [f"{NODES_VERSION}.{_READ}", *map(metadata.version, ("pysigma", "google-re2", "pyyaml"))]
        )
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
    return [
        [_packed_rule(rule) for rule in loaded.rules],
        [list(refusal[1:]) for refusal in loaded.refused],
        [[line, *_packed_rule(rule)] for rule, line in loaded.waiting],
        [
            [f.id, f.title, list(f.logsource), f.rules, list(f.account), f.revision, f.line, f.condition.decode()]
            for f in loaded.filters
        ],
        [list(refusal[1:]) for refusal in loaded.refused_filters],
        loaded.correlation_names,
        [packed(each) for each in loaded.correlations],
    ]


def _packed_rule(r: Rule) -> list[Any]:
    return [r.id, r.title, int(r.level), r.tags, list(r.logsource), r.status, r.revision, r.condition.decode(), r.name]


def _unpacked(entry: Any, name: str) -> Loaded | None:
    try:
        rules, refused, waiting, filters, refused_filters, names, correlations = entry
        return Loaded(
            tuple(_unpacked_rule(name, *rule) for rule in rules),
            tuple(Refusal(name, *refusal) for refusal in refused),
            waiting=tuple(Waiting(_unpacked_rule(name, *rule), line) for line, *rule in waiting),
            filters=tuple(_unpacked_filter(name, *said) for said in filters),
            refused_filters=tuple(Refusal(name, *refusal) for refusal in refused_filters),
            correlation_names=tuple(names),
            correlations=tuple(unpacked(each, name) for each in correlations),
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None


def _unpacked_rule(
    file: str,
    id_: str,
    title: str,
    level: int,
    tags: Any,
    source: Any,
    status: str,
    revision: str,
    tree: str,
    name: str,
) -> Rule:
    made = LogSource(*source)
    return Rule(id_, title, Severity(level), tuple(tags), made, status, revision, file, tree.encode(), name)


def _unpacked_filter(
    file: str, id_: str, title: str, source: Any, rules: Any, said: Any, revision: str, line: int, tree: str
) -> Filter:
    return Filter(id_, title, LogSource(*source), tuple(rules), Account(*said), revision, file, line, tree.encode())


__all__ = ["LoadedRules", "check_rules", "load_rules"]
