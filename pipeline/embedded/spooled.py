"""An INSERT's data in a file that only this process can see, for the engine to read as a file.

The engine's own streaming insert (`send_insert`) would need none, but it reports success for what it could not write
(measured with chdb 4.4: a full disk, a violated constraint, too many partitions), so data go by FROM INFILE. A body is
received whole before the engine sees it: a client that leaves in the middle inserts nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from pipeline.embedded.clickhouse_errors import refused

PIECE = 1 << 20
# Beyond this a body goes to the disk instead of memory; a block of the pipeline is half of it.
_IN_MEMORY = 64 << 20


class Source(Protocol):
    """Bytes to be read; an empty answer is the end."""

    def read(self, size: int, /) -> bytes: ...


@contextlib.contextmanager
def spooled(source: Source, directory: Path) -> Iterator[Path]:
    """A path under which the engine finds what `source` held; nothing is left behind, whatever kills us.

    `directory` takes what is too large for memory. Raises EngineError when the disk is full.
    """
    with contextlib.ExitStack() as held:
        file = held.enter_context(cast(BinaryIO, os.fdopen(os.memfd_create("qorgan-insert"), "w+b")))
        size, in_memory = 0, True
        try:
            while piece := source.read(PIECE):
                size += len(piece)
                if in_memory and size > _IN_MEMORY:
                    file, in_memory = held.enter_context(_moved(file, directory)), False
                file.write(piece)
            file.flush()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise refused(243, "Not enough space to receive the data of the INSERT") from None
            raise
        yield Path(f"/proc/self/fd/{file.fileno()}")


def _moved(file: BinaryIO, directory: Path) -> BinaryIO:
    """The same bytes in a file without a name on the disk; what they held in memory is given back."""
    disk = cast(BinaryIO, tempfile.TemporaryFile(dir=directory))  # noqa: SIM115 - the caller holds it
    file.seek(0)
    shutil.copyfileobj(file, disk, PIECE)
    file.truncate(0)
    return disk
