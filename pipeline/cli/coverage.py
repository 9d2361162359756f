"""`qorgan rules coverage`: what each rule can find with each provider of its log source."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.screen import AsJson, note, show

if TYPE_CHECKING:
    from pipeline.coverage import Observed
    from pipeline.settings import Settings

RULE = ("state", "title", "logsource", "provider", "filters_without", "selections_without")
FIELD = ("logsource", "provider", "field", "rules")
SILENT = ("logsource", "rules")


def coverage(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="recordings, to see which sources and fields come")
    ] = None,
    rules: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", help="Sigma rules: file or folder; none: QORGAN_RULES")
    ] = None,
    topic: Annotated[str, typer.Option(help="read the files as records of this raw topic")] = "file",
    store: Annotated[int, typer.Option(min=0, metavar="DAYS", help="see what the store received in so many days")] = 0,
    every: Annotated[bool, typer.Option("--all", help="print also what is covered in full")] = False,
    as_json: AsJson = False,
) -> None:
    """Say per rule and provider: full, narrower, weaker (a filter's field is absent), or cannot fire.

    With FILES, or --store, also which fields rules ask for that never came, and which log sources are silent.
    """
    from zoneinfo import ZoneInfo

    from pipeline import coverage as covering
    from pipeline.offline import CACHE
    from pipeline.rules import load_rules
    from pipeline.settings import load

    settings = load()
    loaded = load_rules(tuple(rules or settings.rules), CACHE / "cache", ZoneInfo(settings.timezone))
    observed = _observed(settings, files or [], topic, store)
    found = list(covering.rows(loaded.rules, observed))
    shown = found if every or as_json else [row for row in found if row["state"] != "full"]
    show(shown, (*RULE, "events") if observed is not None else RULE, as_json, "Rules by provider")
    if observed is not None:
        show(covering.never_seen(found), FIELD, as_json, "Fields never seen")
        show(covering.silent(found), SILENT, as_json, "Silent sources")
    states = Counter(row["state"] for row in found)
    said = ", ".join(f"{states[state]:,} {state}" for state in ("full", "narrower", "weaker", "cannot fire"))
    note(f"{len(loaded.rules):,} rules, {len(found):,} rules with a provider: {said}.")


def _observed(settings: Settings, files: list[str], topic: str, days: int) -> Observed | None:
    from pipeline import coverage as covering

    if not files and not days:
        return None
    observed = covering.of_files(settings, files, topic)
    for known, seen in covering.of_store(settings, days).items() if days else ():
        observed.setdefault(known, covering.Seen()).add(seen.events, seen.fields)
    return observed
