"""Commands that run a part of Qorgan or prepare its topics: up, worker, store, broker, topics."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.screen import AsJson, note, show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.embedded.tether import Announce, Ready
    from pipeline.topics import Change

topics = typer.Typer(no_args_is_help=True, help="The topics on Kafka, as deploy/kafka/topics.yml says.")

KafkaHome = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Apache Kafka's folder, or one of its jars: a durable node instead (Java)"),
]


class Role(StrEnum):
    """What a worker process does; `all` starts one of each."""

    ingest = "ingest"
    correlate = "correlate"
    respond = "respond"
    curate = "curate"
    all = "all"


def up(kafka_home: KafkaHome = None) -> None:
    """Run everything on this machine, in one process tree, until Ctrl-C: broker, store, workers."""
    from pipeline.logging import configure
    from pipeline.settings import load
    from pipeline.up import run_up

    settings = load()
    configure(settings)
    raise typer.Exit(run_up(settings, note, kafka_home=kafka_home))


def worker(role: Annotated[Role, typer.Option(help="what it does; all: one process each")] = Role.all) -> None:
    """Run a worker until SIGTERM; SIGHUP reloads rules and indicators."""
    from pipeline.settings import load
    from pipeline.worker import run_worker

    raise typer.Exit(run_worker(role.value, load()))


def store(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one")] = 8123,
    path: Annotated[Path, typer.Option(metavar="DIR", help="where its data lies")] = Path("var/store"),
    password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="password of the user qorgan; else one is made, in DIR/password")
    ] = None,
    listen: Annotated[str, typer.Option(help="address; beyond loopback use a ClickHouse server instead")] = "127.0.0.1",
) -> None:
    """Run the embedded store: the ClickHouse engine behind ClickHouse's HTTP interface."""
    from pipeline.embedded.store import run_store

    raise typer.Exit(run_store(port, path, password_file, listen, announce=_announce("store")))


def broker(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one")] = 9092,
    kafka_home: KafkaHome = None,
    path: Annotated[Path | None, typer.Option(metavar="DIR", help="data of the node of --kafka-home")] = None,
) -> None:
    """Run the embedded broker, which forgets when it stops; or with --kafka-home one Apache Kafka node."""
    from pipeline.embedded.broker import run_broker

    raise typer.Exit(run_broker(port, kafka_home, path, announce=_announce("broker")))


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


@topics.command("accept-loss")
def accept_loss_of(
    topic: Annotated[str, typer.Argument(help="the topic")],
    partition: Annotated[int, typer.Argument(min=0, help="its halted partition")],
    by: Annotated[str, typer.Option(help="who accepts the loss; it stands in the ledger")],
    as_json: AsJson = False,
) -> None:
    """Accept that records left a topic before they were stored, so that storing of the partition goes on."""
    import asyncio

    from pipeline.settings import load
    from pipeline.storing_gap import accept_loss

    row = asyncio.run(accept_loss(load(), topic, partition, by))
    lost = {"topic": topic, "partition": partition, "first": row.first, "last": row.last, "by": by}
    show([lost], ("topic", "partition", "first", "last", "by"), as_json, "Accepted as lost")


def _sentence(change: Change) -> str:
    return (
        change.found if change.what == "topic" else f"{change.what} is {change.found or 'unset'}, not {change.wanted}"
    )


def _announce(what: str) -> Announce:
    def say(ready: Ready) -> None:
        note(f"{what} at {ready.address}" + "".join(f", {name} {value}" for name, value in ready.facts.items()))

    return say
