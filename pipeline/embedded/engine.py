"""The ClickHouse engine inside this process: one directory, one lock, a connection for every request.

A connection costs 0.13 ms and carries its own settings, database and temporary tables, so nothing of one request can
leak into another; a session is a connection that is kept. The engine starts threads: never fork after this import.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.embedded.clickhouse_errors import refused
from pipeline.embedded.http_call import Call
from schemas.errors import RefusedError

MAX_SESSIONS = 128
# Of the machine's memory: the worker and the broker live beside us.
_MEMORY_RATIO = 0.5


class Engine:
    """The opened engine. `connection` and `session` may be called from any thread."""

    def __init__(self, directory: Path) -> None:
        """Open or create the store in `directory`. Raises RefusedError with the reason."""
        self._lock_file = _lock(directory)
        self._directory = directory / "engine"
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            self.spool = directory / "spool"
            self.spool.mkdir(mode=0o700, exist_ok=True)
            from chdb import _chdb  # here: it starts the engine's threads
        except (OSError, ImportError) as error:
            raise RefusedError(f"The store cannot open {directory}: {error}.") from None
        self._connect: Any = _chdb.connect  # type: ignore[attr-defined] # an extension module
        self._connecting = threading.Lock()
        try:
            self._first = self._connect(f"{self._directory}?max_server_memory_usage_to_ram_ratio={_MEMORY_RATIO}")
        except RuntimeError as error:
            raise RefusedError(f"The store cannot open {directory}: {_reason(error)}") from None
        facts = self._first.query("SELECT version(), timezone(), displayName()", "TSV").data().strip().split("\t")
        self.version, self.timezone, self.display_name = facts
        self._sessions: dict[str, _Session] = {}

    @contextlib.contextmanager
    def leased(self, call: Call) -> Iterator[Any]:
        """The connection of one request, prepared with its database and settings; a session's is handed back."""
        with self._session(call) if call.session_id else self._fresh() as connection:
            yield connection

    def cancel_all(self) -> None:
        """Ask every running query to end: the store is stopping."""
        with self._fresh() as connection, contextlib.suppress(RuntimeError):
            connection.query("KILL QUERY WHERE query NOT LIKE 'KILL QUERY%' ASYNC", "Null")

    def drop_idle_sessions(self, now: float) -> None:
        """Close the sessions whose time is over. `now` is monotonic."""
        with self._connecting:
            for name, session in list(self._sessions.items()):
                if session.until <= now and session.busy.acquire(blocking=False):
                    del self._sessions[name]
                    session.connection.close()

    def close(self) -> None:
        """Close every connection and the engine; its parts are on disk before this returns."""
        self.drop_idle_sessions(float("inf"))
        self._first.close()
        self._lock_file.close()

    @contextlib.contextmanager
    def _fresh(self) -> Iterator[Any]:
        with self._connecting:
            connection = self._connect(str(self._directory))
        try:
            yield connection
        finally:
            with self._connecting:
                connection.close()

    @contextlib.contextmanager
    def _session(self, call: Call) -> Iterator[Any]:
        session = self._find_session(call)
        try:
            yield session.connection
        finally:
            session.until = 0.0 if call.close_session else time.monotonic() + call.session_timeout
            session.busy.release()
            if call.close_session:
                self.drop_idle_sessions(time.monotonic())

    def _find_session(self, call: Call) -> _Session:
        """The session, busy for us. Raises EngineError if it is another request's or there are too many."""
        self.drop_idle_sessions(time.monotonic())
        with self._connecting:
            session = self._sessions.get(call.session_id)
            if session is None:
                if call.session_must_exist:
                    raise refused(372, "Session not found")
                if len(self._sessions) >= MAX_SESSIONS:
                    raise refused(202, f"Too many sessions: {MAX_SESSIONS} are open")
                session = self._sessions[call.session_id] = _Session(self._connect(str(self._directory)))
            if not session.busy.acquire(blocking=False):
                raise refused(373, "Session is locked by a concurrent client")
            return session


class _Session:
    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.busy = threading.Lock()
        self.until = float("inf")


def _lock(directory: Path) -> BinaryIO:
    """Ours while the file is open. The engine has a lock of its own, but prints where we want to speak."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (directory / "lock").open("ab+", buffering=0)
    except OSError as error:
        raise RefusedError(f"The store cannot use {directory} ({error.strerror}).") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read(32).decode().strip() or "unknown"
        file.close()
        raise RefusedError(
            f"Another store (process {owner}) has {directory} open: stop it, or name another directory."
        ) from None
    with contextlib.suppress(OSError):  # on a full disk the lock counts without its owner's name
        file.truncate(0)
        file.write(b"%d\n" % os.getpid())
    return file


def _reason(error: Exception) -> str:
    text = str(error).partition("Stack trace")[0].strip(" ,.")
    if "EmbeddedServer: " in text and text.rpartition("EmbeddedServer: ")[2].strip(" .()_ABDEGMNRSTU") == "":
        return "another process has the engine's directory open, or its metadata are damaged."
    return text[-400:] + "."
