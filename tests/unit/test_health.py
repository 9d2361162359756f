"""/healthz and /readyz tell the truth: alive means the loop turns, ready means joined and loaded, degraded is named."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.client import HTTPConnection

import orjson
import pytest

from pipeline.health import STUCK_S, HealthServer, HealthState, serve
from pipeline.metrics import Metrics
from schemas.errors import RefusedError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(clock: Clock) -> HealthState:
    return HealthState("ingest", clock=clock)


@pytest.fixture
def server(state: HealthState) -> Iterator[HealthServer]:
    metrics = Metrics()
    metrics["records_total"].labels(topic="raw.events").inc(7)
    running = serve(state, metrics, "127.0.0.1", 0)
    yield running
    running.close()


def get(server: HealthServer, path: str) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_not_joined_is_not_ready_and_says_so(server: HealthServer, state: HealthState) -> None:
    state.loaded = True
    status, body = get(server, "/readyz")
    assert status == 503
    assert orjson.loads(body) == {
        "status": "not ready",
        "role": "ingest",
        "active": False,
        "reasons": ["has not joined its consumer group"],
    }


def test_rules_that_are_not_loaded_are_not_ready(server: HealthServer, state: HealthState) -> None:
    state.joined = True
    status, body = get(server, "/readyz")
    assert (status, orjson.loads(body)["reasons"]) == (503, ["rules are not loaded"])


def test_standing_by_is_ready(server: HealthServer, state: HealthState) -> None:
    state.joined = state.loaded = True
    status, body = get(server, "/readyz")
    assert (status, orjson.loads(body)["status"], orjson.loads(body)["active"]) == (200, "ready", False)


def test_an_absent_store_is_degraded_named_and_ready_until_it_is_back(server: HealthServer, state: HealthState) -> None:
    state.joined = state.loaded = state.active = True
    state.say("store", "ClickHouse at http://127.0.0.1:8123 does not answer")
    status, body = get(server, "/readyz")
    assert (status, orjson.loads(body)["status"]) == (200, "degraded")
    assert orjson.loads(body)["reasons"] == ["store: ClickHouse at http://127.0.0.1:8123 does not answer"]
    state.say("store", None)
    assert orjson.loads(get(server, "/readyz")[1])["status"] == "ready"


def test_a_loop_that_is_stuck_is_not_alive(server: HealthServer, state: HealthState, clock: Clock) -> None:
    clock.now = STUCK_S - 1
    assert get(server, "/healthz")[0] == 200
    clock.now = STUCK_S + 1
    assert get(server, "/healthz")[0] == 503
    state.beat()
    assert get(server, "/healthz")[0] == 200


def test_metrics_are_prometheus_text(server: HealthServer) -> None:
    status, body = get(server, "/metrics")
    assert status == 200
    assert b'qorgan_records_total{topic="raw.events"} 7.0' in body
    assert b"process_resident_memory_bytes" in body
    assert b"_created" not in body


def test_another_path_names_those_that_are(server: HealthServer) -> None:
    status, body = get(server, "/")
    assert status == 404
    assert b"/readyz" in body


def test_a_client_that_stalls_keeps_nobody_waiting(server: HealthServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as silent:
        silent.send(b"GET /metr")
        assert get(server, "/healthz")[0] == 200


def test_a_taken_port_is_refused_with_the_setting_to_change(server: HealthServer, state: HealthState) -> None:
    with pytest.raises(RefusedError, match=rf"127\.0\.0\.1:{server.port} .*QORGAN_METRICS_PORT"):
        serve(state, Metrics(), "127.0.0.1", server.port)
