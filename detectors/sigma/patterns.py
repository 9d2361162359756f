"""Regular expressions and wildcards. RE2 alone compiles what a rule's author wrote: it cannot be made to hang.

Semantics: RE2's syntax over Unicode text, found anywhere in the value, case-sensitive unless `i`; `$` is the value's
end, and a line's only with `m`; `.` spares the line feed unless `s`. RE2 takes `\\d`, `\\w` and `\\b` as ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Any, Final

import re2

#: Bytes that one compiled expression and its automaton may take; the largest of SigmaHQ needs 0.2 MiB.
MAX_MEMORY: Final = 4 << 20
#: RE2's instructions of one expression. Where its automaton does not fit it steps through all of them for each byte:
#: seconds for 100 KB. SigmaHQ's largest has 8,005, the next 2,359.
MAX_PROGRAM: Final = 10_000
#: Characters of a text with wildcards beyond which it is matched piece by piece, which takes time linear in both.
LONG_SHAPE: Final = 500
MANY: Final = 0
ONE: Final = 1
DASH: Final = 2
#: What stands in an expression for what is no text in a shape.
_MARKS: Final = {MANY: ".*", ONE: ".", DASH: "[-/\u2013\u2014\u2015]"}


def _options(max_memory: int) -> Any:
    options = re2.Options()
    options.max_mem = max_memory
    options.log_errors = False  # RE2 would write the pattern to stderr
    options.never_capture = True
    return options


OPTIONS: Final = _options(MAX_MEMORY)


class PatternError(ValueError):
    """RE2 refuses this expression; the text says why."""


def compiled(written: str) -> Any:
    """RE2's object for an expression over UTF-8. Raises PatternError."""
    try:
        return re2.compile(written.encode(), options=OPTIONS)
    except UnicodeEncodeError:
        raise PatternError("it is not UTF-8") from None
    except re2.error as error:
        said = error.args[0] if error.args else b""
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise PatternError(f"RE2 says {reason!r}") from None


@lru_cache(maxsize=4096)
def _expression(pattern: str, flags: str) -> Any:
    return compiled(f"(?{flags}){pattern}" if flags else pattern)


def size(pattern: str, flags: str) -> int:
    """How many instructions RE2 makes of an expression. Raises PatternError."""
    found: int = _expression(pattern, flags).programsize
    if found > MAX_PROGRAM:
        raise PatternError(f"it comes to {found:,} instructions of RE2; at most {MAX_PROGRAM:,} are carried out")
    return found


@lru_cache(maxsize=4096)
def searcher(pattern: str, flags: str) -> Callable[[str], bool]:
    """A function that says whether the expression is found in a text. Raises PatternError."""
    search = _expression(pattern, flags).search
    # One character that must be there is looked for in 40 ns, RE2's answer takes 1.5 µs.
    sign = _sign(pattern)
    # Bytes spare the binding's translation of offsets; surrogates, which no parser should give, are then no match.
    return lambda text: sign in text and search(text.encode("utf-8", "surrogatepass")) is not None


Shape = tuple[str | int, ...]
"""Texts, MANY for `*`, ONE for `?`, DASH for any of the dashes of `windash`."""


@lru_cache(maxsize=4096)
def like(parts: Shape) -> Callable[[str], bool]:
    """A function that says whether the whole text is of this shape. Raises PatternError."""
    if _is_stars(parts):
        return _stars(parts)
    return _pieces(parts) if _is_long(parts) else searcher(_written(parts), "s")


def like_size(parts: Shape) -> int:
    """How many instructions RE2 makes of a shape; 0 where it is not asked. Raises PatternError."""
    if _is_stars(parts):
        return 0
    return sum(size(piece, "s") for piece in _split(parts)) if _is_long(parts) else size(_written(parts), "s")


def _is_long(parts: Shape) -> bool:
    return MANY in parts and sum(len(part) if isinstance(part, str) else 1 for part in parts) > LONG_SHAPE


def _split(parts: Shape) -> list[str]:
    """What stands between the stars of a shape, as expressions."""
    return [_expressed(run) for is_many, run in groupby(parts, lambda part: part == MANY) if not is_many]


def _pieces(parts: Shape) -> Callable[[str], bool]:
    """As `_stars`, for shapes with `?` and dashes: each piece has one length in characters, so the leftmost will do."""
    pieces = _split(parts)
    head = _expression(rf"\A(?:{pieces.pop(0)})", "s") if parts[0] != MANY else None
    tail = _expression(rf"(?:{pieces.pop()})\z", "s") if parts[-1] != MANY else None
    inner = [_expression(piece, "s") for piece in pieces]

    def matches(text: str) -> bool:
        data = text.encode("utf-8", "surrogatepass")
        at, end = 0, len(data)
        if head is not None:
            found = head.search(data)
            if found is None:
                return False
            at = found.end()
        if tail is not None:
            found = tail.search(data, at)
            if found is None:
                return False
            end = found.start()
        for piece in inner:
            found = piece.search(data, at, end)
            if found is None:
                return False
            at = found.end()
        return True

    return matches


def _is_stars(parts: Shape) -> bool:
    return ONE not in parts and DASH not in parts


def _written(parts: Shape) -> str:
    return rf"\A{_expressed(parts)}\z"


def _expressed(parts: Iterable[str | int]) -> str:
    return "".join(re2.escape(part) if isinstance(part, str) else _MARKS[part] for part in parts)


def _stars(parts: Sequence[str | int]) -> Callable[[str], bool]:
    """Texts and `*` only: what stands between stars is found from left to right, which is enough."""
    head = parts[0] if isinstance(parts[0], str) else ""
    tail = parts[-1] if isinstance(parts[-1], str) else ""
    inner = [p for p in parts[1:-1] if isinstance(p, str)]
    least = sum(len(p) for p in parts if isinstance(p, str))

    def matches(text: str) -> bool:
        if len(text) < least or not text.startswith(head) or not text.endswith(tail):
            return False
        at, end = len(head), len(text) - len(tail)
        for part in inner:
            found = text.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    return matches


class _UnclearError(Exception):
    """The reader below does not know this syntax."""


def required(pattern: str) -> frozenset[str] | None:
    """ASCII literals of which one stands in every text that the expression is found in; None: none known.

    Reads only what is plain at the outermost level and gives up at anything doubtful: a literal too few costs time, a
    wrong one would cost detections. Case is not kept.
    """
    try:
        tokens = list(_tokens(pattern))
    except _UnclearError:
        return None
    found = set()
    for branch in _branches(tokens):
        best = max(_runs(branch), key=len)
        if len(best) < 3:
            return None
        found.add(best.lower())
    return frozenset(found)


def _sign(pattern: str) -> str:
    """The longest run of signs (no letters: these have case) that is in every text of the expression; '' if none."""
    try:
        branches = _branches(list(_tokens(pattern)))
    except _UnclearError:
        return ""
    if len(branches) > 1:
        return ""
    signs = [part for run in _runs(branches[0]) for part in re.findall(r"[^A-Za-z]+", run)]
    return max(signs, key=len, default="")


#: Escapes of one letter that stand for a class, a place or a control character.
_LETTERS: Final = frozenset("dDwWsSbBAztnrfva")
_COUNT: Final = re.compile(r"[*+?]|\{\d+(?:,\d*)?\}")
_Token = tuple[str, str]


def _tokens(pattern: str) -> Iterator[_Token]:
    """("text", character), ("count", quantifier), ("or", "") or ("other", ""); a group or class is one token."""
    if "[:" in pattern:
        raise _UnclearError
    at = 0
    while at < len(pattern):
        char = pattern[at]
        count = _COUNT.match(pattern, at)
        end = at + 1
        if count:
            end = count.end()
            yield "count", ""
        elif char == "\\":
            end = at + 2
            yield _escape(pattern[at + 1 : end])
        elif char in "([":
            end = _closing(pattern, at)
            yield "other", ""
        elif char in "{})]":
            raise _UnclearError
        elif char == "|":
            yield "or", ""
        else:
            yield ("text", char) if char.isascii() and char not in ".^$" else ("other", "")
        at = end


def _escape(char: str) -> _Token:
    if char in _LETTERS:
        return "other", ""
    if not char.isascii() or char.isalnum() or not char:
        raise _UnclearError
    return "text", char


def _closing(pattern: str, at: int) -> int:
    """The position after the group or class that opens at `at`."""
    depth, inside, i = 0, False, at
    while i < len(pattern):
        char = pattern[i]
        if char == "\\":
            i += 1
        elif inside:
            inside = char != "]"
        elif char == "[":
            inside = True
            i += pattern[i + 1 : i + 2] == "^"
            i += pattern[i + 1 : i + 2] == "]"
        else:
            depth += (char == "(") - (char == ")")
        if depth == 0 and not inside:
            return i + 1
        i += 1
    raise _UnclearError


def _branches(tokens: list[_Token]) -> list[list[_Token]]:
    branches: list[list[_Token]] = [[]]
    for token in tokens:
        if token[0] == "or":
            branches.append([])
        else:
            branches[-1].append(token)
    return branches


def _runs(tokens: list[_Token]) -> list[str]:
    """Texts that stand side by side and are there at least once."""
    runs, run = [], ""
    for (kind, text), (after, _) in pairwise([*tokens, ("other", "")]):
        if kind == "text" and after != "count":
            run += text
        else:
            runs.append(run)
            run = ""
    return [*runs, run]
