"""A request's body as the engine's thread reads it: pulled from the event loop piece by piece, decompressed on the way.

Only the piece in hand is held here; a compressed body of any size cannot swell in memory.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import gzip
import io
import zlib
from collections.abc import Awaitable, Callable
from typing import IO, Protocol, cast

import lz4.frame
import zstandard

from pipeline.embedded.clickhouse_errors import EngineError, refused
from pipeline.embedded.spooled import PIECE

HEAD = 256 << 10  # as much of a text as the engine parses by itself (max_query_size)


class Readable(Protocol):
    """Bytes to be pulled; an empty answer is the end."""

    def read(self, size: int = -1, /) -> bytes: ...


class Pulled(io.RawIOBase):
    """A body that arrives in the event loop, read from another thread."""

    def __init__(
        self, more: Callable[[int], Awaitable[bytes]], loop: asyncio.AbstractEventLoop, seconds: float
    ) -> None:
        super().__init__()
        self._more, self._loop, self._seconds = more, loop, seconds
        self._left = memoryview(b"")
        self.received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # the stubs say WriteableBuffer
        if not self._left:
            self._left = memoryview(self._pull())
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes as they come; a whole piece, a little over, to who asks for `PIECE` or more."""
        if size < 0:
            return self.readall() or b""
        if not self._left and size >= PIECE:
            return self._pull()
        left = self._left or memoryview(self._pull())
        self._left = left[size:]
        return bytes(left[:size])

    def _pull(self) -> bytes:
        future = asyncio.run_coroutine_threadsafe(self._timed(), self._loop)
        try:
            piece = future.result()
        except TimeoutError:
            raise refused(209, f"Timeout exceeded while reading the request: {self._seconds:.0f} s") from None
        except (OSError, EOFError, concurrent.futures.CancelledError) as error:
            raise refused(210, f"The client left before its request was whole: {type(error).__name__}") from None
        self.received += len(piece)
        return piece

    async def _timed(self) -> bytes:
        async with asyncio.timeout(self._seconds):
            return await self._more(PIECE)


class Body:
    """What the engine's thread reads: decoded bytes, whose faults are ClickHouse's exceptions."""

    def __init__(self, source: Readable, begins: bytes = b"") -> None:
        self._source = source
        self._begins = begins

    def read(self, size: int) -> bytes:
        if self._begins:
            piece, self._begins = self._begins[:size], self._begins[size:]
            return piece
        try:
            return self._source.read(size)
        except (EngineError, MemoryError):
            raise
        except (zstandard.ZstdError, zlib.error, EOFError, OSError, RuntimeError) as error:
            raise refused(271, f"Cannot decompress the request: {error}") from None

    def put_back(self, piece: bytes) -> None:
        """Make `piece` what is read next."""
        self._begins = piece + self._begins

    def rest(self, limit: int) -> bytes:
        """Everything that is left. Raises EngineError above `limit` bytes."""
        pieces, size = [], 0
        while piece := self.read(PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise refused(229, f"The query is larger than {limit} bytes: send its data as an INSERT's")
        return b"".join(pieces)


def decoded(source: io.RawIOBase, encoding: str) -> Readable:
    """`source` with its Content-Encoding undone. Raises EngineError for one that is not known."""
    match encoding.strip().lower():
        case "" | "identity":
            return source
        case "gzip" | "x-gzip":
            return gzip.GzipFile(fileobj=source)
        case "deflate":
            return _Inflated(source)
        case "zstd":
            return zstandard.ZstdDecompressor().stream_reader(cast("IO[bytes]", source), read_across_frames=True)
        case "lz4":
            return lz4.frame.LZ4FrameFile(source)  # type: ignore[no-any-return] # untyped library
        case _:
            raise refused(89, "Unknown Content-Encoding: gzip, deflate, zstd and lz4 are understood")


class _Inflated:
    """Content-Encoding deflate: zlib, which the standard library has no file for."""

    def __init__(self, source: io.RawIOBase) -> None:
        self._source = source
        self._inflater = zlib.decompressobj()

    def read(self, size: int = -1, /) -> bytes:
        while not self._inflater.eof:
            waiting = self._inflater.unconsumed_tail or self._source.read(PIECE)
            if not waiting:
                raise EOFError("the deflate stream ends early")
            if piece := self._inflater.decompress(waiting, max(size, 0)):
                return piece
        return b""
