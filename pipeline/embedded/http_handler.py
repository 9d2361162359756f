"""The store's front: who may ask, how much at once, and the answer back in pieces while the engine still works."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import traceback
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from aiohttp import web

from pipeline.embedded import http_answer, password
from pipeline.embedded.clickhouse_errors import (
    AUTHENTICATION_FAILED,
    REQUIRED_PASSWORD,
    EngineError,
    as_text,
    from_engine,
    refused,
)
from pipeline.embedded.engine import Engine
from pipeline.embedded.http_body import Body, Pulled, decoded
from pipeline.embedded.http_call import Call, read_call
from pipeline.embedded.http_form import read_form
from pipeline.embedded.spooled import PIECE
from pipeline.embedded.statement import Answer, Statements

_THREADS = 24
_IN_FLIGHT = 256 << 20  # bytes of bodies that are being inserted at the same time
_UNKNOWN = 32 << 20  # what a body counts for that does not say its size
_RECEIVE_S = 60.0
_HEALTHY = "Ok.\n"
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class _Begun(NamedTuple):
    """An answer as far as its first MiB; `rest` is None when that was all, and it is closed."""

    answer: Answer
    first: bytes
    rest: Iterator[bytes] | None


class InFlight:
    """A bound on the bytes of all bodies being inserted; who asks for more than is free waits for its turn."""

    def __init__(self, limit: int) -> None:
        self._limit = self._free = limit
        self._changed = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def share(self, size: int) -> AsyncIterator[None]:
        size = min(size, self._limit)
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            async with self._changed:
                self._free += size
                self._changed.notify_all()


class Handler:
    """Answers ClickHouse's HTTP interface. Made inside the running event loop."""

    def __init__(self, engine: Engine, secret: str) -> None:
        self._engine = engine
        self._secret = secret
        self._statements = Statements(engine)
        self._threads = ThreadPoolExecutor(_THREADS, "query")
        self._in_flight = InFlight(_IN_FLIGHT)
        self.running = 0

    def application(self) -> web.Application:
        app = web.Application(client_max_size=0)
        for path in ("/ping", "/replicas_status"):
            app.router.add_get(path, self._healthy)
        app.router.add_route("*", "/", self._query)
        app.router.add_route("*", "/{path:.*}", self._unknown)
        return app

    def close(self) -> None:
        """Only after `running` is 0: a thread in the engine cannot be interrupted."""
        self._threads.shutdown()

    async def _healthy(self, _: web.Request) -> web.Response:
        return web.Response(text=_HEALTHY)

    async def _unknown(self, _: web.Request) -> web.Response:
        text = "There is no such handler here. Use / to query, /ping or /replicas_status for health checks.\n"
        return web.Response(status=404, text=text)

    async def _query(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET" and not request.query and not request.can_read_body:
            return web.Response(text=_HEALTHY)
        headers = {
            "X-ClickHouse-Query-Id": request.query.get("query_id") or str(uuid.uuid4()),
            "X-ClickHouse-Timezone": self._engine.timezone,
            "X-ClickHouse-Server-Display-Name": self._engine.display_name,
        }
        self.running += 1
        try:
            self._admit(request)
            async with self._in_flight.share(_size(request)):
                form = await read_form(request)
                parameters = {**request.query, **form.fields}
                call = read_call(request.method, request.headers, parameters, form.tables(parameters))
                coding = http_answer.encoder(request.headers.get("Accept-Encoding", "")) if call.compress else None
                body = self._body(request)
                begun = await self._in_thread(lambda: self._begin(call, body, coding))
            headers |= _described(begun.answer)
            if coding is not None:
                headers["Content-Encoding"] = coding.name
            if begun.rest is None:
                return web.Response(body=begun.first, headers=headers)
            return await self._stream(request, begun, begun.rest, coding, headers)
        except EngineError as error:
            return self._failed(error, headers)
        except Exception as error:  # our own fault: told without what the request held
            at = traceback.extract_tb(error.__traceback__)[-1]
            _log.error("a request failed: %s at %s:%s", type(error).__name__, at.filename, at.lineno)
            return self._failed(refused(1001, f"The store failed: {type(error).__name__}"), headers)
        finally:
            self.running -= 1

    def _admit(self, request: web.Request) -> None:
        credentials = password.given(request.headers, request.query)
        if credentials is None:
            raise refused(REQUIRED_PASSWORD, "Authentication failed: this store asks for a user and a password")
        if not password.accepted(credentials, self._secret):
            raise refused(
                AUTHENTICATION_FAILED, "Authentication failed: password is incorrect, or there is no such user"
            )

    def _body(self, request: web.Request) -> Body:
        async def more(size: int) -> bytes:
            pieces, have = [], 0
            while have < size and (piece := await request.content.readany()):
                pieces.append(piece)
                have += len(piece)
            return b"".join(pieces)

        pulled = Pulled(more, asyncio.get_running_loop(), _RECEIVE_S)
        return Body(decoded(pulled, request.headers.get("Content-Encoding", "")))

    def _begin(self, call: Call, body: Body, coding: http_answer.Coding | None) -> _Begun:
        """In a thread: the statement up to its answer's first MiB, so that what fails early has a status."""
        answer = self._statements.run(call, body)
        begun, size = [], 0
        try:
            pieces = http_answer.encoded(answer.pieces, coding)
            while size < PIECE and (piece := next(pieces, None)) is not None:
                begun.append(piece)
                size += len(piece)
        except BaseException:
            answer.close()
            raise
        if size < PIECE:
            answer.close()
        return _Begun(answer, b"".join(begun), pieces if size >= PIECE else None)

    async def _stream(
        self,
        request: web.Request,
        begun: _Begun,
        rest: Iterator[bytes],
        coding: http_answer.Coding | None,
        headers: dict[str, str],
    ) -> web.StreamResponse:
        tag = secrets.token_hex(8)
        response = web.StreamResponse(headers={**headers, "X-ClickHouse-Exception-Tag": tag})
        try:
            await response.prepare(request)
            piece: bytes | None = begun.first
            while piece is not None:
                await response.write(piece)
                piece = await self._in_thread(lambda: next(rest, None))
            await response.write_eof()
        except EngineError as error:
            await response.write(http_answer.broken(tag, as_text(error, self._engine.version), coding))
            if request.transport is not None:
                request.transport.close()  # without the last chunk: nobody shall take it for whole
        except ConnectionError:
            return response  # the client has left
        finally:
            await self._in_thread(begun.answer.close)
        return response

    def _failed(self, error: EngineError, headers: dict[str, str]) -> web.Response:
        headers["X-ClickHouse-Exception-Code"] = str(error.code)
        if error.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="Qorgan store"'
        return web.Response(status=error.status, text=as_text(error, self._engine.version), headers=headers)

    async def _in_thread(self, function: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function)
        except RuntimeError as error:
            raise from_engine(error) from None


def _described(answer: Answer) -> dict[str, str]:
    return {
        "Content-Type": http_answer.media_type(answer.format),
        "X-ClickHouse-Format": answer.format,
        "X-ClickHouse-Summary": http_answer.summary(answer.counts.summary()),
    }


def _size(request: web.Request) -> int:
    if request.content_length is None or request.headers.get("Content-Encoding"):
        return _UNKNOWN if request.can_read_body else 0
    return request.content_length
