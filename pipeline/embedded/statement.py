"""One request carried to the engine: which statement it is, its settings, its data, and the answer in pieces.

Runs in a thread of the store's pool; the engine releases the interpreter while it works.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.embedded import sql_text
from pipeline.embedded.clickhouse_errors import READONLY, SYNTAX_ERROR, EngineError, from_engine, refused
from pipeline.embedded.engine import Engine
from pipeline.embedded.http_body import HEAD, Body
from pipeline.embedded.http_call import Call
from pipeline.embedded.native_blocks import FIRST_FRAMED, framed
from pipeline.embedded.prepared import prepare, quoted, set_all
from pipeline.embedded.spooled import PIECE, spooled

# A longer text is data that should have come as an INSERT's.
_MAX_TEXT = 64 << 20
# What an answer that cannot be streamed may hold of rows; the engine raises TOO_MANY_ROWS_OR_BYTES beyond it.
_MAX_WHOLE = 1 << 30
# Formats whose blocks, one after the other, are the format of the whole: only these can leave before the query ends.
_BLOCKWISE = frozenset(
    {"native", "tabseparated", "tsv", "tabseparatedraw", "tsvraw", "csv", "rowbinary", "jsoneachrow", "jsonlines"}
    | {"ndjson", "jsoncompacteachrow", "lineasstring", "rawblob", "msgpack"}
)
# What the server refuses over HTTP and the engine here would do, or would fail in so that its directory is lost.
_REFUSED = {
    ("INTO", "OUTFILE"): (358, "INTO OUTFILE is not allowed"),
    ("FROM", "INFILE"): (78, "Query has infile and was sent directly to the server"),
    ("ENGINE", "KAFKA"): (344, "The Kafka engine is not available in the embedded store"),
}
_COUNTED = ("read_rows", "read_bytes", "written_rows", "written_bytes", "result_rows", "result_bytes")
_NO_STREAM = "Streaming query is not supported"
_MOST_READERS = 16


class Counts:
    """What X-ClickHouse-Summary tells of a statement."""

    def __init__(self) -> None:
        self._begun = time.perf_counter_ns()
        self._sums = dict.fromkeys(_COUNTED, 0)

    def add(self, result: Any, *, inserted: bool = False) -> None:
        """Add one result of the engine; an INSERT's rows count as read too, as the server counts them."""
        read = (result.storage_rows_read(), result.storage_bytes_read())
        written = (result.rows_written(), result.bytes_written())
        given = written if inserted else (result.rows_read(), result.bytes_read())
        for name, value in zip(_COUNTED, (*(written if inserted else read), *written, *given), strict=True):
            self._sums[name] += value

    def summary(self) -> dict[str, int]:
        return {**self._sums, "total_rows_to_read": 0, "elapsed_ns": time.perf_counter_ns() - self._begun}


@dataclass
class Answer:
    """What a statement gave. `pieces` is pulled in a thread and may raise EngineError; `close` is always called.

    `counts` grow while pieces are pulled.
    """

    format: str
    counts: Counts
    pieces: Iterator[bytes] = field(default_factory=lambda: iter(()))
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, repr=False)

    def close(self) -> None:
        self.held.close()


class Statements:
    """Runs requests on an engine; at most `_MOST_READERS` queries at a time, so that inserts always find a thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._readers = threading.BoundedSemaphore(_MOST_READERS)

    def run(self, call: Call, body: Body) -> Answer:
        """Execute one request. Raises EngineError; whatever it holds is released with the answer's `close`."""
        with contextlib.ExitStack() as held:
            text, insert = _read_text(call, body)
            data = held.enter_context(spooled(body, self._engine.spool)) if insert is not None else None
            connection = held.enter_context(self._engine.leased(call))
            try:
                prepare(connection, call, held, self._engine.spool)
                if insert is not None and data is not None:
                    answer = _insert(connection, call, insert, data)
                else:
                    answer = self._query(connection, call, text, held)
            except (RuntimeError, UnicodeDecodeError) as error:
                raise from_engine(error) from None
            answer.held = held.pop_all()
            return answer

    def _query(self, connection: Any, call: Call, text: bytes, held: contextlib.ExitStack) -> Answer:
        kind = _judge(connection, call, text)
        if kind == "READ_ONLY":
            if not self._readers.acquire(blocking=False):
                raise refused(202, f"Too many simultaneous queries: {_MOST_READERS} are running")
            held.callback(self._readers.release)
        name = sql_text.answer_format(text) or call.default_format
        if kind == "READ_ONLY" and name.lower() in _BLOCKWISE and not call.whole:
            with contextlib.suppress(_CannotStreamError):
                return _streamed(connection, call, text, name, held)
        if kind == "READ_ONLY" and not {"max_result_bytes", "readonly"} & call.settings.keys():
            set_all(connection, {"max_result_bytes": str(_MAX_WHOLE)})
        return _at_once(connection, call, text, name)


def _read_text(call: Call, body: Body) -> tuple[bytes, sql_text.Insert | None]:
    """The statement: the URL's text, then the body. An INSERT's data stay in `body`, unread."""
    text = call.query.encode() + b"\n" if call.query else body.read(HEAD)
    piece = text
    # A format's name that ends with what we have may go on in the next piece.
    while (insert := sql_text.insert_with_data(text)) is None or (insert.data == len(text) and not call.query):
        if not piece or len(text) >= HEAD:
            break
        piece = body.read(HEAD)
        text += piece
    if insert is None:
        return text + body.rest(_MAX_TEXT), None
    body.put_back(text[insert.data :])
    return text, insert


def _judge(connection: Any, call: Call, text: bytes) -> str:
    """The engine's class of a single statement; raises EngineError for what the server would not run."""
    found = connection.classify_query(text)
    if found["statement_count"] > 1:
        raise refused(SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
    if found["statement_count"] == 0:
        raise _syntax_error(connection, text)
    kind: str = found["query_class"].name
    if (pair := sql_text.pair_in(text, _REFUSED)) is not None:
        raise refused(*_REFUSED[pair])
    if call.reads_only and kind != "READ_ONLY" and (word := sql_text.first_word(text)) not in ("SET", "USE"):
        raise refused(READONLY, f"{word}: Cannot execute query in readonly mode: use POST")
    return kind


def _syntax_error(connection: Any, text: bytes) -> EngineError:
    """Why a text is no statement, in the engine's words, without running any part of it."""
    asked = f"SELECT formatQuery({quoted(text.decode('utf-8', 'replace'))}) FORMAT Null"
    try:
        connection.query(asked, "Null")
    except RuntimeError as error:
        said = from_engine(error)
        return EngineError(SYNTAX_ERROR, str(said).partition(": In scope SELECT formatQuery")[0] + " (SYNTAX_ERROR)")
    return refused(SYNTAX_ERROR, "Syntax error")


class _CannotStreamError(Exception):
    """The engine streams SELECT alone: ask for the whole answer."""


def _streamed(connection: Any, call: Call, text: bytes, name: str, held: contextlib.ExitStack) -> Answer:
    """The answer block by block, while the engine works on."""
    counts = Counts()
    try:
        stream = connection.send_query(text, call.default_format, params=dict(call.bound))
        first = connection.streaming_fetch_result(stream)
    except RuntimeError as error:
        if _NO_STREAM in str(error):
            raise _CannotStreamError from None
        raise
    running, frames = True, _frames(call, name)
    held.callback(lambda: connection.streaming_cancel_query(stream) if running else None)

    def pieces(result: Any) -> Iterator[bytes]:
        nonlocal running
        while result is not None and result.rows_read():
            counts.add(result)
            yield framed(result.bytes()) if frames else result.bytes()
            try:
                result = connection.streaming_fetch_result(stream)
            except (RuntimeError, UnicodeDecodeError) as error:
                running = False
                raise from_engine(error) from None
        running = False  # to cancel an ended stream is a use after free

    return Answer(name, counts, pieces(first))


def _at_once(connection: Any, call: Call, text: bytes, name: str) -> Answer:
    """The answer when it is complete; it lies in the engine's memory once, and leaves it in pieces."""
    counts = Counts()
    result = connection.query(text, call.default_format, params=dict(call.bound))
    counts.add(result)

    def pieces() -> Iterator[bytes]:
        if _frames(call, name):
            yield framed(result.bytes())
            return
        wrapper = result.get_memview()  # the view points into `result`, which must outlive it
        view = wrapper.view() if result.size() else memoryview(b"")
        for at in range(0, len(view), PIECE):
            yield bytes(view[at : at + PIECE])

    return Answer(name, counts, pieces())


def _frames(call: Call, name: str) -> bool:
    return call.protocol >= FIRST_FRAMED and name.lower() == "native"


def _insert(connection: Any, call: Call, insert: sql_text.Insert, data: Path) -> Answer:
    """Have the engine read an INSERT's data, all of them received, from where they lie."""
    if call.reads_only:
        raise refused(READONLY, "INSERT: Cannot execute query in readonly mode: use POST")
    text = insert.from_file(str(data))
    if connection.classify_query(text)["statement_count"] != 1:
        raise _syntax_error(connection, text)
    counts = Counts()
    counts.add(connection.query(text, "Null", params=dict(call.bound)), inserted=True)
    return Answer(call.default_format, counts)
