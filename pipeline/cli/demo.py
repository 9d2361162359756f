"""`qorgan demo`: everything embedded, a simulated bank and an attack, the incident it raises, the account."""

from __future__ import annotations

import signal
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from pipeline.cli.screen import AsJson


class Language(StrEnum):
    """In which the incidents' texts are shown."""

    kk = "kk"
    ru = "ru"
    en = "en"


Paths = list[Path] | None


def demo(
    more: Annotated[list[str] | None, typer.Argument(metavar="[FILE]...", help="more files of --input")] = None,
    files: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="FILE...", help="your own events, one a line; plain, .xz, .gz, .zst"),
    ] = None,
    rules: Annotated[Paths, typer.Option(metavar="PATH", help="with --input: your rules; again for more")] = None,
    indicators: Annotated[
        Paths, typer.Option(metavar="PATH", help="with --input: your indicators; again for more")
    ] = None,
    events: Annotated[int, typer.Option(min=1_000, help="how many the simulated bank has")] = 40_000,
    seed: Annotated[int, typer.Option(help="another bank, another day")] = 7,
    lang: Annotated[Language, typer.Option(help="of the incidents' texts")] = Language.en,
    keep: Annotated[bool, typer.Option("--keep", help="stay, and say where to look, until Ctrl-C")] = False,
    as_json: AsJson = False,
) -> None:
    """Show all of Qorgan in about two minutes: a simulated bank, an attack hidden in it, the incident it raises.

    Ends with an account; exit code 0 only if it balances: published = stored + dead letters, nothing twice, every
    stage of the attack found, and all of it one incident.
    """
    from pipeline import recordings
    from pipeline.demo.play import Wish, run_demo
    from pipeline.demo.view import make_view
    from schemas.errors import RefusedError

    named = (*(files or ()), *(more or ()))
    if (rules or indicators) and not named:
        raise RefusedError("--rules and --indicators go with --input: the simulated bank brings its own.")
    for name in named:
        recordings.size(name)
    for path in rules or ():
        if not path.exists():
            raise RefusedError(f"The rules {path} do not exist; name a file or folder of Sigma rules.")
    signal.signal(signal.SIGTERM, _interrupt)
    wish = Wish(seed, events, named, tuple(rules or ()), tuple(indicators or ()), lang.value, keep)
    raise typer.Exit(run_demo(wish, make_view(lang.value, as_json)))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """A SIGTERM ends it as Ctrl-C does, so that nothing is left behind."""
    raise KeyboardInterrupt
