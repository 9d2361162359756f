"""STIX patterns as rows: `[a = 'x' AND (b = 'y' OR c IN ('z', 'w'))] OR [...]` is a list of what must hold together.

Equality, IN and ISSUBSET (networks), joined by AND, OR and parentheses within an observation, and OR between them.
Everything else changes what would match (NOT, FOLLOWEDBY, WITHIN, LIKE, other paths) and is refused by its name: a
pattern is understood whole or not at all. No step recurses, so depth costs nothing; rows are bounded as they grow.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from detectors.ioc.feeds.entry import ForeignError
from detectors.ioc.feeds.stix_paths import joined, kind_of, observed
from detectors.ioc.indicators import normal
from schemas.event import Observable

MAX_TOGETHER: Final = 16
MAX_VALUES: Final = 10_000
#: Rows that begin with the same value: every event that holds it pays for each.
MAX_OF_VALUE: Final = 256
MAX_PATTERN: Final = 65_536

#: Rarest first: what an event seldom holds is looked up, the rest is asked only then.
_RARITY: Final = (
    "sha512", "sha256", "sha1", "md5", "imphash", "ssdeep", "certificate", "iban", "mutex", "url", "ja4", "ja3",
    "email", "file_path", "registry_key", "domain", "card_bin", "ipv6", "ipv4", "account", "file_name", "user_agent",
    "cidr",
)  # fmt: skip
_RANK: Final = {kind: rank for rank, kind in enumerate(_RARITY)}
_TOKEN: Final = re.compile(
    r"""\s*+(?:
    (?P<path>[a-z0-9-]++:[A-Za-z0-9_-]++(?:\[(?:\*|\d{1,9})\])?(?:\.(?:[A-Za-z0-9_-]++|'[^'\\]*+')(?:\[(?:\*|\d{1,9})\])?)*+)
  | (?P<text>'(?:[^'\\]++|\\.)*+')
  | (?P<mark>==|!=|<=|>=|[\[\](),=<>])
  | (?P<word>[A-Za-z_][A-Za-z0-9_.]*+)
  | (?P<other>\S)
    )""",
    re.VERBOSE | re.DOTALL,
)
_SINGLE: Final = re.compile(
    r"\s*+\[\s*+([a-z0-9-]++:[A-Za-z0-9_-]++(?:\.(?:[A-Za-z0-9_-]++|'[^'\\]*+'))*+)\s*+==?+\s*+'([^'\\]*+)'\s*+\]\s*+"
)
#: Only these are escapes; other backslashes are producers' paths, written without care.
_ESCAPED: Final = re.compile(r"\\(['\\])")
_FOREIGN: Final = frozenset(
    ("NOT", "LIKE", "MATCHES", "ISSUPERSET", "EXISTS", "FOLLOWEDBY", "WITHIN", "REPEATS", "START", "STOP")
).union(("!=", "<", ">", "<=", ">="))
_WORDS: Final = _FOREIGN | {"AND", "OR", "IN", "ISSUBSET"}

#: What must hold together, the rarest first.
Row = tuple[Observable, ...]
#: Rows while they grow: sets, parts of paths not yet joined.
_Rows = list[frozenset[Observable]]


def rows(pattern: str, most: int = MAX_VALUES, longest: int = MAX_PATTERN) -> list[Row]:
    """The rows of a pattern, of which one must hold. Raises ForeignError or ValueError, which name what is wrong."""
    if len(pattern) > longest:
        raise ValueError(f"a pattern longer than {longest:,} characters (limits.pattern)")
    single = _SINGLE.fullmatch(pattern)
    if single is not None and not (kind := kind_of(single[1])).startswith("+"):
        return [(observed(kind, single[2]),)]  # nine patterns of ten
    reading = _Reading(pattern, most)
    found = reading.observations()
    made = list(dict.fromkeys(tuple(sorted(joined(set(row)), key=_rarity)) for row in found))
    if max(Counter(row[0] for row in made).values()) > MAX_OF_VALUE:
        raise ForeignError(f"a pattern with one value joined to more than {MAX_OF_VALUE} others")
    return made


def _rarity(one: Observable) -> tuple[int, str]:
    return _RANK.get(one.type, 0), one.value


Token = tuple[str, str]


def _tokens(pattern: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(pattern.rstrip()):
        kind = match.lastgroup or ""
        yield kind, match[kind]
    while True:
        yield "end", ""


class _Reading:
    """One pattern being read: its tokens, and how many rows it may still make."""

    def __init__(self, pattern: str, most: int) -> None:
        self._tokens = _tokens(pattern)
        self._most = most
        self._made = 0

    def observations(self) -> _Rows:
        """`[...] OR [...]`, with parentheses, which change nothing where all is OR."""
        found: _Rows = []
        depth = 0
        while True:
            kind, said = next(self._tokens)
            while kind == "mark" and said == "(":
                depth += 1
                kind, said = next(self._tokens)
            if kind != "mark" or said != "[":
                raise _wrong(kind, said, " where [ should stand")
            found += self._observation()
            kind, said = next(self._tokens)
            while kind == "mark" and said == ")" and depth:
                depth -= 1
                kind, said = next(self._tokens)
            if kind == "end" and not depth:
                return self._bounded(found)
            if said == "AND":
                raise ForeignError("a pattern with AND of observations")
            if kind != "word" or said != "OR":
                raise _wrong(kind, said, " after an observation")

    def _observation(self) -> _Rows:
        """Comparisons up to `]`; AND binds before OR. Two stacks, as in a pocket calculator."""
        values: list[_Rows] = []
        marks: list[str] = []
        while True:
            kind, said = next(self._tokens)
            while kind == "mark" and said == "(":
                marks.append("(")
                kind, said = next(self._tokens)
            values.append(self._comparison(kind, said))
            kind, said = next(self._tokens)
            while kind == "mark" and said == ")":
                self._fold(values, marks, "(")
                if not marks:
                    raise ValueError("a pattern with ) too many")
                marks.pop()
                kind, said = next(self._tokens)
            if kind == "mark" and said == "]":
                self._fold(values, marks, "(")
                if marks:
                    raise ValueError("a pattern with ] where ) should stand")
                return values[0]
            if kind != "word" or said not in ("AND", "OR"):
                raise _wrong(kind, said, "")
            self._fold(values, marks, "(OR" if said == "AND" else "(")
            marks.append(said)

    def _fold(self, values: list[_Rows], marks: list[str], until: str) -> None:
        """Carry out what is on the stack, down to one of the marks in `until`."""
        while marks and marks[-1] not in until:
            right, left = values.pop(), values.pop()
            values.append(self._both(left, right) if marks.pop() == "AND" else self._either(left, right))

    def _either(self, left: _Rows, right: _Rows) -> _Rows:
        left += right
        return self._bounded(left)

    def _both(self, left: _Rows, right: _Rows) -> _Rows:
        self._made += len(left) * len(right)
        if self._made > 4 * self._most:
            raise ValueError(f"a pattern of more than {self._most:,} values (limits.values)")
        found = list(dict.fromkeys([one | other for one in left for other in right]))
        if any(len(row) > MAX_TOGETHER for row in found):
            raise ForeignError(f"a pattern with more than {MAX_TOGETHER} values joined by AND")
        return self._bounded(found)

    def _bounded(self, found: _Rows) -> _Rows:
        if len(found) > self._most:
            raise ValueError(f"a pattern of more than {self._most:,} values (limits.values)")
        return found

    def _comparison(self, kind: str, said: str) -> _Rows:
        if kind != "path":
            raise _wrong(kind, said, " where a path should stand")
        wanted = kind_of(said)
        kind, said = next(self._tokens)
        if said in ("=", "=="):
            return [frozenset((observed(wanted, _text(*next(self._tokens))),))]
        if said == "ISSUBSET":
            if wanted not in ("ipv4", "ipv6", "+host"):
                raise ForeignError("a pattern with ISSUBSET of something else than addresses")
            return [frozenset((normal("ip", _text(*next(self._tokens))),))]
        if said == "IN":
            return self._list(wanted)
        raise _wrong(kind, said, "")

    def _list(self, wanted: str) -> _Rows:
        kind, said = next(self._tokens)
        if said != "(":
            raise _wrong(kind, said, " where ( should stand")
        found: _Rows = []
        while True:
            found.append(frozenset((observed(wanted, _text(*next(self._tokens))),)))
            kind, said = next(self._tokens)
            if kind == "mark" and said == ")":
                return self._bounded(found)
            if kind != "mark" or said != ",":
                raise _wrong(kind, said, " in a list")


def _text(kind: str, said: str) -> str:
    if kind != "text":
        raise _wrong(kind, said, " where a text should stand")
    return _ESCAPED.sub(r"\1", said[1:-1]) if "\\" in said else said[1:-1]


def _wrong(kind: str, said: str, where: str) -> ValueError:
    """A token as an error may show it: words and marks of the grammar, never a value."""
    known = {"end": "an early end", "text": "a text", "path": "a path"}.get(kind)
    if known is None:
        known = said if kind == "mark" or said in _WORDS else "a word" if kind == "word" else "a sign"
    return (ForeignError if said in _FOREIGN else ValueError)(f"a pattern with {known}{where}")
