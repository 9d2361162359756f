"""One poll of each kind of feed, against servers that do what they should, and against those that do not."""

from __future__ import annotations

import asyncio
import gzip
import io
import ssl
import time
import zipfile
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer as Server

from detectors.ioc.feeds import Entry, Fault, Revoked
from pipeline.feeds import Poll, poll
from pipeline.feeds.work import Work
from schemas.errors import QorganError, RefusedError, UnreachableError
from schemas.feed import FeedSettings
from schemas.indicator import Indicator
from tests.builders import free_port
from tests.feeding import attribute, bundle, event, indicator

NOW = 1_767_312_000.0
SECRET = "s3cret-of-a-test"
TLS = Path(__file__).parent / "tls.pem"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[..., Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a server that answers each path with a handler; gives its address."""
    servers: list[Server] = []

    async def start(routes: dict[str, Handler], *, tls: ssl.SSLContext | None = None) -> str:
        app = web.Application()
        for path, handler in routes.items():
            app.router.add_route("*", path, handler)
        server = Server(app, host="127.0.0.1", scheme="https" if tls else "http")
        await server.start_server(ssl=tls)
        servers.append(server)
        return str(server.make_url("/"))

    yield start
    for server in servers:
        await server.close()


async def polled(feed: FeedSettings, cursor: dict[str, Any] | None = None) -> tuple[list[Entry], Poll]:
    async with aiohttp.ClientSession() as session:
        made = poll(feed, cursor or {}, lambda: NOW, session)
        return [entry async for entry in made], made


async def refused(feed: FeedSettings, cursor: dict[str, Any] | None = None) -> QorganError:
    with pytest.raises(QorganError) as caught:
        await polled(feed, cursor)
    assert feed.name in str(caught.value), "the feed is named"
    assert SECRET not in str(caught.value)
    return caught.value


def values(entries: list[Entry]) -> list[str]:
    return [entry.value for entry in entries if isinstance(entry, Indicator)]


def answers(body: bytes, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return handler


# --- files


async def test_a_file_is_read_once_until_the_server_says_that_it_changed(serve: Serve) -> None:
    asked: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.headers.get("If-None-Match"))
        if asked[-1] == '"1"':
            return web.Response(status=304)
        return web.Response(body=gzip.compress(b"203.0.113.1\n203.0.113.2\n"), headers={"ETag": '"1"'})

    feed = FeedSettings(name="blocked", kind="list", url=f"{await serve({'/l': handler})}l", snapshot=True)
    entries, first = await polled(feed)
    assert values(entries) == ["203.0.113.1", "203.0.113.2"]
    assert {entry.source for entry in entries if isinstance(entry, Indicator)} == {"blocked"}
    assert first.whole, "what is no longer listed is withdrawn"
    entries, second = await polled(feed, first.cursor)
    assert not entries
    assert not second.whole, "nothing was read, so nothing is missing"
    assert second.cursor == first.cursor
    assert asked == [None, '"1"']


async def test_an_answer_may_be_packed(serve: Serve) -> None:
    packed = answers(gzip.compress(b"type,value\nip,203.0.113.1\n"), Content_Encoding="gzip")
    entries, _ = await polled(FeedSettings(name="f", kind="csv", url=f"{await serve({'/c': packed})}c"))
    assert values(entries) == ["203.0.113.1"]


@pytest.mark.parametrize("body", [b"", b"# nothing today\n", gzip.compress(b"203.0.113.1\n" * 9_000)[:-40]])
async def test_a_snapshot_that_is_empty_or_breaks_off_withdraws_nothing(serve: Serve, body: bytes) -> None:
    feed = FeedSettings(name="f", kind="list", url=f"{await serve({'/l': answers(body)})}l", snapshot=True)
    async with aiohttp.ClientSession() as session:
        made = poll(feed, {}, lambda: NOW, session)
        try:
            async for _ in made:
                pass
        except UnreachableError:
            assert made.cursor == {}, "it is read again"
    assert not made.whole


async def test_a_zip_may_come_by_a_server(serve: Serve) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", "type,value\nip,203.0.113.1\n")
        archive.writestr("b.txt", "203.0.113.2\n")
    url = await serve({"/z": answers(packed.getvalue())})
    entries, _ = await polled(FeedSettings(name="f", kind="files", url=f"{url}z"))
    assert values(entries) == ["203.0.113.1", "203.0.113.2"]


async def test_a_reading_that_nobody_waits_for_any_more_ends() -> None:
    loop, started = asyncio.get_running_loop(), asyncio.Event()

    class Slow(io.BytesIO):
        reads = 0

        def read(self, _: int | None = -1) -> bytes:
            self.reads += 1
            loop.call_soon_threadsafe(started.set)
            time.sleep(0.01)
            return b'{"type":"bundle","objects":[' if self.reads == 1 else b" "

    stream = Slow()
    async with aiohttp.ClientSession() as session:
        work = Work(FeedSettings(name="f", kind="files", path=Path("x")), {}, 0, session)

        async def reading() -> None:
            async for _ in work.entries(stream):
                pass

        task = asyncio.create_task(reading())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        until, before = time.monotonic() + 10, -1
        while stream.reads != before:
            assert time.monotonic() < until
            before = stream.reads
            await asyncio.sleep(0.1)


async def test_a_folder_gives_what_has_changed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("type,value\nip,203.0.113.1\n")
    (tmp_path / "b.json").write_bytes(bundle(indicator(1, "[ipv4-addr:value = '203.0.113.2']")))
    (tmp_path / "manifest.json").write_text("{}")
    feed = FeedSettings(name="f", kind="files", path=tmp_path)
    entries, first = await polled(feed)
    assert values(entries) == ["203.0.113.1", "203.0.113.2"]
    (tmp_path / "a.csv").write_text("type,value\nip,203.0.113.30\n")
    entries, second = await polled(feed, first.cursor)
    assert values(entries) == ["203.0.113.30"]
    entries, _ = await polled(feed, orjson.loads(orjson.dumps(second.cursor)))
    assert not entries


async def test_a_folder_that_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    error = await refused(FeedSettings(name="f", kind="files", path=tmp_path / "none"))
    assert "none cannot be read" in str(error)


async def test_valid_days_count_from_the_day_of_reading_where_an_entry_names_no_time(serve: Serve) -> None:
    url = await serve({"/l": answers(b"203.0.113.1\n")})
    entries, _ = await polled(FeedSettings(name="f", kind="list", url=f"{url}l", defaults={"valid_days": 2}))
    (one,) = entries
    assert isinstance(one, Indicator)
    assert one.valid_until == (int(NOW) // 86_400 + 2) * 86_400_000


# --- TAXII


class Collection:
    """A TAXII collection of so many pages, two objects each, that remembers what it was asked."""

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.asked: list[dict[str, str]] = []

    async def handle(self, request: web.Request) -> web.Response:
        assert request.headers["Accept"] == "application/taxii+json;version=2.1"
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        self.asked.append(dict(request.query))
        page = int(request.query.get("next", "0"))
        objects: list[Any] = [
            indicator(2 * page + n, f"[ipv4-addr:value = '203.0.113.{2 * page + n}']", created_by_ref="identity--1")
            for n in range(2)
        ]
        if page == 0:
            objects.append({"type": "identity", "id": "identity--1", "name": "FinCERT"})
        more = page + 1 < self.pages
        envelope = {"more": more, "objects": objects} | ({"next": str(page + 1)} if more else {})
        stamp = f"2026-01-01T00:00:0{page}.000Z"
        return web.Response(
            body=orjson.dumps(envelope),
            headers={"X-TAXII-Date-Added-First": stamp, "X-TAXII-Date-Added-Last": stamp},
        )


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    return tmp_path / "secret"


async def test_a_collection_is_read_page_by_page_and_then_from_where_it_ended(serve: Serve, secret: Path) -> None:
    collection = Collection(3)
    url = await serve({"/api/collections/c/objects/": collection.handle})
    feed = FeedSettings(name="t", kind="taxii", url=f"{url}api/collections/c/", secret_file=secret)
    entries, first = await polled(feed)
    assert values(entries) == [f"203.0.113.{n}" for n in range(6)]
    assert [entry.tags for entry in entries if isinstance(entry, Indicator)] == [("source:FinCERT",)] * 6, (
        "a name of the first page is known on the last"
    )
    assert first.cursor["added_after"] == "2026-01-01T00:00:02.000Z"
    assert [asked.get("next") for asked in collection.asked] == [None, "1", "2"]
    collection.pages = 1
    await polled(feed, orjson.loads(orjson.dumps(first.cursor)))
    assert collection.asked[-1]["added_after"] == "2026-01-01T00:00:02.000Z"


@pytest.mark.parametrize("body", [b"{}", b'{"more": false}', b'{"objects": []}'])
async def test_a_page_may_be_empty_and_the_cursor_stays(serve: Serve, body: bytes) -> None:
    url = await serve({"/c/objects/": answers(body)})
    entries, made = await polled(
        FeedSettings(name="t", kind="taxii", url=f"{url}c"), {"added_after": "2026-01-01T00:00:00Z"}
    )
    assert not entries
    assert made.cursor["added_after"] == "2026-01-01T00:00:00Z"


async def test_a_cursor_never_claims_a_page_whose_neighbour_is_as_old(serve: Serve, secret: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.query.get("next") == "1":
            return web.Response(status=503)
        stamp = {"X-TAXII-Date-Added-First": "2026-01-01T00:00:00Z", "X-TAXII-Date-Added-Last": "2026-01-01T00:00:00Z"}
        objects = [indicator(1, "[ipv4-addr:value = '203.0.113.1']")]
        return web.Response(body=orjson.dumps({"more": True, "next": "1", "objects": objects}), headers=stamp)

    feed = FeedSettings(name="t", kind="taxii", url=f"{await serve({'/c/objects/': handler})}c/", secret_file=secret)
    async with aiohttp.ClientSession() as session:
        made = poll(feed, {}, lambda: NOW, session)
        with pytest.raises(UnreachableError, match="503"):
            _ = [entry async for entry in made]
    assert made.cursor == {}


async def test_a_server_that_never_ends_is_ended(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        number = int(request.query.get("next", "0"))
        return web.Response(body=orjson.dumps({"more": True, "next": str(number + 1), "objects": []}))

    url = f"{await serve({'/c/objects/': handler})}c/"
    feed = FeedSettings(name="t", kind="taxii", url=url, limits={"pages": 20})
    assert "more than 20 requests (limits.pages)" in str(await refused(feed))


@pytest.mark.parametrize("token", [{"next": "same"}, {}])
async def test_a_server_that_does_not_move_on_is_refused(serve: Serve, token: dict[str, str]) -> None:
    url = await serve({"/c/objects/": answers(orjson.dumps({"more": True, "objects": []} | token))})
    assert "does not move on" in str(await refused(FeedSettings(name="t", kind="taxii", url=f"{url}c/")))


# --- MISP


async def test_attributes_are_asked_page_by_page_and_then_since_an_hour_before(
    serve: Serve, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.feeds.misp.PAGE", 2)
    asked: list[dict[str, Any]] = []

    async def handler(request: web.Request) -> web.Response:
        assert request.method == "POST"
        assert request.headers["Authorization"] == SECRET
        asked.append(await request.json())
        about = {"Event": {"info": "Campaign", "threat_level_id": "1"}, "Tag": [{"name": "tlp:green"}]}
        pages = {
            1: [attribute(1, "ip-dst", "203.0.113.1", **about), attribute(2, "domain", "a.example", to_ids=False)],
            2: [attribute(3, "domain", "b.example", deleted=True)],
        }
        return web.Response(body=orjson.dumps({"response": {"Attribute": pages[asked[-1]["page"]]}}))

    url = await serve({"/attributes/restSearch": handler})
    feed = FeedSettings(name="m", kind="misp", url=url, secret_file=secret)
    entries, first = await polled(feed)
    assert values(entries) == ["203.0.113.1"]
    (one,) = entries
    assert isinstance(one, Indicator)
    assert (one.title, one.level, one.tlp) == ("Campaign", "high", "green")
    assert first.cursor == {"since": int(NOW) - 3_600}
    entries, _ = await polled(feed, first.cursor)
    assert asked[-1]["publish_timestamp"] == int(NOW) - 3_600
    assert [type(entry) for entry in entries] == [Indicator, Revoked, Revoked], "what is none any more is withdrawn"


async def test_a_feed_of_files_is_read_by_its_manifest(serve: Serve) -> None:
    uuids = [f"5e000000-0000-4000-8000-{number:012d}" for number in range(4)]
    manifest = {uuid: {"timestamp": "100", "info": "x"} for uuid in uuids} | {"../../etc/passwd": {"timestamp": "1"}}
    read: list[str] = []

    async def one(request: web.Request) -> web.Response:
        number = uuids.index(request.match_info["uuid"])
        read.append(str(number))
        if number == 3:
            return web.Response(status=404)
        body = orjson.dumps(event(attribute(number, "ip-src", f"203.0.113.{number}")))
        return web.Response(body=body[: -9 if number == 2 else None])

    async def index(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(orjson.dumps(manifest)), headers={"Content-Encoding": "gzip"})

    url = await serve({"/feed/manifest.json": index, "/feed/{uuid}.json": one})
    feed = FeedSettings(name="m", kind="misp", url=f"{url}feed/")
    entries, first = await polled(feed)
    assert values(entries)[:2] == ["203.0.113.0", "203.0.113.1"]
    faults = [entry for entry in entries if isinstance(entry, Fault)]
    assert [fault.where.partition(":")[0] for fault in faults] == [f"event {uuids[2]}", f"event {uuids[3]}"]
    read.clear()
    manifest[uuids[1]]["timestamp"] = "200"
    entries, _ = await polled(feed, orjson.loads(orjson.dumps(first.cursor)))
    assert read == ["1", "3"], "what has changed, and what was not there"


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", gzip.compress(b"{}" * 9)[:-5], b'{"a": 1'])
async def test_what_is_no_manifest_is_said_to_be_none(serve: Serve, body: bytes) -> None:
    url = await serve({"/manifest.json": answers(body)})
    error = await refused(FeedSettings(name="m", kind="misp", url=url))
    assert "manifest.json: " in str(error)


# --- servers that do what they should not


async def test_a_redirect_elsewhere_is_refused_and_the_secret_stays(serve: Serve, secret: Path) -> None:
    seen: list[str] = []

    async def other(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(body=b"203.0.113.1\n")

    elsewhere = await serve({"/x": other})

    async def handler(_: web.Request) -> web.Response:
        raise web.HTTPFound(f"{elsewhere}x")

    error = await refused(
        FeedSettings(name="f", kind="list", url=f"{await serve({'/l': handler})}l", secret_file=secret)
    )
    assert isinstance(error, RefusedError)
    assert "redirects to http://127.0.0.1:" in str(error)
    assert not seen


async def test_a_redirect_on_the_same_host_is_followed_and_a_circle_is_not(serve: Serve) -> None:
    async def moved(_: web.Request) -> web.Response:
        raise web.HTTPMovedPermanently("/new")

    async def circle(_: web.Request) -> web.Response:
        raise web.HTTPFound("/circle")

    url = await serve({"/l": moved, "/new": answers(b"203.0.113.1\n"), "/circle": circle})
    entries, _ = await polled(FeedSettings(name="f", kind="list", url=f"{url}l"))
    assert values(entries) == ["203.0.113.1"]
    assert "redirects more than 5 times" in str(await refused(FeedSettings(name="f", kind="list", url=f"{url}circle")))


async def test_a_server_that_drips_is_ended_by_the_time_of_the_whole_poll(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"#")
            await asyncio.sleep(0.02)

    feed = FeedSettings(name="f", kind="list", url=f"{await serve({'/l': handler})}l", limits={"seconds": 0.3})
    error = await refused(feed)
    assert isinstance(error, UnreachableError)
    assert "more than 0.3 seconds (limits.seconds)" in str(error)


async def test_a_body_without_end_is_ended_by_its_bytes(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"203.0.113.1\n" * 1_000)

    feed = FeedSettings(name="f", kind="list", url=f"{await serve({'/l': handler})}l", limits={"bytes": 100_000})
    assert "more than 100,000 bytes (limits.bytes)" in str(await refused(feed))


@pytest.mark.parametrize("headers", [{}, {"Content_Encoding": "gzip"}])
async def test_a_bomb_is_counted_as_it_is_unpacked(serve: Serve, headers: dict[str, str]) -> None:
    bomb = gzip.compress(b"#" * 30_000_000)
    assert len(bomb) < 50_000
    url = await serve({"/l": answers(bomb, **headers)})
    feed = FeedSettings(name="f", kind="list", url=f"{url}l", limits={"bytes": 1_000_000})
    assert "more than 1,000,000 bytes unpacked (limits.bytes)" in str(await refused(feed))


async def test_more_indicators_than_allowed_end_the_poll(serve: Serve) -> None:
    lines = b"".join(b"198.51.100.%d\n" % n for n in range(20))
    feed = FeedSettings(name="f", kind="list", url=f"{await serve({'/l': answers(lines)})}l", limits={"entries": 10})
    assert "limits.entries" in str(await refused(feed))


@pytest.mark.parametrize(
    ("status", "kind", "why"),
    [
        (401, RefusedError, "refuses us"),
        (403, RefusedError, "refuses us"),
        (404, RefusedError, "does not know"),
        (406, RefusedError, "does not know"),
        (429, UnreachableError, "answers 429"),
        (500, UnreachableError, "answers 500"),
        (204, UnreachableError, "answers 204"),
    ],
)
async def test_a_refusal_says_whose_it_is_to_mend(
    serve: Serve, secret: Path, status: int, kind: type[Exception], why: str
) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, text=request.headers["Authorization"] if status != 204 else None)

    url = await serve({"/l": handler})
    error = await refused(FeedSettings(name="f", kind="list", url=f"{url}l", secret_file=secret))
    assert type(error) is kind
    assert why in str(error)


async def test_nobody_there_is_unreachable() -> None:
    error = await refused(FeedSettings(name="f", kind="list", url=f"http://127.0.0.1:{free_port()}/l"))
    assert isinstance(error, UnreachableError)


async def test_a_certificate_is_trusted_by_its_authority_alone(serve: Serve) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(TLS)
    url = await serve({"/l": answers(b"203.0.113.1\n")}, tls=tls)
    assert "certificate is not trusted" in str(await refused(FeedSettings(name="f", kind="list", url=f"{url}l")))
    entries, _ = await polled(FeedSettings(name="f", kind="list", url=f"{url}l", ca=TLS))
    assert values(entries) == ["203.0.113.1"]
    wrong = FeedSettings(name="f", kind="list", url=f"{url}l", ca=Path(__file__))
    assert "the file of ca" in str(await refused(wrong))


async def test_a_secret_that_cannot_be_read_is_refused_before_anything_is_asked(serve: Serve, tmp_path: Path) -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    url = await serve({"/l": handler})
    for content in (None, b"", b"\xff\xfe", b"two\nlines"):
        path = tmp_path / "s"
        if content is not None:
            path.write_bytes(content)
        feed = FeedSettings(name="f", kind="list", url=f"{url}l", secret_file=path)
        assert "holds no secret" in str(await refused(feed))
    assert not asked


async def test_a_user_and_a_secret_are_basic_authentication(serve: Serve, secret: Path) -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode())
        return web.Response(body=b"203.0.113.1\n")

    url = await serve({"/l": handler})
    await polled(FeedSettings(name="f", kind="list", url=f"{url}l", user="bank", secret_file=secret))
    assert seen == [f"bank:{SECRET}"]
