"""Commands for what decides: `qorgan rules check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import rulelife
from pipeline.cli.coverage import coverage
from pipeline.cli.screen import AsJson, note, show
from schemas.errors import Exit

rules = typer.Typer(no_args_is_help=True, help="Sigma rules.")
rules.command("coverage")(coverage)


@rules.command("check")
def check_rules(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="files or folders; none: QORGAN_RULES")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Load rules as a worker would, and name those that are refused, or whose log source no parser gives; and the ids
    in QORGAN_STAGES that no rule has.

    Exit code 0: all are in force; 3: at least one is refused.
    """
    from zoneinfo import ZoneInfo

    from pipeline import rules as loading
    from pipeline.offline import CACHE
    from pipeline.settings import load
    from pipeline.stages import load_stages
    from pipeline.tuning import read_tuning

    settings = load()
    checked = loading.check_rules(
        tuple(paths or settings.rules), CACHE / "cache", ZoneInfo(settings.timezone), read_tuning(settings)
    )
    rows = [
        {"state": "refused", "file": r.file, "line": r.line or None, "reason": r.reason, "do": r.todo}
        for r in checked.refused
    ]
    rows += [
        {
            "state": "waits",
            "file": rule.file,
            "line": None,
            "reason": f"no parser gives the log source {'/'.join(part or '*' for part in rule.logsource)} by itself",
            "do": "name it in QORGAN_TOPICS for the topic that carries it",
        }
        for rule in checked.not_carried
    ]
    rows += [
        {
            "state": "unknown",
            "file": str(settings.stages),
            "line": None,
            "reason": f"it names the rule {name}, which there is not",
            "do": "take it out, or name the rule's id",
        }
        for name in load_stages(settings.stages).unknown([*checked.rules, *checked.correlations.ordered])
    ]
    if rows:
        show(rows, ("state", "file", "line", "reason", "do"), as_json, "Rules to look at")
    note(
        f"{checked.files:,} files: {len(checked.rules):,} rules and {len(checked.correlations.ordered):,} correlations "
        f"in force, {len(checked.refused):,} refused, "
        f"{len(checked.not_carried):,} wait for their log source."
    )
    raise typer.Exit(Exit.REFUSED if checked.refused else Exit.OK)


rules.command("test")(rulelife.judge)
rules.command("explain")(rulelife.explain)
rules.command("stats")(rulelife.stats)
rules.command("diff")(rulelife.diff)
rules.command("stages")(rulelife.stages)
