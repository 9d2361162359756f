"""The folder of versions (QORGAN_IDENTITIES): what was in force from when, kept as long as events are.

    parts/<hash>.table        what versions are made of; versions that agree share them
    versions/<since>-<revision>.json

A version is written whole or not at all, and never changed: a verdict of the past finds the names it was decided by.
"""

from __future__ import annotations

import itertools
import mmap
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from enrichers.hubs import Hubs
from enrichers.identities import NO_IDENTITIES, Identities, Kept
from enrichers.lookups import Lookups
from enrichers.table import EMPTY, DamagedError, Table
from enrichers.who import Snapshot
from pipeline.identities.build import Built, digest_of, digests, revision_of
from schemas.errors import RefusedError

#: Time for every worker to read a new version before it counts.
AHEAD: Final = timedelta(minutes=10)
#: A version that would be smaller than this share of the one before is a broken export.
LEAST_SHARE: Final = 0.5
#: Kinds of so few entries may shrink as they like.
FEW: Final = 20
_PART: Final = re.compile(r"[0-9a-f]{32}")
#: Snapshots and parts that are open in this process, by name: a reload opens again what is new.
_open: Final[WeakValueDictionary[tuple[str, int], Snapshot]] = WeakValueDictionary()
_parts: Final[WeakValueDictionary[str, Table]] = WeakValueDictionary()


class Version(BaseModel):
    """One kept version. `parts`: name → hash of its file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    revision: str
    since: int = Field(description="Kafka time from which it counts, milliseconds UTC")
    made: int = Field(description="when it was imported, milliseconds UTC")
    due: int = Field(description="when its first export is older than its period, seconds UTC")
    counts: Mapping[str, int]
    faulty: Mapping[str, int]
    domains: Mapping[str, str]
    parts: Mapping[str, str]

    @property
    def name(self) -> str:
        """By which people and its file call it."""
        return f"{datetime.fromtimestamp(self.since / 1_000, UTC):%Y%m%dT%H%M%SZ}-{self.revision}"


def keep(
    built: Built, folder: Path, now: datetime, effective: datetime | None, keep_days: int, *, shrunk: bool = False
) -> Version:
    """Keep a version that counts from `effective` on, by default in ten minutes. Raises RefusedError.

    Only the first one may count for the past: what was decided stays decided. Versions that were followed by another
    more than `keep_days` ago are dropped.
    """
    versions = read_versions(folder)
    since = effective or (now + AHEAD).replace(second=0, microsecond=0)
    if versions and since < now:
        raise RefusedError(f"A version cannot count from {since:%Y-%m-%d %H:%M %Z} on: that is past, and was decided.")
    since_ms = int(since.timestamp() * 1_000)
    last = versions[-1] if versions else None
    if last is not None and since_ms < last.since:
        raise RefusedError(f"The version {last.name} counts later than this one would. Name a later time.")
    if last is not None and not shrunk:
        _check_size(last, built)
    version = Version(
        revision=built.revision,
        since=since_ms,
        made=int(now.timestamp() * 1_000),
        due=built.gathered.due,
        counts=built.counts,
        faulty=dict(built.gathered.faulty),
        domains=built.domains,
        parts=digests(built.parts),
    )
    for name, digest in version.parts.items():
        _write(folder / "parts" / f"{digest}.table", built.parts[name])
    _write(folder / "versions" / f"{version.name}.json", version.model_dump_json(indent=1).encode())
    _drop_old(folder, now - timedelta(days=keep_days))
    return version


def read_versions(folder: Path) -> list[Version]:
    """The versions of a folder by the time from which they count; of several from one time the last made is last.

    Raises RefusedError for a file that is none.
    """
    found = []
    for path in sorted((folder / "versions").glob("*.json")):
        try:
            found.append(Version.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError):
            raise RefusedError(f"{path} is no version of identities. Import it again, or remove the file.") from None
    return sorted(found, key=lambda each: (each.since, each.made, each.revision))


def load_versions(folder: Path | None) -> list[Version]:
    """The versions that workers use. Raises RefusedError for a folder that is none, or a version that is not whole."""
    if folder is None:
        return []
    if not folder.is_dir():
        raise RefusedError(f"{folder} is no folder. `qorgan identities import` makes it; check QORGAN_IDENTITIES.")
    versions = read_versions(folder)
    for each in versions:
        if revision_of(dict(each.parts), dict(each.domains)) != each.revision:
            raise RefusedError(f"The version {each.name} in {folder} was changed. Import it again.")
    for digest in {digest for each in versions for digest in each.parts.values()}:
        if not (_PART.fullmatch(digest) and _part(folder, digest).is_file()):
            raise RefusedError(f"{_part(folder, digest)} is missing. Copy it again; versions are copied after parts.")
    return versions


def load_identities(folder: Path | None, versions: Sequence[Version] | None = None) -> Identities:
    """All versions of a folder; each is opened when a record of its time comes. Raises RefusedError."""
    versions = load_versions(folder) if versions is None else versions
    if folder is None or not versions:
        return NO_IDENTITIES
    last_of = {each.since: each for each in versions}
    return Identities([Kept(each.since, each.revision, partial(_opened, folder, each)) for each in last_of.values()])


def in_force(versions: Sequence[Version], now_ms: float) -> Version | None:
    """The version that counts at a time, None before the first."""
    return next((each for each in reversed(versions) if each.since <= now_ms), None)


def snapshot_of(built: Built, since: int = 0) -> Snapshot:
    """A snapshot that is not kept, to look at."""
    tables = {name: Table(data) for name, data in built.parts.items()}
    return _snapshot(built.revision, since, tables, built.domains)


def _opened(folder: Path, version: Version) -> Snapshot:
    known = _open.get((version.revision, version.since))
    if known is None:
        tables = {name: _mapped(folder, digest) for name, digest in version.parts.items()}
        known = _snapshot(version.revision, version.since, tables, version.domains)
        _open[version.revision, version.since] = known
    return known


def _snapshot(revision: str, since: int, tables: Mapping[str, Table], domains: Mapping[str, str]) -> Snapshot:
    said: Sequence[str] = orjson.loads(tables["hubs"].get("hubs") or "[]") if "hubs" in tables else ()
    lookups = Lookups(
        people=tables.get("people", EMPTY),
        assets=tables.get("assets", EMPTY),
        leases=tables.get("dhcp", EMPTY),
        vpn=tables.get("vpn", EMPTY),
        hubs=Hubs(said),
        domains=domains,
    )
    return Snapshot(revision, since, lookups)


def _part(folder: Path, digest: str) -> Path:
    return folder / "parts" / f"{digest}.table"


def _mapped(folder: Path, digest: str) -> Table:
    """A part, whose bytes are those that its name says."""
    known = _parts.get(digest)
    if known is not None:
        return known
    path = _part(folder, digest)
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if digest_of(data) == digest:
            table = _parts[digest] = Table(data)
            return table
    except (OSError, ValueError, DamagedError):
        pass
    raise RefusedError(f"{path} is missing or damaged. Copy it again, or import the version again.")


def _check_size(last: Version, built: Built) -> None:
    for kind, before in last.counts.items():
        now = built.counts.get(kind, 0)
        if before >= FEW and now < before * LEAST_SHARE:
            raise RefusedError(
                f"There would be {now:,} {kind}, and there were {before:,}: the export looks broken. "
                "If it is right, import it with --shrunk."
            )


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all; what is there already is the same, since its name is its hash."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _drop_old(folder: Path, before: datetime) -> None:
    """Drop versions that were followed by another before that time, and parts that none has any more."""
    versions = read_versions(folder)
    limit = int(before.timestamp() * 1_000)
    for each, after in itertools.pairwise(versions):
        if after.since < limit:
            (folder / "versions" / f"{each.name}.json").unlink(missing_ok=True)
    used = {digest for each in read_versions(folder) for digest in each.parts.values()}
    for path in (folder / "parts").glob("*.table"):
        if path.stem not in used:
            path.unlink(missing_ok=True)


def row(version: Version, *, now: bool) -> dict[str, Any]:
    """A version as `qorgan identities list` shows it."""
    return {
        "version": version.name,
        "since": _iso(version.since),
        "state": "in force" if now else "",
        "made": _iso(version.made),
        "due": _iso(version.due * 1_000),
        **version.counts,
        "faulty": sum(version.faulty.values()),
    }


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
