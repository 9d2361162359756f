"""Lines of a stream, each bounded: a line of a gigabyte is named and passed over, and never held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO


def lines(stream: BinaryIO, most: int) -> Iterator[tuple[int, str | None]]:
    """Number (from 1) and text of each line, without its end; None for one that is longer than `most` bytes."""
    number = 0
    while data := stream.readline(most + 2):
        number += 1
        if len(data) > most and not data.endswith(b"\n"):
            while data and not data.endswith(b"\n"):
                data = stream.readline(1 << 20)
            yield number, None
        else:
            yield number, data.decode("utf-8", "replace").rstrip("\r\n")
