"""One poll of one feed: what is new since a cursor, entry by entry, and the cursor to go on from.

    polled = poll(feed, cursor, clock, session)
    async for entry in polled: ...
    store(polled.cursor)

The cursor is plain JSON. It may be stored at any time: it never claims more than what was handed out before. `whole`
is true at the end where everything the source has was handed out: of a feed with `snapshot`, what was not is withdrawn.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

import aiohttp

from detectors.ioc.feeds import Entry
from pipeline.feeds import files, misp, taxii
from pipeline.feeds.work import Cursor, Work
from schemas.errors import RefusedError
from schemas.feed import FeedSettings
from schemas.indicator import Indicator

Source = Callable[[Work], AsyncIterator[Entry]]
#: What a url is, by the feed's kind; a path is files, whatever they hold.
SOURCES: Final[dict[str, Source]] = {
    "taxii": taxii.entries,
    "misp": misp.entries,
    "files": files.of_url,
    "csv": files.of_url,
    "list": files.of_url,
}


class Poll:
    """Entries of one poll. Raises UnreachableError (try later) or RefusedError (mend first) out of the iteration."""

    def __init__(
        self, feed: FeedSettings, cursor: Cursor, clock: Callable[[], float], session: aiohttp.ClientSession
    ) -> None:
        self._work = Work(feed, dict(cursor), int(clock() * 1_000), session)
        self._found = 0

    @property
    def cursor(self) -> Cursor:
        """Where the next poll goes on."""
        return self._work.cursor

    @property
    def whole(self) -> bool:
        """All that the source has was handed out. Never of an empty one, which withdraws nothing."""
        return self._work.whole and not self._work.broken and self._found > 0

    async def __aiter__(self) -> AsyncIterator[Entry]:
        feed = self._work.feed
        source = files.of_path if feed.path is not None else SOURCES[feed.kind]
        async for entry in source(self._work):
            if isinstance(entry, Indicator):
                self._found += 1
                if self._found > feed.limits.entries:
                    self._work.whole = False
                    raise RefusedError(
                        f"feed {feed.name}: more than {feed.limits.entries:,} indicators (limits.entries)."
                    )
            yield entry


def poll(feed: FeedSettings, cursor: Cursor, clock: Callable[[], float], session: aiohttp.ClientSession) -> Poll:
    """One poll. `clock` gives seconds since the epoch, `session` is the caller's and stays open."""
    return Poll(feed, cursor, clock, session)
