"""The bytes of a feed's file, whatever it is packed in: plain, gzip or zip, UTF-8 or UTF-16, never more than allowed.

A megabyte of gzip may hold a gigabyte, so what comes out is counted and not what goes in.
"""

from __future__ import annotations

import codecs
import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from detectors.ioc.feeds.entry import EndError

CHUNK: Final = 1 << 20
MAX_MEMBERS: Final = 1_000
#: Python keeps some 20 times of a zip's directory in memory, and reads it before anything can be asked of it.
MAX_DIRECTORY: Final = 1 << 20
#: What is packed is not counted: what comes out of it is.
_ENDLESS: Final = 1 << 60
_END: Final = b"PK\x05\x06"


class Bounded(io.RawIOBase):
    """A stream that ends with EndError after `most` bytes, or where it cannot be unpacked; what came before counts.

    A read fills its buffer whole, so that what looks at the start of a stream sees it, in whatever pieces it comes.
    """

    def __init__(self, stream: BinaryIO, most: int, left: int | None = None) -> None:
        self._read = getattr(stream, "read1", stream.read)
        self._most = most
        self._left = most if left is None else left
        self._end: EndError | None = None

    @property
    def left(self) -> int:
        """Bytes that may still come."""
        return self._left

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed wants its own Buffer
        """As a file's."""
        filled = 0
        while filled < len(buffer) and self._end is None:
            data = self._some(len(buffer) - filled)
            if not data:
                break
            buffer[filled : filled + len(data)] = data
            filled += len(data)
        if self._end is not None and not filled:
            raise self._end
        return filled

    def _some(self, most: int) -> bytes:
        """At most what is left and one byte, which tells that there is more."""
        try:
            data: bytes = self._read(min(most, self._left + 1))
        except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile, NotImplementedError):
            self._end = EndError("what is packed is broken")
            return b""
        if len(data) > self._left:
            self._end = EndError(f"more than {self._most:,} bytes unpacked (limits.bytes)")
        data = data[: self._left]
        self._left -= len(data)
        return data


def unpacked(stream: BinaryIO, most: int) -> Iterator[tuple[str, BinaryIO]]:
    """The files in a stream, by name, each as UTF-8 without its byte order mark; "" names a stream that is itself one.

    Raises EndError, here or while a stream is read. Only a zip needs a stream that can seek.
    """
    packed = io.BufferedReader(Bounded(stream, _ENDLESS), CHUNK)
    head = packed.peek(4)[:4]
    if head.startswith(b"\x1f\x8b"):
        yield "", _utf8(Bounded(gzip.GzipFile(fileobj=packed), most))  # type: ignore[arg-type]  # GzipFile is one but in name
    elif head.startswith((b"PK\x03\x04", _END)):
        yield from _members(stream, most)
    else:
        yield "", _utf8(Bounded(packed, most))


def _members(stream: BinaryIO, most: int) -> Iterator[tuple[str, BinaryIO]]:
    left = most
    try:
        _check_directory(stream)
        with zipfile.ZipFile(stream) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) > MAX_MEMBERS:
                raise EndError(f"more than {MAX_MEMBERS:,} files in a zip")
            for number, member in enumerate(members, 1):
                if member.flag_bits & 1:
                    raise EndError(f"file {number} of the zip is encrypted: unpack it first")
                bounded = Bounded(archive.open(member), most, left)  # type: ignore[arg-type]  # a ZipExtFile is one but in name
                yield f"file {number}", _utf8(bounded)
                left = bounded.left
    except (zipfile.BadZipFile, NotImplementedError, OSError, struct.error, ValueError) as error:
        raise EndError(str(error) if isinstance(error, EndError) else "a zip that is broken") from None


def _check_directory(stream: BinaryIO) -> None:
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - 66_000))
    tail = stream.read()
    at = tail.rfind(_END)
    if at < 0:
        raise EndError("a zip that is broken")
    if int.from_bytes(tail[at + 12 : at + 16], "little") > MAX_DIRECTORY:
        raise EndError(f"a zip whose directory is larger than {MAX_DIRECTORY:,} bytes")
    stream.seek(0)


def _utf8(raw: io.RawIOBase) -> BinaryIO:
    """As UTF-8: by the byte order mark, or by the zeros of UTF-16 without one."""
    stream = io.BufferedReader(raw, CHUNK)
    head = stream.peek(4)[:4]
    if head.startswith(codecs.BOM_UTF8):
        stream.read(3)
    elif head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _Recoded(stream, "utf-16")
    elif len(head) == 4 and 0 in head and head[0::2] != head[1::2]:
        if head[1] == head[3] == 0:
            return _Recoded(stream, "utf-16-le")
        if head[0] == head[2] == 0:
            return _Recoded(stream, "utf-16-be")
    return stream


class _Recoded(io.BufferedReader):
    """UTF-16 read as UTF-8; what is neither becomes U+FFFD."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        super().__init__(_Recoding(stream, encoding), CHUNK)


class _Recoding(io.RawIOBase):
    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder(encoding)("replace").decode
        self._held = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # as above
        while not self._held:
            data = self._stream.read(CHUNK)
            self._held = self._decode(data, not data).encode("utf-8", "replace")
            if not data:
                break
        taken = self._held[: len(buffer)]
        self._held = self._held[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)
