"""The topics of the file come to be on a broker, and what differs is said or mended, never harmed."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest
import structlog

from pipeline import topics
from pipeline.settings import load
from schemas.errors import RefusedError, UnreachableError
from tests import embedded
from tests.builders import free_port

pytestmark = pytest.mark.flow


def test_apply_creates_what_is_missing_and_then_has_nothing_to_do() -> None:
    with embedded.broker() as kafka:
        settings = load(kafka=kafka.address, raw_topics=("raw.a", "raw.b"))
        assert {change.what for change in topics.plan(settings)} == {"topic"}
        created = {change.topic for change in topics.apply(settings)}
        assert created >= {"raw.a", "raw.b", "detections", "intake", "incidents", "journal", "dead-letters"}
        assert topics.plan(settings) == []

        longer = load(kafka=kafka.address, raw_topics=("raw.a",), raw_retention=8 * 86_400, raw_partitions=9)
        assert {(c.what, c.by) for c in topics.plan(longer)} == {("retention.ms", "apply"), ("partitions", "person")}
        topics.apply(longer)
        assert [change.what for change in topics.plan(longer)] == ["partitions"]
        shorter = load(kafka=kafka.address, raw_topics=("raw.a",))
        assert topics.plan(shorter) == [], "a topic that keeps longer than asked is left alone"


def test_a_worker_that_may_not_create_says_what_is_missing(embedded_broker: embedded.Broker) -> None:
    name = f"raw.{uuid4().hex}"
    with pytest.raises(RefusedError, match=f"lacks .*{name}.*qorgan topics apply"):
        topics.ensure(load(kafka=embedded_broker.address, raw_topics=(name,), create=False))


def test_a_worker_says_what_differs_and_goes_on(embedded_broker: embedded.Broker) -> None:
    name = f"raw.{uuid4().hex}"
    topics.ensure(load(kafka=embedded_broker.address, raw_topics=(name,)))
    with structlog.testing.capture_logs() as lines:
        topics.ensure(load(kafka=embedded_broker.address, raw_topics=(name,), raw_partitions=40))
    assert [(line["topic"], line["what"], line["found"]) for line in lines] == [(name, "partitions", "4")]


def test_two_workers_may_create_at_once(embedded_broker: embedded.Broker) -> None:
    settings = load(kafka=embedded_broker.address, raw_topics=(f"raw.{uuid4().hex}",))
    found = topics._found(topics._admin(settings), settings)
    topics.ensure(settings)
    topics._create(topics._admin(settings), [t for t in topics.wanted(settings) if t.name not in found])
    assert topics.plan(settings) == []


def test_an_unreachable_broker_is_one_sentence_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert topics.TIMEOUT_S < 10, "what is shipped"
    monkeypatch.setattr(topics, "TIMEOUT_S", 1.0)
    started = time.monotonic()
    with pytest.raises(UnreachableError, match=r"does not answer.*check QORGAN_KAFKA"):
        topics.plan(load(kafka=f"127.0.0.1:{free_port()}"))
    assert time.monotonic() - started < 4
