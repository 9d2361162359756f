"""Files: of a folder, those that have changed; of a web server, one, when it says that it has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from detectors.ioc.feeds import Entry
from pipeline.feeds.work import Work
from pipeline.indicators import ABOUT, SUFFIXES
from schemas.errors import RefusedError

MAX_FILES: Final = 100_000


async def of_path(work: Work) -> AsyncIterator[Entry]:
    """Read what has changed since the cursor; all of it, where the feed is a snapshot and anything has."""
    path = work.feed.path
    assert path is not None  # noqa: S101 - a feed has a url or a path
    seen: dict[str, list[int]] = dict(work.cursor.get("files") or {})
    try:
        found = await asyncio.to_thread(_stamps, path)
        if work.feed.snapshot and found == seen:
            return
        for name, stamp in found.items():
            if work.feed.snapshot or seen.get(name) != stamp:
                async for entry in work.entries(path / name if name else path, where=name):
                    yield entry
                seen = seen | {name: stamp}
                if not work.feed.snapshot:
                    work.cursor = {"files": seen}
    except OSError as error:
        raise RefusedError(f"feed {work.feed.name}: {path} cannot be read ({error.strerror}). Check path.") from None
    work.cursor = {"files": found}
    work.whole = work.feed.snapshot


def _stamps(path: Path) -> dict[str, list[int]]:
    """Change time and size of each file, by its name below the path; a file by itself is ""."""
    if path.is_file():
        names = [""]
    else:
        path.stat()  # one that is missing is an error, not an empty folder
        files = (file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        names = sorted(str(file.relative_to(path)) for file in files if file.name[0] != "." and file.name not in ABOUT)
    if len(names) > MAX_FILES:
        raise RefusedError(f"{path}: more than {MAX_FILES:,} files. Make several feeds of them.")
    stats = {name: (path / name if name else path).stat() for name in names}
    return {name: [stat.st_mtime_ns, stat.st_size] for name, stat in stats.items()}


async def of_url(work: Work) -> AsyncIterator[Entry]:
    """Read one file of a web server, unless the server says that it is the one that the cursor names."""
    asked = {"If-None-Match": work.cursor.get("etag"), "If-Modified-Since": work.cursor.get("modified")}
    headers = {name: value for name, value in asked.items() if isinstance(value, str) and value}
    async with work.fetch.request(headers=headers) as answer:
        if answer.unchanged:
            return
        async for entry in work.entries(answer.body):
            yield entry
        marks = {"etag": answer.header("ETag"), "modified": answer.header("Last-Modified")}
        work.cursor = {name: mark for name, mark in marks.items() if mark} or {"read": True}
    work.whole = True
