"""What one sees of the demonstration: live tables on a terminal, plain lines on a pipe, JSON lines for programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol, TextIO

import orjson
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pipeline.demo.account import Line
from pipeline.demo.shapes import ALMATY
from schemas.detection import Detection
from schemas.incident import Incident

#: Findings that the live table shows; the newest.
_SHOWN: Final = 12
_COLOURS: Final = {"critical": "bold red", "high": "red", "medium": "yellow"}


@dataclass(slots=True)
class Progress:
    """How far it is. `published` counts confirmed records of `total` (0: unknown); `contributions` are matches of rules
    that speak through correlations alone."""

    phase: str = ""
    total: int = 0
    published: int = 0
    stored: int = 0
    dead: int = 0
    detections: int = 0
    contributions: int = 0
    findings: set[str] = field(default_factory=set)
    incidents: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        of = f" of {self.total:,}" if self.total else ""
        return (
            f"published {self.published:,}{of} · stored {self.stored:,} · dead letters {self.dead:,} · "
            f"detections {self.detections:,} · findings {len(self.findings):,} · incidents {len(self.incidents):,}"
        )


class View(Protocol):
    """Where the demonstration is shown. Every method returns at once."""

    def say(self, text: str) -> None:
        """A sentence for the person."""

    def finding(self, detection: Detection) -> None:
        """The first detection of a finding."""

    def incident(self, incident: Incident) -> None:
        """A new revision of an incident."""

    def progress(self, progress: Progress) -> None:
        """The state of things; called often."""

    def account(self, lines: Sequence[Line]) -> None:
        """The account, once, at the end of all."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class PlainView:
    """One line for each thing that happens, with the seconds since the start; the state of things every 5 s."""

    def __init__(self, lang: str, every: float = 5.0) -> None:
        self._lang = lang
        self._every = every
        self._started = self._told = time.monotonic()
        self._said = ""

    def say(self, text: str) -> None:
        first, *others = text.splitlines()
        _put(f"{time.monotonic() - self._started:6.1f} s  {first}")
        for line in others:
            _put(" " * 10 + line)

    def finding(self, detection: Detection) -> None:
        where = ", ".join(detection.entities)
        mark = "past finding" if detection.retrospective else "finding"
        self.say(f"{mark:<9} {detection.level:<8} {_clock(detection.time)}  {detection.title}  ({where})")

    def incident(self, incident: Incident) -> None:
        *cells, findings = _cells(incident, self._lang)
        self.say(f"incident  {' · '.join(cells)} · revision {incident.revision}, findings: {findings}")

    def progress(self, progress: Progress) -> None:
        text = str(progress)
        if time.monotonic() - self._told >= self._every and text != self._said:
            self._told, self._said = time.monotonic(), text
            self.say(text)

    def account(self, lines: Sequence[Line]) -> None:
        width = max(len(line.what) for line in lines)
        _put("")
        for line in lines:
            _put(f"{'ok    ' if line.ok else 'FAILED'}  {line.what:<{width}}  {line.seen}")

    def close(self) -> None:
        """Nothing is held."""


class JsonView:
    """One JSON object a line: {"finding": …}, {"incident": …}, {"account": …}; sentences go to stderr."""

    def say(self, text: str) -> None:
        _put(text, sys.stderr)

    def finding(self, detection: Detection) -> None:
        self._write("finding", detection.model_dump(mode="json"))

    def incident(self, incident: Incident) -> None:
        self._write("incident", incident.model_dump(mode="json"))

    def progress(self, progress: Progress) -> None:
        """Programs count for themselves."""

    def account(self, lines: Sequence[Line]) -> None:
        for line in lines:
            self._write("account", {"what": line.what, "ok": line.ok, "seen": line.seen})

    def close(self) -> None:
        """Nothing is held."""

    def _write(self, kind: str, value: dict[str, Any]) -> None:
        _put(orjson.dumps({kind: value}).decode())


class LiveView:
    """Tables that grow while one looks; sentences stay above them."""

    def __init__(self, lang: str) -> None:
        self._lang = lang
        self._console = Console()
        self._started = time.monotonic()
        self._progress = Progress()
        self._findings: list[Detection] = []
        self._incidents: dict[str, Incident] = {}
        self._live = Live(self._picture(), console=self._console, refresh_per_second=4, transient=False)
        self._live.start()

    def say(self, text: str) -> None:
        self._console.print(Text(text))

    def finding(self, detection: Detection) -> None:
        self._findings.append(detection)
        self._live.update(self._picture())

    def incident(self, incident: Incident) -> None:
        self._incidents[incident.id] = incident
        self._live.update(self._picture())

    def progress(self, progress: Progress) -> None:
        self._progress = progress
        self._live.update(self._picture())

    def account(self, lines: Sequence[Line]) -> None:
        self.close()
        table = Table(title="The account", title_justify="left", header_style="bold", box=None)
        for column in ("", "what must hold", "what was seen"):
            table.add_column(column, overflow="fold")
        for line in lines:
            verdict = Text("ok", "green") if line.ok else Text("FAILED", "bold red")
            table.add_row(verdict, Text(line.what), Text(line.seen))
        self._console.print(table)

    def close(self) -> None:
        self._live.stop()

    def _picture(self) -> Group:
        head = f"[bold]{escape(self._progress.phase)}[/]  {time.monotonic() - self._started:.0f} s\n{self._progress}\n"
        return Group(Text.from_markup(head), self._finding_table(), self._incident_table())

    def _finding_table(self) -> Table:
        table = Table(title="Findings", title_justify="left", header_style="bold", box=None)
        for column, least in (("time", 15), ("level", 8), ("what", 20), ("where", 10)):
            table.add_column(column, overflow="ellipsis", no_wrap=True, min_width=least)
        for each in self._findings[-_SHOWN:]:
            what = f"{each.title} (in the past)" if each.retrospective else each.title
            where = ", ".join(each.entities)
            table.add_row(_clock(each.time), Text(each.level, _COLOURS.get(each.level, "")), Text(what), Text(where))
        return table

    def _incident_table(self) -> Table:
        table = Table(title="Incidents", title_justify="left", header_style="bold", box=None)
        for column in ("number", "priority", "class", "title", "procedure", "findings"):
            table.add_column(column, overflow="fold")
        for each in self._incidents.values():
            table.add_row(*(Text(cell) for cell in _cells(each, self._lang)))
        return table


def make_view(lang: str, as_json: bool) -> View:
    """The view for where the output goes."""
    if as_json:
        return JsonView()
    return LiveView(lang) if sys.stdout.isatty() else PlainView(lang)


def _cells(incident: Incident, lang: str) -> tuple[str, ...]:
    """Number, priority, class, title, procedure, findings."""
    return (
        incident.number,
        f"P{incident.priority}",
        getattr(incident.incident_class.name, lang),
        getattr(incident.title, lang),
        getattr(incident.procedures[0].name, lang),
        str(incident.counts.findings),
    )


def _put(text: str, stream: TextIO | None = None) -> None:
    stream = stream or sys.stdout
    stream.write(text + "\n")
    stream.flush()


def _clock(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, ALMATY):%d.%m. %H:%M:%S}"
