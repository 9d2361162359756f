"""The journal as segment files: sealed lines, appended and synced, one writer at a time.

Entries that are written together become valid together: a write that a crash tore is cut back to the last entry that
says `complete`; nobody was told of what is cut, because outputs follow the sync. Anything else that does not fit its
chain is not mended but refused, with the first bad entry named.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from schemas.errors import QorganError, RefusedError, UnreachableError
from schemas.journal import GENESIS, BrokenJournalError, Head, Sealed, unseal

SEGMENT_BYTES = 64 << 20
_LOCK = "lock"
_SUFFIX = ".jsonl"
_RETRY_S = 0.05


class Verdict(NamedTuple):
    """What a journal's files hold: entries that fit their chain, and what stands behind the last complete one."""

    head: Head
    tail_bytes: int
    broken: BrokenJournalError | None = None


class FileJournal:
    """The writer: `take`, then `read`, then any number of `append`; `close` lets the next one in.

    Blocking: callers on an event loop use a thread. `close` waits for an `append` that another thread is in.
    """

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._lock: int | None = None
        self._file: int | None = None
        self._size = 0
        self._busy = threading.RLock()
        self.head = GENESIS

    def take(self, *, wait: float = 30.0) -> None:
        """Become the writer, once the one before has gone.

        Raises UnreachableError when another process still holds the journal after `wait` seconds, and RefusedError
        when its folder cannot be used.
        """
        _private(self._folder)
        self._lock = _locked(self._folder / _LOCK, wait)

    def read(self, apply: Callable[[Sealed], None]) -> int:
        """Read all entries in order into `apply`; returns the bytes of a torn write that were cut off.

        Raises BrokenJournalError when an entry does not fit, and lets the journal go.
        """
        try:
            return self._read(apply)
        except OSError as error:
            self.close()
            raise QorganError(f"The journal in {self._folder} cannot be read or mended ({error.strerror}).") from error
        except BaseException:
            self.close()
            raise

    def append(self, entries: Sequence[Sealed]) -> None:
        """Write entries that belong together; durable when it returns. Raises QorganError, after which it is closed."""
        if not entries:
            return
        data = b"".join(sealed.line + b"\n" for sealed in entries)
        with self._busy:
            self._append(entries[0].entry.seq, data)
        self.head = entries[-1].head

    def _append(self, seq: int, data: bytes) -> None:
        if self._lock is None:
            raise QorganError(f"The journal in {self._folder} is not held by this process; nothing was written.")
        try:
            file = self._writable(seq)
            _write_all(file, data)
            os.fsync(file)
        except OSError as error:
            self.close()
            raise QorganError(
                f"The journal in {self._folder} cannot be written ({error.strerror}). "
                "Make room or mend the disk, then start again: nothing was acknowledged."
            ) from error
        self._size += len(data)

    def close(self) -> None:
        """Let go of the files and of the lock."""
        with self._busy:
            self._close_file()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _read(self, apply: Callable[[Sealed], None]) -> int:
        """Apply what is complete, cut what is not."""
        self.head = GENESIS
        group: list[Sealed] = []
        end, last = 0, None
        for path, position, sealed in _sealed_lines(self._folder):
            if sealed is None:
                break
            group.append(sealed)
            if sealed.entry.complete:
                for member in group:
                    apply(member)
                group.clear()
                self.head, end, last = sealed.head, position, path
        return self._cut(last, end)

    def _cut(self, last: Path | None, end: int) -> int:
        cut = 0
        for path in _segments(self._folder):
            if last is None or path > last:
                cut += path.stat().st_size
                path.unlink()
        _sync_folder(self._folder)
        if last is None:
            return cut
        file = self._open(last)
        torn = self._size - end
        if torn:
            os.ftruncate(file, end)
            os.fsync(file)
            self._size = end
        return cut + torn

    def _writable(self, seq: int) -> int:
        """The segment to write entry `seq` to: the open one, or a new one once that is full."""
        if self._file is None or self._size >= self._segment_bytes:
            return self._open(self._folder / f"{seq:020d}{_SUFFIX}")
        return self._file

    def _open(self, path: Path) -> int:
        self._close_file()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size
        _sync_folder(self._folder)
        return self._file

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def read(folder: Path) -> Iterator[Sealed]:
    """The complete entries of a journal that another process may be writing. Raises BrokenJournalError."""
    group: list[Sealed] = []
    for _, _, sealed in _sealed_lines(folder):
        if sealed is None:
            return
        group.append(sealed)
        if sealed.entry.complete:
            yield from group
            group.clear()


def verify(folder: Path) -> Verdict:
    """Check every entry. The first that does not fit is named in `broken`; nothing is changed.

    Proves that the journal is consistent in itself, not that it was not replaced or cut off as a whole.
    """
    head, tail = GENESIS, 0
    try:
        for _, _, sealed in _sealed_lines(folder):
            if sealed is None or not sealed.entry.complete:
                tail += 1 if sealed is None else len(sealed.line) + 1
                continue
            head, tail = sealed.head, 0
    except BrokenJournalError as error:
        return Verdict(head, tail, error)
    return Verdict(head, tail)


def _sealed_lines(folder: Path) -> Iterator[tuple[Path, int, Sealed | None]]:
    """Each line as (segment, position behind it, entry); None for a last line that was not written to its end."""
    head = GENESIS
    segments = _segments(folder)
    for path in segments:
        if path.stem != f"{head.seq + 1:020d}":
            raise BrokenJournalError(head.seq + 1, f"the segment that begins with it is missing before {path.name}")
        position = 0
        with path.open("rb") as file:
            for line in file:
                position += len(line)
                if not line.endswith(b"\n"):
                    if path != segments[-1] or _is_whole(head, line[:-1]):
                        raise BrokenJournalError(
                            head.seq + 1, f"its line in {path.name} does not end as it was written"
                        )
                    yield path, position, None
                    return
                sealed = unseal(head, line[:-1])
                head = sealed.head
                yield path, position, sealed


def _is_whole(head: Head, line: bytes) -> bool:
    """Whether an entry stands there entirely: then what follows it was changed, not torn."""
    try:
        unseal(head, line)
    except BrokenJournalError:
        return False
    return True


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{_SUFFIX}")) if folder.is_dir() else []


def _private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        (folder / _LOCK).touch(mode=0o600)
    except OSError as error:
        raise RefusedError(
            f"The journal's folder {folder} cannot be used ({error.strerror}). Check QORGAN_STATE_DIR."
        ) from None


def _locked(path: Path, wait: float) -> int:
    """A file descriptor that holds the lock. The kernel frees it when its process ends, however it ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES) or time.monotonic() >= deadline:
                os.close(descriptor)
                raise UnreachableError(
                    f"Another process still holds the journal ({path}) after {wait:.0f} s. "
                    "Only one respond worker writes it; stop the other one."
                ) from None
            time.sleep(_RETRY_S)
        else:
            return descriptor


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    """A new name is durable only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
