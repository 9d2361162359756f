"""Requests of one poll to one server, which is not trusted: not to end, to stay, or to be the one that was named.

Bytes, requests and seconds are bounded over the whole poll. Redirects are followed on the same host only. What comes is
not unpacked here (a megabyte may hold a gigabyte), but where it is read and counted. No secret and no address beyond
the host's name stands in an error.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, cast

import aiohttp
from yarl import URL

from schemas.errors import QorganError, RefusedError, UnreachableError
from schemas.feed import FeedSettings

MAX_REDIRECTS: Final = 5
MAX_SECRET: Final = 65_536
#: Seconds without a single byte; a server that drips is ended by limits.seconds.
SILENCE_S: Final = 60.0
_IN_MEMORY: Final = 8 << 20
_CHUNK: Final = 1 << 16
_MOVED: Final = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `body` may be packed, and is gone when the request's block is left."""

    status: int
    headers: Mapping[str, str]
    body: BinaryIO

    @property
    def unchanged(self) -> bool:
        """Nothing new since what the request named."""
        return self.status == 304

    def header(self, name: str) -> str:
        """A header as a cursor may keep it; "" where it is absent or unreasonably long."""
        value = self.headers.get(name, "")
        return value if len(value) <= 256 else ""


class Fetch:
    """The requests of one poll. Raises RefusedError for what must be mended, UnreachableError for what may pass."""

    def __init__(self, feed: FeedSettings, session: aiohttp.ClientSession) -> None:
        self._feed = feed
        self._session = session
        self._home = URL(feed.url)
        self._bytes = feed.limits.bytes
        self._pages = feed.limits.pages
        self._seconds = feed.limits.seconds
        self._tls: ssl.SSLContext | None = None
        self._secret: dict[str, str] | None = None

    @asynccontextmanager
    async def request(
        self,
        url: str = "",
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        may_lack: bool = False,
    ) -> AsyncIterator[Answer]:
        """GET (POST with `json`) a URL of the feed's host, the feed's own by default, and have the answer whole.

        `may_lack`: 404 is an answer, not an error.
        """
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
            body = cast("BinaryIO", file)
            status, given = await self._within(URL(url or self._feed.url), params, headers, json, body)
            if status == 404 and not may_lack:
                raise self._refused("does not know what is asked (404). Check url and kind")
            body.seek(0)
            yield Answer(status, given, body)

    async def _within(
        self,
        url: URL,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        json: Any,
        body: BinaryIO,
    ) -> tuple[int, Mapping[str, str]]:
        """One request within the time that is left."""
        self._pages -= 1
        if self._pages < 0:
            raise self._refused(f"more than {self._feed.limits.pages:,} requests (limits.pages)")
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(max(0.0, self._seconds)):
                said = dict(headers or {}) | self._authorisation()
                return await self._followed(url.update_query(params or {}), said, json, body)
        except QorganError:
            raise
        except aiohttp.ServerTimeoutError:
            raise self._away(f"no byte in {SILENCE_S:g} seconds") from None
        except TimeoutError:
            raise self._away(f"more than {self._feed.limits.seconds:g} seconds (limits.seconds)") from None
        except aiohttp.ClientConnectorCertificateError:
            raise self._refused("its certificate is not trusted. Name its authority's file in ca") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._away(f"does not answer ({type(error).__name__})") from None
        finally:
            self._seconds -= loop.time() - started

    async def _followed(
        self, url: URL, headers: dict[str, str], json: Any, body: BinaryIO
    ) -> tuple[int, Mapping[str, str]]:
        for _ in range(MAX_REDIRECTS + 1):
            if url.host != self._home.host or url.port != self._home.port or url.scheme != self._home.scheme:
                raise self._refused(f"redirects to {url.scheme}://{url.host}:{url.port}. Name that, if it is right")
            async with self._session.request(
                "POST" if json is not None else "GET",
                url,
                json=json,
                headers=headers | {"Accept-Encoding": "gzip"},
                allow_redirects=False,
                auto_decompress=False,
                ssl=self._context(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=SILENCE_S),
            ) as answer:
                if answer.status not in _MOVED:
                    await self._taken(answer, body)
                    return answer.status, answer.headers
                if json is not None:
                    raise self._refused("redirects what is posted. Name the right url")
                url = url.join(URL(answer.headers.get("Location", "")))
        raise self._refused(f"redirects more than {MAX_REDIRECTS} times")

    async def _taken(self, answer: aiohttp.ClientResponse, body: BinaryIO) -> None:
        if answer.status in (304, 404):
            return
        if answer.status in (401, 403):
            raise self._refused(f"refuses us ({answer.status}). Check user and secret_file")
        if answer.status in (400, 405, 406, 410, 415):
            raise self._refused(f"does not know what is asked ({answer.status}). Check url and kind")
        if answer.status not in (200, 206):
            raise self._away(f"answers {answer.status}")
        if answer.headers.get("Content-Encoding", "identity").lower() not in ("identity", "gzip", "x-gzip"):
            raise self._refused("packs what it sends in a way that was not asked for")
        async for chunk in answer.content.iter_chunked(_CHUNK):
            self._bytes -= len(chunk)
            if self._bytes < 0:
                raise self._refused(f"more than {self._feed.limits.bytes:,} bytes (limits.bytes)")
            try:
                body.write(chunk)
            except OSError as error:
                raise self._refused(
                    f"what it sends cannot be put aside ({error.strerror}). Make room in TMPDIR"
                ) from None

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            try:
                self._tls = ssl.create_default_context(cafile=self._feed.ca)
            except (OSError, ssl.SSLError):
                raise self._refused("the file of ca cannot be read as certificates") from None
        return self._tls

    def _authorisation(self) -> dict[str, str]:
        """The header of our secret, read from its file once a poll: it may be changed between two."""
        if self._secret is None:
            self._secret = {}
            if self._feed.secret_file is not None:
                secret = self._read_secret()
                if self._feed.user:
                    both = b64encode(f"{self._feed.user}:{secret}".encode()).decode()
                    self._secret["Authorization"] = f"Basic {both}"
                else:
                    self._secret["Authorization"] = secret if self._feed.kind == "misp" else f"Bearer {secret}"
        return self._secret

    def _read_secret(self) -> str:
        path = self._feed.secret_file
        try:
            secret = path.read_text("utf-8").strip() if path and path.stat().st_size <= MAX_SECRET else ""
        except (OSError, UnicodeDecodeError):
            secret = ""
        if not secret or not secret.isprintable():
            raise RefusedError(f"feed {self._feed.name}: {path} holds no secret that can be sent. Check secret_file.")
        return secret

    def _refused(self, why: str) -> RefusedError:
        return RefusedError(f"feed {self._feed.name}: {self._home.host}: {why}.")

    def _away(self, why: str) -> UnreachableError:
        return UnreachableError(f"feed {self._feed.name}: {self._home.host}: {why}. It is tried again.")
