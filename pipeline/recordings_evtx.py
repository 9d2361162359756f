"""Binary EVTX files, read chunk by chunk into EVTX JSON by the package `evtx`, in a process of its own.

A file is anybody's, and a template within may unfold a thousandfold or name itself: what reads it has bounds of time,
memory and answer for each chunk of 64 KiB, and when it dies over one the next is read by another. A damaged chunk is
named and counted; whatever of it can be read is, and the rest of the file goes on.

    file ── 64 KiB ──▶ stdin of `python -m pipeline.recordings_evtx` ── R{json} … E{fault} … . ──▶ records
"""

from __future__ import annotations

import io
import os
import resource
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Final, cast

from schemas.errors import RefusedError

MAGIC: Final = b"ElfFile\0"
_HEADER_BYTES: Final = 4_096
_CHUNK_BYTES: Final = 65_536
#: Bounds of reading one chunk: seconds, bytes of memory, bytes of JSON (a chunk's own are 64 KiB).
_SECONDS: Final = 20
_MEMORY: Final = 1 << 30
_ANSWER: Final = 64 << 20
#: Faults of one chunk: each record may have its own.
_FAULTS: Final = 4_096
#: Chunks over which a reader may die before the file is refused.
_DEATHS: Final = 20
#: How many damaged chunks are named one by one.
_NAMED: Final = 20


def read(stream: IO[bytes], name: str, damaged: Callable[[str], None]) -> Iterator[list[bytes]]:
    """An EVTX file's records as EVTX JSON, chunk by chunk; `damaged` is told, in a sentence each, what is lost.

    Raises RefusedError for a file over whose chunks readers die again and again.
    """
    _exactly(stream, _HEADER_BYTES)
    reader, deaths, faulty, number = _Reader(), 0, 0, 0
    try:
        while data := _exactly(stream, _CHUNK_BYTES):
            records, why = reader.read(data) if data.strip(b"\0") else ([], "")
            if why:
                faulty += 1
                if faulty <= _NAMED:
                    damaged(f"{name}: chunk {number} is damaged ({why}); {len(records):,} of its records were read.")
            if reader.dead:
                deaths += 1
                if deaths > _DEATHS:
                    raise RefusedError(
                        f"{name}: {deaths} chunks cannot be read within bounds: it is no log of Windows."
                    )
                reader = _Reader()
            number += 1
            yield records
    finally:
        reader.close()
    if faulty:
        damaged(f"{name}: {faulty:,} of {number:,} chunks are damaged; all that could be read of them was.")


class _Reader:
    """The other process, fed and asked."""

    def __init__(self) -> None:
        # No secret of ours is in its environment, and no module of the folder we stand in is taken for one of ours.
        known = {word: os.environ[word] for word in ("PATH", "LD_LIBRARY_PATH") if word in os.environ}
        known["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pipeline.recordings_evtx"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=known,
        )
        self.dead = False

    def read(self, data: bytes) -> tuple[list[bytes], str]:
        """A chunk's records, and what is wrong with it."""
        stdin, stdout = self._process.stdin, self._process.stdout
        records: list[bytes] = []
        faults: list[bytes] = []
        if stdin is None or stdout is None:
            raise RuntimeError("the reader of EVTX was started without pipes")
        try:
            stdin.write(data.ljust(_CHUNK_BYTES, b"\0"))
            stdin.flush()
            for line in stdout:
                if line == b".\n":
                    break
                (records if line[:1] == b"R" else faults).append(line[1:-1])
            else:
                self.dead = True
        except BrokenPipeError:
            self.dead = True
        if self.dead:
            return records, "it cannot be read within bounds of time and memory"
        if len(data) < _CHUNK_BYTES:
            return records, "the file is cut off in it"
        if not faults:
            return records, ""
        more = f", and {len(faults) - 1:,} more" if len(faults) > 1 else ""
        return records, faults[0].decode("ascii", "replace") + more

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def _exactly(stream: IO[bytes], size: int) -> bytes:
    """So many bytes, or what is left."""
    parts, missing = [], size
    while missing and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def file_header(chunks: int = 1) -> bytes:
    """A file's header of 4 KiB around so many chunks: the file's own may be wrong about them."""
    head = MAGIC + struct.pack("<QQQIHHHH", 0, max(0, chunks - 1), 1, 128, 1, 3, _HEADER_BYTES, chunks)
    head = head.ljust(120, b"\0")
    return (head + struct.pack("<II", 0, zlib.crc32(head))).ljust(_HEADER_BYTES, b"\0")


def _answer(data: bytes, out: IO[bytes]) -> None:
    """Read one chunk: `R` and a record's JSON, `E` and a fault, a line each; `.` ends it."""
    from evtx import PyEvtxParser

    signal.alarm(_SECONDS)  # nothing catches it: the process ends
    size = faults = 0
    try:
        records = iter(PyEvtxParser(io.BytesIO(file_header() + data), number_of_threads=1).records_json())
    except (RuntimeError, OSError):
        out.write(b"Eno chunk\n.\n")
        return
    while faults < _FAULTS and size < _ANSWER:
        try:
            text = cast("dict[str, str]", next(records))["data"].encode()
        except StopIteration:
            break
        except (RuntimeError, OSError) as error:
            faults += 1
            out.write(b"E" + _named(str(error)) + b"\n")
            continue
        size += len(text)
        out.write(b"R" + text.replace(b"\n", b" ") + b"\n")
    if size >= _ANSWER:
        out.write(b"Eits records unfold to more than 64 MiB\n")
    out.write(b".\n")


def _named(fault: str) -> bytes:
    """The library's sentence shows the file's bytes: only its kind is told."""
    for words in ("chunk header", "record header", "record number", "checksum"):
        if words in fault:
            return f"a {words.replace(' number', '')} is wrong".encode()
    return b"its bytes are no records"


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = sys.stdout.buffer
    while data := _exactly(sys.stdin.buffer, _CHUNK_BYTES):
        _answer(data, out)
        signal.alarm(0)
        out.flush()


if __name__ == "__main__":
    _main()
