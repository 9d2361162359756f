"""Commands that run a part of Qorgan or prepare its topics: up, worker, store, broker, topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from pipeline.cli.screen import AsJson, note, show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.topics import Change

topics = typer.Typer(no_args_is_help=True, help="The topics on Kafka, as deploy/kafka/topics.yml says.")


@topics.command("show")
def show_topics(as_json: AsJson = False) -> None:
    """List the topics that Qorgan needs, and what each lacks on the broker."""
    from pipeline.settings import load
    from pipeline.topics import plan, wanted

    settings = load()
    changes = plan(settings)
    rows = [
        {
            "topic": topic.name,
            "partitions": topic.partitions,
            "replication": topic.replication,
            "lacks": [_sentence(change) for change in changes if change.topic == topic.name],
            "config": dict(topic.config),
        }
        for topic in wanted(settings)
    ]
    show(rows, ("topic", "partitions", "replication", "lacks"), as_json, f"Topics on {settings.kafka}")


@topics.command("apply")
def apply_topics(as_json: AsJson = False) -> None:
    """Create the topics that are missing and set the configuration that differs; nothing is shortened or removed."""
    from pipeline.settings import load
    from pipeline.topics import apply

    found = apply(load())
    rows: Iterable[dict[str, str]] = (
        {"topic": change.topic, "what": change.what, "from": change.found, "to": change.wanted}
        for change in found
        if change.by == "apply"
    )
    if not show(rows, ("topic", "what", "from", "to"), as_json, "Done"):
        note("Nothing to do.")
    for change in found:
        if change.by == "person":
            note(f"{change.topic}: {_sentence(change)}, for a person to decide: keys would move to other partitions.")


def _sentence(change: Change) -> str:
    return (
        change.found if change.what == "topic" else f"{change.what} is {change.found or 'unset'}, not {change.wanted}"
    )
