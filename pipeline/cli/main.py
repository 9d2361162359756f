"""The command `qorgan`: a table of commands, and what becomes of an error.

Starting must be quick, so this module and those of the commands import Typer alone; a command imports what it needs
when it runs. An error is a sentence and an exit code; where it comes from is shown with QORGAN_LOG_LEVEL=debug.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline.cli import (
    about,
    ask,
    bench,
    content,
    demo,
    formats,
    hunt,
    identities,
    indicators,
    operate,
    recorded,
    tuning,
)
from schemas.errors import Exit, QorganError

EXIT_CODES = {
    Exit.OK: "done; detect and hunt: something was found",
    Exit.FOUND_NOTHING: "done, and nothing was found",
    Exit.USAGE: "the command was called wrongly",
    Exit.REFUSED: "settings, rules, indicators or arguments must be mended first",
    Exit.UNREACHABLE: "Kafka or ClickHouse does not answer, or not to us",
    Exit.FAILED: "it failed; the sentence on stderr says where",
    Exit.INTERRUPTED: "interrupted by Ctrl-C",
    Exit.BROKEN_PIPE: "the reader of the output went away",
}


class Commands(TyperGroup):
    """The group of all commands: makes of what a command raises a sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Raises typer.Exit for every error that is ours to explain."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except (typer.Exit, typer.Abort, typer.TyperException):
            raise
        except BrokenPipeError:
            # What is still buffered has no reader either; without this Python complains about it at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(Exit.BROKEN_PIPE) from None
        except QorganError as error:
            _explain(str(error))
            raise typer.Exit(error.exit) from None
        except Exception as error:
            _explain(f"{_place(error)} Set QORGAN_LOG_LEVEL=debug to see how it came to that, and report it.")
            raise typer.Exit(Exit.FAILED) from None
        return result


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Panels for people; plain text on a pipe, where it is also what the reference page is rendered from.
    rich_markup_mode="rich" if sys.stdout.isatty() else None,
    epilog="Exit codes: " + "; ".join(f"{int(code)} {meaning}" for code, meaning in EXIT_CODES.items()) + ".",
)


@app.callback()
def qorgan(
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="settings file (TOML); `qorgan settings` lists what it may hold")
    ] = None,
) -> None:
    """Qorgan: streaming detection and response. Kafka in, incidents out, three months searchable in ClickHouse."""
    if settings is not None:
        from pipeline.settings import use_file

        use_file(settings)


# In the order of the help: what people do, then what operations does.
app.command()(demo.demo)
app.command()(operate.up)
app.command()(recorded.detect)
app.command()(recorded.publish)
app.command()(hunt.hunt)
app.add_typer(ask.incidents, name="incidents")
app.command()(ask.query)
content.rules.command("suppressions")(tuning.suppressions)
app.add_typer(content.rules, name="rules")
app.add_typer(indicators.indicators, name="indicators")
app.add_typer(formats.app, name="formats")
app.add_typer(identities.identities, name="identities")
app.command()(operate.worker)
app.command()(operate.store)
app.command()(operate.broker)
app.add_typer(operate.topics, name="topics")
app.command()(bench.bench)
app.command()(about.settings)
app.command()(about.version)


def main() -> None:
    """Run the command that the arguments name; leaves by SystemExit."""
    app(prog_name="qorgan")


def _explain(sentence: str) -> None:
    from pipeline.settings import debugging

    if debugging():
        traceback.print_exc()
    print(f"qorgan: {sentence}", file=sys.stderr)


def _place(error: Exception) -> str:
    """Kind and place alone: the text of a foreign error may hold a payload or a secret."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"Unexpected {type(error).__name__} in {Path(last.filename).name}, line {last.lineno}."


if __name__ == "__main__":
    main()
