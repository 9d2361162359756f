"""One way in: a file or a stream of any format that feeds have, packed or not, told by its first bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from detectors.ioc.feeds import csv, plain_list
from detectors.ioc.feeds.document import Document
from detectors.ioc.feeds.entry import EndError, Entry, Fault
from detectors.ioc.feeds.stix import Known
from detectors.ioc.feeds.unpack import unpacked
from detectors.ioc.feeds.walk import Walk
from schemas.feed import Reading
from schemas.indicator import Indicator


def read(source: BinaryIO | Path, reading: Reading, known: Known | None = None) -> Iterator[Entry]:
    """The entries of one source in order; an id's rows stand together, and once.

    Bad entries are faults and the rest is read; where the reading ends early, a fault of kind "end" is the last.
    Memory is bounded whatever the source: one entry, and 16 MB of what waits (the rest waits in a temporary file).
    `known` keeps what was learnt of creators and markings for the next page. Raises OSError where the bytes cannot be
    had, and nothing else.
    """
    if isinstance(source, Path):
        with source.open("rb") as stream:
            yield from read(stream, reading, known)
        return
    left = reading.limits.entries
    for entry in _entries(source, reading, known or Known()):
        if type(entry) is Indicator:
            left -= 1
            if left < 0:
                yield Fault("behind", f"more than {reading.limits.entries:,} indicators (limits.entries)", "end")
                return
        yield entry


def _entries(source: BinaryIO, reading: Reading, known: Known) -> Iterator[Entry]:
    try:
        for name, stream in unpacked(source, reading.limits.bytes):
            for entry in _file(stream, reading, known):
                yield Fault(f"{name} {entry.where}", entry.why, entry.kind) if name and type(entry) is Fault else entry
    except EndError as error:
        yield Fault("the source", str(error), "end")


def _file(stream: BinaryIO, reading: Reading, known: Known) -> Iterator[Entry]:
    head = stream.peek(4096)[:4096] if hasattr(stream, "peek") else b""
    if not head.strip():
        raise EndError("empty")
    form = reading.format
    if form == "auto":
        start = head.lstrip()[:1]
        form = (
            "stix" if start in (b"{", b"[") and not head.lstrip().startswith((b"[.", b"[:")) else _lined(head, reading)
        )
    if form in ("stix", "misp"):
        yield from Document(Walk(stream, reading.limits.entry_bytes), reading, known).entries()
    else:
        yield from (csv if form == "csv" else plain_list).entries(stream, reading)


def _lined(head: bytes, reading: Reading) -> Literal["csv", "list"]:
    """CSV, or a list, which has no header: by the first line that is no remark."""
    if reading.columns:
        return "csv"
    said = (line.strip() for line in head.decode("utf-8", "replace").splitlines())
    first = next((line for line in said if line and not line.startswith(("#", ";", "//"))), "")
    return "csv" if csv.headed(first) else "list"
