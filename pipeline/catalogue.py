"""The catalogue of indicators: what curate knows, in one SQLite file, with the position up to which that is true.

An entry and the position of what said it are one transaction, so a restart anywhere neither repeats nor skips. An entry
is published after it is written; `sent` remembers which revision the broker has confirmed, and what it has not is sent
again. On a broker that forgets, this file is the truth; elsewhere it is rebuilt from `indicators.gated`.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from detectors.ioc.life import GRACE_MS
from schemas.errors import QorganError
from schemas.indicator_record import MATCHED, Gated, Pair

_TABLES: Final = """
    CREATE TABLE IF NOT EXISTS entry (
        source TEXT, id TEXT, state TEXT, revision INTEGER, sent INTEGER, asked INTEGER, feed TEXT, poll INTEGER,
        until INTEGER, record BLOB, PRIMARY KEY (source, id)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS by_state ON entry (state);
    CREATE INDEX IF NOT EXISTS unasked ON entry (source, id) WHERE asked = 0;
    CREATE INDEX IF NOT EXISTS unsent ON entry (source, id) WHERE sent < revision;
    CREATE INDEX IF NOT EXISTS ending ON entry (until) WHERE until > 0;
    CREATE INDEX IF NOT EXISTS by_feed ON entry (feed, poll);
    CREATE TABLE IF NOT EXISTS place (topic TEXT PRIMARY KEY, log TEXT, position INTEGER);
    CREATE TABLE IF NOT EXISTS feed (name TEXT PRIMARY KEY, cursor TEXT, poll INTEGER);
"""
_PUT: Final = "INSERT OR REPLACE INTO entry VALUES (?,?,?,?,?,?,?,?,?,?)"


_GET: Final = "SELECT record, sent, poll FROM entry WHERE (source, id) IN (VALUES {places})"
#: Keys asked for at once: SQLite binds some thousands of values.
ASKED: Final = 400


class Place(NamedTuple):
    """How far a topic is taken in: the position after the last record, in that log."""

    log: str
    position: int


class Row(NamedTuple):
    """An entry and what the catalogue keeps beside it: the revision that is confirmed, the poll that last had it."""

    entry: Gated
    sent: int = 0
    poll: int = 0


class Catalogue:
    """One file. Every method blocks; used by one thread at a time. Raises QorganError when the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made: sqlite3.Connection | None = None
        # Who was cancelled leaves a thread behind that still writes; closing waits for it.
        self._guard = threading.RLock()

    def open(self) -> None:
        """Open or make the file."""
        with self._failing():
            if self._made is not None:
                return
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = sqlite3.connect(self._path, timeout=10.0, isolation_level=None, check_same_thread=False)
            self._path.chmod(0o600)
            # A crash of the machine may lose the last transactions; their records are then read again.
            made.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16000;")
            made.executescript(_TABLES)
            self._made = made

    def close(self) -> None:
        """Let go of the file."""
        with self._guard:
            made, self._made = self._made, None
            if made is not None:
                made.close()

    def get(self, keys: Iterable[Pair]) -> dict[Pair, Row]:
        """The entries of these keys that are there."""
        found: dict[Pair, Row] = {}
        with self._failing():
            for some in _pieces(keys):
                places = ",".join(["(?,?)"] * len(some))
                asked = _GET.format(places=places)
                for record, sent, poll in self._db.execute(asked, [part for key in some for part in key]):
                    entry = Gated.from_bytes(record)
                    found[entry.key] = Row(entry, sent, poll)
        return found

    def put(self, rows: Iterable[Row], places: Mapping[str, Place] | None = None) -> None:
        """Write entries and positions, all or nothing."""
        with self._transaction():
            self._db.executemany(_PUT, map(_columns, rows))
            self._places(places or {})

    def confirmed(self, entries: Iterable[Gated]) -> None:
        """The broker has these revisions."""
        with self._transaction():
            self._db.executemany(
                "UPDATE entry SET sent = max(sent, ?) WHERE source=? AND id=?",
                [(entry.revision, *entry.key) for entry in entries],
            )

    def forget_sent(self) -> None:
        """Nothing of what was sent is on the broker any more."""
        with self._transaction():
            self._db.execute("UPDATE entry SET sent = 0")

    def unsent(self, most: int) -> list[Gated]:
        """Entries of which the broker has not confirmed the last revision."""
        return self._entries("SELECT record FROM entry WHERE sent < revision LIMIT ?", most)

    def unasked(self, most: int, after: Pair = ("", "")) -> list[Gated]:
        """Entries whose values the store was not asked for, in the order of their keys."""
        return self._entries(
            "SELECT record FROM entry WHERE asked = 0 AND (source, id) > (?, ?) ORDER BY source, id LIMIT ?",
            *after,
            most,
        )

    def ended(self, now: int, most: int) -> list[Gated]:
        """Entries whose validity is over, and the grace after it."""
        return self._entries("SELECT record FROM entry WHERE until > 0 AND until <= ? LIMIT ?", now, most)

    def missing(self, feed: str, poll: int, most: int) -> list[Gated]:
        """Entries of a feed that its poll of this number did not have, and that are not withdrawn."""
        return self._entries(
            "SELECT record FROM entry WHERE feed = ? AND poll < ? AND state != 'revoked' LIMIT ?", feed, poll, most
        )

    def touch(self, keys: Iterable[Pair], poll: int) -> None:
        """A poll had these, unchanged."""
        with self._transaction():
            self._db.executemany("UPDATE entry SET poll=? WHERE source=? AND id=?", [(poll, *key) for key in keys])

    def counts(self) -> dict[str, int]:
        """How many entries are in each state."""
        with self._failing():
            return dict(self._db.execute("SELECT state, count(*) FROM entry GROUP BY state").fetchall())

    def place(self, topic: str) -> Place | None:
        """How far a topic is taken in."""
        with self._failing():
            row = self._db.execute("SELECT log, position FROM place WHERE topic=?", (topic,)).fetchone()
        return Place(*row) if row is not None else None

    def feed(self, name: str) -> tuple[dict[str, object], int]:
        """A feed's cursor and the number of its last poll."""
        with self._failing():
            row = self._db.execute("SELECT cursor, poll FROM feed WHERE name=?", (name,)).fetchone()
        return (orjson.loads(row[0]), row[1]) if row is not None else ({}, 0)

    def keep_feed(self, name: str, cursor: Mapping[str, object], poll: int) -> None:
        """Remember them."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO feed VALUES (?,?,?)", (name, orjson.dumps(cursor), poll))

    @property
    def _db(self) -> sqlite3.Connection:
        if self._made is None:
            raise RuntimeError("the catalogue is not open")
        return self._made

    def _entries(self, sql: str, *parameters: object) -> list[Gated]:
        with self._failing():
            return [Gated.from_bytes(row[0]) for row in self._db.execute(sql, parameters)]

    def _places(self, places: Mapping[str, Place]) -> None:
        for topic, place in places.items():
            self._db.execute("INSERT OR REPLACE INTO place VALUES (?,?,?)", (topic, *place))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._failing():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            with self._guard:
                yield
        except (sqlite3.Error, OSError) as error:
            raise QorganError(
                f"The catalogue of indicators {self._path} cannot be used ({type(error).__name__}: {error}). Is its "
                "disk full, or the file damaged? On Apache Kafka it may be removed: it is rebuilt from its topic."
            ) from None


def _pieces(keys: Iterable[Pair]) -> Iterator[list[Pair]]:
    rest = iter(keys)
    while some := list(islice(rest, ASKED)):
        yield some


def _columns(row: Row) -> tuple[object, ...]:
    entry = row.entry
    live = entry.state in (*MATCHED, "held", "waiting")
    until = entry.document.valid_until + GRACE_MS if live and entry.document.valid_until else 0
    asked = entry.asked or entry.state in ("revoked", "expired")
    return (
        *entry.key,
        entry.state,
        entry.revision,
        row.sent,
        int(asked),
        entry.feed,
        row.poll,
        until,
        entry.to_bytes(),
    )
