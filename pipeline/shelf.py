"""Routes and their databases kept in files, so that the next process with the same rules starts in half the time.

One file per key, written whole and renamed. A file counts for the very code that wrote it, and only where it belongs to
this user, no other may write it, and its bytes are those that were written: a database is read by C++ that trusts it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Final

from detectors import sigma

#: Files and bytes that stay when others come; all of SigmaHQ over a hundred sources takes about 220 files, 20 MB.
MAX_FILES: Final = 2_000
MAX_BYTES: Final = 128 << 20
_DIGEST: Final = 32
_NAME: Final = "route-"


class FileShelf:
    """A folder of files. What cannot be read or written is as not there: it costs the next start time, nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._code = _code()
        self._swept = False

    def get(self, key: bytes) -> bytes | None:
        """What was put there under this key by this user with this code."""
        try:
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                about = os.fstat(descriptor)
                if about.st_uid != os.geteuid() or about.st_mode & 0o022:
                    return None
                said, content = file.read(_DIGEST), file.read()
        except OSError:
            return None
        return content if said == self._digest(key, content) else None

    def put(self, key: bytes, content: bytes) -> None:
        """Keep it for the next process."""
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._swept:
                self._sweep()
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=_NAME, delete=False) as file:
                file.write(self._digest(key, content) + content)
            Path(file.name).replace(self._path(key))

    def _path(self, key: bytes) -> Path:
        return self._folder / f"{_NAME}{hashlib.blake2b(self._code + key, digest_size=16).hexdigest()}"

    def _digest(self, key: bytes, content: bytes) -> bytes:
        return hashlib.blake2b(content, digest_size=_DIGEST, key=hashlib.blake2b(self._code + key).digest()).digest()

    def _sweep(self) -> None:
        """Before the first file is added, the oldest go of what is too much: other rules' and other versions'."""
        self._swept = True
        files = []
        for entry in os.scandir(self._folder):
            if entry.name.startswith(_NAME):
                with suppress(OSError):
                    about = entry.stat(follow_symlinks=False)
                    files.append((about.st_mtime, about.st_size, entry.path))
        held = 0
        for count, (_, size, path) in enumerate(sorted(files, reverse=True)):
            held += size
            if count >= MAX_FILES or held > MAX_BYTES:
                with suppress(OSError):
                    Path(path).unlink()


def _code() -> bytes:
    """A hash of what works plans and databases out: nobody has to remember to raise a number."""
    sources = (path.read_bytes() for path in sorted(Path(sigma.__file__).parent.glob("*.py")))
    versions = [*map(metadata.version, ("hyperscan", "orjson")), platform.machine(), platform.python_version()]
    return hashlib.blake2b(b"\0".join([*sources, *(v.encode() for v in versions)]), digest_size=16).digest()


def shelf(folder: Path | None) -> FileShelf | None:
    """The shelf in a folder of caches, none without a folder."""
    return None if folder is None else FileShelf(folder)


__all__ = ["FileShelf", "shelf"]
