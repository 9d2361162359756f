"""The documents that are rendered from the code, as a table: file → how it is made. `make docs` writes them.

What is exported is declared once, as data (settings, metrics, commands, exit codes); a test compares these files with
it, so a document cannot grow old.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline import dashboard, formats_page, routing_page
from pipeline.cli.about import setting_rows
from pipeline.cli.main import EXIT_CODES, app
from pipeline.metrics import METRICS, PREFIX

ROOT = Path(__file__).parent.parent
COLUMNS = 100


def settings_page() -> str:
    """Every setting: environment name, default, meaning."""
    rows = ((f"`{row['setting']}`", _code(row["default"]), row["meaning"]) for row in setting_rows())
    return f"""# Settings

From the environment, else from the settings file (`qorgan --settings FILE`, or `QORGAN_SETTINGS`; TOML, the names
below without `QORGAN_` in lower case), else the default. Lists are written by commas or as JSON. `qorgan settings`
also prints what each is now.

{_table(("setting", "default", "meaning"), rows)}"""


def metrics_page() -> str:
    """Every metric: name, kind, labels, meaning."""
    rows = ((f"`{PREFIX}{m.name}`", m.kind, ", ".join(f"`{x}`" for x in m.labels), m.help) for m in METRICS)
    return f"""# Metrics

`/metrics` of every worker, in seconds and bytes; the label sets are closed, and never hold a host, a user or a message.
Beside them stand `process_*`, memory and processor time of the process. A metric without labels is 0 in a process
whose role does not set it. The dashboard `deploy/grafana/dashboard.json` is made from the same table.

{_table(("metric", "kind", "labels", "meaning"), rows)}"""


def commands_page() -> str:
    """Every command's help, and the exit codes."""
    codes = ((str(int(code)), meaning) for code, meaning in EXIT_CODES.items())
    texts = "\n".join(f"## {path}\n\n```\n{text}\n```\n" for path, text in _helps())
    return f"""# The command line

Answers go to stdout, as a table on a terminal, as tab-separated lines on a pipe, as one JSON object a line with
`--json`; notes, progress and errors go to stderr. An error is one sentence that says what to do;
`QORGAN_LOG_LEVEL=debug` adds where it came from.

{_table(("exit code", "meaning"), codes)}
{texts}"""


#: Path below the checkout → its text.
DOCUMENTS: dict[str, Callable[[], str]] = {
    "deploy/docs/settings.md": settings_page,
    "deploy/docs/metrics.md": metrics_page,
    "deploy/docs/cli.md": commands_page,
    "deploy/docs/routing.md": routing_page.page,
    "deploy/docs/formats.md": formats_page.page,
    "deploy/grafana/dashboard.json": dashboard.render,
}


def write() -> None:
    """Write every document that differs, and name it."""
    for path, render in DOCUMENTS.items():
        file, text = ROOT / path, render()
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path}\n")


def _helps() -> Iterator[tuple[str, str]]:
    """Path and help text of every command, groups before their members, as a pipe shows them."""
    from typer.main import get_command

    def walk(command: Any, path: str, parent: Any) -> Iterator[tuple[str, str]]:
        command.rich_markup_mode = None
        context = command.context_class(
            command, info_name=path.split()[-1], parent=parent, terminal_width=COLUMNS, max_content_width=COLUMNS
        )
        yield path, command.get_help(context)
        for name, member in getattr(command, "commands", {}).items():
            yield from walk(member, f"{path} {name}", context)

    return walk(get_command(app), "qorgan", None)


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _code(value: str) -> str:
    return f"`{value}`" if value else ""


if __name__ == "__main__":
    write()
