"""How we speak to Kafka: the options of its three clients, made from the settings in one place.

aiokafka carries the records, confluent-kafka administers, Faust wants credentials of its own kind. All three get the
same servers, the same authority, the same certificate and the same user.
"""

from __future__ import annotations

import ssl
from typing import Any

from faust.auth import SASLCredentials, SSLCredentials

from pipeline.settings import Settings
from schemas.errors import RefusedError

#: The embedded broker is told apart by its cluster id: it starts with this.
EMBEDDED_PREFIX = "embedded-"

_PROTOCOLS = {"plaintext": "PLAINTEXT", "tls": "SSL", "sasl_plaintext": "SASL_PLAINTEXT", "sasl_tls": "SASL_SSL"}


def servers(settings: Settings) -> list[str]:
    """The bootstrap servers, each `host:port`. Raises RefusedError where there is none."""
    named = [server.strip() for server in settings.kafka.split(",") if server.strip()]
    if not named:
        raise RefusedError("kafka is empty: set QORGAN_KAFKA to host:port of at least one broker.")
    return [server if ":" in server else f"{server}:9092" for server in named]


def aiokafka_options(settings: Settings) -> dict[str, Any]:
    """What AIOKafkaConsumer, AIOKafkaProducer and AIOKafkaClient need to reach the brokers."""
    options: dict[str, Any] = {
        "bootstrap_servers": servers(settings),
        "security_protocol": _PROTOCOLS[settings.kafka_security],
    }
    context = tls_context(settings)
    if context is not None:
        options["ssl_context"] = context
    if settings.kafka_security.startswith("sasl"):
        options["sasl_mechanism"] = settings.kafka_sasl
        options["sasl_plain_username"] = settings.kafka_user
        options["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    return options


def confluent_options(settings: Settings) -> dict[str, Any]:
    """What confluent-kafka's clients need to reach the brokers. They print nothing by themselves."""
    options: dict[str, Any] = {
        "bootstrap.servers": ",".join(servers(settings)),
        "security.protocol": _PROTOCOLS[settings.kafka_security],
        "log_level": 0,
    }
    if settings.kafka_security.endswith("tls"):
        tls_context(settings)  # the same faults in the same words, before librdkafka has its own
        if settings.kafka_ca is not None:
            options["ssl.ca.location"] = str(settings.kafka_ca)
        if settings.kafka_cert is not None:
            options["ssl.certificate.location"] = str(settings.kafka_cert)
            options["ssl.key.location"] = str(settings.kafka_cert_key)
    if settings.kafka_security.startswith("sasl"):
        options["sasl.mechanism"] = settings.kafka_sasl
        options["sasl.username"] = settings.kafka_user
        options["sasl.password"] = settings.sasl_password.get_secret_value()
    return options


def faust_credentials(settings: Settings) -> SASLCredentials | SSLCredentials | None:
    """The same for Faust's own clients; None is plaintext."""
    context = tls_context(settings)
    if settings.kafka_security.startswith("sasl"):
        return SASLCredentials(
            username=settings.kafka_user,
            password=settings.sasl_password.get_secret_value(),
            mechanism=settings.kafka_sasl,
            ssl_context=context,
        )
    return SSLCredentials(context) if context is not None else None


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """The TLS context, with our client certificate where one is named; None without TLS.

    Raises RefusedError naming the setting whose file cannot be used.
    """
    if not settings.kafka_security.endswith("tls"):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca)
    except (OSError, ssl.SSLError) as error:
        raise RefusedError(f"kafka_ca: {settings.kafka_ca} is no file of certificates ({_reason(error)}).") from None
    if settings.kafka_cert is not None:
        try:
            context.load_cert_chain(settings.kafka_cert, settings.kafka_cert_key)
        except (OSError, ssl.SSLError) as error:
            raise RefusedError(
                f"kafka_cert: {settings.kafka_cert} and {settings.kafka_cert_key} are no certificate with its key "
                f"({_reason(error)})."
            ) from None
    return context


def _reason(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or type(error).__name__
