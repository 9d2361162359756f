"""`qorgan store`: the ClickHouse engine behind ClickHouse's own HTTP interface, for one user, on loopback by default.

What a client, curl or a dashboard may ask of a ClickHouse server over HTTP it may ask here, and what the engine does is
the engine's. Our part: one user, one statement a request, settings that end with it, and bounded memory.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from pipeline.embedded import password
from pipeline.embedded.engine import Engine
from pipeline.embedded.http_handler import Handler
from pipeline.embedded.tether import LOOPBACK, Announce, Ready, Stopping, own_port
from schemas.errors import Exit

_POLITE_S = 4.0  # after it, what still runs is cancelled
_STOP_S = 8.0


def run_store(
    port: int = 8123,
    path: Path = Path("var/store"),
    password_file: Path | None = None,
    listen: str = LOOPBACK,
    *,
    parent: int | None = None,
    announce: Announce | None = None,
) -> int:
    """Serve the directory `path` on `listen:port` until SIGTERM or SIGINT; returns an exit code.

    The user is `qorgan`, the password that of `password_file`, else a random one kept in `path/password`. `parent` is a
    process id that we do not outlive. Raises RefusedError when port, directory or password cannot be had.
    """
    with own_port("store", listen, port) as bound:
        engine = Engine(path)
        try:
            file, secret = password.read_or_make(path, password_file)
            address = f"{f'[{listen}]' if ':' in listen else listen}:{bound.getsockname()[1]}"
            ready = Ready(address, os.getpid(), {"password_file": str(file)})
            with Stopping(parent).on_signals() as stopping:
                asyncio.run(_serve(engine, secret, bound, stopping, lambda: announce and announce(ready)))
        finally:
            engine.close()
    return Exit.OK


async def _serve(
    engine: Engine, secret: str, bound: socket.socket, stopping: Stopping, announce: Callable[[], object]
) -> None:
    """Answer until asked to stop; then let what runs end, cancel what does not, and leave within 10 s."""
    handler = Handler(engine, secret)
    runner = web.AppRunner(
        handler.application(), access_log=None, shutdown_timeout=_STOP_S, read_bufsize=1 << 20, auto_decompress=False
    )
    await runner.setup()
    await web.SockSite(runner, bound).start()
    announce()
    while not stopping.wait(0):
        await asyncio.sleep(0.1)
        engine.drop_idle_sessions(time.monotonic())
    cancelling = asyncio.create_task(_cancel_later(engine))
    await runner.cleanup()
    cancelling.cancel()
    if handler.running:
        os._exit(Exit.FAILED)  # a query that cannot be cancelled; joining its thread would take for ever
    handler.close()


async def _cancel_later(engine: Engine) -> None:
    await asyncio.sleep(_POLITE_S)
    await asyncio.to_thread(engine.cancel_all)
