"""Commands of a rule's life: `qorgan rules test`, `explain`, `stats`, `diff`, `stages`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.screen import AsJson, counting, note, show
from schemas.errors import Exit

Paths = Annotated[
    list[Path] | None, typer.Argument(metavar="[PATH]...", help="rules: files or folders; none: QORGAN_RULES")
]
Topic = Annotated[str, typer.Option(help="read as records of this raw topic: its format and log source")]


def judge(
    paths: Paths = None,
    cases: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="folder of cases in SigmaHQ's layout; again for more")
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="write the results as JUnit XML")] = None,
    strict: Annotated[bool, typer.Option(help="a rule without a positive and a negative case fails too")] = False,
    as_json: AsJson = False,
) -> None:
    """Judge the cases beside rules: NAME.cases.yml beside NAME.yml, and SigmaHQ's regression_data.

    Exit code 0: all passed; 1: there is no case; 3: a case failed, or a rule is refused.
    """
    from zoneinfo import ZoneInfo

    from pipeline import junit as xml
    from pipeline import rulecases, rules, ruletests
    from pipeline.offline import CACHE
    from pipeline.settings import load
    from pipeline.tuning import read_tuning

    settings = load()
    wanted, zone = tuple(paths or settings.rules), ZoneInfo(settings.timezone)
    loaded = rules.check_rules(wanted, CACHE / "cache", zone, read_tuning(settings))
    folders = tuple(cases) if cases else rulecases.regression_folders(wanted)
    asked = [*rulecases.beside(loaded), *rulecases.regression(folders)]
    results = list(ruletests.run(settings, loaded, asked, zone))
    if junit is not None:
        xml.write(junit, results)
    failed = [result for result in results if result.fault]
    found = [
        {
            "state": "failed" if result.fault else "passed",
            "kind": "positive" if result.case.least else "negative",
            "rule_id": result.rule.id,
            "title": result.rule.title,
            "case": result.case.name,
            "file": str(result.case.where),
            "reason": result.fault,
        }
        for result in (results if as_json else failed)
    ]
    bare = ruletests.without(loaded, results)
    if strict:
        found += [
            {"state": "failed", "kind": kind, "rule_id": rule.id, "title": rule.title, "case": "", "file": rule.file}
            | {"reason": f"it has no {kind} case"}
            for rule, kind in bare
        ]
    if found:
        show(found, ("state", "case", "reason", "title", "file"), as_json, "Cases")
    for refusal in loaded.refused[:20]:
        note(f"refused: {refusal}")
    having = {result.rule.id for result in results}
    lacking = sum(rule.id not in having for rule in rulecases.told(loaded))
    passed = len(results) - len(failed)
    note(
        f"{len(results):,} cases of {len(having):,} rules: {passed:,} passed, {len(failed):,} failed. "
        f"{lacking:,} rules have no case, {len(loaded.refused):,} are refused."
    )
    if failed or loaded.refused or (strict and bare):
        raise typer.Exit(Exit.REFUSED)
    raise typer.Exit(Exit.OK if results else Exit.FOUND_NOTHING)


def explain(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="id, title or file of a rule")],
    event: Annotated[
        str, typer.Argument(metavar="EVENT", help="file with one record, for a correlation with all; - is stdin")
    ],
    topic: Topic = "file",
    as_json: AsJson = False,
) -> None:
    """Say which part of a rule's condition holds for a record, on which value, and which does not.

    Of a correlation: which records of the file count in it, in which groups, and what it tells of them. Exit code 0:
    the rule matches; 1: it does not.
    """
    from pipeline import ruleexplain
    from pipeline.settings import load

    found = ruleexplain.explain(load(), rule, event, topic)
    if as_json:
        show([found], (), as_json)
    else:
        for line in ruleexplain.text(found):
            typer.echo(line)
    raise typer.Exit(Exit.OK if found["matches"] else Exit.FOUND_NOTHING)


def stats(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="recordings to measure over; none: the running worker"),
    ] = None,
    rules: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", help="rules: file or folder; again for more")
    ] = None,
    topic: Topic = "file",
    verdicts: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="detections as `detect --json` prints them, each with a `verdict`"),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="rules to show; 0: all that were tried")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show what each rule costs and finds, the worst first: over recordings with its processor time, or as the running
    ingest worker counts it. With verdicts (true-positive, false-positive) also how precise it is, the least precise
    first."""
    from pipeline import loading, rulestats
    from pipeline.offline import CACHE
    from pipeline.settings import load
    from pipeline.verdicts import read as read_verdicts

    overrides: dict[str, Any] = {"rules": tuple(rules)} if rules else {}
    told = read_verdicts(verdicts or ())
    loaded = loading.load(load(state_dir=CACHE, **overrides))
    settings = load(**overrides)
    if files:
        with counting("judged", "lines") as progress:
            found = rulestats.over_files(settings, loaded, files, topic, progress)
    else:
        found = rulestats.of_worker(settings, loaded)
    columns = rulestats.COLUMNS
    if verdicts:
        found, columns = rulestats.with_precision(found, told), rulestats.PRECISE
    show(found[: limit or None], columns, as_json, "Rules, the worst first")
    tries, hits = (sum(row[name] for row in found) for name in ("tries", "hits"))
    note(f"{len(found):,} rules were tried {tries:,} times and hit {hits:,} times.")


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="file or folder of rules")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="file or folder of rules")],
    over: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="recording to look for hits in; again for more")
    ] = None,
    topic: Topic = "file",
    as_json: AsJson = False,
) -> None:
    """Compare two sets of rules: what was added, removed or changed, and over recordings each hit gained or lost.

    Exit code 0: there is a difference; 1: there is none.
    """
    from zoneinfo import ZoneInfo

    from pipeline import rulediff
    from pipeline.offline import CACHE
    from pipeline.rules import load_rules
    from pipeline.settings import load
    from pipeline.tuning import read_tuning

    settings = load()
    zone = ZoneInfo(settings.timezone)
    tuning = read_tuning(settings)
    before, after = (load_rules((path,), CACHE / "cache", zone, tuning) for path in (old, new))
    with counting("judged", "lines", answering=as_json) as progress:
        found = list(rulediff.rows(before, after, settings, over or [], topic, zone, progress))
    if found:
        show(found, ("change", "title", "file", "line", "rule_id"), as_json, "Differences")
    count = {word: sum(row["change"] == word for row in found) for word in rulediff.WORDS}
    note(", ".join(f"{number:,} {word}" for word, number in count.items()) + ".")
    raise typer.Exit(Exit.OK if found else Exit.FOUND_NOTHING)


def stages(
    paths: Paths = None,
    everything: Annotated[bool, typer.Option("--all", help="rules in production too")] = False,
    as_json: AsJson = False,
) -> None:
    """List the rules that are in test or in shadow (QORGAN_STAGES), and the ids named there that no rule has."""
    from zoneinfo import ZoneInfo

    from pipeline.offline import CACHE
    from pipeline.rules import check_rules
    from pipeline.settings import load
    from pipeline.stages import STAGES, load_stages
    from pipeline.tuning import read_tuning

    settings = load()
    staged = load_stages(settings.stages)
    zone = ZoneInfo(settings.timezone)
    checked = check_rules(tuple(paths or settings.rules), CACHE / "cache", zone, read_tuning(settings))
    said = [(staged.of(rule), rule) for rule in checked.rules]
    found = [
        {"stage": stage, "rule_id": rule.id, "title": rule.title, "status": rule.status, "file": rule.file}
        for stage, rule in sorted(said, key=lambda pair: STAGES.index(pair[0]))
        if everything or stage != "production"
    ]
    show(found, ("stage", "title", "status", "file", "rule_id"), as_json, "Stages")
    for unknown in staged.unknown([*checked.rules, *checked.correlations.ordered]):
        note(f"{settings.stages} names the rule {unknown}, which there is not.")
    note(", ".join(f"{sum(stage == word for stage, _ in said):,} in {word}" for word in STAGES) + ".")
