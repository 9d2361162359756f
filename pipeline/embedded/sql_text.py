"""What the shim must know of a statement's text, and no more: where an INSERT's data begins, and the answer's format.

A lexer, not a parser: words, quoted names, strings, comments. Whether a text is one statement is asked of the engine.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

# Linear whatever comes: nothing backtracks (the possessive `+`), and what is not closed goes on to the end.
_TOKEN = re.compile(
    rb"""
      (?P<blank> \s++ | --[^\n]*+ | \#[!\ ][^\n]*+ | /\*(?:.*?\*/|.*+) )
    | (?P<quoted>
          '(?:[^'\\]++|\\.?|'')*+(?:'|\Z) | `(?:[^`\\]++|\\.?|``)*+(?:`|\Z) | "(?:[^"\\]++|\\.?|"")*+(?:"|\Z)
        | \$(?P<tag>\w*+)\$(?:.*?\$(?P=tag)\$|.*+)
      )
    | (?P<word> [A-Za-z_]\w*+ )
    | (?P<mark> [\d,=<>+*%][\s\d,=<>+*%]*+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_BRACKETS = dict.fromkeys((b"(", b"[", b"{"), 1) | dict.fromkeys((b")", b"]", b"}"), -1)
# A column may be called format: these words follow a column, and are no format.
_AFTER_A_COLUMN = frozenset(
    b"FROM AS WHERE PREWHERE GROUP ORDER LIMIT HAVING AND OR NOT IN IS LIKE ILIKE BETWEEN ASC DESC THEN ELSE END WHEN "
    b"UNION EXCEPT INTERSECT WINDOW QUALIFY SETTINGS INTO WITH".split()
)
_LINE_END = re.compile(rb"[ \t\f]*\r?\n?")


class Token(NamedTuple):
    """A word (upper case), a quoted name or string, or marks; `depth` counts open brackets."""

    kind: str
    text: str
    start: int
    end: int
    depth: int


class Insert(NamedTuple):
    """An INSERT that brings its data: its text up to SETTINGS, that clause, its format, where the data begins."""

    into: bytes
    settings: bytes
    format: str
    data: int

    def from_file(self, path: str) -> bytes:
        """The same statement with its data in a file, whose path holds no quote."""
        file = f"\nFROM INFILE '{path}' COMPRESSION 'none'\n"
        return self.into + file.encode() + self.settings + f"\nFORMAT {self.format}".encode()


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
    settings = 0
    for position, token in enumerate(tokens(text)):
        if position == 0 and (token.kind, token.text) != ("word", "INSERT"):
            return None
        named = before is not None and before.text in ("INTO", "TABLE", "FUNCTION", ".")
        if token.depth == 0 and not named and token.kind != "quoted":
            if before is not None and before.text == "FORMAT" and token.kind == "word":
                name = text[token.start : token.end].decode()
                return _insert(text, settings, before.start, name, _after_line(text, token.end))
            if token.text == "VALUES":
                return _insert(text, settings, token.start, "Values", token.end)
            if token.text in ("SELECT", "WITH", "FROM", "WATCH", ";"):
                return None
            if token.text == "SETTINGS" and not settings:
                settings = token.start
        before = token if not named and token.kind != "quoted" else None
    return None


def _insert(text: bytes, settings: int, end: int, name: str, data: int) -> Insert:
    return Insert(text[: settings or end], text[settings:end] if settings else b"", name, data)


def answer_format(text: bytes) -> str | None:
    """The format that a statement asks for by itself: its last `FORMAT name` outside of brackets."""
    asked = None
    depth = 0
    after_format = False
    for match in _TOKEN.finditer(text):  # not `tokens`: a hunt's text holds a hundred thousand strings
        kind = match.lastgroup
        if kind == "word" and depth == 0:
            word = match.group()
            if after_format and word.upper() not in _AFTER_A_COLUMN:
                asked = word.decode()
            after_format = word.upper() == b"FORMAT"
        elif kind != "blank":
            after_format = False
            if kind == "mark":
                depth = max(0, depth + _BRACKETS.get(match.group(), 0))
    return asked


def first_word(text: bytes) -> str:
    """The word that a statement begins with, upper case; empty if it begins with something else."""
    first = next(tokens(text), None)
    return first.text if first is not None and first.kind == "word" else ""


def pair_in(text: bytes, pairs: Collection[tuple[str, str]]) -> tuple[str, str] | None:
    """The first of `pairs` (upper case) whose words follow one another in the statement, marks between or none."""
    if not any(re.search(second.encode(), text, re.IGNORECASE) for _, second in pairs):  # nearly always, and at once
        return None
    words = (token.text for token in tokens(text) if token.kind == "word")
    return next((pair for pair in itertools.pairwise(words) if pair in pairs), None)


def _after_line(text: bytes, position: int) -> int:
    found = _LINE_END.match(text, position)
    return found.end() if found else position
