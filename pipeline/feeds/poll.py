"""One poll of one feed: what is new since a cursor, entry by entry, and the cursor to go on from.

    polled = poll(feed, cursor, clock, session)
    async for entry in polled: ...
    store(polled.cursor)

The cursor is plain JSON. It may be stored at any time: it never claims more than what was handed out before. `whole`
is true at the end where everything the source has was handed out: of a feed with `snapshot`, what was not is withdrawn.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp

from detectors.ioc.feeds import Entry, read
from schemas.errors import RefusedError
from schemas.feed import FeedSettings

#: What a poll leaves for the next; of one feed's kind, and of no interest to others. {}: from the start.
Cursor = dict[str, Any]


class Poll:
    """Entries of one poll. Raises UnreachableError (try later) or RefusedError (mend first) out of the iteration."""

    def __init__(
        self, feed: FeedSettings, cursor: Cursor, clock: Callable[[], float], session: aiohttp.ClientSession
    ) -> None:
        self.feed = feed
        self.cursor: Cursor = dict(cursor)
        self.whole = False
        self._clock = clock
        self._session = session

    async def __aiter__(self) -> AsyncIterator[Entry]:
        if self.feed.path is None:
            raise RefusedError(f"feed {self.feed.name}: {self.feed.kind} is not polled yet. Name a path.")
        for entry in read(self.feed.path, self.feed.reading(int(self._clock() * 1_000))):
            yield entry
        self.whole = True


def poll(feed: FeedSettings, cursor: Cursor, clock: Callable[[], float], session: aiohttp.ClientSession) -> Poll:
    """One poll. `clock` gives seconds since the epoch, `session` is the caller's and stays open."""
    return Poll(feed, cursor, clock, session)
