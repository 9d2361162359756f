"""The topics that Qorgan needs, as deploy/kafka/topics.yml says: what is missing, what differs, and making it so.

A topic that exists is never harmed: partitions are not added (a key would move to another one) and retention is not
shortened (records would be deleted); both are said, for a person to decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import structlog
import yaml
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from pipeline.kafka import confluent_options
from pipeline.settings import Settings
from schemas.errors import QorganError, RefusedError, UnreachableError

log = structlog.get_logger("topics")

TIMEOUT_S = 8.0
_HERE = Path(__file__).parent
#: In the wheel the file lies beside this module, in a checkout where operations looks for it.
FILES = (_HERE / "topics.yml", _HERE.parent / "deploy" / "kafka" / "topics.yml")


class Topic(NamedTuple):
    """One topic as it should be, or as the broker has it. Configuration by Kafka's own names."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


class Change(NamedTuple):
    """What one topic lacks. `by`: who mends it, `apply` or a person."""

    topic: str
    what: str
    wanted: str
    found: str
    by: Literal["apply", "person"]


def wanted(settings: Settings) -> list[Topic]:
    """The topics of the file, and one of its `raw` for every raw topic of the settings."""
    declared = _declared()
    entries = [(name, declared["raw"]) for name in settings.raw_topics]
    entries += list(declared["topics"].items())
    return [
        Topic(
            name,
            int(_resolve(entry["partitions"], settings)),
            settings.replication,
            {key: _config(key, value, settings) for key, value in entry.get("config", {}).items()},
        )
        for name, entry in entries
    ]


def changes(want: Iterable[Topic], found: Mapping[str, Topic]) -> Iterator[Change]:
    """What stands between `found`, topics by name, and `want`."""
    for topic in want:
        have = found.get(topic.name)
        if have is None:
            yield Change(topic.name, "topic", f"{topic.partitions} partitions", "missing", "apply")
            continue
        if have.partitions < topic.partitions:
            yield Change(topic.name, "partitions", str(topic.partitions), str(have.partitions), "person")
        for key, value in topic.config.items():
            now = have.config.get(key, "")
            if now != value and not (key == "retention.ms" and _keeps_longer(now, value)):
                yield Change(topic.name, key, value, now, "apply")


def plan(settings: Settings) -> list[Change]:
    """What `apply` would do and what is left to a person. Raises UnreachableError."""
    return list(changes(wanted(settings), _found(_admin(settings), settings)))


def apply(settings: Settings) -> list[Change]:
    """Create what is missing, set the configuration that differs; returns what was found. Raises QorganError."""
    admin = _admin(settings)
    todo = list(changes(wanted(settings), _found(admin, settings)))
    missing = {change.topic for change in todo if change.what == "topic"}
    _create(admin, [topic for topic in wanted(settings) if topic.name in missing])
    _configure(admin, [change for change in todo if change.by == "apply" and change.what != "topic"])
    return todo


def ensure(settings: Settings) -> None:
    """For the worker: create what is missing where the settings allow it, else refuse; log what else differs."""
    admin = _admin(settings)
    todo = list(changes(wanted(settings), _found(admin, settings)))
    missing = {change.topic for change in todo if change.what == "topic"}
    if missing and not settings.create:
        raise RefusedError(
            f"Kafka at {settings.kafka} lacks {', '.join(sorted(missing))}, and QORGAN_CREATE is false: "
            "`qorgan topics apply` creates them."
        )
    _create(admin, [topic for topic in wanted(settings) if topic.name in missing])
    for change in todo:
        if change.what != "topic":
            log.warning("topic differs", topic=change.topic, what=change.what, wanted=change.wanted, found=change.found)


def kept_ms(topic: str, settings: Settings) -> int:
    """How long one of our topics is to keep records, milliseconds."""
    return next(int(each.config["retention.ms"]) for each in wanted(settings) if each.name == topic)


def _declared() -> dict[str, Any]:
    file = next((file for file in FILES if file.exists()), None)
    if file is None:
        raise RefusedError(f"topics.yml is missing; it belongs at {FILES[0]}. Install Qorgan again.")
    loaded: dict[str, Any] = yaml.safe_load(file.read_text())
    return loaded


def _resolve(value: str | int, settings: Settings) -> str | int:
    """A number as it stands, or the setting of that name."""
    return getattr(settings, value) if isinstance(value, str) and value in Settings.model_fields else value


def _config(key: str, value: str | int, settings: Settings) -> str:
    found = _resolve(value, settings)
    # Our settings are in seconds.
    return str(int(found) * 1000) if found is not value and key.endswith(".ms") else str(found)


def _keeps_longer(now: str, value: str) -> bool:
    return now == "-1" or (value != "-1" and now.isdigit() and int(now) > int(value))


def _admin(settings: Settings) -> AdminClient:
    # librdkafka's own lines repeat 20 times a second while a broker is away; what matters is in our errors.
    return AdminClient({**confluent_options(settings), "log_level": 0})


def _found(admin: AdminClient, settings: Settings) -> dict[str, Topic]:
    try:
        metadata = admin.list_topics(timeout=TIMEOUT_S).topics
        names = [topic.name for topic in wanted(settings) if topic.name in metadata]
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        answers = admin.describe_configs(resources, request_timeout=TIMEOUT_S) if resources else {}
        configs = {resource.name: answer.result(TIMEOUT_S) for resource, answer in answers.items()}
    except (KafkaException, TimeoutError) as error:
        raise unreachable(settings, error) from None
    found = {}
    for name in names:
        partitions = metadata[name].partitions.values()
        config = {key: entry.value or "" for key, entry in configs[name].items()}
        found[name] = Topic(name, len(partitions), min((len(p.replicas) for p in partitions), default=1), config)
    return found


def unreachable(settings: Settings, error: Exception) -> UnreachableError:
    """The sentence for a broker that does not answer."""
    reason = ""
    if isinstance(error, KafkaException) and isinstance(error.args[0], KafkaError):
        reason = f" ({error.args[0].str()})"
    return UnreachableError(
        f"Kafka at {settings.kafka} does not answer{reason}: check QORGAN_KAFKA, and with {settings.kafka_security} "
        "security its user, password and certificates."
    )


def _create(admin: AdminClient, topics: Sequence[Topic]) -> None:
    if not topics:
        return
    new = [NewTopic(t.name, t.partitions, t.replication, config=dict(t.config)) for t in topics]
    for name, answer in admin.create_topics(new, request_timeout=TIMEOUT_S).items():
        try:
            answer.result(TIMEOUT_S)
        except KafkaException as error:
            # Another worker was quicker: several start at once.
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise QorganError(f"Topic {name} could not be created: {error.args[0].str()}.") from None


def _configure(admin: AdminClient, todo: Sequence[Change]) -> None:
    resources = [
        ConfigResource(
            ResourceType.TOPIC,
            topic,
            incremental_configs=[
                ConfigEntry(change.what, change.wanted, incremental_operation=AlterConfigOpType.SET)
                for change in todo
                if change.topic == topic
            ],
        )
        for topic in sorted({change.topic for change in todo})
    ]
    answers = admin.incremental_alter_configs(resources, request_timeout=TIMEOUT_S) if resources else {}
    for resource, answer in answers.items():
        try:
            answer.result(TIMEOUT_S)
        except KafkaException as error:
            raise QorganError(f"Topic {resource.name} could not be configured: {error.args[0].str()}.") from None
