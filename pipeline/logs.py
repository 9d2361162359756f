"""Which log a topic is today: a short id of the cluster's id and the topic's id.

A topic that is deleted and created again, and the embedded broker after every start, count offsets from 0 again under
the same name. Only these two ids tell the old records from the new ones, and only the admin protocol gives both.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from pipeline.kafka import EMBEDDED_PREFIX, confluent_options
from pipeline.settings import Settings
from schemas.errors import RefusedError, UnreachableError
from schemas.identity import log_id

T = TypeVar("T")

#: Seconds until one question to the broker counts as unanswered.
TIMEOUT_S = 10.0

_DENIED = frozenset(
    {
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,  # noqa: SLF001 - librdkafka's own codes begin so
    }
)


class UnknownTopicError(RefusedError):
    """The broker has no topic of that name."""


class Logs:
    """Log ids and partition counts, asked anew each time. One admin client, made at the first question.

    Every method returns within `timeout` seconds and raises UnreachableError when the broker does not answer.
    Usable from one event loop; `close` is not needed.
    """

    def __init__(self, settings: Settings, *, timeout: float = TIMEOUT_S) -> None:
        self._settings = settings
        self._timeout = timeout
        self._client: AdminClient | None = None
        self._cluster: str | None = None
        self._refused: str = ""

    async def cluster(self) -> str:
        """The cluster's id. It is asked once: another cluster behind the same address needs a new connection."""
        if self._cluster is None:
            found = await self._ask(self._admin().describe_cluster(request_timeout=self._timeout))
            self._cluster = str(found.cluster_id)
        return self._cluster

    async def embedded(self) -> bool:
        """Whether the broker is the embedded one, which forgets and whose group joins are slow."""
        return (await self.cluster()).startswith(EMBEDDED_PREFIX)

    async def current(self, topic: str) -> str:
        """The id of the log that has this name now."""
        described = await self._describe(topic)
        return log_id(await self.cluster(), str(described.topic_id))

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has."""
        return len((await self._describe(topic)).partitions)

    async def _describe(self, topic: str) -> Any:
        asked = self._admin().describe_topics(TopicCollection([topic]), request_timeout=self._timeout)
        return await self._ask(asked[topic], topic)

    async def _ask(self, answer: Future[T], topic: str = "") -> T:
        try:
            # librdkafka has its own timeout; ours is for the case that it cannot keep it.
            return await asyncio.wait_for(asyncio.wrap_future(answer), self._timeout + 1.0)
        except TimeoutError:
            raise UnreachableError(self._silence()) from None
        except KafkaException as error:
            self._admin().poll(0)  # hands over what the connections met: a wrong password looks like silence else
            raise self._sentence(error.args[0], topic) from None

    def _heard(self, error: KafkaError) -> None:
        if error.code() in _DENIED:
            self._refused = error.name()

    def _sentence(self, error: KafkaError, topic: str) -> RefusedError | UnreachableError:
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return UnknownTopicError(f"Kafka has no topic {topic}. `qorgan topics apply` creates what is missing.")
        if error.code() in _DENIED or self._refused:
            reason, self._refused = self._refused or error.name(), ""
            return RefusedError(
                f"Kafka at {self._settings.kafka} does not let us in or see {topic or 'the cluster'} ({reason}). "
                "Check kafka_security, kafka_user, its password and its rights."
            )
        return UnreachableError(self._silence(error.name()))

    def _silence(self, reason: str = "no answer") -> str:
        return (
            f"Kafka at {self._settings.kafka} cannot be reached ({reason}, {self._timeout:g} s). "
            "Check QORGAN_KAFKA and kafka_security, and that the broker runs."
        )

    def _admin(self) -> AdminClient:
        if self._client is None:
            self._client = AdminClient({**confluent_options(self._settings), "error_cb": self._heard}, logger=_SILENT)
        return self._client


# librdkafka reports every failed connection attempt; what counts comes back as an error of the question.
_SILENT = logging.getLogger("qorgan.librdkafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
