"""`qorgan store`: the ClickHouse engine behind ClickHouse's own HTTP interface, on loopback, for one user."""

from __future__ import annotations

import asyncio
import base64
import gzip
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import zstandard
from aiohttp import web

from pipeline.embedded.tether import LOOPBACK, Announce, Ready, Stopping, own_port
from schemas.errors import Exit

USER = "qorgan"


def run_store(
    port: int = 8123,
    path: Path = Path("var/store"),
    password_file: Path | None = None,
    listen: str = LOOPBACK,
    *,
    parent: int | None = None,
    announce: Announce | None = None,
) -> int:
    """Serve the directory `path` on `listen:port` until SIGTERM or SIGINT; returns an exit code."""
    path.mkdir(parents=True, exist_ok=True)
    file = password_file or path / "password"
    if not file.exists():
        file.touch(0o600)
        file.write_text(secrets.token_urlsafe(24) + "\n")
    port = own_port("store", listen, port)
    with Stopping(parent).on_signals() as stopping:
        asyncio.run(_serve(port, path, file, listen, stopping, announce))
    return Exit.OK


async def _serve(port: int, path: Path, file: Path, listen: str, stopping: Stopping, announce: Announce | None) -> None:
    from chdb import _chdb  # noqa: PLC0415

    keep = _chdb.connect(str(path))
    pool = ThreadPoolExecutor(8)
    password = file.read_text().strip()

    def run(parameters: dict[str, str], body: bytes) -> tuple[int, bytes]:
        parameters = dict(parameters)
        connection = _chdb.connect(str(path))
        try:
            head = parameters.pop("query", "")
            database = parameters.pop("database", "")
            fmt = parameters.pop("default_format", "TabSeparated")
            for name in (
                "user",
                "password",
                "query_id",
                "session_id",
                "enable_http_compression",
                "wait_end_of_query",
                "client_protocol_version",
                "session_timeout",
                "send_progress_in_http_headers",
                "http_headers_progress_interval_ms",
                "compress",
                "decompress",
                "cancel_http_readonly_queries_on_client_close",
                "role",
                "buffer_size",
            ):
                parameters.pop(name, None)
            if database:
                connection.query(f"USE `{database}`")
            values = {k[6:]: v for k, v in parameters.items() if k.startswith("param_")}
            for name, value in parameters.items():
                if not name.startswith("param_"):
                    connection.query(f"SET {name} = '{value}'")
            text, data = (head, body) if head else _split(body)
            if text.lstrip()[:6].upper() == "INSERT" and data:
                insert, _, form = text.rstrip().rpartition("FORMAT ")
                handle = connection.send_insert(insert, form.strip())
                connection.insert_append(handle, data)
                connection.insert_done(handle)
                return 200, b""
            return 200, connection.query(text + ("\n" + data.decode() if data else ""), fmt, params=values).bytes()
        except RuntimeError as error:
            return 500, str(error).encode()
        finally:
            connection.close()

    async def handle(request: web.Request) -> web.Response:
        given = request.headers.get("X-ClickHouse-Key", request.query.get("password", ""))
        if request.headers.get("Authorization", "").startswith("Basic "):
            given = base64.b64decode(request.headers["Authorization"][6:]).decode().partition(":")[2]
        if not secrets.compare_digest(given.encode(), password.encode()):
            return web.Response(status=403, text="Code: 516. DB::Exception: Authentication failed")
        body = await request.read()
        encoding = request.headers.get("Content-Encoding", "")
        if encoding == "gzip":
            body = gzip.decompress(body)
        elif encoding == "zstd":
            body = zstandard.decompress(body, max_output_size=1 << 30)
        elif encoding == "lz4":
            import lz4.frame  # noqa: PLC0415

            body = lz4.frame.decompress(body)
        status, answer = await asyncio.get_running_loop().run_in_executor(pool, run, dict(request.query), body)
        headers: dict[str, Any] = {"X-ClickHouse-Server-Display-Name": "qorgan", "X-ClickHouse-Timezone": "Etc/UTC"}
        if status != 200 and answer.startswith(b"Code: "):
            headers["X-ClickHouse-Exception-Code"] = answer[6:].partition(b".")[0].decode()
        return web.Response(status=status, body=answer, headers=headers)

    async def ping(_: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

    app = web.Application(client_max_size=1 << 30)
    app.router.add_get("/ping", ping)
    app.router.add_route("*", "/", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, listen, port).start()
    if announce is not None:
        announce(Ready(f"{listen}:{port}", os.getpid(), {"password_file": str(file)}))
    while not stopping.wait(0):
        await asyncio.sleep(0.1)
    await runner.cleanup()
    pool.shutdown()
    keep.close()


def _split(body: bytes) -> tuple[str, bytes]:
    head = body[: 1 << 16]
    if head.lstrip()[:6].upper() == b"INSERT":
        at = head.find(b"FORMAT ")
        end = head.find(b"\n", at) if at >= 0 else -1
        if at >= 0 and end >= 0:
            return head[:end].decode(), body[end + 1 :]
    return body.decode(), b""
