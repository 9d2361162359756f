"""The part of STIX patterns that is a list of values: `[a:b = 'x' OR c:d IN ('y', 'z')]`, such groups joined by OR.

Equality and IN on addresses, domain names, URLs and file hashes. Everything else changes what would match (AND, NOT,
FOLLOWEDBY, WITHIN, LIKE, other paths) and is refused by its name: a pattern is understood whole or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from detectors.ioc.indicators import normal
from schemas.event import Observable

MAX_PATTERN: Final = 1 << 20
MAX_VALUES: Final = 10_000

_PATHS: Final = {
    "ipv4-addr:value": "ipv4",
    "ipv6-addr:value": "ipv6",
    "domain-name:value": "domain",
    "url:value": "url",
    "file:hashes.md5": "md5",
    "file:hashes.sha1": "sha1",
    "file:hashes.sha256": "sha256",
    "file:hashes.sha512": "sha512",
}
_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<path>[a-z0-9-]+:[A-Za-z0-9_-]+(?:\.(?:[A-Za-z0-9_-]+|'[^'\\]*'))*)
  | (?P<text>'(?:[^'\\]|\\.)*')
  | (?P<mark>==|!=|<=|>=|[\[\](),=<>])
  | (?P<word>[A-Za-z_][A-Za-z0-9_.]*)
  | (?P<other>\S)
    )""",
    re.VERBOSE | re.DOTALL,
)
_HASH_PATH: Final = re.compile(r"['-]")


def values(pattern: str) -> list[Observable]:
    """The values of a pattern, normalised. Raises ValueError, which names what is not supported."""
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"a pattern longer than {MAX_PATTERN:,} characters")
    tokens = _tokens(pattern)
    found: list[Observable] = []
    while True:
        _expect(tokens, "[")
        _group(tokens, found)
        kind, said = next(tokens)
        if kind == "end":
            return list(dict.fromkeys(found))
        if said != "OR":
            raise ValueError(f"a pattern with {_named(kind, said)} after an observation")


Token = tuple[str, str]


def _tokens(pattern: str) -> Iterator[Token]:
    text = pattern.rstrip()
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            break
        yield match.lastgroup or "", match[match.lastgroup or 0]
        at = match.end()
    while True:
        yield "end", ""


def _group(tokens: Iterator[Token], found: list[Observable]) -> None:
    """`comparison (OR comparison)*]`, with parentheses, which change nothing where all is OR."""
    depth = 0
    while True:
        kind, said = next(tokens)
        while said == "(" and kind == "mark":
            depth += 1
            kind, said = next(tokens)
        _comparison(kind, said, tokens, found)
        kind, said = next(tokens)
        while said == ")" and kind == "mark" and depth:
            depth -= 1
            kind, said = next(tokens)
        if said == "]" and not depth:
            return
        if said != "OR":
            raise ValueError(f"a pattern with {_named(kind, said)}")
        if len(found) > MAX_VALUES:
            raise ValueError(f"a pattern of more than {MAX_VALUES:,} values")


def _comparison(kind: str, said: str, tokens: Iterator[Token], found: list[Observable]) -> None:
    if kind != "path":
        raise ValueError(f"a pattern with {_named(kind, said)} where a path should stand")
    head, _, tail = said.partition(":")
    known = _PATHS.get(f"{head}:{_HASH_PATH.sub('', tail).lower()}" if head == "file" else said)
    if known is None:
        raise ValueError(f"the path {said[:80]}")
    kind, said = next(tokens)
    if said in ("=", "=="):
        found.append(normal(known, _text(*next(tokens))))
    elif said == "IN":
        _expect(tokens, "(")
        while True:
            found.append(normal(known, _text(*next(tokens))))
            kind, said = next(tokens)
            if said == ")" and kind == "mark":
                return
            if said != ",":
                raise ValueError(f"a list with {_named(kind, said)}")
    else:
        raise ValueError(f"a pattern with {_named(kind, said)}")


def _text(kind: str, said: str) -> str:
    if kind != "text":
        raise ValueError(f"a pattern with {_named(kind, said)} where a text should stand")
    return re.sub(r"\\(.)", r"\1", said[1:-1], flags=re.DOTALL)


def _expect(tokens: Iterator[Token], mark: str) -> None:
    kind, said = next(tokens)
    if kind != "mark" or said != mark:
        raise ValueError(f"a pattern with {_named(kind, said)} where {mark} should stand")


def _named(kind: str, said: str) -> str:
    """A token as an error may show it: words and marks of the grammar, never a value."""
    return {"end": "an early end", "text": "a text"}.get(kind, said[:40])
