"""MISP: by its API (a secret and no user), or as a feed of files (manifest.json, and a file an event).

By the API, attributes of what was published since; an hour is asked twice, since our clock is not the server's. Of a
feed, the events whose time in the manifest is another than it was.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from itertools import count
from typing import Any, BinaryIO, Final

import orjson

from detectors.ioc.feeds import Entry, Fault, Known
from pipeline.feeds.work import Work
from schemas.errors import UnreachableError

PAGE: Final = 2_000
OVERLAP_S: Final = 3_600
MAX_MANIFEST: Final = 128 << 20
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
        events = _manifest(answer.body, work.feed.name)
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


def _manifest(body: BinaryIO, name: str) -> dict[str, int]:
    """Event → when it was changed. Raises UnreachableError for what is none."""
    data = body.read(MAX_MANIFEST + 1)
    try:
        said = orjson.loads(data) if len(data) <= MAX_MANIFEST else None
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict) or len(said) > MAX_EVENTS:
        raise UnreachableError(f"feed {name}: manifest.json is none, or of more than {MAX_EVENTS:,} events.")
    stamps = {key: str(fact.get("timestamp"))[:20] for key, fact in said.items() if isinstance(fact, dict)}
    return {key: int(stamp) for key, stamp in stamps.items() if _UUID.fullmatch(key) and stamp.isdecimal()}
