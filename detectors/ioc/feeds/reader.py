"""One way in: a file or a stream of any format that feeds have, told by its first bytes, read entry by entry."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from detectors.ioc.feeds import csv, stix
from detectors.ioc.feeds.entry import Entry
from schemas.feed import Reading


def read(stream: BinaryIO | Path, reading: Reading) -> Iterator[Entry]:
    """The entries of one source in order; an id's rows stand together. Bad entries are faults, the rest is read.

    Raises OSError where the bytes cannot be had, and nothing else.
    """
    data = stream.read_bytes() if isinstance(stream, Path) else stream.read()
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data.lstrip()[:1] in (b"{", b"["):
        feed = stix.parse(data, reading.source)
    else:
        lines = io.StringIO(data.decode("utf-8", "replace"), newline="")
        feed = csv.parse(lines, reading.source)
    yield from feed.indicators
    yield from feed.faults
