"""Commands over recordings: `qorgan detect` judges files offline, `qorgan publish` sends them to a raw topic."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.screen import AsJson, counting, note, show
from schemas.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.loading import Loaded
    from pipeline.offline import Judged

#: How many unparsed lines, or refused rules, are named one by one.
NAMED = 20

Files = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="records, one a line; plain, .xz, .gz, .zst; - is stdin")
]


class Timestamps(StrEnum):
    """Whose time a published record bears."""

    event = "event"
    now = "now"


def detect(
    files: Files,
    rules: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", help="Sigma rules: file or folder; again for more")
    ] = None,
    indicators: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", help="indicators: STIX 2.1 or CSV; again for more")
    ] = None,
    topic: Annotated[str, typer.Option(help="judge as records of this raw topic: its format and log source")] = "file",
    jobs: Annotated[int, typer.Option(min=0, help="processes; 0: one a processor")] = 0,
    as_json: AsJson = False,
) -> None:
    """Judge recorded events offline, with the worker's own parsers, rules and indicators.

    Lines that are no event are named on stderr. Exit code 0: something was found; 1: nothing was.
    """
    from pipeline import loading, offline, recordings
    from pipeline.settings import load

    named = {"rules": rules, "indicators": indicators}
    settings = load(**{name: tuple(paths) for name, paths in named.items() if paths})
    for name in files:
        recordings.size(name)
    loaded = loading.load(settings)
    _say_refused(loaded)
    tally = _Tally()
    judged = offline.detect(offline.Judge(settings, loaded.decide, topic), files, jobs or offline.cores())
    columns = ("level", "title", "file", "line", "time", "host", "user")
    count = show((row for part in tally.over(judged) for row in part.detections), columns, as_json, "Detections")
    note(f"{tally.lines:,} lines, {count:,} detections, {tally.unparsed:,} lines are no event.")
    raise typer.Exit(Exit.OK if count else Exit.FOUND_NOTHING)


def publish(
    files: Files,
    topic: Annotated[str, typer.Option(help="the raw topic")],
    rate: Annotated[float, typer.Option(min=0.0, help="records a second; 0: as fast as the broker takes them")] = 0.0,
    timestamps: Annotated[
        Timestamps, typer.Option(help="the record's time: the event's own, or now")
    ] = Timestamps.event,
    as_json: AsJson = False,
) -> None:
    """Send the lines of files to a raw topic; each counts when the broker has confirmed it."""
    from pipeline.publish import publish as send
    from pipeline.settings import load

    with counting("published", "records") as progress:
        done = send(load(), files, topic, rate=rate, timestamps=timestamps.value, progress=progress)
    row = {
        "topic": topic,
        "records": done.records,
        "bytes": done.bytes,
        "seconds": round(done.seconds, 3),
        "records_per_s": round(done.records / done.seconds) if done.seconds else 0,
    }
    show([row], tuple(row), as_json)


class _Tally:
    """Counts what is judged, and names the first lines that are no event."""

    def __init__(self) -> None:
        self.lines = 0
        self.unparsed = 0

    def over(self, judged: Iterator[Judged]) -> Iterator[Judged]:
        for part in judged:
            self.lines += part.lines
            for line, reason in part.unparsed:
                self.unparsed += 1
                if self.unparsed <= NAMED:
                    note(f"{part.file}:{line}: no event ({reason})")
            yield part


def _say_refused(loaded: Loaded) -> None:
    refused = loaded.rules.refused
    for refusal in refused[:NAMED]:
        note(f"{refusal.file}: rule not used: {refusal.reason}")
    if len(refused) > NAMED:
        note(f"and {len(refused) - NAMED:,} more rules not used: `qorgan rules check` names them")
