"""The documents that are rendered from the code, as a table: file → how it is made. `make docs` writes them.

What is exported is declared once, as data (settings, metrics, commands); a test compares these files with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.cli.about import setting_rows

ROOT = Path(__file__).parent.parent


def settings_page() -> str:
    """Every setting: environment name, default, meaning."""
    lines = [
        "# Settings",
        "",
        "From the environment, else from the settings file (`qorgan --settings FILE`, or `QORGAN_SETTINGS`; TOML, the",
        "names below without `QORGAN_` in lower case), else the default. Lists are written by commas or as JSON.",
        "`qorgan settings` also prints what each is now.",
        "",
        "| setting | default | meaning |",
        "| --- | --- | --- |",
    ]
    lines += [f"| `{row['setting']}` | {_code(row['default'])} | {row['meaning']} |" for row in setting_rows()]
    return "\n".join(lines) + "\n"


#: Path below the checkout → its text.
DOCUMENTS: dict[str, Callable[[], str]] = {
    "deploy/docs/settings.md": settings_page,
}


def write() -> None:
    """Write every document that differs, and name it."""
    for path, render in DOCUMENTS.items():
        file, text = ROOT / path, render()
        if not file.exists() or file.read_text() != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            sys.stdout.write(f"{path}\n")


def _code(value: str) -> str:
    return f"`{value}`" if value else ""


if __name__ == "__main__":
    write()
