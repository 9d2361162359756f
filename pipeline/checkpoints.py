"""Checkpoints of correlations: files from which a fold goes on without reading its topic again.

One file a partition, replaced whole. It says which partition of which log it is of; what is of another, damaged or
another user's is as none. Without it nothing but time is lost: the fold reads back.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from schemas.identity import short_hash

_VERSION: Final = 2
_SUFFIX: Final = ".checkpoint"


#: What stands before two parts. One part alone begins with its length, which is never so large.
_PARTS: Final = b"parts\x001\n"


def together(correlations: bytes, joins: bytes) -> bytes:
    """The state of correlations and that of joined audit events, as one."""
    return _PARTS + len(joins).to_bytes(8, "big") + joins + correlations


def parted(state: bytes) -> tuple[bytes, bytes]:
    """The two again; the second is empty in a checkpoint from before there were two."""
    if not state.startswith(_PARTS):
        return state, b""
    rest = state[len(_PARTS) :]
    size = int.from_bytes(rest[:8], "big")
    return rest[8 + size :], rest[8 : 8 + size]


class At(NamedTuple):
    """One partition of one log."""

    log: str
    topic: str
    partition: int


class Checkpoints:
    """The checkpoints below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, at: At, state: bytes) -> None:
        """Replace the partition's checkpoint. Raises OSError (a full disk)."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        head = orjson.dumps([_VERSION, *at, len(state), hashlib.blake2b(state, digest_size=16).hexdigest()])
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix="new-", delete=False) as file:
            try:
                file.write(head + b"\n" + state)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(self._file(at))
            except OSError:
                with suppress(OSError):
                    Path(file.name).unlink()
                raise

    def load(self, at: At) -> bytes | None:
        """The state, or None where there is none that fits."""
        try:
            with self._file(at).open("rb") as file:
                about = os.fstat(file.fileno())
                if about.st_uid != os.geteuid() or about.st_mode & 0o022:
                    return None
                head, _, state = file.read().partition(b"\n")
            check = hashlib.blake2b(state, digest_size=16).hexdigest()
            fits = orjson.loads(head) == [_VERSION, *at, len(state), check]
        except (OSError, ValueError):
            return None
        return state if fits else None

    def _file(self, at: At) -> Path:
        # By topic and partition: the log of a topic that was made again replaces the old one's.
        return self._folder / f"{short_hash(at.topic)}-{at.partition}{_SUFFIX}"
