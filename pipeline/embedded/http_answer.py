"""How an answer is dressed: media type by format, compression that the client accepts, and the end of a broken one."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

import lz4.frame
import orjson
import zstandard

_ACCEPTED = re.compile(r"(?:^|,)\s*(lz4|zstd|gzip|deflate)\s*(?=[,;]|$)")
_OCTETS = "application/octet-stream"
_TEXT = "text/plain; charset=UTF-8"


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class Coding(NamedTuple):
    """One answer's compression: the name for Content-Encoding, and what does it."""

    name: str
    compressor: _Compressor


class _Lz4:
    """LZ4's frame, with its header before the first piece."""

    def __init__(self) -> None:
        self._frame = lz4.frame.LZ4FrameCompressor()
        self._begun = False

    def compress(self, data: bytes, /) -> bytes:
        head: bytes = b"" if self._begun else self._frame.begin()
        self._begun = True
        body: bytes = self._frame.compress(data)
        return head + body

    def flush(self) -> bytes:
        begun = b"" if self._begun else self.compress(b"")
        end: bytes = self._frame.flush()
        return begun + end


def encoder(accept: str) -> Coding | None:
    """The cheapest compression in an Accept-Encoding header; None: send it as it is."""
    accepted = set(_ACCEPTED.findall(accept.lower()))
    if "lz4" in accepted:
        return Coding("lz4", _Lz4())
    if "zstd" in accepted:
        return Coding("zstd", zstandard.ZstdCompressor(level=1).compressobj())
    if "gzip" in accepted:
        return Coding("gzip", zlib.compressobj(3, wbits=31))
    if "deflate" in accepted:
        return Coding("deflate", zlib.compressobj(3))
    return None


def encoded(pieces: Iterator[bytes], coding: Coding | None) -> Iterator[bytes]:
    """The pieces of an answer as they go over the wire."""
    if coding is None:
        yield from pieces
        return
    for piece in pieces:
        if done := coding.compressor.compress(piece):
            yield done
    yield coding.compressor.flush()


def media_type(format_name: str) -> str:
    """The Content-Type that the server gives a format."""
    name = format_name.lower()
    if name.startswith("json") or name.endswith("json"):
        lines = "eachrow" in name
        return "application/x-ndjson; charset=UTF-8" if lines else "application/json; charset=UTF-8"
    if name.startswith(("tabseparated", "tsv")):
        return "text/tab-separated-values; charset=UTF-8"
    if name.startswith("csv"):
        return f"text/csv; charset=UTF-8; header={'present' if 'withnames' in name else 'absent'}"
    if name == "xml":
        return "application/xml; charset=UTF-8"
    binary = ("native", "rowbinary", "arrow", "parquet", "orc", "avro", "msgpack", "protobuf", "capn", "bson", "npy")
    return _OCTETS if name.startswith(binary) else _TEXT


def summary(counts: Mapping[str, int]) -> str:
    """X-ClickHouse-Summary: numbers as strings, as the server writes them."""
    return orjson.dumps({name: str(value) for name, value in counts.items()}).decode()


def broken(tag: str, message: str, coding: Coding | None) -> bytes:
    """What ends an answer that failed after its beginning was sent; `tag` stands in X-ClickHouse-Exception-Tag."""
    said = message.rstrip("\n").encode()[: 16 << 10] + b"\n"
    marked = (b"", b"__exception__", tag.encode(), said + f"{len(said)} {tag}".encode(), b"__exception__", b"")
    end = b"\r\n".join(marked)
    return end if coding is None else coding.compressor.compress(end) + coding.compressor.flush()
