"""What the sources of all kinds share in one poll: the feed, the cursor, the server, and reading beside the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

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
        reading = self.feed.reading(self.now_ms, first=self.first)
        given = read(source, reading, known)
        ended = ""
        while some := await asyncio.to_thread(self._some, given):
            for entry in some:
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

    def _some(self, given: Iterator[Entry]) -> list[Entry]:
        try:
            return list(islice(given, _TOGETHER))
        except OSError as error:
            raise RefusedError(
                f"feed {self.feed.name}: what is read cannot be had or put aside ({error.strerror}). "
                "Check path, and the room in TMPDIR."
            ) from None
