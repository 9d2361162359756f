"""What a worker says of itself over HTTP: /metrics, /healthz (it lives), /readyz (it can do its work).

The worker fills a `HealthState`; a thread of its own answers, so that a busy loop is seen from outside and not waited
for. Degraded is ready: detection goes on without the store, and the answer names what is away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import orjson
from prometheus_client import ProcessCollector, disable_created_metrics, make_wsgi_app

from pipeline.metrics import Metrics
from schemas.errors import RefusedError

#: A loop that did not come round for so long is stuck: longer than any batch, shorter than anyone's patience.
STUCK_S = 60.0
#: What a scraper may take to send its request.
CLIENT_S = 10.0
PORT_OF = {"ingest": 0, "correlate": 1, "respond": 2, "curate": 3}

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


@dataclass
class HealthState:
    """What is true of one worker now. Written by its event loop, read by the server's threads.

    `degraded` maps what is away or refused ("store", "rules") to a sentence without payloads or secrets.
    """

    role: str
    joined: bool = False
    """It has joined its group, with partitions or standing by."""
    loaded: bool = False
    """Rules, indicators and event list are in force; a role that needs none sets it at start."""
    active: bool = False
    """It holds partitions; false is standing by."""
    degraded: dict[str, str] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    _beat: float = field(init=False)

    def __post_init__(self) -> None:
        self._beat = self.clock()

    def beat(self) -> None:
        """The event loop came round."""
        self._beat = self.clock()

    def say(self, name: str, trouble: str | None) -> None:
        """Set what is wrong with `name`, or with None that it is well again."""
        # A new dictionary each time: a reader in another thread never sees one that changes under it.
        rest = {key: value for key, value in self.degraded.items() if key != name}
        self.degraded = {**rest, name: trouble} if trouble else rest

    @property
    def ready(self) -> bool:
        """Joined and loaded."""
        return self.joined and self.loaded

    def alive(self) -> dict[str, Any]:
        """The body of /healthz: `ok`, and the seconds since the loop came round."""
        since = self.clock() - self._beat
        return {"ok": since < STUCK_S, "role": self.role, "seconds_since_beat": round(since, 1)}

    def readiness(self) -> dict[str, Any]:
        """The body of /readyz: `status` is ready, degraded or not ready; `reasons` say why it is not plainly ready."""
        missing = [] if self.joined else ["has not joined its consumer group"]
        missing += [] if self.loaded else ["rules are not loaded"]
        reasons = missing + [f"{name}: {trouble}" for name, trouble in sorted(self.degraded.items())]
        return {
            "status": "not ready" if missing else "degraded" if reasons else "ready",
            "role": self.role,
            "active": self.active,
            "reasons": reasons,
        }


class HealthServer:
    """A running server; `port` is the one it has got. `close` ends it."""

    def __init__(self, server: WSGIServer) -> None:
        self._server = server
        self.port = server.server_port
        # A short poll: closing waits for it, and a stop has ten seconds for everything.
        self._thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="health", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering. Returns when the port is free."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve(state: HealthState, metrics: Metrics, listen: str, port: int) -> HealthServer:
    """Answer on `listen`:`port` (0: any free one). Raises RefusedError when the port is taken."""
    # Else each counter has a second series, which says when the process started.
    disable_created_metrics()  # type: ignore[no-untyped-call] # the one function that the library leaves untyped
    ProcessCollector(registry=metrics.registry)  # memory, processor time, open files of this process
    try:
        server = make_server(listen, port, _application(state, metrics), _Server, _Handler)
    except OSError as error:
        raise RefusedError(
            f"Metrics and health cannot listen on {listen}:{port} ({error.strerror}): set QORGAN_METRICS_PORT "
            "(correlate, respond and curate take the next ones) or QORGAN_LISTEN."
        ) from None
    return HealthServer(server)


def _application(state: HealthState, metrics: Metrics) -> Callable[[dict[str, Any], StartResponse], Iterable[bytes]]:
    exposition: Callable[[dict[str, Any], StartResponse], Iterable[bytes]] = make_wsgi_app(metrics.registry)

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        match environ.get("PATH_INFO"):
            case "/metrics":
                return exposition(environ, start_response)
            case "/healthz":
                body = state.alive()
                status = HTTPStatus.OK if body["ok"] else HTTPStatus.SERVICE_UNAVAILABLE
            case "/readyz":
                body = state.readiness()
                status = HTTPStatus.SERVICE_UNAVAILABLE if body["status"] == "not ready" else HTTPStatus.OK
            case _:
                body, status = {"error": "there are /metrics, /healthz and /readyz"}, HTTPStatus.NOT_FOUND
        start_response(f"{status.value} {status.phrase}", [("Content-Type", "application/json")])
        return [orjson.dumps(body) + b"\n"]

    return answer


class _Server(ThreadingMixIn, WSGIServer):
    """A thread a request: a scraper that stalls does not keep the health check waiting."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """A line per scrape says nothing."""
