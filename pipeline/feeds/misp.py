"""MISP: by its API (a secret and no user), or as a feed of files (manifest.json, and a file an event).

By the API, attributes of what was published since; an hour is asked twice, since our clock is not the server's. Of a
feed, the events whose time in the manifest is another than it was.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from itertools import count
from typing import Any, BinaryIO, Final

from detectors.ioc.feeds import Entry, Fault, Known
from detectors.ioc.feeds.entry import EndError
from detectors.ioc.feeds.unpack import unpacked
from detectors.ioc.feeds.walk import ValueFault, Walk
from pipeline.feeds.work import Work
from schemas.errors import RefusedError, UnreachableError
from schemas.feed import FeedSettings

PAGE: Final = 2_000
OVERLAP_S: Final = 3_600
MAX_EVENTS: Final = 200_000
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


async def entries(work: Work) -> AsyncIterator[Entry]:
    """The entries of a server's API or of a feed."""
    by_api = work.feed.secret_file is not None and not work.feed.user
    async for entry in (_api if by_api else _feed)(work):
        yield entry


async def _api(work: Work) -> AsyncIterator[Entry]:
    url = f"{work.feed.url.rstrip('/')}/attributes/restSearch"
    asked: dict[str, Any] = {
        "returnFormat": "json",
        "limit": PAGE,
        "deleted": [0, 1],
        "includeContext": True,
        "includeEventTags": True,
    }
    if isinstance(since := work.cursor.get("since"), int):
        asked["publish_timestamp"] = since
    for page in count(1):
        known = Known()
        async with work.fetch.request(
            url, json=asked | {"page": page}, headers={"Accept": "application/json"}
        ) as answer:
            async for entry in work.entries(answer.body, known, where=f"page {page}"):
                yield entry
        if known.seen < PAGE:
            break
    work.cursor = {"since": work.now_ms // 1_000 - OVERLAP_S}
    work.whole = work.feed.snapshot or work.first


async def _feed(work: Work) -> AsyncIterator[Entry]:
    base = work.feed.url.removesuffix("manifest.json").rstrip("/")
    async with work.fetch.request(f"{base}/manifest.json") as answer:
        events = await asyncio.to_thread(_manifest, answer.body, work.feed)
    seen: dict[str, int] = dict(work.cursor.get("events") or {})
    for uuid, stamp in events.items():
        if seen.get(uuid) == stamp:
            continue
        async with work.fetch.request(f"{base}/{uuid}.json", may_lack=True) as answer:
            if answer.status == 404:
                yield Fault(f"event {uuid}", "named in manifest.json, and not there")
                continue
            async for entry in work.entries(answer.body, where=f"event {uuid}", part=True):
                yield entry
        seen[uuid] = stamp
        work.cursor = {"events": seen}
    work.cursor = {"events": {uuid: stamp for uuid, stamp in seen.items() if uuid in events}}
    work.whole = work.feed.snapshot


def _manifest(body: BinaryIO, feed: FeedSettings) -> dict[str, int]:
    """Event → when it was changed. Raises UnreachableError for what is no manifest."""
    stamps: dict[str, int] = {}
    try:
        for _, stream in unpacked(body, feed.limits.bytes):
            walk = Walk(stream, feed.limits.entry_bytes)
            for uuid in walk.members():
                stamp = _stamp(walk)
                if _UUID.fullmatch(uuid) and stamp is not None:
                    stamps[uuid] = stamp
                if len(stamps) > MAX_EVENTS:
                    raise RefusedError(f"feed {feed.name}: manifest.json names more than {MAX_EVENTS:,} events.")
    except EndError as error:
        raise UnreachableError(f"feed {feed.name}: manifest.json: {error}. It is tried again.") from None
    return stamps


def _stamp(walk: Walk) -> int | None:
    try:
        fact = walk.value()
    except ValueFault:
        walk.skip()
        return None
    stamp = str(fact.get("timestamp"))[:20] if isinstance(fact, dict) else ""
    return int(stamp) if stamp.isascii() and stamp.isdecimal() else None
