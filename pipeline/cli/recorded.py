"""Commands over recordings: `qorgan detect` judges files offline, `qorgan publish` sends them to a raw topic."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.screen import AsJson, counting, note, show
from schemas.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.loading import Loaded
    from pipeline.offline import Judged

#: How many unparsed lines, or refused rules, are named one by one.
NAMED = 20

Files = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="records, one a line, or EVTX; plain, .xz, .gz, .zst; - is stdin")
]


class LeastStage(StrEnum):
    """Which rules are evaluated: those that have come so far at least."""

    test = "test"
    shadow = "shadow"
    production = "production"


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
    stage: Annotated[
        LeastStage, typer.Option(help="evaluate rules that have come so far at least")
    ] = LeastStage.shadow,
    jobs: Annotated[int, typer.Option(min=0, help="processes; 0: as many as the files are worth")] = 0,
    as_json: AsJson = False,
) -> None:
    """Judge recorded events offline, with the worker's own parsers, rules and indicators.

    Correlations are told at the end, each with file, line and time of its first event; the rules that they name are
    not told by themselves. Lines that are no event are named on stderr. Exit code 0: something was found; 1: nothing.
    """
    from pipeline import loading, offline
    from pipeline.correlating import Gathering
    from pipeline.joining import Joining
    from pipeline.settings import load

    named = {"rules": rules, "indicators": indicators}
    # Its cache of compiled rules is its own: other rules than the worker's, and any folder may be the present one.
    settings = load(state_dir=offline.CACHE, **{name: tuple(paths) for name, paths in named.items() if paths})
    processes = offline.processes(files)
    loaded = loading.load(settings, stage.value, offline=True)
    _say_refused(loaded)
    for title in loading.blind(loaded):
        note(f"{title}: finds nothing, since QORGAN_GEO names no file of networks and their places")
    tally = _Tally()
    judge = offline.Judge(settings, loaded.decide, topic)
    gathering = Gathering(loaded.decide.correlations, loaded.decide.attribution, topic)
    parts = offline.detect(judge, files, jobs or processes)
    judged = offline.correlated(offline.joined(parts, Joining.of(loaded.decide), topic), gathering)
    columns = ("level", "title", "file", "line", "time", "host", "user")
    with counting("judged", "lines", answering=as_json) as progress:
        rows = (row for part in tally.over(judged, progress) for row in part.detections)
        count = show(rows, columns, as_json) if as_json else 0
        rest = list(rows)  # for people, after the progress has left the screen
    count += 0 if as_json else show(rest, columns, as_json, "Detections")
    for fault in gathering.faults():
        note(fault)
    note(f"{tally.lines:,} lines, {count:,} detections, {tally.unparsed:,} lines are no event.")
    if tally.everywhere:
        note(f"{tally.everywhere:,} lines tell no log source: every rule was asked. QORGAN_TOPICS can name it.")
    if tally.hidden:
        note(f"{tally.hidden:,} matches are suppressed; `qorgan rules suppressions` with these files shows them.")
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
        self.hidden = 0
        self.everywhere = 0

    def over(self, judged: Iterator[Judged], progress: Callable[[int], None]) -> Iterator[Judged]:
        for part in judged:
            self.lines += part.lines
            self.hidden += len(part.hidden)
            self.everywhere += part.everywhere
            progress(part.lines)
            for line, reason in part.unparsed:
                self.unparsed += 1
                if self.unparsed <= NAMED:
                    note(f"{part.file}:{line}: no event ({reason})")
            yield part


def _say_refused(loaded: Loaded) -> None:
    faults = [*map(str, loaded.rules.refused), *(f"{fault.where}: {fault.why}" for fault in loaded.indicators.faults)]
    for fault in faults[:NAMED]:
        note(f"not used: {fault}")
    nobodys = sum(each.kind == "filter" and not each.account.owner for each in loaded.rules.suppressions.all)
    if nobodys:
        note(f"{nobodys:,} filters apply for which nobody answers: a worker refuses them.")
    if len(faults) > NAMED:
        note(f"and {len(faults) - NAMED:,} more rules or indicators not used")
