"""Commands that ask the store: `qorgan query` in SQL, `qorgan incidents` for the response team."""

from __future__ import annotations

import csv
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.screen import AsJson, note, show
from schemas.errors import Exit

if TYPE_CHECKING:
    from pipeline.querying import Answer

incidents = typer.Typer(no_args_is_help=True, help="Incidents, as the response team reads them.")

LAST = "SELECT json FROM incidents_last"


class Language(StrEnum):
    """In which the incidents' texts are shown."""

    kk = "kk"
    ru = "ru"
    en = "en"


Lang = Annotated[Language, typer.Option(help="of titles and names")]


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="one statement; - reads it from stdin")],
    limit: Annotated[int, typer.Option(min=0, help="rows at most; 0: all")] = 1000,
    seconds: Annotated[int, typer.Option(min=1, help="time it may take")] = 60,
    as_csv: Annotated[bool, typer.Option("--csv", help="comma-separated, with a header")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask ClickHouse a question, read only."""
    from pipeline.querying import ask
    from pipeline.settings import load

    text = sys.stdin.read() if sql == "-" else sql
    answer = ask(load(), text, limit=limit, seconds=seconds)
    count = _as_csv(answer) if as_csv else show(answer.rows, answer.columns, as_json)
    if limit and count == limit:
        note(f"These are the first {limit:,} rows; --limit 0 gives all.")


@incidents.command("list")
def list_incidents(
    limit: Annotated[int, typer.Option(min=1, help="incidents at most, the newest first")] = 50,
    lang: Lang = Language.en,
    as_json: AsJson = False,
) -> None:
    """List incidents at their last revision, the newest first."""
    found = _incidents(f"{LAST} ORDER BY opened DESC, number DESC", limit=limit)
    rows = found if as_json else [_line(incident, lang) for incident in found]
    columns = ("number", "priority", "severity", "status", "title", "opened", "respond by", "findings", "detections")
    if not show(rows, columns, as_json, "Incidents"):
        note("No incidents.")


@incidents.command("show")
def show_incident(
    number: Annotated[str, typer.Argument(help="its number (2026-000001) or id")],
    lang: Lang = Language.en,
    as_json: AsJson = False,
) -> None:
    """Show one incident whole: what it is, by when to respond, how, and what it stands on."""
    found = _incidents(f"{LAST} WHERE number = {{number:String}} OR id = {{number:String}}", number=number)
    if not found:
        note(f"There is no incident {number}.")
        raise typer.Exit(Exit.FOUND_NOTHING)
    if as_json:
        show(found, (), as_json)
        return
    incident = found[0]
    show(_facts(incident, lang), ("what", "is"), as_json, incident["title"][lang])
    columns = ("time", "level", "title", "host", "user", "source", "origin")
    show(({**e, "time": _moment(e["time"])} for e in incident["evidence"]), columns, as_json, "Evidence")


def _incidents(sql: str, limit: int = 1, **parameters: Any) -> list[dict[str, Any]]:
    import orjson

    from pipeline.querying import ask
    from pipeline.settings import load

    return [orjson.loads(row["json"]) for row in ask(load(), sql, limit=limit, parameters=parameters).rows]


def _line(incident: dict[str, Any], lang: Language) -> dict[str, Any]:
    return {
        **incident,
        "title": incident["title"][lang],
        "opened": _moment(incident["opened"]),
        "respond by": _moment(incident["respond_by"]),
        "findings": incident["counts"]["findings"],
        "detections": incident["counts"]["detections"],
    }


def _facts(incident: dict[str, Any], lang: Language) -> list[dict[str, Any]]:
    line = _line(incident, lang)
    facts = {
        "number": f"{line['number']}, revision {line['revision']}, {line['status']}",
        "class": incident["class"]["name"][lang],
        "priority": f"{line['priority']} (1 is the most urgent), severity {line['severity']}",
        "opened": line["opened"],
        "respond by": line["respond by"],
        "procedure": [procedure["name"][lang] for procedure in incident["procedures"]],
        "events": f"{_moment(incident['first_event'])} to {_moment(incident['last_event'])}",
        "entities": incident["entities"],
        "techniques": incident["techniques"],
        "revoked": [f"{said['indicator']} by {said['source']}: {said['reason']}" for said in incident["revoked"]],
        "stands on": f"{line['findings']} findings, {line['detections']} detections",
    }
    return [{"what": what, "is": value} for what, value in facts.items()]


def _moment(ms: int) -> str:
    """Milliseconds as people read them, in the bank's own time zone."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from pipeline.settings import load

    return datetime.fromtimestamp(ms / 1000, ZoneInfo(load().timezone)).isoformat(sep=" ", timespec="seconds")


def _as_csv(answer: Answer) -> int:
    writer = csv.writer(sys.stdout)
    writer.writerow(answer.columns)
    count = 0
    for row in answer.rows:
        writer.writerow(row.values())
        count += 1
    return count
