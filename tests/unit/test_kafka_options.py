"""One set of settings, three clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.kafka import aiokafka_options, confluent_options, faust_credentials, servers, tls_context
from pipeline.settings import Settings
from schemas.errors import RefusedError


def settings(**more: Any) -> Settings:
    return Settings(kafka="one:1, two", **more)


def test_servers_are_taken_apart_and_a_missing_port_is_kafkas() -> None:
    assert servers(settings()) == ["one:1", "two:9092"]


def test_no_server_at_all_is_refused() -> None:
    with pytest.raises(RefusedError, match="QORGAN_KAFKA"):
        servers(Settings(kafka=" ,"))


def test_plaintext_needs_no_more_than_servers() -> None:
    assert aiokafka_options(settings()) == {
        "bootstrap_servers": ["one:1", "two:9092"],
        "security_protocol": "PLAINTEXT",
    }
    assert confluent_options(settings())["bootstrap.servers"] == "one:1,two:9092"
    assert faust_credentials(settings()) is None


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_every_client_gets_the_same_user_and_mechanism(mechanism: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from a file\n")
    chosen = settings(
        kafka_security="sasl_plaintext",
        kafka_sasl=mechanism,
        kafka_user="qorgan",
        kafka_password_file=tmp_path / "password",
    )
    by_aiokafka, by_confluent, by_faust = (
        aiokafka_options(chosen),
        confluent_options(chosen),
        faust_credentials(chosen),
    )
    assert by_aiokafka["security_protocol"] == by_confluent["security.protocol"] == "SASL_PLAINTEXT"
    assert by_aiokafka["sasl_mechanism"] == by_confluent["sasl.mechanism"] == by_faust.mechanism.value == mechanism
    assert by_aiokafka["sasl_plain_username"] == by_confluent["sasl.username"] == by_faust.username == "qorgan"
    passwords = {by_aiokafka["sasl_plain_password"], by_confluent["sasl.password"], by_faust.password}
    assert passwords == {"from a file"}


def test_tls_without_an_authority_trusts_the_systems_and_checks_the_name() -> None:
    context = tls_context(settings(kafka_security="tls"))
    assert context is not None
    assert context.check_hostname
    assert "ssl.ca.location" not in confluent_options(settings(kafka_security="tls"))


@pytest.mark.parametrize("make", [aiokafka_options, confluent_options, faust_credentials])
def test_a_file_that_cannot_be_used_is_refused_by_its_setting(make: Any, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"kafka_ca: .*No such file"):
        make(settings(kafka_security="tls", kafka_ca=tmp_path / "none.pem"))
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(RefusedError, match="kafka_ca"):
        make(settings(kafka_security="tls", kafka_ca=tmp_path / "bad.pem"))
    bad = {"kafka_cert": tmp_path / "bad.pem", "kafka_cert_key": tmp_path / "bad.pem"}
    with pytest.raises(RefusedError, match="kafka_cert"):
        make(settings(kafka_security="tls", **bad))
