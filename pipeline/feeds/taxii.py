"""TAXII 2.1: the objects of a collection that were added since, page by page.

The cursor is the time of adding that the server tells with each page. Objects added at the same moment may lie on both
sides of a page's end, so a page's last time is claimed only when the next page begins later, or there is none.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

from detectors.ioc.feeds import Entry, Known
from detectors.ioc.indicators import moment
from pipeline.feeds.work import Work
from schemas.errors import RefusedError

TYPE: Final = "application/taxii+json;version=2.1"
PAGE: Final = 1_000
#: Seconds that the next poll looks back where a server does not tell when objects were added.
OVERLAP_S: Final = 3_600
MAX_KEPT: Final = 2_000
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z")


async def entries(work: Work) -> AsyncIterator[Entry]:
    """Read the pages. Raises RefusedError where the server does not move on."""
    known = _known(work.cursor)
    params = {"limit": str(PAGE)}
    if after := _time(str(work.cursor.get("added_after") or "")):
        params["added_after"] = after
    url = f"{work.feed.url.rstrip('/')}/"
    url = url if url.endswith("/objects/") else f"{url}objects/"
    last = ""
    for page in count(1):
        async with work.fetch.request(url, params=params, headers={"Accept": TYPE}) as answer:
            known.envelope = {}
            if last and _later(_time(answer.header("X-TAXII-Date-Added-First")), last):
                work.cursor = _cursor(last, known)
            async for entry in work.entries(answer.body, known, where=f"page {page}"):
                yield entry
            last = _time(answer.header("X-TAXII-Date-Added-Last")) or last
        if known.envelope.get("more") is not True:
            break
        params = _onward(work, params, known.envelope.get("next"), last)
    work.cursor = _cursor(last or after or _back(work.now_ms), known)
    work.whole = work.feed.snapshot or work.first


def _onward(work: Work, params: dict[str, str], token: Any, last: str) -> dict[str, str]:
    """What asks for the page behind: the server's token, or the time of adding where it gives none."""
    if isinstance(token, (str, int)) and 0 < len(str(token)) <= 4_096:
        onward = params | {"next": str(token)}
    else:
        onward = {"limit": params["limit"], "added_after": last or params.get("added_after", "")}
    if onward == params or not (onward.get("next") or onward["added_after"]):
        raise RefusedError(f"feed {work.feed.name}: the server says that there is more, and does not move on.")
    return onward


def _cursor(added_after: str, known: Known) -> dict[str, Any]:
    kept = {name: dict(list(table.items())[-MAX_KEPT:]) for name, table in _tables(known).items()}
    return {"added_after": added_after, "known": kept}


def _known(cursor: dict[str, Any]) -> Known:
    known, kept = Known(), cursor.get("known") or {}
    for name, table in _tables(known).items():
        table.update(kept.get(name) or {})
    return known


def _tables(known: Known) -> dict[str, dict[str, str]]:
    return {"names": known.names, "colours": known.colours}


def _time(text: str) -> str:
    return text if _TIME.fullmatch(text) else ""


def _later(one: str, other: str) -> bool:
    try:
        return moment(one) > moment(other)
    except ValueError:
        return False


def _back(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1_000 - OVERLAP_S, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
