"""What the sources of all kinds share in one poll: the feed, the cursor, the server, and reading beside the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import aiohttp

from detectors.ioc.feeds import Entry, Fault, Known, read
from pipeline.feeds.fetch import Fetch
from schemas.errors import RefusedError, UnreachableError
from schemas.feed import FeedSettings

#: What a poll leaves for the next; of one feed's kind, and of no interest to others. {}: from the start.
Cursor = dict[str, Any]
_TOGETHER: Final = 500


class Work:
    """One poll under way. Sources change `cursor` when all before it is handed out, and set `whole` at their end."""

    def __init__(self, feed: FeedSettings, cursor: Cursor, now_ms: int, session: aiohttp.ClientSession) -> None:
        self.feed = feed
        self.cursor = {} if feed.snapshot and feed.kind in ("taxii", "misp") and feed.url else cursor
        self.now_ms = now_ms
        self.whole = False
        self.broken = False
        """A part broke off: what is missing may be in what was not read."""
        self.first = not cursor
        """Nothing was read of this feed before: what is no indicator need not be withdrawn."""
        self.fetch = Fetch(feed, session)

    async def entries(
        self, source: BinaryIO | Path, known: Known | None = None, *, where: str = "", part: bool = False
    ) -> AsyncIterator[Entry]:
        """The entries of one document, read in a thread. One that breaks off raises, unless it is a `part` of many."""
        ended = ""
        async for entry in self._read(source, known):
            if isinstance(entry, Fault):
                ended = entry.why if entry.kind == "end" else ended
                yield Fault(f"{where}: {entry.where}", entry.why, entry.kind) if where else entry
            else:
                yield entry
        self.broken |= bool(ended)
        if ended and not part:
            of = f"{where}: " if where else ""
            if "limits." in ended:
                raise RefusedError(f"feed {self.feed.name}: {of}{ended}.")
            raise UnreachableError(f"feed {self.feed.name}: {of}{ended}. What came before counts; it is tried again.")

    async def _read(self, source: BinaryIO | Path, known: Known | None) -> AsyncIterator[Entry]:
        reading = self.feed.reading(self.now_ms, first=self.first)
        try:
            with source.open("rb") if isinstance(source, Path) else nullcontext(source) as stream:
                watched = _Watched(stream)
                given = read(cast("BinaryIO", watched), reading, known)
                try:
                    while some := await asyncio.to_thread(lambda: list(islice(given, _TOGETHER))):
                        for entry in some:
                            yield entry
                finally:
                    watched.left = True
        except OSError as error:
            raise RefusedError(
                f"feed {self.feed.name}: {source if isinstance(source, Path) else 'what came'} cannot be read or put "
                f"aside ({error.strerror}). Check path, and the room in TMPDIR."
            ) from None


class _Watched:
    """A stream that fails once nobody waits for it: a thread that reads gigabytes would hold up the process's end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.left = False
        self.seek = stream.seek

    def read(self, size: int = -1) -> bytes:
        """As the stream's, in pieces after each of which it is asked again."""
        if self.left:
            raise OSError("left")
        return self._stream.read(size)

    def tell(self) -> int:
        """As the stream's."""
        return self._stream.tell()

    def seekable(self) -> bool:
        """As the stream's."""
        return self._stream.seekable()
