"""`qorgan formats list` and `qorgan formats detect`: what can be read, and what a file holds."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.screen import AsJson, counting, note, show
from schemas.errors import Exit

app = typer.Typer(no_args_is_help=True, help="What shippers may send, and what a file of theirs holds.")


@app.command("list")
def listed(as_json: AsJson = False) -> None:
    """List every format: how its records are told, whose time and log source they have, which settings it takes."""
    from pipeline.formats_page import rows

    show(rows(), ("format", "what", "told by", "time", "log source"), as_json, "Formats")


@app.command()
def detect(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="records, one a line; - is stdin")],
    topic: Annotated[str, typer.Option(help="read as records of this raw topic, by its settings")] = "file",
    lines: Annotated[int, typer.Option(min=1, help="lines of each file that are looked at")] = 1_000_000,
    as_json: AsJson = False,
) -> None:
    """Tell what files hold, format by format: log sources, times, what is not read and why, what settings would help.

    Exit code 0: every line is read; 1: some are not.
    """
    from pipeline.recognising import UNREAD, recognise
    from pipeline.settings import load

    with counting("read", "lines", answering=as_json) as progress:
        found = list(recognise(load(), files, topic, lines, progress))
    columns = ("file", "format", "records", "line", "sources", "from", "to", "timeless", "reasons")
    show(found, columns, as_json, "Formats")
    if not as_json:
        for row in found:
            for sentence in row["advice"]:
                note(f"{row['file']}, {row['format']}: {sentence}.")
    unread = any(row["format"] == UNREAD for row in found)
    raise typer.Exit(Exit.FOUND_NOTHING if unread or not found else Exit.OK)
