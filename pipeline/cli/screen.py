"""What a command prints: rich tables on a terminal, tab-separated lines on a pipe, one JSON object a line with --json.

Errors, notes and progress go to stderr, so that stdout is always the answer alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

#: The option that every command with an answer has.
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object a line, for programs")]


def show(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], as_json: bool, title: str = "") -> int:
    """Print rows, `columns` of them to people and all of them as JSON. Returns how many there were."""
    if as_json:
        return _as_json(rows)
    if sys.stdout.isatty():
        return _as_table(rows, columns, title)
    return _as_lines(rows, columns)


def note(sentence: str) -> None:
    """Tell the person something that is not the answer."""
    print(sentence, file=sys.stderr, flush=True)


def text(value: Any) -> str:
    """A cell as people read it: nothing for None, members by commas."""
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ", ".join(text(member) for member in value)
    return str(value)


def _as_json(rows: Iterable[Mapping[str, Any]]) -> int:
    import orjson

    count = 0
    for row in rows:
        count += 1
        sys.stdout.write(orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS).decode() + "\n")
    return count


def _as_lines(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> int:
    print(*columns, sep="\t")
    count = 0
    for row in rows:
        count += 1
        print(*(text(row.get(column)).replace("\t", " ").replace("\n", " ") for column in columns), sep="\t")
    return count


def _as_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], title: str) -> int:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text, not markup: a value of an event may look like markup and must not colour the screen.
        table.add_row(*(Text(text(row.get(column))) for column in columns))
    Console().print(table)
    return table.row_count


@contextmanager
def counting(done: str, what: str, *, answering: bool = False) -> Iterator[Callable[[int], None]]:
    """Progress of a task of unknown length, on a terminal alone: gives a function that takes how many more are done.

    `answering`: the answer is printed meanwhile, so no progress where both would meet on one screen.
    """
    if not sys.stderr.isatty() or (answering and sys.stdout.isatty()):
        yield lambda more: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn(f"{{task.completed:,.0f}} {what} {done}"), TimeElapsedColumn())
    # Refreshed by what is done and not by a thread: `qorgan detect` forks.
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as progress:
        task = progress.add_task(done, total=None)
        yield lambda more: progress.update(task, advance=more, refresh=True)
