"""`qorgan hunt`: what is known today, asked of what is stored."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.screen import AsJson, counting, note, show
from schemas.errors import Exit

if TYPE_CHECKING:
    from pipeline.hunts import HuntProgress

SECONDS = {"h": 3_600, "d": 86_400, "w": 7 * 86_400}


def span(text: str) -> float:
    """`36h`, `92d`, `13w` in seconds. Raises typer.BadParameter."""
    match = re.fullmatch(r"(\d{1,5})([hdw])", text.strip())
    if match is None or match[1].strip("0") == "":
        raise typer.BadParameter(f"{text!r} is no span of time: write 36h, 92d or 13w.")
    return float(int(match[1]) * SECONDS[match[2]])


def hunt(
    indicators: Annotated[
        list[Path], typer.Option(metavar="PATH", help="STIX 2.1, MISP, CSV or a list; again for more")
    ],
    since: Annotated[str, typer.Option(metavar="SPAN", help="how far back: 36h, 92d, 13w")] = "92d",
    as_json: AsJson = False,
) -> None:
    """Look for indicators in what was received up to now; what is found goes the way of every detection.

    Detections get the ids that the stream would have given, so nothing counts twice. Exit code 0: something was found;
    1: nothing was.
    """
    from pipeline.hunts import hunt as run
    from pipeline.settings import load

    with counting("read again", "events") as progress:
        seen = 0

        def tell(now: HuntProgress) -> None:
            nonlocal seen
            progress(now.events - seen)
            seen = now.events

        done = run(load(), indicators, since=span(since), progress=tell)
    row = {
        "since": str(done.since),
        "until": str(done.until),
        "days": done.days,
        "indicators": done.indicators,
        "seen": len(done.found),
        "blocks": done.blocks,
        "events": done.events,
        "unread": done.unread,
        "detections": done.detections,
        "seconds": round(done.seconds, 3),
        "revision": done.revision,
    }
    show([row | {"found": sorted(done.found)}], tuple(row), as_json, "Hunt")
    if done.unread:
        note(f"{done.unread:,} stored events are not read by this version's parsers; they were not judged.")
    raise typer.Exit(Exit.OK if done.found else Exit.FOUND_NOTHING)
