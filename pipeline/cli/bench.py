"""`qorgan bench NAME`: a benchmark of pipeline/bench, as a table or as JSON. Each is a module with a function `run`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.screen import AsJson, note, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Bench(StrEnum):
    """What is measured: one of them, or `all` with what each does by itself."""

    transport = "transport"
    pipeline = "pipeline"
    latency = "latency"
    parsers = "parsers"
    indicators = "indicators"
    detect = "detect"
    correlate = "correlate"
    audit = "audit"
    store = "store"
    store_http = "store_http"
    all = "all"


def bench(
    name: Annotated[Bench, typer.Argument(help="what to measure")],
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="events to measure with")] = None,
    rules: Annotated[list[Path] | None, typer.Option(metavar="PATH", help="Sigma rules; again for more")] = None,
    indicators: Annotated[list[Path] | None, typer.Option(metavar="PATH", help="indicators; again for more")] = None,
    made_indicators: Annotated[int | None, typer.Option(min=0, help="so many made up indicators in force")] = None,
    events: Annotated[int | None, typer.Option(min=1, help="how many")] = None,
    mean_bytes: Annotated[int | None, typer.Option(min=1, help="their mean size, sampled from the files")] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="events a second")] = None,
    seconds: Annotated[float | None, typer.Option(min=1, help="for how long")] = None,
    kafka_home: Annotated[Path | None, typer.Option(metavar="DIR", help="on Apache Kafka instead (Java)")] = None,
    state: Annotated[Path | None, typer.Option(metavar="DIR", help="pipeline: keep compiled rules here")] = None,
    peer: Annotated[Path | None, typer.Option(metavar="BINARY", help="detect: rsigma, to run beside")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure, on broker and store of its own; what is not given is as BENCHMARKS.md says."""
    given = {
        "files": files,
        "rules": rules,
        "indicators": indicators,
        "made_indicators": made_indicators,
        "events": events,
        "mean_bytes": mean_bytes,
        "rate": rate,
        "seconds": seconds,
        "kafka_home": kafka_home,
        "state": state,
        "peer": peer,
    }
    chosen = {key: value for key, value in given.items() if value is not None}
    # Without rules of Linux no audit record is joined.
    alone = [each for each in Bench if each not in (Bench.all, Bench.audit)]
    for one in alone if name is Bench.all else [name]:
        note(f"Measuring {one}: this takes minutes; anything else that runs here spoils it.")
        figures = _run(one, chosen)
        if as_json:
            show([{"bench": one.value, **figures}], (), as_json)
        else:
            show(_flat(figures), ("figure", "value"), as_json, f"bench {one}")


def _run(name: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    import inspect
    from importlib import import_module

    from schemas.errors import RefusedError

    run = import_module(f"pipeline.bench.{name}").run
    takes = inspect.signature(run).parameters
    for key in chosen:
        if key not in takes:
            raise RefusedError(f"bench {name} does not take --{key.replace('_', '-')}.")
    figures: dict[str, Any] = run(**chosen)
    return figures


def _flat(figures: Mapping[str, Any], prefix: str = "") -> Iterator[dict[str, Any]]:
    for key, value in figures.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield {"figure": f"{prefix}{key}", "value": f"{value:,}" if isinstance(value, (int, float)) else value}
