"""Log lines: one format for ours and the libraries', no tracebacks with payloads, no flood."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import structlog

from pipeline.logging import Seldom, configure
from pipeline.settings import load


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_json_where_nobody_watches(out: io.StringIO) -> None:
    configure(load(), out)
    structlog.get_logger("worker").info("joined", partitions=4)
    [line] = lines(out)
    assert {"event": "joined", "partitions": 4, "level": "info", "logger": "worker"}.items() <= line.items()
    assert line["timestamp"].endswith("Z")


def test_libraries_come_the_same_way_and_only_when_something_is_wrong(out: io.StringIO) -> None:
    configure(load(), out)
    logging.getLogger("faust.transport").info("rebalanced")
    logging.getLogger("aiokafka.consumer").warning("broker %s is away", 1)
    assert [(line["logger"], line["event"]) for line in lines(out)] == [("aiokafka.consumer", "broker 1 is away")]


def test_debug_hears_the_libraries_too(out: io.StringIO) -> None:
    configure(load(log_level="debug"), out)
    logging.getLogger("faust.transport").info("rebalanced")
    assert len(lines(out)) == 1


def test_an_error_is_its_kind_and_not_its_text(out: io.StringIO) -> None:
    configure(load(), out)
    secret = "password=hunter2"
    try:
        raise ValueError(secret)
    except ValueError:
        structlog.get_logger("worker").exception("could not store")
        logging.getLogger("faust").exception("agent crashed")
    assert [line["error"] for line in lines(out)] == ["ValueError", "ValueError"]
    assert lines(out)[0]["at"].startswith("test_logging.py:")
    assert secret not in out.getvalue()


def test_text_is_for_people(out: io.StringIO) -> None:
    configure(load(log_format="text"), out)
    structlog.get_logger("worker").info("joined", partitions=4)
    assert "joined" in out.getvalue()
    assert not out.getvalue().startswith("{")


class Kept:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def warning(self, event: str, **facts: Any) -> None:
        self.lines.append((event, facts))


def test_a_flood_is_a_line_in_ten_seconds_with_its_count() -> None:
    now, log = [0.0], Kept()
    seldom = Seldom(log, every=10, clock=lambda: now[0])
    for second in range(25):
        now[0] = second
        for _ in range(100):
            seldom("dead letter", key="json", reason="json")
    assert [facts["times"] for _, facts in log.lines] == [1, 1_000, 1_000]


def test_one_flood_does_not_hide_another_and_memory_is_bounded() -> None:
    log = Kept()
    seldom = Seldom(log, every=10, clock=lambda: 0.0, keys=3)
    for reason in ("json", "size", "json", "empty", "depth"):
        seldom("dead letter", key=reason, reason=reason)
    assert [facts["reason"] for _, facts in log.lines] == ["json", "size", "empty", "depth"]
    assert len(seldom._seen) == 3
