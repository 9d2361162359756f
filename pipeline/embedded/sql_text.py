"""What the shim must know of a statement's text, and no more: where an INSERT's data begins, and the answer's format.

A lexer, not a parser: words, quoted names, strings, comments. Whether a text is one statement is asked of the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# No alternative can match what another one would, so there is nothing to backtrack into.
_TOKEN = re.compile(
    rb"""
      (?P<blank> \s+ | --[^\n]* | \#[!\ ][^\n]* | /\*.*?\*/ )
    | (?P<quoted> '(?:[^'\\]|\\.|'')*' | `(?:[^`\\]|\\.|``)*` | "(?:[^"\\]|\\.|"")*" | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | (?P<word> [A-Za-z_]\w* )
    | (?P<mark> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_LINE_END = re.compile(rb"[ \t\f]*\r?\n?")


class Token(NamedTuple):
    """A word (upper case), a quoted name or string, or a single mark; `depth` counts open brackets."""

    kind: str
    text: str
    start: int
    end: int
    depth: int


class Insert(NamedTuple):
    """An INSERT that brings its data: the statement without its FORMAT, the format, where the data begins."""

    statement: str
    format: str
    data: int


def tokens(text: bytes) -> Iterator[Token]:
    """The tokens of a statement, blanks and comments left out."""
    depth = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup if match.lastgroup != "tag" else "quoted"
        if kind == "blank" or kind is None:
            continue
        found = match.group().decode("utf-8", "replace")
        if kind == "mark" and found in ")]}":
            depth = max(0, depth - 1)
        yield Token(kind, found.upper() if kind == "word" else found, match.start(), match.end(), depth)
        if kind == "mark" and found in "([{":
            depth += 1


def insert_with_data(text: bytes) -> Insert | None:
    """The INSERT at the beginning of `text` if it is complete up to its data; None for everything else.

    `INSERT ... SELECT` and `INSERT ... FROM` bring no data of their own.
    """
    before: Token | None = None
    for position, token in enumerate(tokens(text)):
        if position == 0 and (token.kind, token.text) != ("word", "INSERT"):
            return None
        named = before is not None and before.text in ("INTO", "TABLE", "FUNCTION", ".")
        if token.depth == 0 and not named:
            if before is not None and (before.kind, before.text) == ("word", "FORMAT") and token.kind == "word":
                statement = text[: before.start].decode("utf-8", "replace")
                name = text[token.start : token.end].decode()
                return Insert(statement, name, _after_line(text, token.end))
            if token.kind == "word" and token.text == "VALUES":
                return Insert(text[: token.start].decode("utf-8", "replace"), "Values", token.end)
            if token.text in ("SELECT", "WITH", "FROM", "WATCH", ";") and token.kind != "quoted":
                return None
        before = token if not named else None
    return None


def answer_format(text: bytes) -> str | None:
    """The format that a statement asks for by itself: its last `FORMAT name` outside of brackets."""
    asked = None
    before: Token | None = None
    for token in tokens(text):
        if before is not None and before.text == "FORMAT" and token.kind == "word" and token.depth == before.depth == 0:
            asked = text[token.start : token.end].decode()
        before = token if token.kind == "word" else None
    return asked


def words(text: bytes) -> list[str]:
    """The bare words of a statement, upper case, in order: what its keywords are among."""
    return [token.text for token in tokens(text) if token.kind == "word"]


def _after_line(text: bytes, position: int) -> int:
    found = _LINE_END.match(text, position)
    return found.end() if found else position
